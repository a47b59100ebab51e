/** Putting a refining of a corpus on a board, for workers of any number and place. */
import { checkOptions, given, refuseOption } from '../options.ts';
import { outputStore } from '../work/open-output.ts';
import type { Board, BoardRun } from '../work/queue/board.ts';
import {
  type SubmitOptions,
  type SubmittedRun,
  submitterName,
  submitUnits,
} from '../work/queue/submit.ts';
import type { Units } from '../work/unit-set.ts';
import { committedUnits, openLedger, runIdOf } from './ledger.ts';
import { REFINE_CORPUS_TABLE } from './option-tables.ts';
import type { QueuedRefine } from './queue-session.ts';
import { prepareRun } from './run-here.ts';
import type { RefineCorpusOptions } from './run-options.ts';

/**
 * Plans a run, begins it in its output, and enqueues the units that are left. Again: enqueues what neither is committed nor
 * has a job, as after a server that has forgotten.
 *
 * @throws as refineCorpus before its first unit; RUN_CHANGED where another run lies in the output
 */
export async function submitRun(
  board: Board,
  asked: RefineCorpusOptions,
  submitOptions: SubmitOptions = {},
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
  const member = { name: submitterName(), units: [] };
  const ledger = await openLedger(options.out, identity, {
    ...{ member, onNotice, signal },
    leaseMs: options.lease === undefined ? undefined : options.lease * 1000,
  });
  await ledger.close();
  const spec: QueuedRefine = { options, cwd: process.cwd() };
  const units = plan.units.length;
  const done = await committedUnits(await outputStore(options.out), units);
  const begun = { kind: 'refine', out: options.out, runId: runIdOf(identity), units, done, spec };
  return submitUnits(board, begun, submitOptions);
}

/** Units of a run on the board that are committed. */
export async function refinedUnits({ out, units }: BoardRun): Promise<Units<number>> {
  return committedUnits(await outputStore(out), units);
}
