/** Definitions of the `gristmill mix` commands on fits: fit, predict, optimize, collect, report. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { FIT_DEFAULTS } from '../../mixture/fit-types.ts';
import { OPTIMIZE_MIXTURE_DEFAULTS } from '../../mixture/optimize/defaults.ts';
import type { SurrogateFamilyName } from '../../mixture/types.ts';
import { list, namedNumbers, number, positive, wholeNumber } from '../flags.ts';
import { withExamples } from '../help.ts';
import type { CollectFlags } from '../mix-collect.ts';
import type { FitFlags, PredictFlags } from '../mix-fit.ts';
import type { OptimizeFlags } from '../mix-optimize.ts';
import type { ReportFlags } from '../mix-report.ts';

const FAMILIES = Object.keys({
  ridge: true,
  gbdt: true,
  'mixing-law': true,
  power1: true,
  power2: true,
  gp: true,
  ensemble: true,
  scale: true,
} satisfies Record<SurrogateFamilyName, true>);

const level = number('a number above 0 and below 1', (value) => value > 0 && value < 1);

/** Adds the commands to `mix`. */
export function addFitCommands(mix: Command): void {
  addFitCommand(mix);
  addPredictCommand(mix);
  addOptimizeCommand(mix);
  addCollectCommand(mix);
  addReportCommand(mix);
}

/** Adds the flags of bounds: `mix sample` and `mix optimize` take the same. */
export function boundsOptions(command: Command): Command {
  return command
    .optionsGroup('Bounds:')
    .option('--budget-tokens <n>', 'tokens of the run, for epoch caps', positive)
    .option('--max-epochs <n>', 'times a domain may be seen', positive)
    .option('--min <weights>', 'smallest weights, name=0.1,…', namedNumbers)
    .option('--max <weights>', 'largest weights, name=0.5,…', namedNumbers);
}

function addFitCommand(mix: Command): void {
  const command = mix
    .command('fit')
    .description('fit surrogates of the losses to runs')
    .optionsGroup('Tables:')
    .requiredOption(
      '--mixtures <file>',
      'weights of the runs (.csv, .parquet): index, train_<domain>…',
    )
    .requiredOption(
      '--losses <file...>',
      'losses of the runs: index, metric/<target>_val_loss…; several sweeps of the same mixtures',
    )
    .option('--index-column <name>', 'column that names the runs (index, or one without a name)')
    .option('--domains <names>', 'columns of weights, by comma (train_…, or all numbers)', list)
    .option(
      '--targets <names>',
      'columns of losses to fit, by comma (metric/…_val_loss, or all numbers)',
      list,
    )
    .option('--ignore <names>', 'columns of either table to leave out, by comma', list)
    .option('--relative', 'weights have any sum, and every row is divided by its own')
    .option('--skip-missing', 'leave out runs that lack a finite loss or a mixture, and count them')
    .optionsGroup('Fit:')
    .addOption(
      new Option('--model <family>', 'family of the surrogates')
        .choices(FAMILIES)
        .default(FIT_DEFAULTS.model),
    )
    .option('--runs <n>', 'fit on a seeded subset of so many runs (all)', wholeNumber(1))
    .option(
      '--seed <n>',
      'of subsets, folds and fits',
      wholeNumber(0, 2 ** 32 - 1),
      FIT_DEFAULTS.seed,
    )
    .option(
      '--folds <n>',
      'folds of the cross-validation that intervals are calibrated on; 0: none',
      wholeNumber(0),
      FIT_DEFAULTS.folds,
    )
    .option('--learning-curve', 'also fit on 32, 64, 128, … runs, measured on a fifth left out')
    .optionsGroup('Output:')
    .requiredOption('--out <file>', 'the fit, as JSON')
    .option('--json', 'print one JSON object instead of a table')
    .action(async (flags: FitFlags) => (await import('../mix-fit.ts')).fit(flags));
  withExamples(command, [
    [
      'gristmill mix fit --mixtures mixtures.csv --losses sweep/losses.csv --out fit.json',
      'an ensemble, with intervals from five folds',
    ],
    [
      'gristmill mix fit --mixtures runs.csv --losses runs.csv --model scale --out fit.json',
      'runs of several sizes and token counts: columns params and tokens',
    ],
  ]);
}

function addPredictCommand(mix: Command): void {
  const command = mix
    .command('predict')
    .description('predict the losses of mixtures, with intervals')
    .argument('<fit.json>', 'a fit')
    .optionsGroup('Mixtures:')
    .requiredOption('--mixtures <file>', 'mixtures (.csv, .parquet): index, train_<domain>…')
    .option('--index-column <name>', 'column that names the mixtures (index)')
    .option('--ignore <names>', 'columns to leave out, by comma', list)
    .option('--relative', 'weights have any sum, and every row is divided by its own')
    .optionsGroup('Output:')
    .option('--level <p>', 'level of the intervals, above 0 and below 1', level, 0.9)
    .option('--at <scale>', 'fits of model scale: params=7e9,tokens=2e12', scale)
    .option('--allow-beyond', 'accept a scale beyond those of the runs')
    .option('--out <file>', 'write here instead of to standard output')
    .option('--json', 'JSON lines {index, predictions, interval} instead of CSV')
    .action(async (file: string, flags: PredictFlags) =>
      (await import('../mix-fit.ts')).predict(file, flags),
    );
  withExamples(command, [
    ['gristmill mix predict fit.json --mixtures candidates.csv', 'CSV on standard output'],
  ]);
}

function addOptimizeCommand(mix: Command): void {
  const { nDraws, nAveraged } = OPTIMIZE_MIXTURE_DEFAULTS;
  const command = mix
    .command('optimize')
    .description('propose the mixture with the best predicted losses')
    .argument('<fit.json>', 'a fit')
    .optionsGroup('Objective:')
    .option('--target <name...>', 'targets to minimise (all)')
    .option('--targets <weights>', 'or: with weights, name=2,other=1', namedNumbers)
    .option('--maximize <names>', 'those of them of which more is better, by comma', list)
    .addOption(
      new Option('--objective <kind>', 'of several targets')
        .choices(['mean', 'worst'])
        .default('mean'),
    )
    .option('--at <scale>', 'fits of model scale: the best there, params=7e9,tokens=2e12', scale)
    .option('--allow-beyond', 'accept a scale beyond those of the runs')
    .option('--relative-to-prior', 'score losses by how far they are above the prior’s')
    .option('--kl <weight>', 'penalty on KL(mixture, prior), e.g. 0.05', positive)
    .option('--confidence <c>', 'deviations added to the predicted loss, e.g. 1', positive);
  boundsOptions(command)
    .option('--domains <file>', 'prior, tokens, epoch caps (.yaml, .json, .csv)')
    .option('--freeze <file>', 'groups whose totals or ratios stay (.yaml, .json)')
    .option('--allow-outside', 'accept a proposal outside the hull of the fitted mixtures')
    .addOption(new Option('--inside', 'search inside the hull only').conflicts('allowOutside'))
    .optionsGroup('Search:')
    .addOption(
      new Option('--method <name>', 'exact descent, or the published simulation')
        .choices(['gradient', 'simulation'])
        .default('gradient'),
    )
    .option('--draws <n>', 'mixtures of the simulation', wholeNumber(1, 100_000_000), nDraws)
    .option('--top <n>', 'best draws that are averaged', wholeNumber(1, 1_000_000), nAveraged)
    .option('--seed <n>', 'seed', wholeNumber(0, 2 ** 32 - 1), 0)
    .optionsGroup('Output:')
    .option('--out <file...>', 'the proposal as .json, or as a table (.csv, .parquet)')
    .option('--json', 'print one JSON object')
    .action(async (file: string, flags: OptimizeFlags) =>
      (await import('../mix-optimize.ts')).optimize(file, flags),
    );
  withExamples(command, [
    [
      'gristmill mix optimize fit.json --targets web=1,code=2 --kl 0.05 --out mixture.json',
      'code counts twice, and the mixture stays near the prior',
    ],
    [
      'gristmill mix optimize fit.json --at params=7e9,tokens=2e12 --allow-beyond --domains domains.yaml',
      'the best mixture for that model, and how it moves on the way there; repeated tokens count less',
    ],
  ]);
}

function addCollectCommand(mix: Command): void {
  const command = mix
    .command('collect')
    .description('runs from the tables of other trackers, in the column form that fit reads')
    .argument('<inputs...>', 'exports of a tracker (.csv, .parquet): a row a run, or a row a step')
    .optionsGroup('Columns:')
    .option('--index-column <name>', 'column that names the run (index)')
    .option('--index-from-file', 'every file is a run, named as the file')
    .option('--weights-prefix <text>', 'start of the columns of weights (train_)')
    .addOption(
      new Option('--domains <names>', 'columns of weights by name, by comma')
        .argParser(list)
        .conflicts('weightsPrefix'),
    )
    .option(
      '--losses <target=column,…>',
      'columns of losses by target (those of the form metric/<target>_val_loss)',
      targetColumns,
    )
    .addOption(
      new Option('--reduce <which>', 'value of a run with many rows')
        .choices(['last', 'min'])
        .default('last'),
    )
    .option('--step-column <name>', 'column whose greatest number is the last (order of the rows)')
    .option('--skip-missing', 'leave out runs that lack a loss, and count them')
    .optionsGroup('Output:')
    .requiredOption(
      '--out <path>',
      'folder for mixtures and losses, or one .csv or .parquet file for both',
    )
    .addOption(
      new Option('--format <format>', 'of the files in a folder')
        .choices(['csv', 'parquet'])
        .default('csv'),
    )
    .option('--json', 'print one JSON object')
    .action(async (inputs: string[], flags: CollectFlags) =>
      (await import('../mix-collect.ts')).collect(inputs, flags),
    );
  withExamples(command, [
    [
      'gristmill mix collect wandb.csv --index-column run --step-column step --out runs.csv',
      'the last step of every run',
    ],
  ]);
}

function addReportCommand(mix: Command): void {
  const command = mix
    .command('report')
    .description('figures of a fit: one HTML file, and SVG and PNG files')
    .argument('<fit.json>', 'a fit')
    .optionsGroup('What is shown:')
    .option(
      '--proposal <file>',
      'mixture to show: first row of a .csv or .parquet, or JSON weights',
    )
    .option('--prior <file>', 'mixture to compare it with (the mean of the runs)')
    .option('--title <text>', 'heading')
    .optionsGroup('Output:')
    .requiredOption('--out <dir>', 'output folder')
    .option('--json', 'print one JSON object')
    .action(async (file: string, flags: ReportFlags) =>
      (await import('../mix-report.ts')).report(file, flags),
    );
  withExamples(command, [
    [
      'gristmill mix report fit.json --proposal mixture.json --out report',
      'open report/report.html',
    ],
  ]);
}

/** `params=7e9,tokens=2e12`. */
export function scale(text: string): { readonly params: number; readonly tokens: number } {
  const named = namedNumbers(text);
  const [params, tokens] = [named.get('params'), named.get('tokens')];
  if (named.size !== 2 || !(params! > 0) || !(tokens! > 0)) {
    throw new InvalidArgumentError('expected params=number,tokens=number, both above 0.');
  }
  return { params: params!, tokens: tokens! };
}

function targetColumns(text: string): Record<string, string> {
  const pairs = text.split(',').map((pair) => {
    const at = pair.indexOf('=');
    const [target, column] = [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
    if (at < 1 || target === '' || column === '') {
      throw new InvalidArgumentError('expected target=column by comma.');
    }
    return [target, column] as const;
  });
  return Object.fromEntries(pairs);
}
