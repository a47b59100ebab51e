/**
 * A run whose units come from a queue: a worker process under its supervisor, as a run alone has it, that is handed units
 * one by one and tells what became of each.
 *
 * A worker process that dies is started again and handed what it had; the queue does not hear of it. What ends the run
 * itself ends the session, and its units are nobody's fault ({@link SessionEnded}), but for what an engine dies of: that is
 * as likely to be in them.
 */
import { isGristmillError } from '../errors.ts';
import { type DoneUnit, SessionEnded, type WorkSession } from '../work/queue/take.ts';
import { errorOf } from '../work/wire-error.ts';
import { inWorker, type RunFeed } from './run.ts';
import type { RefineCorpusOptions } from './run-options.ts';
import type { FedUnit, FeedNote, SentOptions } from './run-protocol.ts';

/** What a queue has of a run besides its units. */
export interface QueuedRefine {
  readonly options: SentOptions;
  /** Folder in which its paths mean what they meant. */
  readonly cwd: string;
}

/** Options of {@link openQueueSession}. */
export interface QueueSessionOptions
  extends Pick<
    RefineCorpusOptions,
    'onNotice' | 'onProgress' | 'onActivity' | 'device' | 'threads' | 'workers'
  > {
  /** Of this process, in the ledger. */
  readonly name: string;
  /** Variables of the worker's environment besides those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Script of the worker; tests give another. */
  readonly workerFile?: string;
}

interface Waiting {
  resolve(done: DoneUnit): void;
  reject(error: unknown): void;
}

/** Starts a worker for a run. */
export function openQueueSession(
  { options, cwd }: QueuedRefine,
  { name, workerFile, env = {}, ...own }: QueueSessionOptions,
): WorkSession {
  /** A unit is handed out twice where its lock has run out under this very worker. */
  const waiting = new Map<number, Waiting[]>();
  const ended = new AbortController();
  let say: ((note: FeedNote) => void) | null = null;
  let isLast = false;
  const settle = (fed: FedUnit): void => {
    const all = waiting.get(fed.unit) ?? [];
    waiting.delete(fed.unit);
    for (const each of all) {
      if ('error' in fed) each.reject(errorOf(fed.error));
      else each.resolve(doneOf(fed));
    }
  };
  const feed: RunFeed = {
    env,
    request: () => ({ name, cwd, units: [...waiting.keys()], isLast }),
    attach: (note) => {
      say = note;
    },
    onFed: settle,
  };
  const chosen = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined));
  const result = inWorker({ ...options, ...chosen }, workerFile, feed);
  let failure: unknown = null;
  const done = result.then(
    () => undefined,
    (error: unknown) => {
      failure = error;
    },
  );
  const whenEnded = done.then(() => {
    ended.abort();
    const cause = failure ?? new Error('the session has ended');
    // What an engine dies of may be in a unit.
    const isUnits = isGristmillError(cause, 'ENGINE_PROCESS_DIED');
    for (const each of [...waiting.values()].flat()) {
      each.reject(isUnits ? cause : new SessionEnded(cause));
    }
    waiting.clear();
  });
  return {
    ended: ended.signal,
    do(unit) {
      if (ended.signal.aborted) return Promise.reject(new SessionEnded(failure));
      return new Promise<DoneUnit>((resolve, reject) => {
        const before = waiting.get(unit);
        waiting.set(unit, [...(before ?? []), { resolve, reject }]);
        if (!before) say?.({ give: unit });
      });
    },
    async end() {
      isLast = true;
      say?.({ noMore: true });
      await whenEnded;
      if (failure !== null) throw failure;
    },
  };
}

function doneOf({ isOurs, counts, seconds }: Exclude<FedUnit, { error: unknown }>): DoneUnit {
  const { reasons: _, ...numbers } = counts;
  return { isOurs, counts: numbers, seconds };
}
