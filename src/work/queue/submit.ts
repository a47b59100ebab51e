/** Putting a run of any kind on a board: its room plans and begins it, what is left of its units is enqueued here. */
import { randomBytes } from 'node:crypto';
import { placeOf, runNameAt } from '../open-output.ts';
import type { Units } from '../unit-set.ts';
import type { Board, BoardRun } from './board.ts';

/** Of whoever begins a run for others, among the workers of its ledger. */
export function submitterName(): string {
  return `submit-${randomBytes(4).toString('hex')}`;
}

/** Options of those who submit. */
export interface SubmitOptions {
  /** Runs of a higher one come first; default 0. */
  readonly priority?: number;
  /** Tries of a unit before it is set aside; default 3. */
  readonly tries?: number;
  readonly traceparent?: string | null;
}

/** A run that was begun in its output. */
export interface BegunRun {
  readonly kind: string;
  readonly out: string;
  /** As its ledger has it; see LedgerKind.runIdOf. */
  readonly runId: string;
  readonly units: number;
  /** Units that are committed. */
  readonly done: Units<number>;
  /** What a worker needs besides. */
  readonly spec: unknown;
}

/** A run on the board. */
export interface SubmittedRun {
  readonly run: BoardRun;
  /** Units that were committed already. */
  readonly committed: number;
  /** Units that workers have to do. */
  readonly enqueued: number;
}

/** Enqueues what is left. Again: what neither is committed nor has a job, as after a server that has forgotten. */
export async function submitUnits(
  board: Board,
  { kind, out, runId, units, done, spec }: BegunRun,
  { priority = 0, tries = 3, traceparent = null }: SubmitOptions = {},
): Promise<SubmittedRun> {
  const place = placeOf(out);
  const id = runNameAt(runId, out);
  const run: BoardRun = {
    ...{ id, kind, out: place, priority, tries, units, traceparent, spec },
    submittedMs: Date.now(),
  };
  await board.put(run);
  return { run, committed: done.size, enqueued: await board.enqueue(run, unitsBut(units, done)) };
}

/**
 * Gives the units of a run another chance: those that were set aside, and those that have no job and are not committed.
 *
 * @param doneOf units that are committed
 * @returns how many have a job now that had none
 */
export async function retryUnits(
  board: Board,
  id: string,
  doneOf: (run: BoardRun) => Promise<Units<number>>,
): Promise<number> {
  const run = await board.run(id);
  await board.clearFailed(id);
  const done = await doneOf(run);
  await board.resume(id);
  return board.enqueue(run, unitsBut(run.units, done));
}

function* unitsBut(nUnits: number, done: Units<number>): Generator<number> {
  for (let unit = 0; unit < nUnits; unit++) if (!done.has(unit)) yield unit;
}
