/**
 * A run in this process: a corpus in, a refined corpus and a ledger out (see lanes.ts for the streams and ledger.ts for the
 * commits). `refineCorpus` (run.ts) has it in a worker of its own, where {@link RunPlace} says what the worker adds.
 */
import { familyOf } from '../corpus/formats.ts';
import { planCorpus } from '../corpus/plan.ts';
import { below } from '../corpus/storage/addresses.ts';
import type { CorpusPlan, CorpusUnit } from '../corpus/types.ts';
import { inputName } from '../corpus/unit-files.ts';
import { anyOf, throwIfAborted } from '../errors.ts';
import { given, refuseOption } from '../options.ts';
import type { ScoreKeeper } from '../scores/keeper.ts';
import { llamaCppVersion, version } from '../version.ts';
import type { LedgerMember } from '../work/ledger-claim.ts';
import { outputAddress } from '../work/open-output.ts';
import { shareOf, workerName } from '../work/worker-share.ts';
import { CommittedTotals } from './committed-totals.ts';
import { type ResolvedRefiner, resolveRefiner } from './core.ts';
import { defaultSizes, parseDevices } from './devices.ts';
import { Run } from './lanes.ts';
import { openLedger } from './ledger.ts';
import { describePlan, planOverview } from './plan-overview.ts';
import { checkReserved, statusColumns } from './reserved-columns.ts';
import type { Reuse } from './reuse.ts';
import type { RunIdentity } from './run-identity.ts';
import { runNameOf } from './run-name.ts';
import {
  jsonOptionsOf,
  type ListedInputs,
  REFINE_DEFAULTS,
  type RefineCorpusOptions,
} from './run-options.ts';
import { ALONE, type RunPlace, type UnitFeed } from './run-place.ts';
import { checkSiteOptions, chooseSites, openRunSites, wantsSites } from './run-sites.ts';
import type { RunSummary, UsedThresholds } from './statistics.ts';
import { emptyTally, NOTHING_COMMITTED, summarise } from './tally.ts';
import type { PlannedUnit } from './unit-record.ts';
import type { OutputSettings } from './unit-writer.ts';
import { usedThresholds } from './used-thresholds.ts';

/**
 * Runs in this process.
 *
 * @param asked checked options
 * @throws CORPUS_*, ENGINE_*, PROFILE_*, RUN_*; ABORTED when `signal` fires
 */
export async function runHere(
  asked: RefineCorpusOptions,
  place: RunPlace = ALONE,
): Promise<RunSummary> {
  const { signal: drop, ...rest } = given(asked);
  throwIfAborted(drop, 'the run');
  const signal = anyOf(drop, asked.stop);
  const inputs = [asked.inputs].flat();
  const wanted: ListedInputs = { ...rest, inputs, ...(signal && { signal }) };
  const notice = wanted.onNotice ?? (() => undefined);
  const started = performance.now() - (place.before?.elapsedMs ?? 0);
  const out = outputAddress(wanted.out);
  if (wanted.out === '-') refuseBesideStream(wanted);
  const prepared = await prepare(wanted, notice);
  const { options, resolved, thresholds, reuse } = prepared;
  checkSiteOptions(options, resolved);
  if (options.worker && (options.out === '-' || inputs.includes('-'))) {
    refuseOption('worker', 'none beside a stream, which has one reader', options.worker);
  }
  if (options.out === '-') {
    const { onStreamed } = options;
    const told = onStreamed ? { ...place, onStreamed } : place;
    const { streamRun } = await import('./stream-run.ts');
    const outcome = await streamRun(options, resolved, { started, drop, place: told });
    if (outcome.interrupted) throwIfAborted(drop, 'the run');
    return { ...outcome, thresholds };
  }
  if (options.rejected !== undefined) {
    const expected = 'none beside an output folder, which holds rejected rows itself';
    const received = options.rejected;
    refuseOption('rejected', expected, received);
  }
  if (options.keepDropped) {
    const expected = 'none beside an output folder, which has dropped rows in dropped/';
    refuseOption('keepDropped', expected, options.keepDropped);
  }
  const keeper = await keeperFor(options, prepared);
  const { worker } = options;
  const { feed } = place;
  const isShared = worker !== undefined || feed !== null;
  if (isShared && options.limit !== undefined) {
    refuseOption(
      'limit',
      'none beside worker, whose share does not know of others’ rows',
      options.limit,
    );
  }
  const { plan: read, output } = await planRun(options);
  for (const line of describePlan(read)) notice(line);
  const sitesChosen = await chooseSites(read, options, resolved, isShared);
  if (sitesChosen.notice) notice(sitesChosen.notice);
  let plan = read;
  const share = worker ? shareOf(plan.units, worker) : plan.units;
  if (worker) {
    notice(
      `worker ${worker.index} of ${worker.count}: ${share.length} of ${plan.units.length} units`,
    );
  }
  if (options.planOnly) {
    const summary = summarise(NOTHING_COMMITTED, plan, out, started, emptyTally(plan));
    return { ...summary, thresholds, plan: planOverview(plan) };
  }
  const sited = wantsSites(sitesChosen.options)
    ? await openRunSites(plan, sitesChosen.options)
    : null;
  if (sited) plan = sited.plan;
  const gpus = reuse ? '' : await modelsOf(options.device);
  const known = identityOf(options, resolved, plan, output, thresholds);
  const own = {
    ...known,
    // Those who share a run may have cards of several models.
    ...(gpus !== '' && !isShared && { options: { ...known.options, deviceModel: gpus } }),
    ...(sited && { sites: sited.identity }),
    ...(keeper && { scores: keeper.layout }),
  };
  const identity = reuse?.identity(own) ?? own;
  const reused = (await reuse?.checkPlan(plan, (unit) => inputName(plan, unit))) ?? null;
  const name = worker ? workerName(worker) : feed?.name;
  const totals = new CommittedTotals(plan, options.limit !== undefined);
  const opening = openLedger(out, identity, {
    plannedOf: (unit) => plannedUnit(plan, unit),
    onRecord: (record) => totals.add(record),
    leaseMs: options.lease === undefined ? undefined : options.lease * 1000,
    member: name === undefined ? undefined : memberOf(name, feed, share),
    onNotice: notice,
    signal: options.signal,
  });
  const ledger = await opening.catch((error: unknown) => {
    sited?.sites.dispose();
    throw error;
  });
  try {
    const settings = {
      ...{ started, drop, place, keeper, reused, share, totals, sites: sited?.sites ?? null },
      ...{ nameOf: () => runNameOf(identity, out), worker: name ?? null },
    };
    const run = new Run(options, resolved, plan, output, ledger, settings);
    const outcome = { ...(await run.execute()), ...(worker && { worker }) };
    await ledger.leave(outcome);
    if (outcome.interrupted) throwIfAborted(drop, 'the run');
    const nRejected = totals.rejectedRows;
    if (nRejected > 0) {
      notice(`${nRejected} rows could not be rows: bytes and reasons in ${below(out, 'rejected')}`);
    }
    return { ...outcome, thresholds };
  } catch (error) {
    throw ledger.explain(error);
  } finally {
    await ledger.close();
    await reused?.dispose();
    sited?.sites.dispose();
  }
}

/**
 * Models of the GPUs, which may round logits differently; empty for the CPU. What is not there ends a run before it has
 * written anything.
 *
 * @throws ENGINE_DEVICE_MISSING
 */
async function modelsOf(device = 'cpu'): Promise<string> {
  const names = parseDevices(device);
  if (names.every((name) => name === 'cpu')) return '';
  const { requireDevices } = await import('../native/devices.ts');
  return [...new Set(requireDevices(names).map(({ description }) => description))].join(', ');
}

/** One that is handed its units has been submitted by somebody who began the run. */
function memberOf(name: string, feed: UnitFeed | null, share: readonly CorpusUnit[]): LedgerMember {
  return { name, units: feed ? [] : share.map(({ index }) => index), mayBegin: feed === null };
}

/** What is read, and how it is written. @throws CORPUS_*, OPTION_INVALID */
export async function planRun(
  options: ListedInputs,
): Promise<{ readonly plan: CorpusPlan; readonly output: OutputSettings }> {
  const plan = await planCorpus({
    inputs: options.inputs,
    ...(options.textColumn !== undefined && { textColumn: options.textColumn }),
    ...(options.idColumn !== undefined && { idColumn: options.idColumn }),
    ...(options.textPer !== undefined && { textPer: options.textPer }),
    unitRows: options.unitRows ?? REFINE_DEFAULTS.unitRows,
    failFast: options.failFast ?? false,
    exclude: [outputAddress(options.out)],
    ...jsonOptionsOf(options, options.format === 'parquet'),
    ...(options.signal && { signal: options.signal }),
  });
  const output = outputSettings(options);
  checkReserved(plan, output);
  return { plan, output };
}

/** The plan and the identity of a run that others will carry out. @throws as {@link runHere} before its first unit */
export async function prepareRun(
  asked: RefineCorpusOptions,
): Promise<{ readonly plan: CorpusPlan; readonly identity: RunIdentity }> {
  const prepared = await prepare({ ...asked, inputs: [asked.inputs].flat() });
  const { options, resolved, thresholds, reuse } = prepared;
  const keeper = await keeperFor(options, prepared);
  checkSiteOptions(options, resolved);
  const { plan, output } = await planRun(options);
  const { options: sited } = await chooseSites(plan, options, resolved, true);
  const known = wantsSites(sited) ? await openRunSites(plan, sited) : null;
  known?.sites.dispose();
  const own = {
    ...identityOf(options, resolved, plan, output, thresholds),
    ...(known && { sites: known.identity }),
    ...(keeper && { scores: keeper.layout }),
  };
  return { plan, identity: reuse?.identity(own) ?? own };
}

/** Options, models and thresholds of a run. */
interface Prepared {
  readonly options: ListedInputs;
  readonly resolved: ResolvedRefiner;
  readonly thresholds: UsedThresholds;
  readonly reuse: Reuse | null;
}

/** Finds what a run needs before it reads anything. */
export async function prepare(
  options: ListedInputs,
  notice: (line: string) => void = () => undefined,
): Promise<Prepared> {
  if (options.reuse !== undefined) {
    const { openReuse } = await import('./reuse.ts');
    const reuse = await openReuse(options, options.reuse);
    return {
      options: reuse.options,
      resolved: reuse.resolved,
      thresholds: reuse.thresholds,
      reuse,
    };
  }
  const resolved = await resolveRefiner(options);
  for (const stage of ['document', 'chunk'] as const) {
    const random = resolved[stage]?.model.random;
    if (random) {
      notice(`${stage} model "${random}": random weights, its verdicts mean nothing`);
    } else if (options.profile === undefined && resolved[stage]?.profile?.name === 'prox') {
      notice(
        `${stage} model ${resolved[stage].model.path}: no profile beside it, it is asked as profile prox says`,
      );
    }
  }
  return { options, resolved, thresholds: usedThresholds(resolved), reuse: null };
}

function refuseBesideStream({ keepScores, reuse }: ListedInputs): void {
  const expected = 'none beside a stream, which has no folder';
  if (keepScores) refuseOption('keepScores', expected, keepScores);
  if (reuse !== undefined) refuseOption('reuse', expected, reuse);
}

/** Scores that come from an earlier run mean what they meant there. */
async function keeperFor(
  { keepScores }: ListedInputs,
  { resolved, thresholds, reuse }: Prepared,
): Promise<ScoreKeeper | null> {
  if (!keepScores) return null;
  const all = keepScores === 'all';
  const { keeperOf, openKeeper } = await import('./score-keeper.ts');
  if (!reuse) return openKeeper(resolved, all, thresholds);
  const { layout } = reuse.scores;
  if (all && layout.lines !== null && layout.lines.from !== null) {
    const expected = `true, as ${reuse.out} has no lines of dropped documents`;
    refuseOption('keepScores', expected, keepScores);
  }
  return keeperOf(layout, all);
}

function plannedUnit(plan: CorpusPlan, index: number): PlannedUnit | undefined {
  const unit = plan.units[index];
  return unit && { input: inputName(plan, unit), nRows: unit.nRows };
}

function hasJson({ files }: CorpusPlan): boolean {
  return files.some(({ format }) => familyOf(format) === 'jsonl');
}

function outputSettings(options: RefineCorpusOptions): OutputSettings {
  const chosen = { ...REFINE_DEFAULTS, ...options };
  const { keepOriginal, droppedText, zstdLevel, rowGroupRows, rowGroupBytes } = chosen;
  return {
    format: options.format ?? null,
    ...statusColumns(options),
    keepOriginal,
    droppedText,
    zstdLevel,
    rowGroupRows,
    rowGroupBytes,
    ...(options.keepScores && { keepsScores: true }),
  };
}

function identityOf(
  options: RefineCorpusOptions,
  resolved: ResolvedRefiner,
  plan: CorpusPlan,
  output: OutputSettings,
  thresholds: UsedThresholds,
): RunIdentity {
  const device = parseDevices(options.device ?? 'cpu')[0]!;
  const model = (stage: 'document' | 'chunk') => {
    const found = resolved[stage]?.model;
    return found ? { path: found.path, bytes: found.bytes, sha256: found.sha256 } : null;
  };
  return {
    format: 1,
    versions: { gristmill: version, llamaCpp: llamaCppVersion },
    options: {
      ...resolved.options,
      ...identityOfOutput(output, plan),
      dialect: resolved.dialect,
      textColumn: plan.textColumn,
      idColumn: plan.idColumn,
      documentProfile: resolved.document?.profile ?? null,
      chunkProfile: resolved.chunk?.profile ?? null,
      unitRows: options.unitRows ?? REFINE_DEFAULTS.unitRows,
      limit: options.limit ?? null,
      ...(options.textPer !== undefined && { textPer: options.textPer }),
      ...(hasJson(plan) && {
        inferLines: jsonOptionsOf(options, output.format === 'parquet').inferLines ?? 'default',
        maxLineBytes: plan.maxLineBytes,
      }),
      ...(options.keepScores && { keepScores: options.keepScores }),
      deviceKind: device === 'cpu' ? 'cpu' : 'cuda',
      slots: options.slots ?? defaultSizes(device).nSlots,
    },
    models: { document: model('document'), chunk: model('chunk') },
    thresholds,
    inputs: plan.files.map(({ path, bytes, fingerprint }) => ({ path, bytes, fingerprint })),
    units: plan.units.length,
    ...groupsOf(plan),
  };
}

/** Which units have many files. Runs without such units say nothing of it. */
function groupsOf({ units }: CorpusPlan): Pick<RunIdentity, 'groups'> {
  const groups = units.flatMap(({ index, fileIndex, nFiles }) => {
    return nFiles === undefined ? [] : [[index, fileIndex, fileIndex + nFiles - 1] as const];
  });
  return groups.length > 0 ? { groups } : {};
}

/** Options that a run was not asked for say nothing in its identity, so that runs of earlier versions go on. */
function identityOfOutput(
  { format, statusPrefix, replaceStatus, keepsScores: _, ...rest }: OutputSettings,
  plan: CorpusPlan,
): Record<string, unknown> {
  const families = new Set(plan.schemas.map(({ family }) => family));
  const ofInputs = families.has('jsonl') ? 'jsonl.zst' : 'parquet';
  const isMixed = families.has('jsonl') && families.size > 1;
  return {
    ...rest,
    format: format ?? (isMixed ? 'that of the inputs' : ofInputs),
    ...(statusPrefix !== null && { statusPrefix }),
    ...(replaceStatus && { replaceStatus }),
  };
}
