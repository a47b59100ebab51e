/** `gristmill annotate`: parsing and printing around the annotate room. */
import { Command } from 'commander';
import { annotateDocuments } from '../annotate/label/label-documents.ts';
import {
  ANNOTATE_DOCUMENTS_DEFAULTS,
  type AnnotateDocumentsStatistics,
  type AnnotateProgress,
} from '../annotate/label/label-types.ts';
import { writeTemplates } from '../annotate/templates.ts';
import { count } from '../figures.ts';
import { addChunksCommand } from './annotate-chunks.ts';
import {
  INTERRUPT_WORDS,
  lostAnswers,
  percentOf,
  type SummaryRow,
  summaryText,
} from './annotate-output.ts';
import { type ExpertFlags, expertFrom, expertOptions } from './expert-flags.ts';
import { defined, share, wholeNumber } from './flags.ts';
import { noticePrinter, untilInterrupted } from './interrupt.ts';
import { duration } from './progress.ts';
import { printResult } from './say.ts';

interface DocumentsFlags extends ExpertFlags {
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
  readonly json?: boolean;
}

const PLAIN_EVERY_MS = 10_000;

/** The `annotate` command. */
export function annotateCommand(): Command {
  const command = new Command('annotate').description('make labelled data for refiners');
  expertOptions(
    command
      .command('documents')
      .description('let an expert score documents, and keep or drop them by the scores')
      .argument('<inputs...>', 'files, folders or globs (.parquet, .jsonl[.gz|.zst], .arrow)')
      .requiredOption('--out <dir>', 'output folder'),
  )
    .option('--text-column <name>', 'column that holds the text (text)')
    .option('--id-column <name>', 'column that names a document')
    .option('--limit <n>', 'stop after n rows', wholeNumber(0))
    .option(
      '--max-chars <n>',
      `characters of a text that the expert sees (${ANNOTATE_DOCUMENTS_DEFAULTS.maxChars})`,
      wholeNumber(1),
    )
    .option(
      '--answer-tokens <n>',
      `longest answer (${ANNOTATE_DOCUMENTS_DEFAULTS.answerTokens})`,
      wholeNumber(1),
    )
    .option(
      '--keep-rule <rule>',
      'prox: educational ≥ 3, or 2 and format ≥ 4 (default); edu:N: educational ≥ N, nothing else is asked',
    )
    .option('--prompts <dir>', 'folder of edited prompts')
    .option(
      '--profile <name|file>',
      `how the refiner will be asked (${ANNOTATE_DOCUMENTS_DEFAULTS.profile})`,
    )
    .option(
      '--validation <r>',
      `share of domains that validate (${ANNOTATE_DOCUMENTS_DEFAULTS.validation})`,
      share,
    )
    .option(
      '--status-prefix <prefix>',
      'what the names of added columns begin with, where the corpus has such columns',
    )
    .option('--replace-status', 'let added columns take the place of columns of their name')
    .option('--json', 'print one JSON object instead of a table')
    .action(documents);
  addChunksCommand(command);
  command
    .command('prompts')
    .description('write copies of the prompts, to edit and to use with --prompts')
    .requiredOption('--out <dir>', 'folder; files that are there stay')
    .option('--json', 'print one JSON object')
    .action(({ out, json }: { readonly out: string; readonly json?: boolean }) => {
      const files = writeTemplates(out);
      printResult(json, { files }, () => `${files.join('\n')}\n`);
    });
  return command;
}

function documents(inputs: string[], flags: DocumentsFlags): Promise<void> {
  const json = flags.json ?? false;
  const { textColumn, idColumn, limit, maxChars, answerTokens, keepRule } = flags;
  const { prompts, profile, validation, statusPrefix, replaceStatus } = flags;
  return untilInterrupted(INTERRUPT_WORDS, async (signal) => {
    const statistics = await annotateDocuments({
      inputs,
      out: flags.out,
      expert: expertFrom(flags),
      ...defined({ textColumn, idColumn, limit, maxChars, answerTokens, keepRule }),
      ...defined({ prompts, profile, validation, statusPrefix, replaceStatus }),
      signal,
      onNotice: noticePrinter(json),
      ...(!json && { onProgress: progressLines() }),
    });
    printResult(json, statistics, () => summary(statistics));
    if (statistics.stopped !== null) process.exitCode = 3;
    // Nothing came of it: a script that goes on would go on with nothing.
    else if (statistics.labelled === 0 && statistics.rowsIn > 0) process.exitCode = 1;
  });
}

/** A line on stderr every ten seconds. */
function progressLines(): (progress: AnnotateProgress) => void {
  let last = Date.now();
  return ({ rows, nRows, labelled, failed, expert }) => {
    if (Date.now() - last < PLAIN_EVERY_MS) return;
    last = Date.now();
    const of = nRows === null ? '' : ` of ${count(nRows)}`;
    const tokens = expert.promptTokens + expert.answerTokens;
    process.stderr.write(
      `gristmill: ${count(rows)}${of} documents | ${count(labelled)} labelled | ${count(failed)} failed | ${count(expert.requests)} requests | ${count(expert.cached)} cached | ${count(tokens)} tokens\n`,
    );
  };
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
