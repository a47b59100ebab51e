/**
 * Where a run lives: alone in a process of its caller's, or in a worker that is watched (run-worker.ts).
 */
import { type EngineGuard, UNGUARDED } from '../work/guard.ts';
import type { WaitSide } from '../work/position.ts';
import type { StreamEvent } from './run-options.ts';
import type { UnitRecord } from './unit-record.ts';

/** What was there when a run began, and how long ago: of workers that took it over from one that died. */
export interface RunBefore {
  readonly elapsedMs: number;
  /** Committed before the first worker began. */
  readonly units: number;
  readonly rows: number;
  readonly bytes: number;
  readonly tokens: number;
}

/** Units as somebody else hands them out, to a run that works beside others. */
export interface UnitFeed {
  /** Of the process that takes them, in its ledger. */
  readonly name: string;
  /** Index of the next unit; null when no more come. */
  next(): Promise<number | null>;
  /** The run has failed: whoever waits for a unit gets none, from now on nobody does. */
  end(): void;
  /** The unit is committed: by this run, or by another. */
  onCommitted(record: UnitRecord, isOurs: boolean): void;
  onFailed(unit: number, error: unknown): void;
}

/** See the file's header. */
export interface RunPlace {
  readonly guard: EngineGuard;
  /** Null for a run that takes the units of its plan by itself. */
  readonly feed: UnitFeed | null;
  /** Null for a run that begins. */
  readonly before: RunBefore | null;
  /** Told what a run found when it began. */
  onBegun(before: Omit<RunBefore, 'elapsedMs'>): void;
  /** Models are loaded from now on; they are, and units are on their way. */
  onOpening(): void;
  onRunning(): void;
  /** Something was written. */
  onWritten(): void;
  onCommitted(): void;
  /** Told how a run to standard output goes on. */
  onStreamed(event: StreamEvent): void;
  /** Documents have been told, and are to be on their way before more are. */
  flushed(): Promise<void>;
  /** Marks a wait for whoever writes the input, or reads the output: that is no standing still. */
  waiting<T>(side: WaitSide, others: () => Promise<T>): Promise<T>;
}

/** Nobody watches. */
export const ALONE: RunPlace = {
  guard: UNGUARDED,
  feed: null,
  before: null,
  onBegun: () => undefined,
  onOpening: () => undefined,
  onRunning: () => undefined,
  onWritten: () => undefined,
  onCommitted: () => undefined,
  onStreamed: () => undefined,
  flushed: async () => undefined,
  waiting: (_, others) => others(),
};
