/** A bounded number of tasks at once; the others wait in the order in which they came. */
import { GristmillError } from '../../errors.ts';

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
    if (signal?.aborted) throw aborted();
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
        reject(aborted());
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

function aborted(): GristmillError {
  return new GristmillError('ABORTED', { what: 'waiting for the expert' });
}
