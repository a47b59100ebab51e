/** `gristmill annotate chunks`: parsing and printing around annotateChunks(). */
import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  ANNOTATE_CHUNKS_DEFAULTS,
  type AnnotateChunksOptions,
  type AnnotateChunksProgress,
} from '../annotate/chunk-options.ts';
import type { ChunkStatistics } from '../annotate/chunk-statistics.ts';
import { annotateChunks } from '../annotate/chunks.ts';
import { EXAMPLE_KINDS, type ExampleShares } from '../annotate/shares.ts';
import { CHUNK_WAYS, type ChunkWay } from '../annotate/types.ts';
import { isGristmillError } from '../errors.ts';
import {
  defined,
  type ExpertFlags,
  expertFrom,
  expertOptions,
  wholeNumber,
} from './expert-flags.ts';
import { onInterrupt } from './interrupt.ts';
import { duration } from './progress.ts';

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
    .option('--json', 'print one JSON object instead of a table')
    .action(chunks);
}

async function chunks(inputs: string[], flags: Flags): Promise<void> {
  const controller = new AbortController();
  const restore = onInterrupt(controller, 'waiting for the answers under way');
  const json = flags.json ?? false;
  try {
    const statistics = await annotateChunks({
      ...optionsOf(flags),
      inputs,
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

function optionsOf(flags: Flags): Omit<AnnotateChunksOptions, 'inputs'> {
  const { out, way, profile, tokenizer, windowSize, textColumn, idColumn, limit, onlyKept } = flags;
  const { maxOps, maxSourceChars, minChars, maxRemovedShare, allowReplacements } = flags;
  const { maxRewordedChars, nearDuplicate, validation, seed, prompts } = flags;
  const asksExpert =
    way !== 'gold' || flags.expertUrl !== undefined || flags.expertGguf !== undefined;
  return {
    out,
    way,
    ...(asksExpert && { expert: expertFrom(flags) }),
    ...defined({ profile, tokenizer, windowSize, textColumn, idColumn, limit, onlyKept }),
    ...defined({ maxOps, maxSourceChars, minChars, maxRemovedShare, allowReplacements }),
    ...defined({ maxRewordedChars, nearDuplicate, validation, seed, prompts }),
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

function summary(statistics: ChunkStatistics): string {
  const { parts, rejected, requests, nWindows } = statistics;
  const of = (part: number): string =>
    nWindows === 0 ? '' : `${((100 * part) / nWindows).toFixed(1)}%`;
  const rows: [string, string, string][] = [
    ['documents', count(statistics.nDocuments), ''],
    ['windows', count(nWindows), ''],
    ['examples to train', count(parts.train.nExamples), of(parts.train.nExamples)],
    ['examples to validate', count(parts.validation.nExamples), of(parts.validation.nExamples)],
    ...EXAMPLE_KINDS.map((kind): [string, string, string] => {
      const both = parts.train.kinds[kind] + parts.validation.kinds[kind];
      return [`  ${kind}`, count(both), of(both)];
    }),
    ...Object.entries(rejected).map(([reason, windows]): [string, string, string] => [
      reason,
      count(windows),
      of(windows),
    ]),
    ...(requests === null
      ? []
      : ([
          ['requests', count(requests.requests), ''],
          ['answers cached', count(requests.cached), ''],
          ['prompt tokens', count(requests.promptTokens), ''],
          ['answer tokens', count(requests.answerTokens), ''],
        ] satisfies [string, string, string][])),
    ['time', duration(statistics.seconds), ''],
  ];
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map(([name, value, note]) =>
    `${name.padEnd(widths[0]!)}  ${value.padStart(widths[1]!)}  ${note}`.trimEnd(),
  );
  if (statistics.stopped !== null)
    lines.push('stopped at the budget: run the same command again to go on');
  return `${lines.join('\n')}\n`;
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

function share(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 1)) {
    throw new InvalidArgumentError('expected a number in 0..1.');
  }
  return value;
}

function count(value: number): string {
  return value.toLocaleString('en');
}
