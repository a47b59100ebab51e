/**
 * Case `estimate`: whether `refine --estimate` tells of a run what the run then takes and gives. A corpus is refined whole
 * before, between and after twenty estimates from 2 % of it with seeds of their own; counted is how often the truth lies
 * inside the 90 % interval.
 *
 * Text: $GRISTMILL_DATA/web-raw (default ../shared/data beside the package) four times, about 80 MB; without it the example
 * corpus, repeated.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/paths.ts';
import type { RefineEstimate } from '../../src/refine/estimate.ts';
import type { Interval } from '../../src/refine/intervals.ts';
import type { RunSummary } from '../../src/refine/statistics.ts';
import type { Bench, BenchContext, BenchTable } from '../types.ts';
import { median } from './median.ts';
import { costOf } from './process-cost.ts';

const SEEDS = { full: 20, quick: 5 };
const COPIES = { web: 4, examples: 160 };

export const bench: Bench = {
  name: 'estimate',
  async run(context: BenchContext): Promise<BenchTable> {
    const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-estimate-'));
    try {
      return await estimates(folder, context);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

async function estimates(folder: string, context: BenchContext): Promise<BenchTable> {
  const data = process.env['GRISTMILL_DATA'] ?? join(packageRoot, '..', 'shared', 'data');
  const raw = join(data, 'web-raw', 'web-raw-dev.parquet');
  const isWeb = existsSync(raw);
  const source = isWeb ? raw : join(packageRoot, 'examples', 'corpus.parquet');
  if (!isWeb) context.log(`no web text at ${raw}: the example corpus, repeated`);
  const inputs = Array.from({ length: isWeb ? COPIES.web : COPIES.examples }, (_, copy) => {
    return join(folder, `${copy}.parquet`);
  });
  for (const input of inputs) await copyFile(source, input);
  const refine = async (...flags: string[]): Promise<unknown> => {
    const main = join(packageRoot, 'dist/cli/main.js');
    const { stdout } = await costOf([
      process.execPath,
      main,
      'refine',
      ...inputs,
      ...flags,
      '--json',
    ]);
    return JSON.parse(stdout);
  };
  const runs: RunSummary[] = [];
  const refineWhole = async (): Promise<void> => {
    const out = join(folder, `whole-${runs.length}`);
    runs.push((await refine('--out', out)) as RunSummary);
    rmSync(out, { recursive: true });
    context.log(`whole: ${runs.at(-1)!.seconds.toFixed(1)} s`);
  };
  const found: RefineEstimate[] = [];
  const nSeeds = SEEDS[context.quick ? 'quick' : 'full'];
  await refineWhole();
  for (let seed = 1; seed <= nSeeds; seed++) {
    const flags = ['--out', join(folder, 'never'), '--estimate=0.02', '--seed', String(seed)];
    found.push((await refine(...flags)) as RefineEstimate);
    const { low, high } = found.at(-1)!.hours;
    context.log(`seed ${seed}: ${(low * 3600).toFixed(1)} to ${(high * 3600).toFixed(1)} s`);
    if (seed === nSeeds >> 1) await refineWhole();
  }
  await refineWhole();
  const [{ rowsIn, dropped, charsIn, charsOut }] = runs as [RunSummary];
  const seconds = median(runs.map((run) => run.seconds));
  const row = (
    name: string,
    truth: number,
    of: (estimate: RefineEstimate) => Interval,
    factor = 1,
  ): (string | number)[] => {
    const all = found.map(of);
    const nInside = all.filter(({ low, high }) => low <= truth && truth <= high).length;
    const middle = median(all.map(({ estimate }) => estimate));
    const width = median(all.map(({ low, high }) => high - low));
    const [one, two, three] = [truth, middle, width].map((value) => (value * factor).toFixed(3));
    return [name, one!, two!, three!, `${nInside} of ${nSeeds}`];
  };
  return {
    title: 'Estimates from 2 % of a corpus, and the corpus',
    columns: ['figure', 'whole run', 'median estimate', 'median width', 'inside 90 %'],
    rows: [
      row('seconds', seconds / 3600, ({ hours }) => hours, 3600),
      row('documents that stay', 1 - dropped / rowsIn, ({ kept }) => kept.rows),
      row('characters that stay', charsOut / charsIn, ({ kept }) => kept.characters),
    ],
    notes: [
      `${rowsIn.toLocaleString('en')} documents; whole runs took ${runs.map((run) => run.seconds.toFixed(1)).join(', ')} s.`,
    ],
  };
}
