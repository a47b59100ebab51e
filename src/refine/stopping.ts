/**
 * How a run that is told to stop comes to its end: what is under way is finished, unless nothing moves any more.
 *
 * A read that nothing comes from (a FIFO, standard input) and an engine that is stuck would keep an interrupted run for
 * ever; both are ended after a time without progress. Nothing is lost by it but the units in flight.
 */

/** Without progress for so long, a read is given up, where no engine computes. */
const READ_GRACE_MS = 2_000;
/** And an engine is killed. */
const ENGINE_GRACE_MS = 20_000;
const LOOK_MS = 100;

/** Options of {@link Stopping}; tests wait for less. */
export interface StoppingOptions {
  readonly readGraceMs?: number;
  readonly engineGraceMs?: number;
}

/** See the file's header. */
export class Stopping implements Disposable {
  readonly #signal: AbortSignal | undefined;
  readonly #graceMs: { readonly read: number; readonly engine: number };
  readonly #giveUp = new AbortController();
  #timer: NodeJS.Timeout | null = null;
  #movedAtMs = performance.now();
  #nComputing = 0;

  constructor(signal: AbortSignal | undefined, options: StoppingOptions = {}) {
    const { readGraceMs = READ_GRACE_MS, engineGraceMs = ENGINE_GRACE_MS } = options;
    this.#signal = signal;
    this.#graceMs = { read: readGraceMs, engine: engineGraceMs };
    if (signal?.aborted) this.#watch();
    else signal?.addEventListener('abort', this.#watch, { once: true });
  }

  /** Fires when what is under way is no longer waited for. */
  get giveUp(): AbortSignal {
    return this.#giveUp.signal;
  }

  /** Something came to its end. */
  moved(): void {
    this.#movedAtMs = performance.now();
  }

  /** Counts a computation while it lasts. */
  async computing<T>(work: Promise<T>): Promise<T> {
    this.#nComputing++;
    try {
      return await work;
    } finally {
      this.#nComputing--;
      this.moved();
    }
  }

  [Symbol.dispose](): void {
    this.#signal?.removeEventListener('abort', this.#watch);
    if (this.#timer) clearInterval(this.#timer);
  }

  readonly #watch = (): void => {
    this.moved();
    this.#timer = setInterval(() => {
      const graceMs = this.#nComputing > 0 ? this.#graceMs.engine : this.#graceMs.read;
      if (performance.now() - this.#movedAtMs < graceMs) return;
      this[Symbol.dispose]();
      this.#giveUp.abort();
    }, LOOK_MS);
  };
}
