/**
 * The worker's side of suspicion (suspicion.ts): engine calls are noted in its position while they are in flight, accused rows
 * go to the engine in calls of their own while nothing else does, and rows that were set aside do not go at all.
 *
 * Without suspicion a call is one call, as it came.
 */
import type { PositionWriter, RowSet } from './position.ts';
import { cleared, NO_SUSPICION, type Suspicion } from './suspicion.ts';

/** The rows of a batch. */
export interface BatchPlace {
  /** Index of the unit. */
  readonly unit: number;
  /** Row of the unit that is the batch's first. */
  readonly firstRow: number;
}

/** A call on some documents of a batch with what it gave; null for documents that kill engines. */
export interface GuardedPart<T> {
  readonly docs: Int32Array;
  readonly value: T | null;
}

/** Calls of engines by a run. */
export interface EngineGuard {
  /**
   * Runs a stage over documents of a batch.
   *
   * @param docs ascending indices into the batch
   * @returns parts that hold every document once, in order
   */
  over<T>(
    place: BatchPlace,
    stage: number,
    docs: Int32Array,
    run: (docs: Int32Array) => Promise<T>,
  ): Promise<readonly GuardedPart<T>[]>;
}

/** Where nobody watches: every call as it comes. */
export const UNGUARDED: EngineGuard = {
  over: async (_place, _stage, docs, run) => [{ docs, value: await run(docs) }],
};

/** Calls side by side, or one alone. */
class Turns {
  #nShared = 0;
  #isAlone = false;
  readonly #waiting: { readonly alone: boolean; readonly go: () => void }[] = [];

  async take<T>(alone: boolean, work: () => Promise<T>): Promise<T> {
    // First come, first served: one that is to be alone is not overtaken for ever.
    if (this.#waiting.length > 0 || !this.#mayGo(alone)) {
      await new Promise<void>((go) => {
        this.#waiting.push({ alone, go });
      });
    } else this.#enter(alone);
    try {
      return await work();
    } finally {
      if (alone) this.#isAlone = false;
      else this.#nShared--;
      for (let next = this.#waiting[0]; next && this.#mayGo(next.alone); next = this.#waiting[0]) {
        this.#waiting.shift();
        this.#enter(next.alone);
        next.go();
      }
    }
  }

  #mayGo(alone: boolean): boolean {
    return !this.#isAlone && (!alone || this.#nShared === 0);
  }

  #enter(alone: boolean): void {
    if (alone) this.#isAlone = true;
    else this.#nShared++;
  }
}

/** The guard of a worker. */
export class WorkerGuard implements EngineGuard {
  readonly #position: PositionWriter;
  readonly #onCleared: (set: RowSet) => void;
  readonly #turns = new Turns();
  #known: Suspicion;

  /** @param onCleared told of accused rows that came through a call of their own */
  constructor(
    position: PositionWriter,
    known: Suspicion = NO_SUSPICION,
    onCleared: (set: RowSet) => void = () => undefined,
  ) {
    this.#position = position;
    this.#known = known;
    this.#onCleared = onCleared;
  }

  async over<T>(
    place: BatchPlace,
    stage: number,
    docs: Int32Array,
    run: (docs: Int32Array) => Promise<T>,
  ): Promise<readonly GuardedPart<T>[]> {
    const cut = this.#cut(place, stage, docs);
    const parts: GuardedPart<T>[] = [];
    for (const { docs: some, treatment } of cut) {
      if (treatment === 'aside') parts.push({ docs: some, value: null });
      else {
        const alone = treatment === 'alone';
        const set = setOf(place, stage, some);
        const value = await this.#turns.take(alone, async () => {
          const end = this.#position.begin(set);
          try {
            return await run(some);
          } finally {
            end();
          }
        });
        if (alone) this.#clear(set);
        parts.push({ docs: some, value });
      }
    }
    return parts;
  }

  /** Stretches of documents that are treated alike. */
  #cut(place: BatchPlace, stage: number, docs: Int32Array) {
    type Stretch = { readonly docs: Int32Array; readonly treatment: 'shared' | 'alone' | 'aside' };
    const { suspects, aside } = this.#known;
    const isOurs = (set: RowSet): boolean => set.unit === place.unit && set.stage === stage;
    const relevant = [...suspects, ...aside].filter(isOurs);
    if (docs.length === 0) return [];
    if (relevant.length === 0) return [{ docs, treatment: 'shared' } satisfies Stretch];
    const stretches: Stretch[] = [];
    let from = 0;
    const setAt = (index: number): RowSet | undefined => {
      const row = place.firstRow + docs[index]!;
      return relevant.find(({ first, end }) => first <= row && row < end);
    };
    for (let index = 1; index <= docs.length; index++) {
      const set = setAt(from);
      if (index < docs.length && setAt(index) === set) continue;
      const treatment = !set ? 'shared' : aside.includes(set) ? 'aside' : 'alone';
      stretches.push({ docs: docs.subarray(from, index), treatment });
      from = index;
    }
    return stretches;
  }

  #clear(set: RowSet): void {
    this.#known = cleared(this.#known, set);
    this.#onCleared(set);
  }
}

function setOf({ unit, firstRow }: BatchPlace, stage: number, docs: Int32Array): RowSet {
  const first = firstRow + docs[0]!;
  const end = firstRow + docs.at(-1)! + 1;
  return { unit, stage, first, end, nRows: docs.length };
}
