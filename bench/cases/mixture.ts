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
  '90 % covers, own',
  'calibrated, pile_cc',
  's, all targets',
  's, pile_cc with 5 folds',
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
      const figures = await figuresOf(runs, { model, targets });
      const validated = await figuresOf(runs, { model, targets: [PILE_CC], folds: 5 });
      rows.push(rowOf(model, 512, figures, validated));
    }
    for (const model of ['gbdt', 'ensemble'] as const) {
      log(`${model}, 64 runs`);
      const all: Figures[] = [];
      const validated: Figures[] = [];
      for (const seed of SMALL_SUBSETS) {
        const subset = { model, nRuns: 64, seed };
        all.push(await figuresOf(runs, { ...subset, targets }));
        validated.push(await figuresOf(runs, { ...subset, targets: [PILE_CC], folds: 5 }));
      }
      rows.push(rowOf(model, '64, mean of 4', meanFigures(all), meanFigures(validated)));
    }
    return table(rows, [
      'Fitted on 512 runs of 1M models (or on seeded subsets), measured on 256 other mixtures at 1M and 60M.',
      'Published LightGBM: 98.45 / 98.64 (paper), 98.92 / 98.49 (notebook, which stops on the test runs); linear 90.08 / 89.26.',
      'Covers: share of unseen 1M losses inside 90 % intervals: those of the surrogate itself, mean of the targets, and those that 5-fold cross-validation calibrated.',
      quick ? 'quick: pile_cc only, mean13 is pile_cc' : '13 targets.',
    ]);
  },
};

function rowOf(
  model: string,
  runs: string | number,
  { pileCc, all, coverage, seconds }: Figures,
  validated: Figures,
): (string | number)[] {
  const percent = (share: number | null): string =>
    share === null ? '–' : `${(100 * share).toFixed(1)} %`;
  return [
    model,
    runs,
    ...[pileCc.small, pileCc.large, all.small, all.large].map((rho) => rho.toFixed(2)),
    percent(coverage),
    percent(validated.coverage),
    seconds.toFixed(1),
    validated.seconds.toFixed(1),
  ];
}
