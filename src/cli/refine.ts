/** `gristmill refine`: parsing and printing around refineCorpus(). */
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import { GristmillError } from '../errors.ts';
import { PROFILES } from '../refine/profiles.ts';
import { NAMED_REFINERS, type RefinerName } from '../refine/refiner-names.ts';
import { refineCorpus } from '../refine/run.ts';
import type { RefineCorpusOptions } from '../refine/run-options.ts';
import type { RunSummary } from '../refine/statistics.ts';
import { parseWorker } from '../work/worker-share.ts';
import { openEvents } from './events.ts';
import { workerFlag } from './flags.ts';
import { untilInterrupted } from './interrupt.ts';
import { planTable } from './plan-table.ts';
import { progressPrinter, summaryTable } from './progress.ts';
import { printResult, say } from './say.ts';

const INTERRUPT_WORDS = {
  ending: 'finishing the units in flight',
  ended: 'run the same command again',
};

/** Flags of refine. */
export interface RefineFlags {
  readonly out: string;
  readonly refiner?: RefinerName;
  readonly system?: string;
  readonly documentModel?: string;
  readonly chunkModel?: string;
  readonly stages?: string[];
  readonly profile?: string;
  readonly dialect?: 'prox' | 'ultrax';
  readonly executor?: 'strict' | 'compat';
  readonly docMode?: 'score' | 'generate';
  readonly docThreshold?: number;
  readonly lineThreshold?: number;
  readonly retention?: number;
  readonly freeDecoding?: boolean;
  readonly maxErrors?: number;
  readonly minKeptRatio?: number;
  readonly textColumn?: string;
  readonly idColumn?: string;
  readonly keepOriginal?: boolean;
  readonly droppedText?: boolean;
  readonly reuse?: string;
  readonly keepScores?: boolean;
  readonly keepAllScores?: boolean;
  readonly keepDropped?: boolean;
  readonly eventsFd?: number;
  readonly statusPrefix?: string;
  readonly replaceStatus?: boolean;
  readonly format?: 'parquet' | 'jsonl.zst';
  readonly rowGroupRows?: number;
  readonly unitRows?: number;
  readonly zstdLevel?: number;
  readonly limit?: number;
  readonly inferLines?: number | 'all';
  readonly maxLineBytes?: number;
  readonly zstdWindowLog?: number;
  readonly rejected?: string;
  readonly seed?: number;
  readonly device: string;
  readonly threads?: number;
  readonly slots?: number;
  readonly workers?: number;
  readonly slabMb?: number;
  readonly slabs?: number;
  readonly inProcess?: boolean;
  readonly watchdog?: number;
  readonly failFast?: boolean;
  readonly worker?: string;
  readonly plan?: boolean;
  readonly estimate?: number | true;
  readonly workersCount?: number;
  readonly pricePerHour?: number;
  readonly show?: number;
  readonly json?: boolean;
}

function number(range: string, accepts: (value: number) => boolean): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !accepts(value)) throw new InvalidArgumentError(`expected ${range}.`);
    return value;
  };
}

const count = (minimum: number) =>
  number(`a whole number of at least ${minimum}`, (v) => Number.isSafeInteger(v) && v >= minimum);
const share = number('a number in 0..1', (v) => v >= 0 && v <= 1);

export function refineCommand(): Command {
  return new Command('refine')
    .description('refine a corpus: a small LM writes a program for every document, executed here')
    .argument(
      '<inputs...>',
      'files, folders or globs (Parquet, JSON lines, Arrow IPC), s3://, https:// and hf://datasets/ addresses; - is Arrow IPC on stdin',
    )
    .requiredOption('--out <dir>', 'output folder; - writes Arrow IPC to stdout, without a ledger')
    .addOption(
      new Option(
        '--refiner <name>',
        'models and profile by name; published ones are pulled first (gristmill models pull)',
      ).choices(Object.keys(NAMED_REFINERS)),
    )
    .option('--document-model <gguf>', 'model of the document stage, default or random[:preset]')
    .option(
      '--chunk-model <gguf>',
      'model of the chunk stage, default, programs (writes them) or random[:preset]',
    )
    .option(
      '--stages <list>',
      'document, chunk or both (default: those that have a model; without any, both with the defaults)',
      stages,
    )
    .option(
      '--profile <name|file>',
      `how the models are asked: ${Object.keys(PROFILES).join(', ')} or a JSON file`,
    )
    .option('--system <file>', 'system text of the chat in place of the profile’s, UTF-8')
    .addOption(
      new Option('--dialect <name>', 'dialect of the programs (default: the profile’s)').choices([
        'prox',
        'ultrax',
      ]),
    )
    .addOption(
      new Option('--executor <name>', 'how programs are executed (strict)').choices([
        'strict',
        'compat',
      ]),
    )
    .addOption(
      new Option(
        '--doc-mode <mode>',
        'judge documents by score or by generating the answer (score)',
      ).choices(['score', 'generate']),
    )
    .option(
      '--doc-threshold <p>',
      'drop documents that score below it, 0..1 (default: the model’s own, else 0.5)',
      share,
    )
    .option(
      '--retention <r>',
      'share of content to keep, for models that score lines (0.99)',
      share,
    )
    .option('--line-threshold <p>', 'or: remove lines that score below it, 0..1', share)
    .option('--free-decoding', 'decode programs without the grammar, as the published scripts do')
    .option('--max-errors <n>', 'refused ops tolerated per window', count(0))
    .option(
      '--min-kept-ratio <r>',
      'drop documents that keep a smaller share of their words, 0..1',
      share,
    )
    .option('--text-column <name>', 'column that holds the text (text)')
    .option('--id-column <name>', 'column that names a document in dropped/')
    .option('--keep-original', 'add the column gristmill_original')
    .option(
      '--dropped-text',
      'keep the text of dropped documents, in dropped/ or with --keep-dropped',
    )
    .option('--keep-dropped', 'with --out -: leave dropped rows in the stream, without text')
    .option('--keep-scores', 'keep scores of documents and lines beside the output, for --reuse')
    .option('--keep-all-scores', 'the same, with those of lines of dropped documents')
    .option(
      '--reuse <dir>',
      'cut anew by the scores that the run in dir has kept, at another threshold, without models',
    )
    .option('--status-prefix <text>', 'what the names of added columns begin with (gristmill_)')
    .option('--replace-status', 'let added columns take the place of ones of their names')
    .addOption(
      new Option(
        '--format <format>',
        'format of all output (default: jsonl.zst for what JSON lines came from, else parquet)',
      ).choices(['parquet', 'jsonl.zst']),
    )
    .option('--row-group-rows <n>', 'rows of an output row group', count(1))
    .option('--unit-rows <n>', 'rows of a unit, about', count(1))
    .option('--zstd-level <n>', 'compression level of the output, 1..19', count(1))
    .option('--limit <n>', 'stop after n rows', count(0))
    .option(
      '--infer-lines <n>',
      'JSON lines that are looked at to find columns, or all (default: all for Parquet and Arrow output, else 10,000)',
      (text) => (text === 'all' ? 'all' : count(1)(text)),
    )
    .option(
      '--max-line-bytes <n>',
      'longest JSON line; longer ones are rejected (256 MiB)',
      count(1),
    )
    .option(
      '--zstd-window-log <n>',
      'largest window of zstd JSON lines, 2^10 to 2^31 bytes of memory (27)',
      count(10),
    )
    .option('--rejected <file>', 'with --out -: where rows go that cannot be rows')
    .option('--events-fd <n>', 'write what happens to this descriptor, as JSON lines', count(3))
    .option('--seed <n>', 'seed of random models (1)', count(0))
    .option('--device <device>', 'cpu, cuda, cuda:0 or cuda:0,1', 'cpu')
    .option('--threads <n>', 'CPU threads of the engine', count(1))
    .option('--slots <n>', 'sequences decoded side by side, 1..256', count(1))
    .option('--workers <n>', 'threads that execute programs', count(1))
    .option('--slab-mb <n>', 'MiB of one shared-memory slab', count(1))
    .option('--slabs <n>', 'number of slabs', count(2))
    .option('--in-process', 'run in this process instead of a worker of its own')
    .option(
      '--watchdog <seconds>',
      'start the worker again when nothing moves for so long; 0: never (600)',
      number('a number of at least 0', (v) => v >= 0 && Number.isFinite(v)),
    )
    .option('--fail-fast', 'stop at the first bad file')
    .addOption(workerFlag())
    .option('--plan', 'print the plan and stop')
    .option(
      '--estimate [share]',
      'refine a sample (0.02) into nothing and say what the run would take and give',
      estimatedShare,
    )
    .option('--workers-count <n>', 'with --estimate: workers like this machine', count(1))
    .option(
      '--price-per-hour <p>',
      'with --estimate: price of a worker for an hour',
      number('a number of at least 0', (v) => v >= 0 && Number.isFinite(v)),
    )
    .option(
      '--show <n>',
      'print what was removed from the first n edited and dropped documents',
      count(0),
    )
    .option('--json', 'print one JSON object instead of a table')
    .action(async (inputs: string[], flags: RefineFlags) => {
      if (flags.estimate !== undefined) return printEstimate(inputs, flags);
      if (flags.out === '-' && !flags.plan && process.stdout.isTTY) {
        throw new GristmillError('OPTION_INVALID', {
          option: '--out',
          expected: 'a folder, or - with standard output sent to a file or a program',
          received: '- on a terminal, which cannot show Arrow IPC',
        });
      }
      const isStream = flags.out === '-' && !flags.plan;
      const progress = await progressPrinter({ json: flags.json ?? false });
      await using events = openEvents(flags.eventsFd, isStream);
      const toTable = flags.out !== '-' && !flags.json;
      const shown = toTable && flags.show ? await openBeforeAfter(flags.show) : null;
      try {
        await untilInterrupted(INTERRUPT_WORDS, async (stop) => {
          const summary = await refineCorpus({
            ...corpusOptions(inputs, flags),
            stop,
            onProgress: (told) => {
              progress.update(told);
              events.progress(told);
            },
            onNotice: (line) => {
              progress.notice(line);
              events.notice(line);
            },
            onStreamed: events.streamed,
            ...(shown && {
              onDocument: (document) => shown.add(document),
              documentLimit: flags.show!,
            }),
          });
          progress.stop();
          if (shown) process.stdout.write(shown.text());
          // Where the rows go to standard output, what is said of them goes to the other.
          if (flags.out !== '-') printResult(flags.json, summary, () => tableOf(summary));
          else process.stderr.write(flags.json ? `${JSON.stringify(summary)}\n` : tableOf(summary));
          if (summary.interrupted) process.exitCode = 130;
          else if (summary.errors.length > 0) process.exitCode = 3;
          events.ended(summary);
        });
      } catch (error) {
        throw events.failed(error);
      } finally {
        progress.stop();
      }
    });
}

/** The table of a run, or of its plan. */
function tableOf(summary: RunSummary): string {
  return summary.plan ? planTable(summary.plan, summary.errors) : summaryTable(summary);
}

/** A text file without the line feed at its end. */
export function readSystem(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '');
  } catch (cause) {
    throw new GristmillError(
      'OPTION_INVALID',
      {
        option: '--system',
        expected: 'a text file',
        received: `${file}: ${(cause as Error).message}`,
      },
      { cause },
    );
  }
}

function estimatedShare(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value <= 1) return value;
  // An input that stands behind the flag is taken for its share.
  throw new InvalidArgumentError(
    'expected a share above 0 and at most 1 as in --estimate=0.02; inputs stand in front of it.',
  );
}

/** Says what the run would take and give. */
async function printEstimate(inputs: string[], flags: RefineFlags): Promise<void> {
  const { estimate: asked, workersCount, pricePerHour } = flags;
  const { estimateRefine } = await import('../refine/estimate.ts');
  const { estimateTable } = await import('./estimate-table.ts');
  const { isolate: _, ...run } = corpusOptions(inputs, flags);
  const estimate = await estimateRefine({
    ...run,
    ...(typeof asked === 'number' && { share: asked }),
    ...defined({ workersCount, pricePerHour }),
    onNotice: say,
  });
  printResult(flags.json, estimate, () => estimateTable(estimate));
}

function stages(text: string): string[] {
  const names = text.split(',').map((part) => part.trim());
  if (names.every((name) => name === 'document' || name === 'chunk')) return names;
  throw new InvalidArgumentError('expected document, chunk or document,chunk.');
}

/** Flags as library options; undefined ones are left out so that the library's defaults hold. */
export function corpusOptions(inputs: string[], flags: RefineFlags): RefineCorpusOptions {
  const { out, stages, docMode, docThreshold, freeDecoding, inProcess, plan, slabMb, ...rest } =
    flags;
  const { maxErrors, minKeptRatio, slabs, system, json: _, show: _show, ...others } = rest;
  const { keepScores, keepAllScores, worker, eventsFd: _fd, ...more } = others;
  const { estimate: _estimate, workersCount: _count, pricePerHour: _price, ...same } = more;
  const chosen = {
    ...same,
    system: system === undefined ? undefined : readSystem(system),
    inputs,
    out,
    stages: stages as RefineCorpusOptions['stages'],
    documentMode: docMode,
    documentThreshold: docThreshold,
    constrained: freeDecoding ? false : undefined,
    keepScores: keepAllScores ? 'all' : keepScores,
    isolate: !inProcess,
    worker: worker === undefined ? undefined : parseWorker(worker),
    planOnly: plan,
    execute: defined({ maxErrors, minKeptRatio }),
    slabBytes: slabMb === undefined ? undefined : slabMb * 2 ** 20,
    nSlabs: slabs,
  };
  return defined(chosen) as unknown as RefineCorpusOptions;
}

function defined<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(
    Object.entries(values).filter(([, value]) => value !== undefined),
  ) as Partial<T>;
}

/** Loaded where somebody asks: few runs show anything. */
async function openBeforeAfter(limit: number) {
  const [{ BeforeAfter }, { wantsColour }] = await Promise.all([
    import('./before-after.ts'),
    import('./colour.ts'),
  ]);
  return new BeforeAfter(limit, wantsColour(process.stdout));
}
