/** `gristmill mix collect`: parsing and printing around the collecting of runs. */
import { join } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { GristmillError, printable } from '../errors.ts';
import { type CollectedRuns, collectRuns } from '../mixture/collect.ts';
import { joinRuns, writeLosses, writeMixtures, writeRuns } from '../mixture/tables.ts';
import { defined, list } from './flags.ts';
import { printResult } from './say.ts';

interface Flags {
  readonly out: string;
  readonly indexColumn?: string;
  readonly indexFromFile?: boolean;
  readonly weightsPrefix?: string;
  readonly domains?: readonly string[];
  readonly losses?: Readonly<Record<string, string>>;
  readonly reduce: 'last' | 'min';
  readonly stepColumn?: string;
  readonly skipMissing?: boolean;
  readonly format: 'csv' | 'parquet';
  readonly json?: boolean;
}

/** Adds `collect` to `mix`. */
export function addCollectCommand(mix: Command): void {
  mix
    .command('collect')
    .description('runs from the tables of other trackers, in the column form that fit reads')
    .argument('<inputs...>', 'exports of a tracker (.csv, .parquet): a row a run, or a row a step')
    .requiredOption(
      '--out <path>',
      'folder for mixtures and losses, or one .csv or .parquet file for both',
    )
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
    .addOption(
      new Option('--format <format>', 'of the files in a folder')
        .choices(['csv', 'parquet'])
        .default('csv'),
    )
    .option('--json', 'print one JSON object')
    .action(collect);
}

async function collect(inputs: string[], flags: Flags): Promise<void> {
  const { out, weightsPrefix, domains, losses, reduce, stepColumn, json } = flags;
  if (flags.indexFromFile && flags.indexColumn !== undefined) {
    throw new GristmillError('OPTION_INVALID', {
      option: '--index-column',
      expected: 'no such flag with --index-from-file',
      received: flags.indexColumn,
    });
  }
  const collected = await collectRuns({
    inputs,
    reduce,
    onMissing: flags.skipMissing ? 'skip' : 'error',
    ...(flags.indexFromFile ? { indexColumn: null } : defined({ indexColumn: flags.indexColumn })),
    ...defined({ weightsPrefix, domains, losses, stepColumn }),
  });
  const files = await write(collected, out, flags.format);
  const { mixtures, nRows, nSkipped } = collected;
  const summary = {
    files,
    nRows,
    nRuns: collected.losses.ids.length,
    nSkipped,
    nRenormalised: mixtures?.nRenormalised ?? 0,
    domains: mixtures?.domains ?? [],
    targets: collected.losses.targets,
  };
  printResult(
    json,
    summary,
    () =>
      `${summary.nRuns} runs of ${nRows} rows, ${nSkipped} left out: ${files.map((each) => printable(each)).join(', ')}\n`,
  );
}

async function write(
  { mixtures, losses }: CollectedRuns,
  out: string,
  format: Flags['format'],
): Promise<string[]> {
  if (/\.(?:csv|parquet)$/i.test(out)) {
    if (mixtures) await writeRuns(out, joinRuns(mixtures, losses));
    else await writeLosses(out, losses);
    return [out];
  }
  const files = [join(out, `losses.${format}`)];
  if (mixtures) {
    files.unshift(join(out, `mixtures.${format}`));
    await writeMixtures(files[0]!, mixtures);
  }
  await writeLosses(files.at(-1)!, losses);
  return files;
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
