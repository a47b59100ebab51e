/** The definition of `gristmill mix`: mixtures of domains (RegMix, arXiv 2407.01492). Fits are in mix-fits.ts. */
import { Command, Option } from 'commander';
import { BLEND_TARGETS } from '../../interop/blend-targets.ts';
import type { ProxyPreset } from '../../mixture/proxies/settings.ts';
import type { SampleWay } from '../../mixture/sample/sample.ts';
import { list, positive, toCount, toNumber, wholeNumber, workerFlag } from '../flags.ts';
import { withExamples } from '../help.ts';
import type { ApplyFlags } from '../mix-apply.ts';
import type { SampleFlags } from '../mix-sample.ts';
import type { ProxyFlags, TokenizeFlags } from '../mix-train.ts';
import { addFitCommands, boundsOptions, scale } from './mix-fits.ts';
import { withObservers } from './observe.ts';

const SAMPLE_WAYS = Object.keys({
  regmix: true,
  'regmix-paper': true,
  'space-filling': true,
  active: true,
} satisfies Record<SampleWay, true>);
const PROXY_PRESETS = Object.keys({ '1m': true, tiny: true } satisfies Record<ProxyPreset, true>);

/** The `mix` command. */
export function mixCommand(): Command {
  const mix = new Command('mix').description('find the mixture of domains to train on');
  addSampleCommand(mix);
  addTokenizeCommand(mix);
  addProxyCommand(mix);
  addFitCommands(mix);
  addApplyCommand(mix);
  return mix;
}

function addSampleCommand(mix: Command): void {
  const command = mix
    .command('sample')
    .description('choose the mixtures that proxies are trained on')
    .optionsGroup('Domains:')
    .option('--domains <file>', 'domains: name, tokens, prior, maxEpochs (.yaml, .json, .csv)')
    .option('--count <file...>', 'or: count the domains of a corpus')
    .option('--domain-column <name>', 'column that names the domain (domain)')
    .option('--text-column <name>', 'column of the text')
    .option('--tokenizer <gguf>', 'count tokens of this vocabulary (bytes)')
    .optionsGroup('Mixtures:')
    .requiredOption('--n <count>', 'mixtures', wholeNumber(1, 100_000))
    .addOption(
      new Option('--preset <way>', 'regmix and regmix-paper are the published sampler')
        .choices(SAMPLE_WAYS)
        .default('regmix'),
    )
    .option('--fit <fit.json>', 'active: the fit whose uncertainty is to fall')
    .option('--existing <file>', 'mixtures there are: kept away from, or taken as running')
    .option(
      '--at <scale>',
      'active, fits of model scale: what is to be known, params=7e9,tokens=2e12',
      scale,
    )
    .option(
      '--scales <scale...>',
      'active with --at: sizes and tokens that may be run (those of the fit)',
      (text: string, before: readonly { params: number; tokens: number }[] | undefined) => [
        ...(before ?? []),
        scale(text),
      ],
    )
    .option('--seed <n>', 'seed', wholeNumber(0, 2 ** 32 - 1), 42);
  boundsOptions(command)
    .optionsGroup('Repetition:')
    .option(
      '--repetition <file>',
      'write what a run of --budget-tokens will repeat, for mix train --repetition (.json)',
    )
    .option('--proxy-tokens <n>', 'tokens of a proxy: says what proxies are given', positive)
    .optionsGroup('Output:')
    .requiredOption('--out <file>', 'the mixtures (.csv, .parquet)')
    .option('--json', 'print one JSON object')
    .action(async (flags: SampleFlags) => (await import('../mix-sample.ts')).sample(flags));
  withExamples(command, [
    ['gristmill mix sample --domains domains.yaml --n 64 --out mixtures.csv', 'as RegMix samples'],
    [
      'gristmill mix sample --count corpus/*.parquet --n 64 --out mixtures.csv',
      'the domains are those of a column of the corpus',
    ],
  ]);
}

function addTokenizeCommand(mix: Command): void {
  const command = mix
    .command('tokenize')
    .description('tokenize the domains once, for all proxies; the same command goes on')
    .optionsGroup('Domains:')
    .requiredOption(
      '--domains <file>',
      'where the texts of each domain are: YAML, see docs/commands/mix-tokenize.md',
    )
    .option('--validation <share>', 'share of the documents that is held out', toNumber, 0.05)
    .optionsGroup('Vocabulary, one of both:')
    .addOption(
      new Option('--tokenizer <gguf>', 'GGUF file with a vocabulary').conflicts('trainTokenizer'),
    )
    .option('--train-tokenizer <size>', 'train a vocabulary of this size on all domains', toCount)
    .optionsGroup('Output:')
    .requiredOption('--out <dir>', 'folder of the store')
    .option('--json', 'print one JSON object instead of lines')
    .action(async (flags: TokenizeFlags, command: Command) =>
      (await import('../mix-train.ts')).tokenize(flags, command),
    );
  withExamples(command, [
    [
      'gristmill mix tokenize --domains domains.yaml --train-tokenizer 4096 --out store',
      'with a vocabulary of its own',
    ],
  ]);
}

function addProxyCommand(mix: Command): void {
  const command = mix
    .command('train')
    .description('train a proxy for every mixture; the same command goes on')
    .optionsGroup('Runs:')
    .requiredOption('--mixtures <file>', 'mixtures, one a row: CSV or Parquet, at any address')
    .requiredOption('--store <dir>', 'the token store of `mix tokenize`, at any address')
    .addOption(
      new Option('--blend <kind>', 'exact quotas, or domains drawn one by one').choices([
        'exact',
        'iid',
      ]),
    )
    .option(
      '--repetition <file>',
      'of mix sample: give proxies the part of each domain that they repeat as the target will',
    )
    .optionsGroup('Proxies:')
    .addOption(
      new Option('--preset <name>', 'size of the proxies').choices(PROXY_PRESETS).default('tiny'),
    )
    .option('--steps <n>', 'optimiser steps', toCount)
    .option('--batch <n>', 'sequences of a step', toCount)
    .option('--micro-batch <n>', 'sequences of a pass through the model', toCount)
    .option('--lr <rate>', 'learning rate after the warm-up', toNumber)
    .option('--warmup <n>', 'steps of linear warm-up', toNumber)
    .option('--eval-every <n>', 'steps between measurements; 0 for the end only', toNumber)
    .option('--eval-windows <n>', 'validation windows of a domain, at most', toCount)
    .option('--seed <n>', 'of weights and data order, the same in all runs', toNumber)
    .optionsGroup('Machine:')
    .option('--jobs <n>', 'proxies at a time; default one for every core or GPU', toCount)
    .option('--threads <n>', 'CPU threads of a proxy; default cores divided by jobs', toCount)
    .option('--device <name>', 'cpu, cuda:0 or cuda:0,1', 'cpu')
    .option(
      '--store-cache-gb <gb>',
      'GiB of fetched token stores kept on the local disk (64)',
      positive,
    )
    .addOption(workerFlag())
    .optionsGroup('Output:')
    .requiredOption('--out <dir>', 'folder of the sweep, or s3://BUCKET/PREFIX')
    .addOption(
      new Option('--format <name>', 'of the table of losses')
        .choices(['csv', 'parquet'])
        .default('csv'),
    )
    .option('--json', 'print one JSON object instead of lines')
    .action(async (flags: ProxyFlags) => (await import('../mix-train.ts')).trainSweep(flags));
  withObservers(command);
  withExamples(command, [
    [
      'gristmill mix train --mixtures mixtures.csv --store store --preset tiny --out sweep',
      'losses.csv has a row for every mixture in the end',
    ],
    [
      'gristmill mix train --mixtures s3://lab/mixtures.csv --store s3://lab/store --out s3://lab/sweep --worker env',
      'workers of a job array on one bucket',
    ],
  ]);
}

function addApplyCommand(mix: Command): void {
  const command = mix
    .command('apply')
    .description('make a corpus in which every domain has its share, or export the weights')
    .argument('<mixture>', 'weights by domain: JSON, YAML, or a table (.csv, .parquet)')
    .optionsGroup('Mixture:')
    .option('--row <index>', 'which mixture of a table')
    .option('--index-column <name>', 'column of a table that names the mixtures (index)')
    .option('--ignore <names>', 'columns of a table to leave out, by comma', list)
    .option('--relative', 'weights of a table have any sum, and are divided by it')
    .optionsGroup('Corpus:')
    .option(
      '--domains <file>',
      'where the texts of each domain are: YAML, see docs/commands/mix-tokenize.md',
    )
    .addOption(
      new Option('--rows <n>', 'documents in all')
        .argParser(toCount)
        .conflicts(['chars', 'tokens']),
    )
    .addOption(
      new Option('--chars <n>', 'characters in all').argParser(toCount).conflicts('tokens'),
    )
    .option('--tokens <n>', 'tokens in all; with --tokenizer', toCount)
    .option('--tokenizer <gguf>', 'GGUF file whose tokens are counted')
    .option('--max-epochs <n>', 'how often a document may appear', toCount, 4)
    .option('--seed <n>', 'of the choice and the order', toNumber, 0)
    .optionsGroup('Output:')
    .option('--out <dir>', 'folder of the corpus; with --export the file')
    .addOption(
      new Option('--format <name>', 'of the corpus')
        .choices(['parquet', 'jsonl.zst', 'arrow'])
        .default('parquet'),
    )
    .option('--file-rows <n>', 'rows of a file, at most', toCount, 500_000)
    .option('--json', 'print one JSON object instead of lines')
    .optionsGroup('Other trainers:')
    .addOption(
      new Option('--export <trainer>', 'print the weights in its form instead').choices([
        ...BLEND_TARGETS,
      ]),
    )
    .option('--paths <template>', 'with --export: path of a domain’s data', 'data/{domain}')
    .action(async (file: string, flags: ApplyFlags, command: Command) =>
      (await import('../mix-apply.ts')).apply(file, flags, command),
    );
  withExamples(command, [
    [
      'gristmill mix apply mixture.json --domains domains.yaml --rows 100000 --out mixed',
      'a corpus with these shares',
    ],
    ['gristmill mix apply mixture.json --export olmo-core', 'the weights for another trainer'],
  ]);
}
