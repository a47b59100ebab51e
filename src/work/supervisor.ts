/**
 * A worker process under supervision: a run lives in a process of its own, and outlives its deaths.
 *
 *     supervisor (no addon, no model)                    worker (a service, serve.ts)
 *       starts it, tells it `stop` and `cancel`   ───►     plans, reads, judges, executes, writes, commits
 *       notices, progress, the result             ◄───     one address space: slabs, threads and C++ see the same bytes
 *       reads its position when it has died       ◄┄┄┄     notes engine calls in flight (position.ts), counts what moves
 *
 * Why. llama.cpp aborts its process when it is misused or out of memory. A process around each engine has every text copied
 * into it; a process around the whole run has none copied, and costs a death the units in flight: what is committed stays.
 *
 * What a death means
 *  1. The request is made again of a new worker, which goes on from the ledger. It is told which rows were in an engine, and
 *     gives them to it in calls of their own: once more the same ones, then halves, until a single row that killed twice is
 *     set aside (suspicion.ts, guard.ts).
 *  2. A worker that moves nothing for `watchdogMs` is killed, and that is a death. What moves: engine calls, batches, writes
 *     and commits that end, and a counter of native code, which a long prefill moves as well. A live event loop is no move.
 *     Waits for others are not held against it: for the reader of a stream, and, with nothing in its engines, for its writer.
 *  3. Deaths in a row that bring nothing on (no commit, no row set aside) end the run: {@link MAX_DEATHS}; of workers that
 *     die with nothing in their engines, or while they load the models, far fewer.
 *  4. A run that was told to stop starts no worker again; one that does not move then is killed after {@link STOP_GRACE_MS}.
 *
 * No document crosses a process border for all this. A worker that dies with the file of its position lost is not thought of:
 * the file has no name, and the kernel keeps what was written to it.
 */
import { abortError, GristmillError, throwIfAborted } from '../errors.ts';
import { printable } from '../printable.ts';
import {
  clearPosition,
  closePositionFile,
  openPositionFile,
  PHASE_RUNNING,
  type Progress,
  type RowSet,
  readInFlight,
  readProgress,
} from './position.ts';
import { ChildDied, Service } from './service.ts';
import { afterDeath, cleared, NO_SUSPICION, type Suspicion } from './suspicion.ts';

/** What a worker's method `run` is asked. */
export interface WorkerRequest<Request> {
  readonly request: Request;
  readonly suspicion: Suspicion;
}

/** What a worker tells. */
export type WorkerTold<Told> =
  | { readonly cleared: RowSet }
  /** Something of the run's own. */
  | { readonly told: Told };

/** Said to a worker that is to finish what is under way. */
export const STOP = 'stop';

/** Options of {@link supervise}. */
export interface SuperviseOptions<Request, Told> {
  /** The compiled script of the worker. */
  readonly file: string;
  /** Gives it this process's standard input and output. */
  readonly hasStreams?: boolean;
  /** Variables of its environment besides those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** What it is asked, made anew for every worker. */
  request(): Request;
  /** Told what the worker says. */
  readonly onTold: (told: Told) => void;
  /** Told of every death that a new worker follows: how it ended, and its last words. */
  readonly onDeath?: (exit: string) => void;
  /** What a death is where no worker can go on from it, else null; default: one always can. */
  readonly onlyDeath?: (death: Death) => Error | null;
  /** Names the worker in errors. */
  readonly device: string;
  /** Time without a move after which it is killed; 0: never. */
  readonly watchdogMs: number;
  /** Aborted: what is under way is finished. */
  readonly stop?: AbortSignal | undefined;
  /** Aborted: what is under way is dropped. */
  readonly signal?: AbortSignal | undefined;
  /** Tests wait for less. Default {@link STOP_GRACE_MS}. */
  readonly stopGraceMs?: number;
}

/** A worker's end. */
export interface Death {
  readonly exit: string;
  readonly lastWords: string;
  /** It had nothing under way yet: it planned, or loaded models. */
  readonly isAtStart: boolean;
  /** Rows that engines had. */
  readonly inFlight: readonly RowSet[];
}

/** How to speak to the worker that is there. */
export interface Supervised {
  readonly result: Promise<unknown>;
  note(note: unknown): void;
}

/**
 * Deaths in a row that bring nothing on. Finding one deadly row among 1,024 by halves takes up to thirteen, and a batch may
 * hold several.
 */
const MAX_DEATHS = 64;
const MAX_DEATHS_WITHOUT_CALLS = 8;
const MAX_DEATHS_AT_START = 2;
/** Time without a move after which a worker that was told to stop is killed. */
const STOP_GRACE_MS = 20_000;
const LOOK_MS = 500;
const WHAT = 'the run';

/**
 * Runs a request in a worker, and in the next ones while they die.
 *
 * @returns its result: rejects with ENGINE_PROCESS_DIED, ABORTED, and what the run itself throws
 */
export function supervise<Request, Told>(options: SuperviseOptions<Request, Told>): Supervised {
  throwIfAborted(options.signal, WHAT);
  const supervisor = new Supervisor(options);
  return { result: supervisor.run(), note: (note) => supervisor.note(note) };
}

class Supervisor<Request, Told> {
  readonly #options: SuperviseOptions<Request, Told>;
  readonly #position: number;
  readonly #service: Service;
  #suspicion = NO_SUSPICION;
  /** Deaths in a row: all, those without a call in flight, those before the first unit. */
  readonly #deaths = { all: 0, withoutCalls: 0, atStart: 0 };
  /** Why the worker was killed from here. */
  #killedFor: string | null = null;

  constructor(options: SuperviseOptions<Request, Told>) {
    this.#options = options;
    this.#position = openPositionFile();
    const { file, hasStreams = false, env = {} } = options;
    this.#service = new Service({ file, hasStreams, env, shared: this.#position });
  }

  note(note: unknown): void {
    this.#service.note(note);
  }

  async run(): Promise<unknown> {
    const { stop } = this.#options;
    const onStop = (): void => this.#service.note(STOP);
    stop?.addEventListener('abort', onStop);
    const watch = this.#watch();
    try {
      for (;;) {
        try {
          return await this.#once();
        } catch (error) {
          if (!(error instanceof ChildDied)) throw error;
          this.#died(error);
        }
      }
    } finally {
      watch();
      stop?.removeEventListener('abort', onStop);
      await this.#service.dispose();
      closePositionFile(this.#position);
    }
  }

  #once(): Promise<unknown> {
    const { signal, stop, onTold } = this.#options;
    clearPosition(this.#position);
    this.#killedFor = null;
    const request: WorkerRequest<Request> = {
      request: this.#options.request(),
      suspicion: this.#suspicion,
    };
    const result = this.#service.call('run', request, {
      signal,
      onTold: (message) => {
        const told = message as WorkerTold<Told>;
        if ('cleared' in told) this.#suspicion = cleared(this.#suspicion, told.cleared);
        else onTold(told.told);
      },
    });
    if (stop?.aborted) this.#service.note(STOP);
    return result;
  }

  /** Learns from a death. @throws what ends the run */
  #died({ exit: how, lastWords }: ChildDied): void {
    const { device, signal, stop, onlyDeath, onDeath } = this.#options;
    const { phase, commits } = readProgress(this.#position);
    const inFlight = readInFlight(this.#position);
    const exit = this.#killedFor ?? how;
    for (const told of [signal, stop]) if (told?.aborted) throw abortError(WHAT, told);
    const isAtStart = phase < PHASE_RUNNING;
    const end = onlyDeath?.({ exit, lastWords, isAtStart, inFlight });
    if (end) throw end;
    const nAside = this.#suspicion.aside.length;
    this.#suspicion = afterDeath(this.#suspicion, inFlight);
    if (commits > 0 || this.#suspicion.aside.length > nAside) {
      Object.assign(this.#deaths, { all: 0, withoutCalls: 0 });
    }
    this.#deaths.all++;
    if (isAtStart) this.#deaths.atStart++;
    else this.#deaths.atStart = 0;
    if (!isAtStart && inFlight.length === 0) this.#deaths.withoutCalls++;
    const { all, withoutCalls, atStart } = this.#deaths;
    const isEnough =
      all >= MAX_DEATHS ||
      withoutCalls >= MAX_DEATHS_WITHOUT_CALLS ||
      atStart >= MAX_DEATHS_AT_START;
    if (isEnough) {
      throw new GristmillError('ENGINE_PROCESS_DIED', { device, exit, count: all, lastWords });
    }
    onDeath?.(`${exit}: ${printable(lastWords)}`);
  }

  /** Kills a worker that does not move. @returns ends the watch */
  #watch(): () => void {
    const { watchdogMs, signal, stop, stopGraceMs = STOP_GRACE_MS } = this.#options;
    let last: Progress | null = null;
    let sinceMs = 0;
    const everyMs = Math.max(
      20,
      Math.min(LOOK_MS, stopGraceMs / 4, watchdogMs > 0 ? watchdogMs / 4 : LOOK_MS),
    );
    let isEnding = false;
    const timer = setInterval(() => {
      if (!this.#service.isRunning) {
        last = null;
        return;
      }
      const now = performance.now();
      const seen = readProgress(this.#position);
      const wasTold = signal?.aborted === true || stop?.aborted === true;
      const isSame = last !== null && last.moves === seen.moves && last.phase === seen.phase;
      if (!isSame || wasTold !== isEnding) {
        last = seen;
        sinceMs = now;
        isEnding = wasTold;
        return;
      }
      const stillMs = now - sinceMs;
      const isStill =
        seen.phase === PHASE_RUNNING &&
        watchdogMs > 0 &&
        stillMs >= watchdogMs &&
        !seen.waits.output &&
        !(seen.waits.input && readInFlight(this.#position).length === 0);
      if (!isStill && !(wasTold && stillMs >= stopGraceMs)) return;
      this.#killedFor = `killed after ${(stillMs / 1000).toFixed(0)} s without progress`;
      last = null;
      this.#service.kill();
    }, everyMs);
    return () => clearInterval(timer);
  }
}
