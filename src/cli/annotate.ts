/** `gristmill annotate`: parsing and printing around the annotate room. */
import { annotateDocuments } from '../annotate/label/label-documents.ts';
import type {
  AnnotateDocumentsOptions,
  AnnotateDocumentsStatistics,
  AnnotateProgress,
} from '../annotate/label/label-types.ts';
import type { AnnotateJob } from '../annotate/ranges/asker.ts';
import { writeTemplates } from '../annotate/templates.ts';
import { count } from '../figures.ts';
import {
  INTERRUPT_WORDS,
  lostAnswers,
  percentOf,
  type SummaryRow,
  summaryText,
} from './annotate-output.ts';
import { askAsWorker, watched } from './annotate-worker.ts';
import { type ExpertFlags, expertFrom } from './expert-flags.ts';
import { defined } from './flags.ts';
import { noticePrinter, untilInterrupted } from './interrupt.ts';
import { type ObserveFlags, openObserver } from './observe.ts';
import { duration } from './progress.ts';
import { progressLine } from './progress-line.ts';
import { printResult } from './say.ts';

/** Flags of `annotate documents`. */
export interface DocumentsFlags extends ExpertFlags, ObserveFlags {
  readonly out: string;
  readonly textColumn?: string;
  readonly idColumn?: string;
  readonly limit?: number;
  readonly maxChars?: number;
  readonly answerTokens?: number;
  readonly keepRule?: string;
  readonly prompts?: string;
  readonly profile?: string;
  readonly validation?: number;
  readonly statusPrefix?: string;
  readonly replaceStatus?: boolean;
  readonly worker?: string;
  readonly json?: boolean;
}

/** The options that the flags mean. @throws OPTION_INVALID */
export function documentsOptions(
  inputs: string[],
  flags: DocumentsFlags,
): AnnotateDocumentsOptions {
  const { textColumn, idColumn, limit, maxChars, answerTokens, keepRule } = flags;
  const { prompts, profile, validation, statusPrefix, replaceStatus } = flags;
  return {
    inputs,
    out: flags.out,
    expert: expertFrom(flags),
    ...defined({ textColumn, idColumn, limit, maxChars, answerTokens, keepRule }),
    ...defined({ prompts, profile, validation, statusPrefix, replaceStatus }),
  };
}

/** The action of `annotate documents`. */
export function documents(inputs: string[], flags: DocumentsFlags): Promise<void> {
  const json = flags.json ?? false;
  return untilInterrupted(INTERRUPT_WORDS, async (signal) => {
    await using observer = await openObserver(flags, null, noticePrinter(json));
    const common = { ...documentsOptions(inputs, flags), signal, ...watched(observer, json) };
    if (flags.worker !== undefined) {
      const job: AnnotateJob = { kind: 'documents', options: common };
      await askAsWorker(job, flags.worker, json, observer);
      await observer.linger(signal);
      return;
    }
    using line = progressLine(json || observer.isLog);
    const statistics = await annotateDocuments({
      ...common,
      onProgress: (progress) =>
        line.update(
          progressText(progress),
          progress.nRows === null ? undefined : { done: progress.rows, total: progress.nRows },
        ),
    });
    line.stop();
    printResult(json, statistics, () => summary(statistics));
    if (statistics.stopped !== null) process.exitCode = 3;
    // Nothing came of it: a script that goes on would go on with nothing.
    else if (statistics.labelled === 0 && statistics.rowsIn > 0) process.exitCode = 1;
    const { rowsIn, labelled, failed, unfinished, stopped, seconds } = statistics;
    observer.workEnded({ rowsIn, labelled, failed, unfinished, stopped, seconds });
    await observer.linger(signal);
  });
}

/** The action of `annotate prompts`. */
export function prompts({ out, json }: { readonly out: string; readonly json?: boolean }): void {
  const files = writeTemplates(out);
  printResult(json, { files }, () => `${files.join('\n')}\n`);
}

function progressText({ rows, nRows, labelled, failed, expert }: AnnotateProgress): string {
  const of = nRows === null ? '' : ` of ${count(nRows)}`;
  const tokens = expert.promptTokens + expert.answerTokens;
  return `${count(rows)}${of} documents | ${count(labelled)} labelled | ${count(failed)} failed | ${count(expert.requests)} requests | ${count(expert.cached)} cached | ${count(tokens)} tokens`;
}

function summary(statistics: AnnotateDocumentsStatistics): string {
  const { rowsIn, expert, failures, unfinished } = statistics;
  const part = (name: string, rows: number): SummaryRow => [
    name,
    count(rows),
    percentOf(rowsIn, rows),
  ];
  const estimated = expert.estimated > 0 ? `${count(expert.estimated)} answers estimated` : '';
  const rows: SummaryRow[] = [
    ['rows in', count(rowsIn), ''],
    part('keep', statistics.keep),
    part('drop', statistics.drop),
    part('failed', statistics.failed),
    ...Object.entries(failures).map(([reason, rows]) => part(`  ${reason}`, rows)),
    ...(unfinished > 0 ? [part('unfinished', unfinished)] : []),
    ...(statistics.cut > 0 ? [part('cut for the prompt', statistics.cut)] : []),
    [
      'requests',
      count(expert.requests),
      expert.retries > 0 ? `${count(expert.retries)} retries` : '',
    ],
    ['answers cached', count(expert.cached), ''],
    ['prompt tokens', count(expert.promptTokens), estimated],
    ['answer tokens', count(expert.answerTokens), ''],
    ...lostAnswers(expert),
    ['time', duration(statistics.seconds), ''],
  ];
  const cut = (failures['edu_answer_cut'] ?? 0) + (failures['format_answer_cut'] ?? 0);
  const hint =
    cut > 0 && statistics.labelled === 0
      ? `answers were cut at ${count(statistics.answerTokens)} tokens: --answer-tokens allows for more`
      : null;
  return summaryText(rows, { ...statistics, hint });
}
