/** An annotation on a board: submitting its ranges, and a worker's session that asks about them. */
import { resolve } from 'node:path';
import { remoteScheme, withoutSecrets } from '../../corpus/storage/addresses.ts';
import { GristmillError } from '../../errors.ts';
import { type OnWork, WorkTeller } from '../../work/activity.ts';
import { outputStore, placeOf } from '../../work/open-output.ts';
import type { Board, BoardRun } from '../../work/queue/board.ts';
import { ownSession } from '../../work/queue/own-session.ts';
import {
  type SubmitOptions,
  type SubmittedRun,
  submitterName,
  submitUnits,
} from '../../work/queue/submit.ts';
import type { WorkSession } from '../../work/queue/take.ts';
import type { Units } from '../../work/unit-set.ts';
import type { ExpertOptions } from '../expert/expert.ts';
import { deviceOf } from '../expert/expert-totals.ts';
import { refuseOption } from '../options.ts';
import { ASKED_LAYOUT } from '../output-files.ts';
import {
  askRange,
  openAsked,
  PATH_OPTIONS,
  prepareAsking,
  RANGES_AT_ONCE,
  resolvedPath,
  tellOpened,
} from './ask-ranges.ts';
import { ASKED_KIND, askedRanges } from './asked-ledger.ts';
import type { AnnotateJob } from './asker.ts';

/**
 * Begins an annotation in its folder and enqueues the ranges that are left.
 *
 * @throws as askShare() before its first request; OPTION_INVALID for headers and for addresses with a user
 */
export async function submitAnnotation(
  board: Board,
  job: AnnotateJob,
  submitOptions: SubmitOptions = {},
): Promise<SubmittedRun> {
  const spec = queuedJob(job);
  const { out, onNotice, signal } = job.options;
  const { asker, expert, identity } = await prepareAsking(job);
  try {
    const units = asker.plan.units.map(({ index }) => index);
    const member = { name: submitterName(), units };
    const ledger = await openAsked(out, identity, member, { onNotice, signal });
    try {
      const runId = ASKED_KIND.runIdOf(identity);
      const begun = {
        kind: 'annotate',
        out,
        runId,
        units: units.length,
        done: ledger.committed,
        spec,
      };
      return await submitUnits(board, begun, submitOptions);
    } finally {
      await ledger.close();
    }
  } finally {
    await expert.dispose();
    asker.dispose();
  }
}

/** A job as others read it: paths that mean the same elsewhere, and nothing that lets anybody in. @throws OPTION_INVALID */
function queuedJob({ kind, options }: AnnotateJob): AnnotateJob {
  const {
    signal: _,
    onNotice: _notice,
    onProgress: _progress,
    onActivity: _told,
    ...rest
  } = options;
  const expert = { ...rest.expert } as Partial<ExpertOptions> & Record<string, unknown>;
  const hidden = 'none in a run for a queue, where others see it';
  if (expert['headers'] !== undefined) refuseOption('headers', hidden, 'some');
  const url = expert['url'];
  if (typeof url === 'string' && withoutSecrets(url) !== url) {
    refuseOption(
      'url',
      'an address without user and password in a run for a queue',
      withoutSecrets(url),
    );
  }
  Reflect.deleteProperty(expert, 'onPause');
  for (const name of ['cacheDir', 'gguf']) {
    const given = expert[name];
    if (typeof given === 'string' && remoteScheme(given) === null) expert[name] = resolve(given);
  }
  const paths = Object.entries(rest).flatMap(([name, value]) =>
    PATH_OPTIONS.has(name) && typeof value === 'string' ? [[name, resolvedPath(value)]] : [],
  );
  const inputs = rest.inputs.map(resolvedPath);
  const out = placeOf(rest.out);
  const queued = { ...rest, ...Object.fromEntries(paths), inputs, out, expert };
  return { kind, options: queued } as unknown as AnnotateJob;
}

/** Ranges of an annotation on the board that were asked about. */
export async function askedUnits({ out, units }: BoardRun): Promise<Units<number>> {
  return askedRanges(await outputStore(out, ASKED_LAYOUT), units);
}

/** Options of {@link openAskSession}. */
export interface AskSessionOptions {
  /** Of this process, in the ledger. */
  readonly name: string;
  /** Of a local model; default: the run's. */
  readonly device?: string | undefined;
  readonly threads?: number | undefined;
  readonly onNotice?: (line: string) => void;
  readonly onWork?: OnWork | undefined;
}

/** A session that asks about ranges. A budget is its worker's. */
export function openAskSession(
  { out, spec }: BoardRun,
  { name, device, threads, onNotice, onWork }: AskSessionOptions,
): WorkSession {
  const { kind, options } = spec as AnnotateJob;
  const stop = new AbortController();
  const own = { ...(device && { device }), ...(threads && { threads }) };
  const expert = { ...options.expert!, ...('gguf' in options.expert! && own) };
  const job = { kind, options: { ...options, out, expert, signal: stop.signal } } as AnnotateJob;
  return ownSession(RANGES_AT_ONCE, async () => {
    const prepared = await prepareAsking(job);
    const { units } = prepared.asker.plan;
    const member = { name, units: [], mayBegin: false };
    const ledger = await openAsked(out, prepared.identity, member, { onNotice });
    const teller = new WorkTeller(onWork);
    tellOpened(teller, prepared, { out, worker: name, device: deviceOf(expert) }, null);
    return {
      async do(unit) {
        if (await ledger.isCommitted(unit)) return { isOurs: false, counts: {}, seconds: 0 };
        return askRange(prepared, ledger, units[unit]!, stop.signal, teller);
      },
      // A file that cannot be read is the range's, whoever reads it; an expert that is down is the worker's.
      isOfUnit: (error) =>
        error instanceof GristmillError && /^(?:CORPUS|STORAGE)_/.test(error.code),
      async close() {
        await ledger.close();
        await prepared.expert.dispose();
        prepared.asker.dispose();
      },
    };
  });
}
