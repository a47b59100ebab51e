/** The definition of `gristmill refine`; what it does is in ../refine.ts. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { PROFILES } from '../../refine/profiles.ts';
import { NAMED_REFINERS } from '../../refine/refiner-names.ts';
import { number, share, wholeNumber, workerFlag } from '../flags.ts';
import { withExamples } from '../help.ts';
import { refine } from '../refine.ts';
import { withObservers } from './observe.ts';

const seconds = number('a number of at least 0', (v) => v >= 0 && Number.isFinite(v));

export function refineCommand(): Command {
  const command = new Command('refine')
    .description('refine a corpus: a small LM writes a program for every document, executed here')
    .argument(
      '<inputs...>',
      'files, folders or globs (Parquet, JSON lines, Arrow IPC; CSV, TSV and .txt files by name), s3://, https:// and hf://datasets/ addresses; - is Arrow IPC on stdin',
    )

    .optionsGroup('Input:')
    .option(
      '--text-column <name>',
      'column that holds the text (text; else the only one of content, body, raw_content)',
    )
    .addOption(
      new Option('--text-per <what>', 'what a document of a .txt file is (file)').choices([
        'file',
        'line',
      ]),
    )
    .option('--id-column <name>', 'column that names a document in dropped/')
    .option(
      '--site',
      'count what sites repeat first, as evidence against lines, by the only column of URLs, hosts or domains',
    )
    .option('--no-site', 'do not look at sites, and say nothing of it')
    .option('--site-column <name>', 'the same by this column')
    .option('--sites <file>', 'counts by site that `sites count` has made, in place of a count')
    .option('--limit <n>', 'stop after n rows', wholeNumber(0))
    .option(
      '--infer-lines <n>',
      'JSON lines that are looked at to find columns, or all (default: all for Parquet and Arrow output, else 10,000)',
      (text) => (text === 'all' ? 'all' : wholeNumber(1)(text)),
    )
    .option(
      '--max-line-bytes <n>',
      'longest JSON line; longer ones are rejected (256 MiB)',
      wholeNumber(1),
    )
    .option(
      '--zstd-window-log <n>',
      'largest window of zstd JSON lines, 2^10 to 2^31 bytes of memory (27)',
      wholeNumber(10),
    )

    .optionsGroup('Output:')
    .requiredOption('--out <dir>', 'output folder; - writes Arrow IPC to stdout, without a ledger')
    .addOption(
      new Option(
        '--format <format>',
        'format of all output (default: jsonl.zst for what JSON lines came from, else parquet)',
      ).choices(['parquet', 'jsonl.zst']),
    )
    .option('--keep-original', 'add the column gristmill_original')
    .option(
      '--dropped-text',
      'keep the text of dropped documents, in dropped/ or with --keep-dropped',
    )
    .option('--keep-dropped', 'with --out -: leave dropped rows in the stream, without text')
    .option('--rejected <file>', 'with --out -: where rows go that cannot be rows')
    .option('--status-prefix <text>', 'what the names of added columns begin with (gristmill_)')
    .option('--replace-status', 'let added columns take the place of ones of their names')
    .option('--row-group-rows <n>', 'rows of an output row group', wholeNumber(1))
    .option('--unit-rows <n>', 'rows of a unit, about', wholeNumber(1))
    .option('--zstd-level <n>', 'compression level of the output, 1..19', wholeNumber(1))
    .option('--json', 'print one JSON object instead of a table')
    .option(
      '--events-fd <n>',
      'write what happens to this descriptor, as JSON lines',
      wholeNumber(3),
    )

    .optionsGroup('Models:')
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

    .optionsGroup('What is removed:')
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
    .addOption(
      new Option('--executor <name>', 'how programs are executed (strict)').choices([
        'strict',
        'compat',
      ]),
    )
    .option('--free-decoding', 'decode programs without the grammar, as the published scripts do')
    .option('--max-errors <n>', 'refused ops tolerated per window', wholeNumber(0))
    .option(
      '--min-kept-ratio <r>',
      'drop documents that keep a smaller share of their words, 0..1',
      share,
    )

    .optionsGroup('Scores, to cut anew without models:')
    .option('--keep-scores', 'keep scores of documents and lines beside the output, for --reuse')
    .option('--keep-all-scores', 'the same, with those of lines of dropped documents')
    .option(
      '--reuse <dir>',
      'cut anew by the scores that the run in dir has kept, at another threshold, without models',
    )

    .optionsGroup('Look before or at once:')
    .option('--plan', 'print the plan and stop')
    .option(
      '--estimate [share]',
      'refine a sample (0.02) into nothing and say what the run would take and give',
      estimatedShare,
    )
    .option('--workers-count <n>', 'with --estimate: workers like this machine', wholeNumber(1))
    .option('--price-per-hour <p>', 'with --estimate: price of a worker for an hour', seconds)
    .option('--seed <n>', 'seed of random models and of --estimate (1)', wholeNumber(0))
    .option(
      '--show <n>',
      'print what was removed from the first n edited and dropped documents',
      wholeNumber(0),
    )

    .optionsGroup('Machine:')
    .option('--device <device>', 'cpu, cuda, cuda:0 or cuda:0,1', 'cpu')
    .option('--threads <n>', 'CPU threads of the engine', wholeNumber(1))
    .option('--slots <n>', 'sequences decoded side by side, 1..256', wholeNumber(1))
    .option('--workers <n>', 'threads that execute programs', wholeNumber(1))
    .option('--slab-mb <n>', 'MiB of one shared-memory slab', wholeNumber(1))
    .option('--slabs <n>', 'number of slabs', wholeNumber(2))
    .option('--in-process', 'run in this process instead of a worker of its own')
    .option(
      '--watchdog <seconds>',
      'start the worker again when nothing moves for so long; 0: never (600)',
      seconds,
    )
    .option(
      '--lease <seconds>',
      'others may take the output over after so long without a sign of life, 10..3600 (30, or GRISTMILL_LEASE_SECONDS)',
      wholeNumber(10, 3600),
    )
    .option('--fail-fast', 'stop at the first bad file')
    .addOption(workerFlag())
    .action(refine);
  withObservers(command);
  return withExamples(command, [
    ['gristmill refine corpus/ --out refined', 'both stages with the default refiners'],
    [
      'gristmill refine corpus/ --out refined --estimate',
      'what that would take and give, from a sample; nothing is written',
    ],
    [
      'gristmill refine docs.jsonl.gz --out refined --stages chunk --retention 0.95',
      'lines only, and more of them',
    ],
    [
      'gristmill refine corpus/ --out stricter --reuse refined --retention 0.9',
      'another threshold without models, from the scores that --keep-scores has kept',
    ],
  ]);
}

function stages(text: string): string[] {
  const names = text.split(',').map((part) => part.trim());
  if (names.every((name) => name === 'document' || name === 'chunk')) return names;
  throw new InvalidArgumentError('expected document, chunk or document,chunk.');
}

function estimatedShare(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value > 0 && value <= 1) return value;
  // An input that stands behind the flag is taken for its share.
  throw new InvalidArgumentError(
    'expected a share above 0 and at most 1 as in --estimate=0.02; inputs stand in front of it.',
  );
}
