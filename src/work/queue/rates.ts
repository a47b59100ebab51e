/**
 * What a worker does in a second: over the last minute, and over its last units where they take longer than that, so that a
 * worker with units of ten minutes is not one that does nothing.
 */

const WINDOW_MS = 60_000;
/** Units that are looked back at, however long ago they ended. */
const LEAST_UNITS = 4;

/** See the file's header. */
export class Rates {
  readonly #now: () => number;
  readonly #done: { readonly atMs: number; readonly rows: number }[] = [];
  /** The end of the last unit that is not counted any more, or the start of the worker. */
  #sinceMs: number;

  /** @param now milliseconds of a clock that only goes forward */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#sinceMs = now();
  }

  /** A unit has ended. */
  add(rows: number): void {
    this.#done.push({ atMs: this.#now(), rows });
  }

  perSecond(): { readonly rowsPerSecond: number; readonly unitsPerSecond: number } {
    const now = this.#now();
    while (this.#done.length > LEAST_UNITS && now - this.#done[0]!.atMs > WINDOW_MS) {
      this.#sinceMs = this.#done.shift()!.atMs;
    }
    const seconds = Math.max(1, (now - this.#sinceMs) / 1000);
    const rows = this.#done.reduce((sum, done) => sum + done.rows, 0);
    return { rowsPerSecond: rows / seconds, unitsPerSecond: this.#done.length / seconds };
  }
}
