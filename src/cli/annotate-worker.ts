/** `gristmill annotate … --worker i/n`: a worker's share of an annotation, and what is printed of it. */
import { askShare } from '../annotate/ranges/ask-ranges.ts';
import type { AnnotateJob } from '../annotate/ranges/asker.ts';
import { count } from '../figures.ts';
import { parseWorker, workerName } from '../work/worker-share.ts';
import { summaryText } from './annotate-output.ts';
import { noticePrinter } from './interrupt.ts';
import type { Observer } from './observe.ts';
import { duration } from './progress.ts';
import { printResult, say } from './say.ts';

/** Ranges are left, for want of a budget. */
const STOPPED = 3;

/** What runs tell, to whoever looks on: lines for people go to the log where there is one. */
export function watched({ isLog, onWork }: Observer, json: boolean) {
  return { onNotice: isLog ? say : noticePrinter(json), ...(onWork && { onActivity: onWork }) };
}

/** Asks about the share of the worker that a flag names. */
export async function askAsWorker(
  job: AnnotateJob,
  worker: string,
  json: boolean,
  observer: Pick<Observer, 'workEnded'>,
): Promise<void> {
  const share = await askShare(job, parseWorker(worker));
  const { units, unitsDone, stopped, seconds } = share;
  observer.workEnded({ units, unitsDone, ...share.counts, stopped, seconds });
  printResult(json, share, () => {
    const { counts } = share;
    const rows = [
      ['worker', workerName(share.worker), ''],
      ['ranges', `${count(share.unitsDone)} of ${count(share.units)}`, ''],
      ['documents', count(counts.rowsIn), ''],
      [
        'requests',
        count(counts.requests),
        counts.failed > 0 ? `${count(counts.failed)} failed` : '',
      ],
      ['answers cached', count(counts.cached), ''],
      ['prompt tokens', count(counts.promptTokens), ''],
      ['answer tokens', count(counts.answerTokens), ''],
      ['time', duration(share.seconds), ''],
    ] as const;
    const hint = share.stopped === null ? `next: gristmill cluster finish ${share.out}` : null;
    return summaryText(rows, { ...share, causes: [], hint });
  });
  if (share.stopped !== null) process.exitCode = STOPPED;
}
