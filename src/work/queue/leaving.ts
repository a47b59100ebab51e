/**
 * How a worker leaves that was told to: units under way are finished, and Redis has {@link LEAVE_MS} to hear of it. One that is
 * away for longer learns nothing; the ledger has what was committed, and whoever is handed such a unit again finds it there.
 *
 * A worker that was not told to leave waits for Redis for as long as it takes.
 */
import { GristmillError } from '../../errors.ts';

/** Schedulers that say SIGTERM kill after 30 s. */
export const LEAVE_MS = 15_000;
const LOOK_MS = 250;

/** Options of {@link Leaving}. */
export interface LeavingOptions {
  /** Tells the worker to leave. */
  readonly stop?: AbortSignal | undefined;
  /** The server, as errors name it. */
  readonly url: string;
  /** Whether units are under way: nothing is given up then. */
  isBusy(): boolean;
  /** Tests wait for less. Default {@link LEAVE_MS}. */
  readonly leaveMs?: number;
}

/** See the file's header. */
export class Leaving {
  readonly #options: LeavingOptions;
  #error: GristmillError | null = null;

  constructor(options: LeavingOptions) {
    this.#options = options;
  }

  /** Whether an answer was given up: Redis is away. */
  get hasGivenUp(): boolean {
    return this.#error !== null;
  }

  /** What Redis answers. @throws QUEUE_UNREACHABLE when it does not in time, and at once from then on */
  async answer<T>(asked: Promise<T>): Promise<T> {
    const { stop, isBusy, leaveMs = LEAVE_MS } = this.#options;
    if (!stop) return asked;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      let sinceMs: number | null = null;
      const look = (): void => {
        const now = performance.now();
        if (!stop.aborted || isBusy()) sinceMs = null;
        else sinceMs ??= now;
        if (sinceMs !== null && now - sinceMs >= leaveMs)
          this.#error ??= this.#unreachable(leaveMs);
        if (this.#error) reject(this.#error);
      };
      timer = setInterval(look, Math.min(LOOK_MS, leaveMs));
      if (this.#error) look();
    });
    try {
      return await Promise.race([asked, late]);
    } finally {
      clearInterval(timer);
    }
  }

  /** @throws QUEUE_UNREACHABLE where an answer was given up */
  check(): void {
    if (this.#error) throw this.#error;
  }

  #unreachable(leaveMs: number): GristmillError {
    const reason = `it did not answer for ${leaveMs / 1000} s while this worker was leaving. What was committed stays; units that it was not told of are handed out again, and found committed`;
    return new GristmillError('QUEUE_UNREACHABLE', { url: this.#options.url, reason });
  }
}
