/**
 * Where a run lives: alone in a process of its caller's, or in a worker that is watched (run-worker.ts).
 */
import { type EngineGuard, UNGUARDED } from '../work/guard.ts';
import type { WaitSide } from '../work/position.ts';
import type { StreamEvent } from './run-options.ts';

/** What was there when a run began, and how long ago: of workers that took it over from one that died. */
export interface RunBefore {
  readonly elapsedMs: number;
  /** Committed before the first worker began. */
  readonly units: number;
  readonly rows: number;
  readonly bytes: number;
  readonly tokens: number;
}

/** See the file's header. */
export interface RunPlace {
  readonly guard: EngineGuard;
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
