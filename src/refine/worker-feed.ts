/** Units that the parent of a worker hands out, on the worker's side; see queue-session.ts for the other. */
import { wireOf } from '../work/wire-error.ts';
import type { UnitFeed } from './run-place.ts';
import type { FedUnit, FeedNote, FeedRequest } from './run-protocol.ts';
import type { UnitRecord } from './unit-record.ts';

/** See the file's header. */
export class WorkerFeed implements UnitFeed {
  readonly name: string;
  readonly #tell: (fed: FedUnit) => void;
  readonly #units: number[];
  #waiting: ((unit: number | null) => void)[] = [];
  #isEnded: boolean;

  constructor({ name, units, isLast }: FeedRequest, tell: (fed: FedUnit) => void) {
    this.name = name;
    this.#units = [...units];
    this.#isEnded = isLast;
    this.#tell = tell;
  }

  take(note: FeedNote): void {
    if ('noMore' in note) {
      this.end();
      return;
    }
    const waiting = this.#waiting.shift();
    if (waiting) waiting(note.give);
    else this.#units.push(note.give);
  }

  /** No more come; those that have are done. */
  end(): void {
    this.#isEnded = true;
    for (const waiting of this.#waiting.splice(0)) waiting(null);
  }

  next(): Promise<number | null> {
    const unit = this.#units.shift();
    if (unit !== undefined) return Promise.resolve(unit);
    if (this.#isEnded) return Promise.resolve(null);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  onCommitted({ unit, counts, seconds }: UnitRecord, isOurs: boolean): void {
    this.#tell({ unit, isOurs, counts, seconds });
  }

  onFailed(unit: number, error: unknown): void {
    this.#tell({ unit, error: wireOf(error) });
  }
}
