/** `gristmill annotate chunks`: parsing and printing around annotateChunks(). */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { annotateChunks } from '../annotate/chunks/annotate-chunks.ts';
import {
  ANNOTATE_CHUNKS_DEFAULTS,
  type AnnotateChunksOptions,
  type AnnotateChunksProgress,
} from '../annotate/chunks/chunk-options.ts';
import type { ChunkStatistics } from '../annotate/chunks/chunk-statistics.ts';
import { EXAMPLE_KINDS, type ExampleShares } from '../annotate/chunks/shares.ts';
import { CHUNK_WAYS, type ChunkWay } from '../annotate/types.ts';
import { count } from '../figures.ts';
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

interface Flags extends ExpertFlags {
  readonly out: string;
  readonly way: ChunkWay;
  readonly profile?: string;
  readonly tokenizer?: string;
  readonly windowSize?: number;
  readonly textColumn?: string;
  readonly idColumn?: string;
  readonly limit?: number;
  readonly onlyKept?: string;
  readonly maxOps?: number;
  readonly maxSourceChars?: number;
  readonly minChars?: number;
  readonly maxRemovedShare?: number;
  readonly allowReplacements?: boolean;
  readonly maxRewordedChars?: number;
  readonly shares?: ExampleShares;
  readonly nearDuplicate?: number;
  readonly validation?: number;
  readonly seed?: number;
  readonly prompts?: string;
  readonly answerTokens?: number;
  readonly json?: boolean;
}

const PLAIN_EVERY_MS = 10_000;

/** Adds `chunks` to the `annotate` command. */
export function addChunksCommand(annotate: Command): void {
  const defaults = ANNOTATE_CHUNKS_DEFAULTS;
  expertOptions(
    annotate
      .command('chunks')
      .description('make examples of windows and their programs, checked by executing them')
      .argument('<inputs...>', 'with --way gold labelled JSON lines, else a corpus')
      .requiredOption('--out <dir>', 'output folder')
      .addOption(
        new Option('--way <way>', 'where programs come from')
          .choices(CHUNK_WAYS)
          .makeOptionMandatory(),
      ),
  )
    .option(
      '--profile <name|file>',
      'how the refiner will be asked (the package’s programs refiner)',
    )
    .option('--tokenizer <gguf>', 'what counts tokens (the package’s programs refiner)')
    .option(
      '--window-size <n>',
      'largest window, in the profile’s unit: tokens or characters (the profile’s)',
      wholeNumber(16),
    )
    .option('--text-column <name>', 'column that holds the text (text)')
    .option('--id-column <name>', 'column that names a document')
    .option('--limit <n>', 'stop after n documents', wholeNumber(1))
    .option('--only-kept <file>', 'documents.parquet: only documents labelled keep')
    .option('--max-ops <n>', `ops of a program, at most (${defaults.maxOps})`, wholeNumber(1))
    .option(
      '--max-source-chars <n>',
      `characters of a string to replace (${defaults.maxSourceChars})`,
      wholeNumber(1),
    )
    .option(
      '--min-chars <n>',
      `characters of a window, at least (${defaults.minChars})`,
      wholeNumber(0),
    )
    .option(
      '--max-removed-share <r>',
      'characters of a window that may go (gold 1, else 0.9)',
      share,
    )
    .option('--allow-replacements', 'replacements and added lines too, not deletions only')
    .option(
      '--max-reworded-chars <n>',
      `new characters that rewrite ignores (${defaults.maxRewordedChars})`,
      wholeNumber(0),
    )
    .option(
      '--shares <list>',
      `largest share of a kind in training, e.g. keep=0.5,all=0.1; kinds: ${EXAMPLE_KINDS.join(', ')}`,
      shares,
    )
    .option(
      '--near-duplicate <r>',
      `similarity that counts as the same (${defaults.nearDuplicate}; 1: off)`,
      share,
    )
    .option('--validation <r>', `share of domains that validate (${defaults.validation})`, share)
    .option('--seed <n>', 'of thinning', wholeNumber(0))
    .option('--prompts <dir>', 'folder of edited prompts')
    .option(
      '--answer-tokens <n>',
      'longest answer of the expert, thought included (programs: 4 × the longest program; rewrite: by the window)',
      wholeNumber(1),
    )
    .option('--json', 'print one JSON object instead of a table')
    .action(chunks);
}

function chunks(inputs: string[], flags: Flags): Promise<void> {
  const json = flags.json ?? false;
  return untilInterrupted(INTERRUPT_WORDS, async (signal) => {
    const statistics = await annotateChunks({
      ...optionsOf(flags),
      inputs,
      signal,
      onNotice: noticePrinter(json),
      ...(!json && { onProgress: progressLines() }),
    });
    printResult(json, statistics, () => summary(statistics));
    if (statistics.stopped !== null) process.exitCode = 3;
    else if (nExamples(statistics) === 0 && failedAtExpert(statistics) > 0) process.exitCode = 1;
  });
}

function optionsOf(flags: Flags): Omit<AnnotateChunksOptions, 'inputs'> {
  const { out, way, profile, tokenizer, windowSize, textColumn, idColumn, limit, onlyKept } = flags;
  const { maxOps, maxSourceChars, minChars, maxRemovedShare, allowReplacements } = flags;
  const { maxRewordedChars, nearDuplicate, validation, seed, prompts, answerTokens } = flags;
  const asksExpert =
    way !== 'gold' || flags.expertUrl !== undefined || flags.expertGguf !== undefined;
  return {
    out,
    way,
    ...(asksExpert && { expert: expertFrom(flags) }),
    ...defined({ profile, tokenizer, windowSize, textColumn, idColumn, limit, onlyKept }),
    ...defined({ maxOps, maxSourceChars, minChars, maxRemovedShare, allowReplacements }),
    ...defined({ maxRewordedChars, nearDuplicate, validation, seed, prompts, answerTokens }),
    ...defined({ shares: flags.shares }),
  };
}

/** A line on stderr every ten seconds. */
function progressLines(): (progress: AnnotateChunksProgress) => void {
  let last = Date.now();
  return ({ nDocuments, nWindows, nExamples }) => {
    if (Date.now() - last < PLAIN_EVERY_MS) return;
    last = Date.now();
    process.stderr.write(
      `gristmill: ${count(nDocuments)} documents | ${count(nWindows)} windows | ${count(nExamples)} examples\n`,
    );
  };
}

function nExamples({ parts }: ChunkStatistics): number {
  return parts.train.nExamples + parts.validation.nExamples;
}

/** Windows that are no examples as the expert gave no whole answer. */
function failedAtExpert({ rejected }: ChunkStatistics): number {
  return (rejected.expert_failed ?? 0) + (rejected.answer_cut ?? 0);
}

function summary(statistics: ChunkStatistics): string {
  const { parts, rejected, requests, nWindows } = statistics;
  const windows = (name: string, part: number): SummaryRow => [
    name,
    count(part),
    percentOf(nWindows, part),
  ];
  const rows: SummaryRow[] = [
    ['documents', count(statistics.nDocuments), ''],
    ['windows', count(nWindows), ''],
    windows('examples to train', parts.train.nExamples),
    windows('examples to validate', parts.validation.nExamples),
    ...EXAMPLE_KINDS.map((kind) =>
      windows(`  ${kind}`, parts.train.kinds[kind] + parts.validation.kinds[kind]),
    ),
    ...Object.entries(rejected).map(([reason, part]) => windows(reason, part)),
  ];
  if (requests !== null) {
    rows.push(
      ['requests', count(requests.requests), ''],
      ['answers cached', count(requests.cached), ''],
      ['prompt tokens', count(requests.promptTokens), ''],
      ['answer tokens', count(requests.answerTokens), ''],
      ...lostAnswers(requests),
    );
  }
  rows.push(['time', duration(statistics.seconds), '']);
  const hint =
    nExamples(statistics) === 0 && (rejected.answer_cut ?? 0) > 0
      ? 'answers were cut at their longest length: --answer-tokens allows for more'
      : null;
  return summaryText(rows, { ...statistics, hint });
}

function shares(text: string): ExampleShares {
  const entries = text.split(',').map((part): [string, number] => {
    const [kind = '', value = ''] = part.split('=');
    const known = (EXAMPLE_KINDS as readonly string[]).includes(kind.trim());
    if (!known) throw new InvalidArgumentError(`expected kinds of ${EXAMPLE_KINDS.join(', ')}.`);
    return [kind.trim(), share(value)];
  });
  return Object.fromEntries(entries);
}
