/** Runs of a queue by their kind: who does their units, and which are done. What a kind needs is loaded with its first run. */
import { GristmillError } from '../errors.ts';
import type { QueuedRefine } from '../refine/queue-session.ts';
import type { RefineCorpusOptions } from '../refine/run-options.ts';
import type { OnWork } from '../work/activity.ts';
import type { BoardRun } from '../work/queue/board.ts';
import type { WorkSession } from '../work/queue/take.ts';
import type { Units } from '../work/unit-set.ts';
import { defined } from './flags.ts';

/** A worker, as every kind has it. */
export interface QueueWorker {
  /** Of this process, in ledgers. */
  readonly name: string;
  readonly device?: string | undefined;
  readonly threads?: number | undefined;
  /** Threads that execute programs. */
  readonly workers?: number | undefined;
  readonly onNotice: (line: string) => void;
  /** Told what a run of `refine` does. */
  readonly onActivity?: NonNullable<RefineCorpusOptions['onActivity']>;
  /** The same of other runs. */
  readonly onWork?: OnWork;
  /** Variables of worker processes besides those of this one. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A kind of work. */
export interface QueueKind {
  open(run: BoardRun, worker: QueueWorker): WorkSession;
  /** Units that are committed. */
  done(run: BoardRun): Promise<Units<number>>;
}

/** The kind of a run. @throws OPTION_INVALID for one that this version does not know */
export async function kindOf({ kind = 'refine' }: BoardRun): Promise<QueueKind> {
  switch (kind) {
    case 'refine': {
      const { openQueueSession } = await import('../refine/queue-session.ts');
      const { refinedUnits } = await import('../refine/submit-run.ts');
      return {
        open: ({ spec }, { name, onWork: _, ...own }) =>
          openQueueSession(spec as QueuedRefine, { ...defined(own), name }),
        done: refinedUnits,
      };
    }
    case 'mix train': {
      const queue = await import('../mixture/proxies/sweep-queue.ts');
      return { open: queue.openSweepSession, done: queue.finishedProxies };
    }
    case 'annotate': {
      const queue = await import('../annotate/ranges/asked-queue.ts');
      return { open: queue.openAskSession, done: queue.askedUnits };
    }
    default: {
      const expected = 'refine, mix train or annotate';
      throw new GristmillError('OPTION_INVALID', {
        option: 'kind of the run',
        expected,
        received: kind,
      });
    }
  }
}
