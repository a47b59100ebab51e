/** Surrogates on RegMix's published runs: Spearman × 100 on unseen mixtures, coverage, seconds. */
import type { SurrogateFamilyName } from '../../src/mixture/types.ts';
import type { Bench, BenchTable } from '../types.ts';
import {
  type Figures,
  figuresOf,
  hasPublishedRuns,
  meanFigures,
  PILE_CC,
  publishedRuns,
  regmixFolder,
} from './mixture-figures.ts';

const COLUMNS = [
  'model',
  'runs',
  'pile_cc 1M',
  'pile_cc 60M',
  'mean13 1M',
  'mean13 60M',
  '90 % covers',
  's a target',
  's with 5 folds, all',
];
const FAMILIES: readonly SurrogateFamilyName[] = [
  'ridge',
  'mixing-law',
  'power1',
  'power2',
  'gp',
  'gbdt',
  'ensemble',
];
const SMALL_SUBSETS = [0, 1, 2, 3];

export const bench: Bench = {
  name: 'mixture',
  async run({ quick, log }) {
    const table = (rows: BenchTable['rows'], notes: readonly string[]): BenchTable => ({
      title: 'Surrogates on the published runs of RegMix, Spearman × 100',
      columns: COLUMNS,
      rows,
      notes,
    });
    if (!hasPublishedRuns()) return table([], [`no data in ${regmixFolder}: nothing was measured`]);
    const runs = await publishedRuns();
    const targets = quick ? [PILE_CC] : runs.train.targets;
    const rows: (string | number)[][] = [];
    for (const model of FAMILIES) {
      log(model);
      const { seconds } = await figuresOf(runs, { model, targets: [PILE_CC] });
      rows.push(rowOf(model, 512, await figuresOf(runs, { model, targets, folds: 5 }), seconds));
    }
    for (const model of ['gbdt', 'ensemble'] as const) {
      log(`${model}, 64 runs`);
      const all: Figures[] = [];
      for (const seed of SMALL_SUBSETS) {
        all.push(await figuresOf(runs, { model, targets, nRuns: 64, seed, folds: 5 }));
      }
      const { seconds } = await figuresOf(runs, { model, targets: [PILE_CC], nRuns: 64 });
      rows.push(rowOf(model, '64, mean of 4', meanFigures(all), seconds));
    }
    return table(rows, [
      'Fitted on 512 runs of 1M models (or on seeded subsets), measured on 256 other mixtures at 1M and 60M.',
      'Published LightGBM: 98.45 / 98.64 (paper), 98.92 / 98.49 (notebook, which stops on the test runs); linear 90.08 / 89.26.',
      'Covers: share of unseen 1M losses inside the 90 % intervals that 5-fold cross-validation calibrated, mean of the targets.',
      quick ? 'quick: pile_cc only, mean13 is pile_cc' : '13 targets.',
    ]);
  },
};

function rowOf(
  model: string,
  runs: string | number,
  { pileCc, all, coverage, seconds }: Figures,
  targetSeconds: number,
): (string | number)[] {
  return [
    model,
    runs,
    ...[pileCc.small, pileCc.large, all.small, all.large].map((rho) => rho.toFixed(2)),
    coverage === null ? '–' : `${(100 * coverage).toFixed(1)} %`,
    targetSeconds.toFixed(1),
    seconds.toFixed(1),
  ];
}
