/** Putting a refining of a corpus on a board, for workers of any number and place. */
import { randomBytes } from 'node:crypto';
import { checkOptions, given, refuseOption } from '../options.ts';
import { outputStore } from '../work/open-output.ts';
import type { Board, BoardRun } from '../work/queue/board.ts';
import { committedUnits, openLedger } from './ledger.ts';
import { REFINE_CORPUS_TABLE } from './option-tables.ts';
import type { QueuedRefine } from './queue-session.ts';
import { prepareRun } from './run-here.ts';
import { placeOf, runNameOf } from './run-name.ts';
import type { RefineCorpusOptions } from './run-options.ts';

/** Options of {@link submitRun}. */
export interface SubmitRunOptions {
  /** Runs of a higher one come first; default 0. */
  readonly priority?: number;
  /** Tries of a unit before it is set aside; default 3. */
  readonly tries?: number;
  readonly traceparent?: string | null;
}

/** A run on the board. */
export interface SubmittedRun {
  readonly run: BoardRun;
  /** Units that were committed already. */
  readonly committed: number;
  /** Units that workers have to do. */
  readonly enqueued: number;
}

/**
 * Plans a run, begins it in its output, and enqueues the units that are left. Again: enqueues what neither is committed nor
 * has a job, as after a server that has forgotten.
 *
 * @throws as refineCorpus before its first unit; RUN_CHANGED where another run lies in the output
 */
export async function submitRun(
  board: Board,
  asked: RefineCorpusOptions,
  { priority = 0, tries = 3, traceparent = null }: SubmitRunOptions = {},
): Promise<SubmittedRun> {
  checkOptions('submitRun', asked, REFINE_CORPUS_TABLE, ['inputs', 'out']);
  const { signal, stop: _, onNotice, onProgress: _progress, ...rest } = given(asked);
  const { onActivity: _activity, ...options } = rest;
  for (const name of ['worker', 'limit', 'rejected'] as const) {
    if (options[name] !== undefined) refuseOption(name, 'none in a run for a queue', options[name]);
  }
  if (options.out === '-' || [options.inputs].flat().includes('-')) {
    refuseOption('out', 'a folder, and inputs that are files, in a run for a queue', '-');
  }
  const { plan, identity } = await prepareRun({ ...options, ...(signal && { signal }) });
  const member = { name: `submit-${randomBytes(4).toString('hex')}`, units: [] };
  (await openLedger(options.out, identity, { member, onNotice, signal })).close();
  const done = new Set(await committedUnits(await outputStore(options.out)));
  const place = placeOf(options.out);
  const id = runNameOf(identity, options.out);
  const spec: QueuedRefine = { options, cwd: process.cwd() };
  const run: BoardRun = {
    ...{ id, out: place, priority, tries, traceparent, spec },
    units: plan.units.length,
    submittedMs: Date.now(),
  };
  await board.put(run);
  const left = function* (): Generator<number> {
    for (const { index } of plan.units) if (!done.has(index)) yield index;
  };
  return { run, committed: done.size, enqueued: await board.enqueue(run, left()) };
}

/**
 * Gives the units of a run another chance: those that were set aside, and those that have no job and are not committed.
 *
 * @returns how many have a job now that had none
 */
export async function retryRun(board: Board, id: string): Promise<number> {
  const run = await board.run(id);
  await board.clearFailed(id);
  const done = new Set(await committedUnits(await outputStore(run.out)));
  await board.resume(id);
  return board.enqueue(run, unitsBut(run.units, done));
}

function* unitsBut(nUnits: number, done: ReadonlySet<number>): Generator<number> {
  for (let unit = 0; unit < nUnits; unit++) if (!done.has(unit)) yield unit;
}
