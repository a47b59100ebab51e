/** A bounded number of tasks at once; the others wait in the order in which they came. */
import { abortError, throwIfAborted } from '../../errors.ts';

const WAITING = 'waiting for the expert';

/** See the file's header. */
export class Lanes {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(nLanes: number) {
    this.#free = nLanes;
  }

  /** Runs `task` once a lane is free. @throws ABORTED when `signal` fires before that */
  async run<T>(signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T> {
    await this.#take(signal);
    try {
      return await task();
    } finally {
      this.#give();
    }
  }

  async #take(signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal, WAITING);
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const start = (): void => {
        signal?.removeEventListener('abort', stop);
        resolve();
      };
      const stop = (): void => {
        this.#waiting.delete(start);
        reject(abortError(WAITING, signal));
      };
      this.#waiting.add(start);
      signal?.addEventListener('abort', stop, { once: true });
    });
  }

  #give(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#free++;
    else {
      this.#waiting.delete(next);
      next();
    }
  }
}
