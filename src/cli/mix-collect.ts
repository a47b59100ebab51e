/** `gristmill mix collect`: parsing and printing around the collecting of runs. */
import { join } from 'node:path';
import { GristmillError, printable } from '../errors.ts';
import { type CollectedRuns, collectRuns } from '../mixture/collect.ts';
import { joinRuns, writeLosses, writeMixtures, writeRuns } from '../mixture/tables.ts';
import { defined } from './flags.ts';
import { progressLine, tellOn } from './progress-line.ts';
import { printResult } from './say.ts';

/** Flags of `mix collect`. */
export interface CollectFlags {
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

/** The action of `mix collect`. */
export async function collect(inputs: string[], flags: CollectFlags): Promise<void> {
  const { out, weightsPrefix, domains, losses, reduce, stepColumn, json } = flags;
  if (flags.indexFromFile && flags.indexColumn !== undefined) {
    throw new GristmillError('OPTION_INVALID', {
      option: '--index-column',
      expected: 'no such flag with --index-from-file',
      received: flags.indexColumn,
    });
  }
  using line = progressLine(json);
  const collected = await collectRuns({
    inputs,
    reduce,
    onMissing: flags.skipMissing ? 'skip' : 'error',
    ...(flags.indexFromFile ? { indexColumn: null } : defined({ indexColumn: flags.indexColumn })),
    ...defined({ weightsPrefix, domains, losses, stepColumn }),
    onProgress: tellOn(line),
  });
  line.stop();
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
  format: CollectFlags['format'],
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
