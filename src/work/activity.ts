/**
 * What a run of units does that is no corpus being refined (refine/activity.ts): a sweep of proxies, an annotation. For those who look
 * at it from outside (src/observe).
 *
 *     run ─► unit-begun ─► worked, unit-retried … ─► unit-done | unit-failed | unit-left
 *     run ─► worked …                              of a command that works alone, and in no units
 *
 * Invariants
 *  1. Nothing that is told holds text of a document, of a prompt or of an answer.
 *  2. Where nobody listens nothing is measured.
 */

/** What was done since the last time. */
export interface WorkDone {
  /** Optimiser steps. */
  readonly steps?: number;
  /** By kind: `trained`, `prompt`, `generated`. */
  readonly tokens?: Readonly<Record<string, number>>;
  /** By status: `labelled`, `failed`, `read`. */
  readonly documents?: Readonly<Record<string, number>>;
  /** By status: `answered`, `cached`, `failed`. */
  readonly questions?: Readonly<Record<string, number>>;
  /** Questions that were asked again. */
  readonly askedAgain?: number;
}

/** See the file's header; a `unit` is called as its ledger calls it. */
export type WorkActivity =
  | {
      readonly kind: 'run';
      /** The same for all workers of a run, and as `cluster status` has it. */
      readonly run: string;
      /** Name in the ledger; null for a worker alone. */
      readonly worker: string | null;
      readonly device: string;
      readonly out: string;
      /** Of this worker's share; null where a queue hands them out, and where there are none. */
      readonly units: number | null;
      /** Units of them that were committed before. */
      readonly resumed: number;
    }
  | { readonly kind: 'unit-begun'; readonly unit: string }
  /** Its process has died, and it is tried once more. */
  | { readonly kind: 'unit-retried'; readonly unit: string; readonly reason: string }
  | {
      readonly kind: 'unit-done';
      readonly unit: string;
      /** False where another worker was first. */
      readonly isOurs: boolean;
      readonly seconds: number;
      readonly counts: Readonly<Record<string, number>>;
    }
  | {
      readonly kind: 'unit-failed';
      readonly unit: string;
      readonly code: string;
      readonly message: string;
    }
  /** An interrupt, or the end of a budget, has dropped it. */
  | { readonly kind: 'unit-left'; readonly unit: string }
  | ({
      readonly kind: 'worked';
      /** Seconds by stage; those of pieces under way at once add up. */
      readonly stages: Readonly<Record<string, number>>;
    } & WorkDone);

/** Told what a run does. */
export type OnWork = (activity: WorkActivity) => void;

type Totals = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** Measures stages, and turns what is known in totals into what was done since the last time. */
export class WorkTeller {
  readonly #listener: OnWork | undefined;
  #seconds: Record<string, number> = {};
  #last: Totals = {};

  constructor(listener: OnWork | undefined) {
    this.#listener = listener;
  }

  /** @param activity made only where somebody listens */
  tell(activity: () => WorkActivity): void {
    this.#listener?.(activity());
  }

  /** Something was done, besides the time that stages took. */
  worked(done: () => WorkDone = () => ({})): void {
    if (!this.#listener) return;
    const stages = this.#seconds;
    this.#seconds = {};
    this.#listener({ kind: 'worked', stages, ...done() });
  }

  /** The same from counters that only grow. */
  reached(
    totals: () => Required<Pick<WorkDone, 'tokens' | 'documents' | 'questions' | 'askedAgain'>>,
  ): void {
    if (!this.#listener) return;
    const { askedAgain, ...groups } = totals();
    const now: Totals = { ...groups, askedAgain: { all: askedAgain } };
    const since = (group: string): Record<string, number> =>
      Object.fromEntries(
        Object.entries(now[group] ?? {}).map(([name, value]) => [
          name,
          Math.max(0, value - (this.#last[group]?.[name] ?? 0)),
        ]),
      );
    const done = {
      ...{ tokens: since('tokens'), documents: since('documents'), questions: since('questions') },
      askedAgain: since('askedAgain')['all'] ?? 0,
    };
    this.#last = now;
    this.worked(() => done);
  }

  /** Adds seconds to a stage. */
  took(stage: string, seconds: number): void {
    this.#seconds[stage] = (this.#seconds[stage] ?? 0) + seconds;
  }

  /** Does `work`, as time of a stage. */
  async timed<T>(stage: string, work: () => Promise<T>): Promise<T> {
    if (!this.#listener) return work();
    const since = performance.now();
    try {
      return await work();
    } finally {
      this.took(stage, (performance.now() - since) / 1000);
    }
  }
}
