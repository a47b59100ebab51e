/**
 * A worker of an annotation: it asks the expert about ranges of documents, those of its share or those that it is handed,
 * side by side with others on one folder. What makes the set of the answers is finish-annotation.ts.
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { below, remoteScheme, withoutSecrets } from '../../corpus/storage/addresses.ts';
import type { CorpusPlan, CorpusUnit } from '../../corpus/types.ts';
import { inputName } from '../../corpus/unit-files.ts';
import { isGristmillError, throwIfAborted } from '../../errors.ts';
import { version } from '../../version.ts';
import { type WorkActivity, WorkTeller } from '../../work/activity.ts';
import type { TakeLeaseOptions } from '../../work/lease.ts';
import { type Ledger, openLedger } from '../../work/ledger.ts';
import type { LedgerMember } from '../../work/ledger-claim.ts';
import { outputAddress, outputStore, placeOf, runNameAt } from '../../work/open-output.ts';
import { unitName } from '../../work/output-folder.ts';
import { shareOf, type WorkerShare, workerName } from '../../work/worker-share.ts';
import { type Expert, endsInGoodOrder, openExpert } from '../expert/expert.ts';
import { deviceOf } from '../expert/expert-totals.ts';
import { refuseOption } from '../options.ts';
import { ASKED_LAYOUT, claimKind, JsonLinesFile, workFolder } from '../output-files.ts';
import {
  ASKED_KIND,
  type AskedCounts,
  type AskedIdentity,
  type AskedRecord,
  addAsked,
  askedPath,
  NO_COUNTS,
} from './asked-ledger.ts';
import { rangeExpert } from './asked-outcomes.ts';
import { type AnnotateJob, type Asker, openAsker } from './asker.ts';

/** An annotation that is ready to be worked on. */
export interface PreparedAsking {
  readonly asker: Asker;
  readonly expert: Expert;
  readonly identity: AskedIdentity;
}

/** What is no part of the result, or said elsewhere. */
const LEFT_OUT = new Set([
  ...['inputs', 'out', 'expert', 'signal', 'onNotice', 'onProgress', 'onActivity'],
]);
/** Options that are paths: workers have working folders of their own. */
export const PATH_OPTIONS: ReadonlySet<string> = new Set(['prompts', 'onlyKept', 'tokenizer']);

/**
 * Plans an annotation and opens its expert; dispose of both.
 *
 * @throws as annotateDocuments() and annotateChunks() before their first request; OPTION_INVALID for a limit
 */
export async function prepareAsking(job: AnnotateJob): Promise<PreparedAsking> {
  const { inputs, out } = job.options;
  for (const input of inputs) {
    if (withoutSecrets(input) !== input) {
      refuseOption('inputs', 'addresses without what it takes to get in', withoutSecrets(input));
    }
  }
  const asker = await openAsker(job);
  try {
    const given = job.options.expert!;
    const expert = await openExpert({ cacheDir: answersIn(out), ...given });
    const { plan, prompts } = asker;
    const options = Object.entries(job.options).flatMap(([name, value]) => {
      if (LEFT_OUT.has(name) || value === undefined) return [];
      return [[name, PATH_OPTIONS.has(name) ? resolvedPath(String(value)) : value]];
    });
    const identity: AskedIdentity = {
      format: 1,
      kind: job.kind,
      versions: { gristmill: version },
      options: { ...Object.fromEntries(options), inputs: inputs.map(resolvedPath) },
      prompts,
      expert: { name: expert.name, identity: expert.identity },
      answers: given.cacheDir === undefined ? null : placeOf(given.cacheDir),
      ...planned(plan),
    };
    return { asker, expert, identity };
  } catch (error) {
    asker.dispose();
    throw error;
  }
}

/** What an identity says of a plan. */
export function planned({ files, units }: CorpusPlan): Pick<AskedIdentity, 'inputs' | 'units'> {
  return {
    inputs: files.map(({ path, bytes, fingerprint }) => {
      return { path: resolvedPath(path), bytes, fingerprint };
    }),
    units: units.length,
  };
}

/** Where an annotation's answers lie unless somebody says otherwise. */
export function answersIn(out: string): string {
  return below(workFolder(out), 'answers');
}

/** The same from every working folder; of profiles and other names nothing is changed. */
export function resolvedPath(path: string): string {
  return remoteScheme(path) === null && existsSync(path.replace(/[*?[{].*$/, '') || '.')
    ? resolve(path)
    : path;
}

/** Opens the ledger of an annotation as one of several workers. @throws RUN_CHANGED, RUN_OUTPUT_IN_USE, ANNOTATE_OUTPUT_OTHER */
export async function openAsked(
  out: string,
  identity: AskedIdentity,
  member: LedgerMember,
  options: TakeLeaseOptions,
): Promise<Ledger<number, AskedRecord>> {
  const store = await outputStore(out, ASKED_LAYOUT);
  const ledger = await openLedger(store, ASKED_KIND, identity, { ...options, member });
  try {
    await claimKind(store, identity.kind);
    return ledger;
  } catch (error) {
    await ledger.close();
    throw error;
  }
}

/** What became of a range. */
export interface AskedRange {
  /** False when another worker has asked about it. */
  readonly isOurs: boolean;
  readonly counts: AskedCounts;
  readonly seconds: number;
}

/**
 * Asks about one range and commits it.
 *
 * @throws what ends the asking; ANNOTATE_BUDGET_SPENT and ANNOTATE_EXPERT_QUOTA leave the range to another run
 */
export async function askRange(
  { asker, expert }: Pick<PreparedAsking, 'asker' | 'expert'>,
  ledger: Ledger<number, AskedRecord>,
  unit: CorpusUnit,
  signal: AbortSignal | undefined,
  teller = new WorkTeller(undefined),
): Promise<AskedRange> {
  const started = performance.now();
  const { index } = unit;
  const name = unitName(index);
  teller.tell(() => ({ kind: 'unit-begun', unit: name }));
  try {
    await ledger.beginUnit(index);
    const range = rangeExpert(expert);
    const rowsIn = await teller.timed('ask', () => asker.ask(unit, range, signal));
    throwIfAborted(signal, 'annotating');
    const file = new JsonLinesFile(ledger.pendingPath(index, askedPath(index)));
    await teller.timed('write', async () => {
      for (const outcome of range.outcomes()) await file.write(outcome);
      await file.close();
    });
    const counts = { ...range.counts(), rowsIn };
    const seconds = (performance.now() - started) / 1000;
    const record = {
      unit: index,
      input: inputName(asker.plan, unit),
      counts,
      file: { path: askedPath(index), bytes: file.bytesWritten },
      seconds,
      endedAt: Date.now(),
    };
    const isOurs = await teller.timed('commit', () => ledger.commitUnit(record));
    teller.worked(() => ({
      documents: { read: rowsIn },
      questions: { answered: counts.requests, cached: counts.cached, failed: counts.failed },
      tokens: { prompt: counts.promptTokens, generated: counts.answerTokens },
    }));
    teller.tell(() => ({ kind: 'unit-done', unit: name, isOurs, seconds, counts }));
    return { isOurs, counts, seconds };
  } catch (error) {
    await ledger.abandonUnit(index).catch(() => undefined);
    const isTheirs =
      !isGristmillError(error, 'ABORTED') && (await ledger.isCommitted(index).catch(() => false));
    if (!isTheirs) {
      teller.tell(() => endedBy(name, error));
      throw error;
    }
    const lost = (performance.now() - started) / 1000;
    teller.tell(() => ({
      ...{ kind: 'unit-done', unit: name, isOurs: false, seconds: lost, counts: {} },
    }));
    return { isOurs: false, counts: NO_COUNTS, seconds: (performance.now() - started) / 1000 };
  }
}

/** What a range that was not committed is told as. */
function endedBy(unit: string, error: unknown): WorkActivity {
  const isLeft = isGristmillError(error, 'ABORTED') || endsInGoodOrder(error);
  if (isLeft) return { kind: 'unit-left', unit };
  const code = isGristmillError(error) ? error.code : 'UNEXPECTED';
  return { kind: 'unit-failed', unit, code, message: String((error as Error)?.message ?? error) };
}

/** Tells that an annotation is open. */
export function tellOpened(
  teller: WorkTeller,
  { identity }: Pick<PreparedAsking, 'identity'>,
  opened: { readonly out: string; readonly worker: string; readonly device: string },
  units: number | null,
  resumed = 0,
): void {
  const run = runNameAt(ASKED_KIND.runIdOf(identity), opened.out);
  teller.tell(() => ({ kind: 'run', run, ...opened, units, resumed }));
}

/** What a worker did of its share. */
export interface AskedShare {
  readonly out: string;
  readonly worker: WorkerShare;
  /** Ranges of the share. */
  readonly units: number;
  readonly unitsResumed: number;
  readonly unitsDone: number;
  readonly counts: AskedCounts;
  readonly stopped: 'budget' | 'quota' | null;
  readonly stoppedBy: string | null;
  readonly seconds: number;
}

/** Ranges under way at a time: one begins while the last answers of another are waited for. */
export const RANGES_AT_ONCE = 2;

/**
 * Asks about the ranges of one worker's share.
 *
 * @throws as {@link prepareAsking} and {@link openAsked}; ABORTED
 */
export async function askShare(job: AnnotateJob, worker: WorkerShare): Promise<AskedShare> {
  const started = performance.now();
  const { onNotice, signal } = job.options;
  const out = outputAddress(job.options.out);
  const prepared = await prepareAsking(job);
  try {
    const { units } = prepared.asker.plan;
    const share = shareOf(units, worker);
    const member = { name: workerName(worker), units: share.map(({ index }) => index) };
    const ledger = await openAsked(out, prepared.identity, member, { onNotice, signal });
    try {
      const left = share.filter(({ index }) => !ledger.committed.has(index));
      const teller = new WorkTeller(job.options.onActivity);
      const opened = { out, worker: member.name, device: deviceOf(job.options.expert) };
      tellOpened(teller, prepared, opened, share.length, share.length - left.length);
      let counts = NO_COUNTS;
      let unitsDone = share.length - left.length;
      let end: { readonly error: unknown } | null = null;
      const lane = async (): Promise<void> => {
        for (let unit = left.shift(); unit && end === null; unit = left.shift()) {
          try {
            const asked = await askRange(prepared, ledger, unit, signal, teller);
            counts = addAsked(counts, asked.counts);
            unitsDone++;
          } catch (error) {
            end ??= { error };
          }
        }
      };
      const unitsResumed = unitsDone;
      await Promise.all(Array.from({ length: RANGES_AT_ONCE }, lane));
      const stop = stopOf(end);
      const summary: AskedShare = {
        ...{ out, worker, units: share.length, unitsResumed, unitsDone, counts },
        ...stop,
        seconds: (performance.now() - started) / 1000,
      };
      await ledger.leave(summary);
      return summary;
    } catch (error) {
      throw ledger.explain(error);
    } finally {
      await ledger.close();
    }
  } finally {
    await prepared.expert.dispose();
    prepared.asker.dispose();
  }
}

/** What ended a worker in good order; null: nothing. @throws what did not */
export function stopOf(
  end: { readonly error: unknown } | null,
): Pick<AskedShare, 'stopped' | 'stoppedBy'> {
  if (end === null) return { stopped: null, stoppedBy: null };
  const { error } = end;
  if (!endsInGoodOrder(error)) throw error;
  const stopped = error.code === 'ANNOTATE_EXPERT_QUOTA' ? 'quota' : 'budget';
  return { stopped, stoppedBy: error.message };
}
