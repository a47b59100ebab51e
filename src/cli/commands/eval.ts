/** The definition of `gristmill eval`; what it does is in ../eval.ts and ../eval-refiner.ts. */
import { Command, Option } from 'commander';
import type { LeaveOut } from '../../scorers/gold.ts';
import type { EvalFlags, LmFlags } from '../eval.ts';
import type { EvalRefinerFlags } from '../eval-refiner.ts';
import { share, wholeNumber } from '../flags.ts';
import { withExamples } from '../help.ts';

const LEAVE_OUT = Object.keys({
  source: true,
  'page-type': true,
  language: true,
} satisfies Record<LeaveOut, true>);

/** The `eval` command. */
export function evalCommand(): Command {
  const command = new Command('eval').description('measure refiners on labelled pages');
  addLinesCommand(command);
  addDocumentsCommand(command);
  addLmCommand(command);
  addRefinerCommand(command);
  return command;
}

function labelledOptions(command: Command): Command {
  return command
    .optionsGroup('What is measured:')
    .requiredOption('--refiner <name>', 'what is measured')
    .requiredOption('--data <file...>', 'labelled JSON lines (.jsonl, .jsonl.gz, .jsonl.zst)')
    .optionsGroup('Training for it:')
    .option(
      '--folds <k>',
      'cross-validate over domains: train on the others, score each',
      wholeNumber(2),
    )
    .addOption(
      new Option(
        '--leave-out <what>',
        'score each source (type of page or kind of document, language) by a refiner that saw none of it',
      )
        .choices(LEAVE_OUT)
        .conflicts('folds'),
    )
    .option('--train <file...>', 'labelled JSON lines to train on; shared domains are left out')
    .optionsGroup('Output:')
    .option('--json', 'print one JSON object');
}

function addLinesCommand(parent: Command): void {
  const command = labelledOptions(
    parent
      .command('lines')
      .description(
        'keep or remove for every line: keep-all, c4, gopher, fasttext-style, logistic, boosted, line-score, default, programs, or a GGUF file',
      ),
  )
    .optionsGroup('What is measured:')
    .option('--noise-share <r>', 'take out all but this share of the noise lines, 0..1', share)
    .option(
      '--sites',
      'measure pages whose domain has several, without and with what they repeat as evidence',
    )
    .action(async (flags: EvalFlags) => (await import('../eval.ts')).evalLines(flags));
  withExamples(command, [
    [
      'gristmill eval lines --refiner default --data pages.jsonl',
      'the package’s model on your pages',
    ],
    [
      'gristmill eval lines --refiner logistic --data pages.jsonl --folds 5',
      'trained on the others',
    ],
  ]);
}

function addDocumentsCommand(parent: Command): void {
  const command = labelledOptions(
    parent
      .command('documents')
      .description(
        'keep or drop for every document: keep-all, words, c4, gopher, fasttext-style, logistic, document-score, default, or a GGUF file',
      ),
  ).action(async (flags: EvalFlags) => (await import('../eval.ts')).evalDocuments(flags));
  withExamples(command, [
    ['gristmill eval documents --refiner default --data documents.jsonl', 'accuracy by kind'],
  ]);
}

function addLmCommand(parent: Command): void {
  const command = parent
    .command('lm')
    .description('loss of a language model on the texts of a corpus, by token and by byte')
    .optionsGroup('What is measured:')
    .requiredOption('--model <gguf>', 'llama model with its tokenizer')
    .requiredOption('--data <file...>', 'files, folders and globs of a corpus')
    .option('--text-column <name>', 'column that holds the text')
    .optionsGroup('Output:')
    .option('--json', 'print one JSON object')
    .action(async (flags: LmFlags) => (await import('../eval.ts')).evalLm(flags));
  withExamples(command, [
    [
      'gristmill eval lm --model model.gguf --data held-out.parquet',
      'nats, perplexity, bits a byte',
    ],
  ]);
}

function addRefinerCommand(parent: Command): void {
  const command = parent
    .command('refiner')
    .description('programs of a refiner, or of a second annotator, against annotated windows')
    .optionsGroup('What is measured:')
    .requiredOption('--data <file...>', 'annotated windows (.parquet, .jsonl[.gz|.zst])')
    .option(
      '--refiner <name|gguf>',
      'programs, default, prox-web, prox-math, ultrax, or the file of a model that writes programs or scores lines',
    )
    .option('--against <file>', 'compare with the programs of this file instead')
    .addOption(
      new Option('--split <part>', 'which part is measured')
        .choices(['validation', 'train', 'all'])
        .default('validation'),
    )
    .option('--limit <n>', 'windows to measure, at most', wholeNumber(1))
    .optionsGroup('Models:')
    .option('--profile <name|file>', 'how the refiner is asked (default: the file beside it)')
    .option('--system <file>', 'system text of the chat in place of the profile’s, UTF-8')
    .option('--free-decoding', 'decode without the grammar')
    .optionsGroup('Machine:')
    .option('--device <device>', 'cpu, cuda or cuda:<index>', 'cpu')
    .option('--threads <n>', 'CPU threads', wholeNumber(1))
    .option('--slots <n>', 'sequences decoded side by side', wholeNumber(1))
    .optionsGroup('Output:')
    .option('--json', 'print one JSON object')
    .action(async (flags: EvalRefinerFlags) =>
      (await import('../eval-refiner.ts')).evalRefiner(flags),
    );
  withExamples(command, [
    ['gristmill eval refiner --refiner programs --data set/chunks.parquet', 'on what validates'],
    [
      'gristmill eval refiner --data set/chunks.parquet --against set/chunks.parquet --split all',
      'whether executing again reproduces the labels',
    ],
  ]);
}
