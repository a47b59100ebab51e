/** The definition of `gristmill annotate`; what it does is in ../annotate.ts and ../annotate-chunks.ts. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { ANNOTATE_CHUNKS_DEFAULTS } from '../../annotate/chunks/chunk-options.ts';
import { EXAMPLE_KINDS, type ExampleShares } from '../../annotate/chunks/shares.ts';
import { ANNOTATE_DOCUMENTS_DEFAULTS } from '../../annotate/label/label-types.ts';
import { CHUNK_WAYS } from '../../annotate/types.ts';
import type { DocumentsFlags } from '../annotate.ts';
import type { ChunksFlags } from '../annotate-chunks.ts';
import { share, wholeNumber, workerFlag } from '../flags.ts';
import { withExamples } from '../help.ts';
import { withObservers } from './observe.ts';

/** The `annotate` command. */
export function annotateCommand(): Command {
  const command = new Command('annotate').description('make labelled data for refiners');
  addDocumentsCommand(command);
  addChunksCommand(command);
  addPromptsCommand(command);
  return command;
}

function addDocumentsCommand(annotate: Command): void {
  const defaults = ANNOTATE_DOCUMENTS_DEFAULTS;
  const command = annotate
    .command('documents')
    .description('let an expert score documents, and keep or drop them by the scores')
    .argument('<inputs...>', 'files, folders or globs (.parquet, .jsonl[.gz|.zst], .arrow)')
    .optionsGroup('Input:')
    .option('--text-column <name>', 'column that holds the text (text)')
    .option('--id-column <name>', 'column that names a document')
    .option('--limit <n>', 'stop after n rows', wholeNumber(0))
    .optionsGroup('Output:')
    .requiredOption('--out <dir>', 'output folder, or s3://BUCKET/PREFIX')
    .option('--validation <r>', `share of domains that validate (${defaults.validation})`, share)
    .option(
      '--status-prefix <prefix>',
      'what the names of added columns begin with, where the corpus has such columns',
    )
    .option('--replace-status', 'let added columns take the place of columns of their name')
    .option('--json', 'print one JSON object instead of a table')
    .optionsGroup('What is asked:')
    .option(
      '--keep-rule <rule>',
      'prox: educational ≥ 3, or 2 and format ≥ 4 (default); edu:N: educational ≥ N, nothing else is asked',
    )
    .option(
      '--max-chars <n>',
      `characters of a text that the expert sees (${defaults.maxChars})`,
      wholeNumber(1),
    )
    .option('--answer-tokens <n>', `longest answer (${defaults.answerTokens})`, wholeNumber(1))
    .option('--prompts <dir>', 'folder of edited prompts')
    .option('--profile <name|file>', `how the refiner will be asked (${defaults.profile})`);
  command.optionsGroup('Workers:').addOption(workerFlag());
  expertOptions(command).action(async (inputs: string[], flags: DocumentsFlags) =>
    (await import('../annotate.ts')).documents(inputs, flags),
  );
  withExamples(command, [
    [
      'gristmill annotate documents corpus/ --limit 2000 --out labelled --expert-url http://127.0.0.1:8080/v1 --expert-model qwen3-32b',
      'by an endpoint; the same command goes on',
    ],
  ]);
}

function addChunksCommand(annotate: Command): void {
  const defaults = ANNOTATE_CHUNKS_DEFAULTS;
  const command = annotate
    .command('chunks')
    .description('make examples of windows and their programs, checked by executing them')
    .argument('<inputs...>', 'with --way gold labelled JSON lines, else a corpus')
    .optionsGroup('Input:')
    .option('--text-column <name>', 'column that holds the text (text)')
    .option('--id-column <name>', 'column that names a document')
    .option('--limit <n>', 'stop after n documents', wholeNumber(1))
    .option('--only-kept <file>', 'documents.parquet, at any address: only documents labelled keep')
    .optionsGroup('Output:')
    .requiredOption('--out <dir>', 'output folder, or s3://BUCKET/PREFIX')
    .option('--validation <r>', `share of domains that validate (${defaults.validation})`, share)
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
    .option('--seed <n>', 'of thinning', wholeNumber(0))
    .option('--json', 'print one JSON object instead of a table')
    .optionsGroup('Programs:')
    .addOption(
      new Option('--way <way>', 'where programs come from')
        .choices(CHUNK_WAYS)
        .makeOptionMandatory(),
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
    .option('--prompts <dir>', 'folder of edited prompts')
    .option(
      '--answer-tokens <n>',
      'longest answer of the expert, thought included (programs: 4 × the longest program; rewrite: by the window)',
      wholeNumber(1),
    );
  command.optionsGroup('Workers:').addOption(workerFlag());
  expertOptions(command).action(async (inputs: string[], flags: ChunksFlags) =>
    (await import('../annotate-chunks.ts')).chunks(inputs, flags),
  );
  withExamples(command, [
    [
      'gristmill annotate chunks gold.jsonl.gz --way gold --out set',
      'from pages with labels of lines; no expert is asked',
    ],
    [
      'gristmill annotate chunks corpus/ --way rewrite --out set --expert-gguf expert.gguf',
      'a local model copies every window without what does not belong',
    ],
  ]);
}

function addPromptsCommand(annotate: Command): void {
  const command = annotate
    .command('prompts')
    .description('write copies of the prompts, to edit and to use with --prompts')
    .optionsGroup('Output:')
    .requiredOption('--out <dir>', 'folder; files that are there stay')
    .option('--json', 'print one JSON object')
    .action(async (flags: { readonly out: string; readonly json?: boolean }) =>
      (await import('../annotate.ts')).prompts(flags),
    );
  withExamples(command, [
    ['gristmill annotate prompts --out prompts', 'then edit, and use them with --prompts prompts'],
  ]);
}

/** Adds the flags of an expert to a command. */
function expertOptions(command: Command): Command {
  command
    .optionsGroup('Expert, an endpoint or a local model:')
    .option('--expert-url <url>', 'OpenAI-compatible endpoint, e.g. http://127.0.0.1:8080/v1')
    .option('--expert-model <name>', 'model as the endpoint calls it')
    .option('--expert-gguf <file>', 'or: a local model with a chat template')
    .option(
      '--api-key-env <name>',
      'environment variable with the endpoint’s key (default: OPENAI_API_KEY, where it is set)',
    )
    .option('--concurrency <n>', 'requests under way at once (4)', wholeNumber(1, 1024))
    .option('--timeout <seconds>', 'time for one answer (120)', wholeNumber(1, 86_400))
    .option('--max-retries <n>', 'further attempts of a request (6)', wholeNumber(0, 1000))
    .option(
      '--expert-body <json>',
      'further fields of every request, e.g. {"enable_thinking":false}; null takes one away',
    )
    .option(
      '--expert-header <name: value...>',
      'further header of every request; the value env:NAME is read from that variable',
    )
    .optionsGroup('Budget:')
    .option(
      '--max-failures <n>',
      'failed requests in a row that end the run (20); prompts known to be too long do not count',
      wholeNumber(1),
    )
    .option('--max-requests <n>', 'stop in good order before more are sent', wholeNumber(0))
    .option('--max-tokens <n>', 'stop in good order before more are paid for', wholeNumber(0))
    .option(
      '--cache <dir>',
      'folder of the answers, or s3://BUCKET/PREFIX (default: <out>/_annotate/answers)',
    )
    .optionsGroup('Machine, for a local model:')
    .option('--device <device>', 'of a local model: cpu (default), cuda or cuda:0')
    .option('--threads <n>', 'CPU threads of a local model', wholeNumber(1, 512))
    .option('--slots <n>', 'answers a local model writes side by side', wholeNumber(1, 256));
  return withObservers(command);
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
