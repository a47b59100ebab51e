/**
 * A run in this process: a corpus in, a refined corpus and a ledger out (see lanes.ts for the streams and ledger.ts for the
 * commits). `refineCorpus` (run.ts) has it in a worker of its own, where {@link RunPlace} says what the worker adds.
 */
import { join } from 'node:path';
import { planCorpus } from '../corpus/plan.ts';
import type { CorpusPlan } from '../corpus/types.ts';
import { anyOf, throwIfAborted } from '../errors.ts';
import { localPath } from '../local-path.ts';
import { given, refuseOption } from '../options.ts';
import { llamaCppVersion, version } from '../version.ts';
import { type ResolvedRefiner, resolveRefiner } from './core.ts';
import { defaultSizes, parseDevices } from './devices.ts';
import { inputName, Run } from './lanes.ts';
import { type Ledger, openLedger } from './ledger.ts';
import { describePlan, planOverview } from './plan-overview.ts';
import { checkReserved, statusColumns } from './reserved-columns.ts';
import type { RunIdentity } from './run-identity.ts';
import {
  jsonOptionsOf,
  type ListedInputs,
  REFINE_DEFAULTS,
  type RefineCorpusOptions,
} from './run-options.ts';
import { ALONE, type RunPlace } from './run-place.ts';
import { openKeeper } from './score-keeper.ts';
import type { RunSummary, UsedThresholds } from './statistics.ts';
import { emptyTally, summarise } from './tally.ts';
import type { OutputSettings } from './unit-writer.ts';
import { usedThresholds } from './used-thresholds.ts';
import { shareOf, workerName } from './worker-share.ts';

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
  const options: ListedInputs = { ...rest, inputs, ...(signal && { signal }) };
  const notice = options.onNotice ?? (() => undefined);
  const started = performance.now() - (place.before?.elapsedMs ?? 0);
  const out = localPath(options.out, 'output', '--out');
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
  const thresholds = await usedThresholds(resolved);
  if (options.worker && (options.out === '-' || inputs.includes('-'))) {
    refuseOption('worker', 'none beside a stream, which has one reader', options.worker);
  }
  if (options.out === '-') {
    if (options.keepScores) {
      const expected = 'none beside a stream, which has no folder for scores';
      refuseOption('keepScores', expected, options.keepScores);
    }
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
  const keeper = options.keepScores
    ? await openKeeper(resolved, options.keepScores === 'all', thresholds)
    : null;
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
  const { plan, output } = await planRun(options);
  for (const line of describePlan(plan)) notice(line);
  const share = worker ? shareOf(plan.units, worker) : plan.units;
  if (worker) {
    notice(
      `worker ${worker.index} of ${worker.count}: ${share.length} of ${plan.units.length} units`,
    );
  }
  if (options.planOnly) {
    const summary = summarise([], plan, out, started, emptyTally(plan));
    return { ...summary, thresholds, plan: planOverview(plan) };
  }
  const identity = {
    ...identityOf(options, resolved, plan, output, thresholds),
    ...(keeper && { scores: keeper.layout }),
  };
  const name = worker ? workerName(worker) : feed?.name;
  const ledger = await openLedger(options.out, identity, {
    units: plan.units.map((unit) => ({ input: inputName(plan, unit), nRows: unit.nRows })),
    member:
      name === undefined ? undefined : { name, units: feed ? [] : share.map(({ index }) => index) },
    onNotice: notice,
    signal: options.signal,
  });
  try {
    const settings = { started, drop, place, keeper, share };
    const run = new Run(options, resolved, plan, output, ledger, settings);
    const outcome = { ...(await run.execute()), ...(worker && { worker }) };
    await ledger.leave(outcome);
    if (outcome.interrupted) throwIfAborted(drop, 'the run');
    const nRejected = rejectedRows(ledger);
    if (nRejected > 0) {
      notice(`${nRejected} rows could not be rows: bytes and reasons in ${join(out, 'rejected')}`);
    }
    return { ...outcome, thresholds };
  } catch (error) {
    throw ledger.explain(error);
  } finally {
    ledger.close();
  }
}

/** What is read, and how it is written. @throws CORPUS_*, OPTION_INVALID */
async function planRun(
  options: ListedInputs,
): Promise<{ readonly plan: CorpusPlan; readonly output: OutputSettings }> {
  const plan = await planCorpus({
    inputs: options.inputs,
    textColumn: options.textColumn ?? REFINE_DEFAULTS.textColumn,
    ...(options.idColumn !== undefined && { idColumn: options.idColumn }),
    unitRows: options.unitRows ?? REFINE_DEFAULTS.unitRows,
    failFast: options.failFast ?? false,
    exclude: [localPath(options.out, 'output', '--out')],
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
  const options: ListedInputs = { ...asked, inputs: [asked.inputs].flat() };
  const resolved = await resolveRefiner(options);
  const thresholds = await usedThresholds(resolved);
  const keeper = options.keepScores
    ? await openKeeper(resolved, options.keepScores === 'all', thresholds)
    : null;
  const { plan, output } = await planRun(options);
  const identity = identityOf(options, resolved, plan, output, thresholds);
  return { plan, identity: { ...identity, ...(keeper && { scores: keeper.layout }) } };
}

function rejectedRows({ committed }: Ledger): number {
  const files = [...committed.values()].flatMap((record) => record.files);
  return files.reduce((sum, { path, rows }) => sum + (path.startsWith('rejected/') ? rows : 0), 0);
}

function hasJson({ files }: CorpusPlan): boolean {
  return files.some((file) => file.format.startsWith('jsonl'));
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
  };
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
