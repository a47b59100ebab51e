/**
 * What a run does, for those who look at it from outside (src/observe): a run is open, units begin and end, work is done.
 *
 *     run ─► unit-begun ─► worked … ─► unit-done | unit-failed | unit-left        a worker that takes over begins with `run` again
 *     run ─► worked, written …                                                  to standard output, without units
 *
 * Invariants
 *  1. Nothing that is told holds text of a document.
 *  2. Where nobody listens nothing is measured.
 */
import type { CorpusPlan } from '../corpus/types.ts';
import type { RefineCounts } from './statistics.ts';
import { filesOf, type UnitRecord } from './unit-record.ts';

/** Steps of a batch, which overlap with those of others; and the commit of a unit. */
export const STAGES = ['read', 'judge', 'execute', 'write', 'commit'] as const;
export type Stage = (typeof STAGES)[number];

/** What is committed of a run. */
export interface CommittedWork {
  readonly units: number;
  readonly counts: RefineCounts;
  /** Of input files, as they lie there; and of the files that were written. */
  readonly inputBytes: number;
  readonly outputBytes: number;
}

/** See the file's header; a `unit` is its index in the plan. */
export type RunActivity =
  | {
      readonly kind: 'run';
      /** The same for all workers of a run, and as `cluster status` has it. */
      readonly run: string;
      /** Name in the ledger; null for a worker alone. */
      readonly worker: string | null;
      readonly device: string;
      readonly out: string;
      /** Of this worker's share; units that a queue hands out are not known ahead. */
      readonly units: number | null;
      readonly rows: number | null;
      readonly bytes: number | null;
      /** What was committed when this worker process began. */
      readonly committed: CommittedWork;
    }
  | { readonly kind: 'unit-begun'; readonly unit: number; readonly input: string }
  | ({
      readonly kind: 'unit-done';
      readonly unit: number;
      /** False where another worker was first: the counts are those of its record. */
      readonly isOurs: boolean;
      readonly seconds: number;
    } & Omit<CommittedWork, 'units'>)
  | {
      readonly kind: 'unit-failed';
      readonly unit: number;
      readonly input: string;
      readonly code: string;
      readonly message: string;
    }
  /** An interrupt has dropped it. */
  | { readonly kind: 'unit-left'; readonly unit: number }
  | {
      readonly kind: 'worked';
      /** Batches that were written since the last time, and their rows. */
      readonly batches: number;
      readonly rows: number;
      /** Seconds since the last time, by stage; those of batches under way at once add up. */
      readonly stages: Readonly<Record<Stage, number>>;
      /** Of the process that works, since it began. */
      readonly cpuSeconds: number;
      readonly residentBytes: number;
    }
  /** Rows of a run to standard output are on their way, and cannot be taken back. */
  | { readonly kind: 'written'; readonly counts: RefineCounts }
  | { readonly kind: 'died'; readonly exit: string };

/** What the record of a unit says of the work on it. */
export function workOf(record: UnitRecord, { units }: CorpusPlan): Omit<CommittedWork, 'units'> {
  return {
    counts: record.counts,
    inputBytes: units[record.unit]?.bytes ?? 0,
    outputBytes: filesOf(record).reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

const NO_SECONDS: Readonly<Record<Stage, number>> = Object.freeze({
  read: 0,
  judge: 0,
  execute: 0,
  write: 0,
  commit: 0,
});

/** Measures stages and tells of them. */
export class ActivityTeller {
  readonly #listener: ((activity: RunActivity) => void) | undefined;
  #seconds: Record<Stage, number> = { ...NO_SECONDS };

  constructor(listener: ((activity: RunActivity) => void) | undefined) {
    this.#listener = listener;
  }

  /** @param activity made only where somebody listens */
  tell(activity: () => RunActivity): void {
    this.#listener?.(activity());
  }

  /** Batches were written, of so many rows. */
  worked(batches: number, rows: number): void {
    if (!this.#listener) return;
    const { user, system } = process.cpuUsage();
    const stages = this.#seconds;
    this.#seconds = { ...NO_SECONDS };
    const residentBytes = process.memoryUsage.rss();
    const cpuSeconds = (user + system) / 1e6;
    this.#listener({ kind: 'worked', batches, rows, stages, cpuSeconds, residentBytes });
  }

  /** Does `work`, as time of a stage. */
  async timed<T>(stage: Stage, work: () => Promise<T>): Promise<T> {
    if (!this.#listener) return work();
    const since = performance.now();
    try {
      return await work();
    } finally {
      this.#seconds[stage] += (performance.now() - since) / 1000;
    }
  }

  /** The same items; the time that they are waited for is time of reading. */
  async *reading<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
    if (!this.#listener) return yield* items;
    const iterator = items[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await this.timed('read', () => iterator.next());
        if (next.done) return;
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  }
}
