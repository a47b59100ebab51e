/** `gristmill annotate`: parsing and printing around the annotate room. */
import { Command } from 'commander';
import {
  ANNOTATE_DOCUMENTS_DEFAULTS,
  type AnnotateDocumentsStatistics,
  type AnnotateProgress,
  annotateDocuments,
} from '../annotate/label-documents.ts';
import { writeTemplates } from '../annotate/templates.ts';
import { isGristmillError } from '../errors.ts';
import { addChunksCommand } from './annotate-chunks.ts';
import {
  defined,
  type ExpertFlags,
  expertFrom,
  expertOptions,
  wholeNumber,
} from './expert-flags.ts';
import { onInterrupt } from './interrupt.ts';
import { duration } from './progress.ts';

interface DocumentsFlags extends ExpertFlags {
  readonly out: string;
  readonly textColumn?: string;
  readonly idColumn?: string;
  readonly limit?: number;
  readonly maxChars?: number;
  readonly answerTokens?: number;
  readonly keepRule?: string;
  readonly prompts?: string;
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
      process.stdout.write(json ? `${JSON.stringify({ files })}\n` : `${files.join('\n')}\n`);
    });
  return command;
}

async function documents(inputs: string[], flags: DocumentsFlags): Promise<void> {
  const controller = new AbortController();
  const restore = onInterrupt(controller, 'waiting for the answers under way');
  const json = flags.json ?? false;
  const { textColumn, idColumn, limit, maxChars, answerTokens, keepRule, prompts } = flags;
  try {
    const statistics = await annotateDocuments({
      inputs,
      out: flags.out,
      expert: expertFrom(flags),
      ...defined({ textColumn, idColumn, limit, maxChars, answerTokens, keepRule, prompts }),
      signal: controller.signal,
      ...(!json && { onProgress: progressLines() }),
    });
    process.stdout.write(json ? `${JSON.stringify(statistics)}\n` : summary(statistics));
    if (statistics.stopped !== null) process.exitCode = 3;
  } catch (error) {
    if (!controller.signal.aborted || !isGristmillError(error, 'ABORTED')) throw error;
    process.stderr.write('gristmill: interrupted: run the same command again to finish\n');
    process.exitCode = 130;
  } finally {
    restore();
  }
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
  const { rowsIn, expert, failures, unfinished, cut } = statistics;
  const share = (rows: number): string =>
    rowsIn === 0 ? '' : `${((100 * rows) / rowsIn).toFixed(1)}%`;
  const part = (name: string, rows: number): [string, string, string] => [
    name,
    count(rows),
    share(rows),
  ];
  const estimated = expert.estimated > 0 ? `${count(expert.estimated)} answers estimated` : '';
  const rows: [string, string, string][] = [
    ['rows in', count(rowsIn), ''],
    part('keep', statistics.keep),
    part('drop', statistics.drop),
    part('failed', statistics.failed),
    ...Object.entries(failures).map(([reason, rows]) => part(`  ${reason}`, rows)),
    ...(unfinished > 0 ? [part('unfinished', unfinished)] : []),
    ...(cut > 0 ? [part('cut for the prompt', cut)] : []),
    [
      'requests',
      count(expert.requests),
      expert.retries > 0 ? `${count(expert.retries)} retries` : '',
    ],
    ['answers cached', count(expert.cached), ''],
    ['prompt tokens', count(expert.promptTokens), estimated],
    ['answer tokens', count(expert.answerTokens), ''],
    ['time', duration(statistics.seconds), ''],
  ];
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map(([name, value, note]) =>
    `${name.padEnd(widths[0]!)}  ${value.padStart(widths[1]!)}  ${note}`.trimEnd(),
  );
  if (statistics.stopped !== null) {
    lines.push('stopped at the budget: run the same command again to go on');
  }
  return `${lines.join('\n')}\n`;
}

function count(value: number): string {
  return value.toLocaleString('en');
}
