/**
 * Fits of surrogates to runs, all targets at once (RegMix, arXiv 2407.01492 §3.2), with what is needed to trust them:
 * cross-validation, calibrated intervals and a learning curve. The same runs, options and seed give the same fit.
 *
 * All fits of a call, those of folds and subsets too, are tasks of one queue; a few are under way at a time, because a
 * family computes on native threads of its own.
 */
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';
import { GristmillError, throwIfAborted } from '../errors.ts';
import { checkOptions } from '../options.ts';
import { seededRandom, shuffle } from '../seeded.ts';
import { foldsOf, type LeftOut, reportOf } from './cross-validation.ts';
import {
  doubtsOf,
  isConstant,
  limitNotes,
  lossesOf,
  notesOf,
  sampledWeights,
} from './fit-notes.ts';
import { fitOverScales } from './fit-over-scales.ts';
import {
  type CrossValidation,
  FIT_DEFAULTS,
  FIT_TABLE,
  type FitMixtureOptions,
  type FittedMixture,
  foldsAsked,
  type LearningCurve,
  type LearningCurvePoint,
  type TargetCalibration,
} from './fit-types.ts';
import { pickScales } from './scale-columns.ts';
import { mean, meanOf, rmse, spearman } from './statistics.ts';
import { SURROGATE_FAMILIES } from './surrogates/families.ts';
import { targetName } from './tables.ts';
import type {
  FittedSurrogate,
  RunTable,
  SurrogateData,
  SurrogateFamily,
  SurrogateFamilyName,
} from './types.ts';

const FIRST_CURVE_SIZE = 32;
const HELD_OUT_SHARE = 0.2;
const CURVE_REPEATS = 3;

/** One fit that is to be made, and what is done with it. */
interface Task {
  readonly targetIndex: number;
  readonly trainRuns: Int32Array;
  readonly seed: number;
  /** Of fits whose deviations are not their last word: folds take the scale of the whole fit. */
  readonly unscaled: boolean;
  take(fitted: FittedSurrogate): void;
}

/**
 * Fits all targets of the runs.
 *
 * @throws MIXTURE_DATA_TOO_SMALL with fewer runs than the family needs, in a fold too; OPTION_INVALID, ABORTED
 * @see RegMix §3.2
 */
export async function fitMixture(options: FitMixtureOptions): Promise<FittedMixture> {
  checkOptions<FitMixtureOptions>('fitMixture', options, FIT_TABLE, ['runs']);
  const start = performance.now();
  const { model = FIT_DEFAULTS.model, seed = FIT_DEFAULTS.seed, signal } = options;
  const family = model === 'scale' ? null : familyOf(model);
  const runs = chosenRuns(options, seed);
  if (family === null) return fitOverScales(runs, options, start);
  const { domains, targets } = runs;
  const nRuns = runs.ids.length;
  const nFolds = foldsAsked(options.folds ?? FIT_DEFAULTS.folds, nRuns);
  checkSize(family, { nRuns, nDomains: domains.length, nFolds });
  const order = Int32Array.from({ length: nRuns }, (_, run) => run);
  shuffle(order, seededRandom(seed));

  const surrogates: FittedSurrogate[] = [];
  const whole = targets.map((_, targetIndex): Task => {
    const trainRuns = Int32Array.from({ length: nRuns }, (_, run) => run);
    return {
      targetIndex,
      trainRuns,
      seed,
      unscaled: false,
      take: (fitted) => {
        surrogates[targetIndex] = fitted;
      },
    };
  });
  const validation = nFolds === 0 ? null : crossValidation(runs, order, nFolds, seed);
  const curve = options.learningCurve
    ? learningCurve(runs, order, { seed, minRuns: family.minRuns(domains.length) })
    : null;
  const tasks = [...whole, ...(validation?.tasks ?? []), ...(curve?.tasks ?? [])];
  await runTasks(family, runs, tasks, { signal, onProgress: options.onProgress });

  const validated = validation?.finish(surrogates) ?? null;
  return {
    model,
    seed,
    domains,
    targets,
    surrogates,
    calibration:
      validated?.calibration ??
      targets.map((): TargetCalibration => ({ deviation: null, halfWidths: null })),
    sampled: sampledWeights(runs),
    runs,
    report: {
      nRuns,
      constantTargets: targets.filter((_, target) => isConstant(runs, target)),
      notes: [
        ...notesOf(runs, options.learningCurve === true && curve === null),
        ...limitNotes(model, nRuns),
        ...doubtsOf(runs, surrogates, validated?.report ?? null),
      ],
      crossValidation: validated?.report ?? null,
      learningCurve: curve?.finish() ?? null,
      seconds: (performance.now() - start) / 1000,
    },
  };
}

/** The family of a name, of those fitted at one scale. @throws OPTION_INVALID */
export function familyOf(model: SurrogateFamilyName): SurrogateFamily {
  if (model !== 'scale' && Object.hasOwn(SURROGATE_FAMILIES, model)) {
    return SURROGATE_FAMILIES[model];
  }
  throw new GristmillError('OPTION_INVALID', {
    option: 'model',
    expected: `one of ${[...Object.keys(SURROGATE_FAMILIES), 'scale'].join(', ')}`,
    received: model,
  });
}

/** Fewer runs than the family needs, whole or in the smallest training part of a fold. */
function checkSize(
  family: SurrogateFamily,
  { nRuns, nDomains, nFolds }: { nRuns: number; nDomains: number; nFolds: number },
): void {
  const minimum = family.minRuns(nDomains);
  if (nRuns < minimum) {
    const what = `surrogate ${family.name} of ${nDomains} domains`;
    throw new GristmillError('MIXTURE_DATA_TOO_SMALL', { what, minimum, received: nRuns });
  }
  if (nFolds === 0) return;
  const smallest = nRuns - Math.ceil(nRuns / nFolds);
  if (smallest < minimum) {
    const what = `surrogate ${family.name} in ${nFolds}-fold cross-validation (0 folds leave it out)`;
    throw new GristmillError('MIXTURE_DATA_TOO_SMALL', { what, minimum, received: smallest });
  }
}

/** The runs and targets that were asked for, in their order. */
function chosenRuns({ runs, targets, nRuns }: FitMixtureOptions, seed: number): RunTable {
  const columns =
    targets === undefined
      ? runs.targets.map((_, column) => column)
      : targets.map((name) => targetColumn(runs.targets, name));
  const total = runs.ids.length;
  if (nRuns !== undefined && (!Number.isSafeInteger(nRuns) || nRuns < 1 || nRuns > total)) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'runs',
      expected: `a whole number in 1..${total}, the runs that are there`,
      received: nRuns,
    });
  }
  const order = Int32Array.from({ length: total }, (_, run) => run);
  if (nRuns !== undefined) shuffle(order, seededRandom(seed));
  const rows = order.slice(0, nRuns ?? total).sort();
  const nDomains = runs.domains.length;
  const weights = new Float64Array(rows.length * nDomains);
  const losses = new Float64Array(rows.length * columns.length);
  for (const [row, run] of rows.entries()) {
    weights.set(runs.weights.subarray(run * nDomains, (run + 1) * nDomains), row * nDomains);
    for (const [place, column] of columns.entries()) {
      losses[row * columns.length + place] = runs.losses[run * runs.targets.length + column]!;
    }
  }
  return {
    domains: runs.domains,
    targets: columns.map((column) => runs.targets[column]!),
    ids: Array.from(rows, (run) => runs.ids[run]!),
    weights,
    losses,
    ...(runs.scales && { scales: pickScales(runs.scales, rows) }),
  };
}

/** The column of a target, by its whole name or without the published prefix and suffix. @throws OPTION_INVALID */
export function targetColumn(targets: readonly string[], name: string): number {
  const whole = targets.indexOf(name);
  const column = whole >= 0 ? whole : targets.findIndex((target) => targetName(target) === name);
  if (column >= 0) return column;
  throw new GristmillError('OPTION_INVALID', {
    option: 'targets',
    expected: `one of ${targets.join(', ')}`,
    received: name,
  });
}

function crossValidation(
  runs: RunTable,
  order: Int32Array,
  nFolds: number,
  seed: number,
): {
  readonly tasks: readonly Task[];
  finish(whole: readonly FittedSurrogate[]): {
    readonly report: CrossValidation;
    readonly calibration: TargetCalibration[];
  };
} {
  const nRuns = runs.ids.length;
  const foldOf = foldsOf(order, nFolds);
  const predicted = runs.targets.map(() => new Float64Array(nRuns));
  const deviations: (Float64Array | null)[] = runs.targets.map(() => new Float64Array(nRuns));
  const all = Int32Array.from({ length: nRuns }, (_, run) => run);
  const tasks: Task[] = [];
  for (let fold = 0; fold < nFolds; fold++) {
    const trainRuns = all.filter((run) => foldOf[run] !== fold);
    const heldRuns = all.filter((run) => foldOf[run] === fold);
    for (const targetIndex of runs.targets.keys()) {
      tasks.push({
        targetIndex,
        trainRuns,
        seed,
        unscaled: true,
        take: (fitted) => {
          const { mean, deviation } = fitted.predict(weightsOf(runs, heldRuns));
          if (deviation === null) deviations[targetIndex] = null;
          for (const [place, run] of heldRuns.entries()) {
            predicted[targetIndex]![run] = mean[place]!;
            if (deviation && deviations[targetIndex]) {
              deviations[targetIndex][run] = deviation[place]!;
            }
          }
        },
      });
    }
  }
  return {
    tasks,
    finish: (whole) => {
      const leftOut = runs.targets.map(
        (target, targetIndex): LeftOut => ({
          target,
          losses: lossesOf(runs, targetIndex, all),
          predicted: predicted[targetIndex]!,
          deviation:
            deviations[targetIndex]?.map(
              (deviation) => deviation * (whole[targetIndex]!.deviationScale ?? 1),
            ) ?? null,
          isConstant: isConstant(runs, targetIndex),
        }),
      );
      return reportOf(leftOut, foldOf, nFolds);
    },
  };
}

/** Fits on subsets, measured on the first fifth of the order; null when there are too few runs. */
function learningCurve(
  runs: RunTable,
  order: Int32Array,
  { seed, minRuns }: { readonly seed: number; readonly minRuns: number },
): { readonly tasks: readonly Task[]; finish(): LearningCurve } | null {
  const nHeldOut = Math.round(order.length * HELD_OUT_SHARE);
  const heldRuns = order.slice(0, nHeldOut);
  const pool = order.slice(nHeldOut);
  if (nHeldOut < 2 || pool.length < Math.max(FIRST_CURVE_SIZE, minRuns)) return null;
  const sizes: number[] = [];
  for (let size = FIRST_CURVE_SIZE; size < pool.length; size *= 2) {
    if (size >= minRuns) sizes.push(size);
  }
  sizes.push(pool.length);
  const tasks: Task[] = [];
  const found: { size: number; targetIndex: number; spearman: number | null; rmse: number }[] = [];
  const heldWeights = weightsOf(runs, heldRuns);
  for (const size of sizes) {
    const nRepeats = size === pool.length ? 1 : CURVE_REPEATS;
    for (let repeat = 0; repeat < nRepeats; repeat++) {
      const subset = pool.slice();
      shuffle(subset, seededRandom(seed + 1 + repeat));
      const trainRuns = subset.slice(0, size).sort();
      for (const targetIndex of runs.targets.keys()) {
        const place = tasks.length;
        const losses = lossesOf(runs, targetIndex, heldRuns);
        const take = (fitted: FittedSurrogate): void => {
          const { mean: predicted } = fitted.predict(heldWeights);
          found[place] = {
            size,
            targetIndex,
            spearman: spearman(losses, predicted),
            rmse: rmse(losses, predicted),
          };
        };
        tasks.push({ targetIndex, trainRuns, seed, unscaled: true, take });
      }
    }
  }
  const pointOf = (size: number): LearningCurvePoint => {
    const byTarget = runs.targets.map((target, targetIndex) => {
      const mine = found.filter((one) => one.size === size && one.targetIndex === targetIndex);
      return {
        target,
        spearman: meanOf(mine.map((one) => one.spearman)),
        rmse: mean(mine.map((one) => one.rmse)),
        nRepeats: mine.length,
      };
    });
    const varying = byTarget.filter((_, targetIndex) => !isConstant(runs, targetIndex));
    return {
      nRuns: size,
      nRepeats: byTarget[0]!.nRepeats,
      spearman: meanOf(varying.map((one) => one.spearman)),
      rmse: varying.length === 0 ? 0 : mean(varying.map((one) => one.rmse)),
      targets: byTarget.map(({ target, spearman: rho, rmse: error }) => ({
        target,
        spearman: rho,
        rmse: error,
      })),
    };
  };
  return { tasks, finish: () => ({ nHeldOut, points: sizes.map(pointOf) }) };
}

async function runTasks(
  family: SurrogateFamily,
  runs: RunTable,
  tasks: readonly Task[],
  { signal, onProgress }: Pick<FitMixtureOptions, 'signal' | 'onProgress'>,
): Promise<void> {
  let next = 0;
  let done = 0;
  let failed = false;
  const work = async (): Promise<void> => {
    while (next < tasks.length && !failed) {
      const { targetIndex, trainRuns, seed, unscaled, take } = tasks[next++]!;
      try {
        throwIfAborted(signal, 'the fit');
        take(await family.fit(dataOf(runs, targetIndex, trainRuns), { seed, unscaled, signal }));
      } catch (error) {
        failed = true;
        throw error;
      }
      done++;
      onProgress?.({ done, total: tasks.length });
    }
  };
  const nWorkers = Math.max(2, availableParallelism());
  const results = await Promise.allSettled(Array.from({ length: nWorkers }, work));
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}

function dataOf(runs: RunTable, targetIndex: number, rows: Int32Array): SurrogateData {
  return {
    nRuns: rows.length,
    nDomains: runs.domains.length,
    weights: weightsOf(runs, rows),
    losses: lossesOf(runs, targetIndex, rows),
  };
}

function weightsOf({ domains, weights }: RunTable, rows: Int32Array): Float64Array {
  const nDomains = domains.length;
  const chosen = new Float64Array(rows.length * nDomains);
  for (const [place, run] of rows.entries()) {
    chosen.set(weights.subarray(run * nDomains, (run + 1) * nDomains), place * nDomains);
  }
  return chosen;
}
