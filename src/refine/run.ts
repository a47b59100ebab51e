/**
 * A run as its callers have it: in a worker process of its own, under a supervisor (work/supervisor.ts), or here.
 *
 * This process reads and writes no document then: options, notices, progress and the summary cross over, and the documents
 * that somebody wants to be told of. Standard input and output of a stream are the worker's own. Nothing here loads the
 * addon.
 */
import { GristmillError } from '../errors.ts';
import { checkOptions, given, refuseOption } from '../options.ts';
import { distFile } from '../paths.ts';
import { type Death, supervise } from '../work/supervisor.ts';
import { REFINE_CORPUS_TABLE } from './option-tables.ts';
import { REFINE_DEFAULTS, type RefineCorpusOptions } from './run-options.ts';
import type { RunBefore } from './run-place.ts';
import {
  type FedUnit,
  type FeedNote,
  type FeedRequest,
  type RunRequest,
  type RunTold,
  rowOf,
} from './run-protocol.ts';
import type { RunSummary } from './statistics.ts';

/**
 * Refines a corpus. Running it again on the same output folder resumes.
 *
 * @throws OPTION_INVALID, CORPUS_*, ENGINE_*, PROFILE_*, RUN_*; ABORTED when `signal` fires
 * @see ProX, arXiv 2409.17115 §2
 */
export async function refineCorpus(asked: RefineCorpusOptions): Promise<RunSummary> {
  checkOptions('refineCorpus', asked, REFINE_CORPUS_TABLE, ['inputs', 'out']);
  const options = given(asked);
  if (options.isolate === false) {
    if (options.watchdog !== undefined) {
      refuseOption(
        'watchdog',
        'none beside isolate: false, where nobody watches',
        options.watchdog,
      );
    }
    const { runHere } = await import('./run-here.ts');
    return runHere(options);
  }
  return inWorker(options);
}

/** The parent's side of a run whose units are handed out. */
export interface RunFeed {
  /** What a worker is told that begins, the first one or one that takes over. */
  request(): FeedRequest;
  /** Variables of the worker's environment besides those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Given how to speak to the worker, before it begins. */
  attach(note: (note: FeedNote) => void): void;
  onFed(fed: FedUnit): void;
}

/** Runs in a worker. @param workerFile script of the worker; tests give one that dies */
export async function inWorker(
  options: RefineCorpusOptions,
  workerFile = distFile('refine/run-worker.js'),
  feed: RunFeed | null = null,
): Promise<RunSummary> {
  const {
    signal,
    stop,
    onNotice,
    onProgress,
    onActivity,
    onStreamed,
    onDocument,
    isolate: _,
    ...rest
  } = options;
  const { watchdog = REFINE_DEFAULTS.watchdog, device = 'cpu' } = options;
  const started = performance.now();
  const notices = new Set<string>();
  let nWorkers = 0;
  let before: Omit<RunBefore, 'elapsedMs'> | null = null;
  const onTold = (told: RunTold): void => {
    if ('notice' in told) {
      // A worker that takes over begins by saying what the first one said.
      if (nWorkers > 1 && notices.has(told.notice)) return;
      notices.add(told.notice);
      onNotice?.(told.notice);
    } else if ('progress' in told) onProgress?.(told.progress);
    else if ('activity' in told) onActivity?.(told.activity);
    else if ('streamed' in told) onStreamed?.(told.streamed);
    else if ('begun' in told) before ??= told.begun;
    else if ('fed' in told) feed?.onFed(told.fed);
    else if ('output' in told) {
      // Its standard output is ours, and so is its end: what listens to it here hears of it.
      const { message, code } = told.output;
      process.stdout.emit('error', Object.assign(new Error(message), { code }));
    } else for (const row of told.documents) onDocument?.(rowOf(row));
  };
  const isStream = options.out === '-';
  const readsStream = [options.inputs].flat().includes('-');
  const { result, note } = supervise<RunRequest, RunTold>({
    file: workerFile,
    hasStreams: isStream || readsStream,
    ...(feed?.env && { env: feed.env }),
    request: () => {
      nWorkers++;
      return {
        options: rest,
        wantsDocuments: onDocument !== undefined,
        wantsProgress: onProgress !== undefined,
        wantsActivity: onActivity !== undefined,
        before: before && { ...before, elapsedMs: performance.now() - started },
        feed: feed?.request() ?? null,
      };
    },
    onTold,
    onDeath(exit) {
      onActivity?.({ kind: 'died', exit });
      onNotice?.(`the worker on ${device} died (${exit}) and was started again`);
    },
    // The plan has read of a stream already, while nothing is written before the models are there.
    onlyDeath: (death) =>
      outOfMemory(death, device) ??
      (readsStream || (isStream && !death.isAtStart) ? streamCut(death) : null),
    device,
    watchdogMs: watchdog * 1000,
    stop,
    signal,
  });
  feed?.attach(note);
  return (await result) as RunSummary;
}

/**
 * llama.cpp ends its process where a GPU has no room left for what a step takes. A worker that comes after it would have as
 * little, and no document is at fault.
 */
function outOfMemory({ lastWords }: Death, device: string): GristmillError | null {
  const said = /llama\.cpp ended the process: (.*out of memory.*)/.exec(lastWords)?.[1];
  if (device === 'cpu' || said === undefined) return null;
  const reason = `${said}; fewer slots take less (--slots)`;
  return new GristmillError('ENGINE_OUT_OF_MEMORY', { file: 'of the run', device, reason });
}

/** What was written to a stream cannot be taken back, nor can what was read from one be read again. */
function streamCut({ exit, lastWords, inFlight }: Death): GristmillError {
  const rows = inFlight.map(({ unit, first, end }) => `${first}..${end - 1} of unit ${unit}`);
  const engines = rows.length === 0 ? 'none' : `rows ${rows.join(', ')}`;
  return new GristmillError('RUN_STREAM_CUT', { exit, inFlight: engines, lastWords });
}
