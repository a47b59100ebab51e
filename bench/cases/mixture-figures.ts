/**
 * Figures of surrogates on the published runs of RegMix (github.com/sail-sg/regmix, MIT): fitted on the 512 runs of 1M
 * models, measured on 256 other mixtures at 1M and at 60M. Losses of 60M models are lower; only their order is compared.
 *
 * Data: $GRISTMILL_DATA/regmix (default ../shared/data beside the package).
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fitMixture } from '../../src/mixture/fit.ts';
import { predictMixtures } from '../../src/mixture/predict.ts';
import { mean, meanOf, spearman } from '../../src/mixture/statistics.ts';
import { joinRuns, readLosses, readMixtures } from '../../src/mixture/tables.ts';
import type { RunTable, SurrogateFamilyName } from '../../src/mixture/types.ts';
import { packageRoot } from '../../src/paths.ts';

/** The target that RegMix minimises. */
export const PILE_CC = 'metric/the_pile_pile_cc_val_loss';

/** The published runs. */
export interface PublishedRuns {
  readonly train: RunTable;
  readonly small: RunTable;
  readonly large: RunTable;
}

/** Figures of one fit, Spearman × 100. */
export interface Figures {
  readonly pileCc: { readonly small: number; readonly large: number };
  /** Means over the targets that were fitted. */
  readonly all: { readonly small: number; readonly large: number };
  /** Share of unseen 1M losses inside the 90 % intervals, all targets; null where there are none. */
  readonly coverage: number | null;
  /** The same by target. */
  readonly coverages: readonly number[];
  readonly seconds: number;
}

/** Where the published runs would be. */
export const regmixFolder = join(
  process.env['GRISTMILL_DATA'] ?? join(packageRoot, '..', 'shared', 'data'),
  'regmix',
);

/** True where the published runs are there. */
export function hasPublishedRuns(): boolean {
  return existsSync(join(regmixFolder, 'train_mixture_1m.csv'));
}

/** Reads the published runs. */
export async function publishedRuns(): Promise<PublishedRuns> {
  const read = async (mixtures: string, losses: string): Promise<RunTable> =>
    joinRuns(
      await readMixtures(join(regmixFolder, mixtures)),
      await readLosses(join(regmixFolder, losses)),
    );
  return {
    train: await read('train_mixture_1m.csv', 'train_pile_loss_1m.csv'),
    small: await read('test_mixture_1m.csv', 'test_pile_loss_1m.csv'),
    large: await read('test_mixture_60m.csv', 'test_pile_loss_60m.csv'),
  };
}

/** Fits and measures. */
export async function figuresOf(
  { train, small, large }: PublishedRuns,
  {
    model,
    targets = train.targets,
    nRuns,
    seed = 0,
    folds = 0,
  }: {
    readonly model: SurrogateFamilyName;
    readonly targets?: readonly string[];
    readonly nRuns?: number;
    readonly seed?: number;
    readonly folds?: number;
  },
): Promise<Figures> {
  const start = performance.now();
  const size = nRuns === undefined ? {} : { nRuns };
  const fit = await fitMixture({ runs: train, model, targets, seed, folds, ...size });
  const seconds = (performance.now() - start) / 1000;
  const onSmall = predictMixtures(fit, small);
  const onLarge = predictMixtures(fit, large);
  const rhoOf = (runs: RunTable, predicted: Float64Array, target: string): number =>
    100 * spearman(lossesOf(runs, target), predicted)!;
  const rhos = targets.map((target, place) => ({
    target,
    small: rhoOf(small, onSmall[place]!.mean, target),
    large: rhoOf(large, onLarge[place]!.mean, target),
  }));
  const coverages = onSmall.flatMap(({ target, mean: predicted, halfWidth }) => {
    if (halfWidth === null) return [];
    const losses = lossesOf(small, target);
    const hits = losses.filter(
      (loss, run) => Math.abs(loss - predicted[run]!) <= halfWidth[run]!,
    ).length;
    return [hits / losses.length];
  });
  const pileCc = rhos.find(({ target }) => target === PILE_CC) ?? rhos[0]!;
  return {
    pileCc: { small: pileCc.small, large: pileCc.large },
    all: {
      small: mean(rhos.map((rho) => rho.small)),
      large: mean(rhos.map((rho) => rho.large)),
    },
    coverage: coverages.length === 0 ? null : mean(coverages),
    coverages,
    seconds,
  };
}

/** Means of figures, number by number. */
export function meanFigures(all: readonly Figures[]): Figures {
  const over = (value: (figures: Figures) => number): number => mean(all.map(value));
  return {
    pileCc: { small: over((one) => one.pileCc.small), large: over((one) => one.pileCc.large) },
    all: { small: over((one) => one.all.small), large: over((one) => one.all.large) },
    coverage: meanOf(all.map((one) => one.coverage)),
    coverages: all.flatMap((one) => one.coverages),
    seconds: over((one) => one.seconds),
  };
}

function lossesOf({ targets, ids, losses }: RunTable, target: string): Float64Array {
  const column = targets.indexOf(target);
  return Float64Array.from(ids, (_, run) => losses[run * targets.length + column]!);
}
