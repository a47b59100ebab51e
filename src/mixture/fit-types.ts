/** Types of fits: what is asked, what comes out, what is reported. */
import { GristmillError } from '../errors.ts';
import {
  abortSignal,
  anObject,
  callback,
  flag,
  listOf,
  name,
  number,
  type OptionTable,
  text,
} from '../options.ts';
import type { ScaleReport } from './scale/types.ts';
import type { FittedSurrogate, RunTable, SurrogateFamilyName } from './types.ts';

/** Levels of intervals that are calibrated and reported. */
export const INTERVAL_LEVELS = [0.5, 0.8, 0.9, 0.95] as const;

/** Defaults of {@link FitMixtureOptions}. */
export const FIT_DEFAULTS = Object.freeze({
  model: 'ensemble' as SurrogateFamilyName,
  seed: 0,
  folds: 5,
  learningCurve: false,
});

/** Options of `fitMixture`. */
export interface FitMixtureOptions {
  readonly runs: RunTable;
  /** Family of the surrogates. Default `ensemble`. */
  readonly model?: SurrogateFamilyName;
  /** Targets to fit, whole names or without `metric/` and `_val_loss`. Default all. */
  readonly targets?: readonly string[];
  /** Fit on a seeded subset of so many runs. Default all. */
  readonly nRuns?: number;
  /** Of subsets, folds and fits. Default 0. */
  readonly seed?: number;
  /**
   * Folds of the cross-validation, 2..nRuns; 0 for none, then intervals are not calibrated. Default 5. Model `scale` leaves out
   * blocks of scale instead, or none for 0.
   */
  readonly folds?: number;
  /** Whether to fit on 32, 64, 128, … runs too, measured on a fifth that is left out. Default false. */
  readonly learningCurve?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: FitProgress) => void) | undefined;
}

/** Kinds of the values of {@link FitMixtureOptions}. */
export const FIT_TABLE: OptionTable<FitMixtureOptions> = {
  runs: anObject,
  model: text,
  targets: listOf(name),
  nRuns: number,
  seed: number,
  folds: number,
  learningCurve: flag,
  signal: abortSignal,
  onProgress: callback,
};

/** Folds as asked for. @throws OPTION_INVALID */
export function foldsAsked(folds: number, nRuns: number): number {
  if (folds === 0) return 0;
  if (!Number.isSafeInteger(folds) || folds < 2) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'folds',
      expected: '0, or a whole number of at least 2',
      received: folds,
    });
  }
  return Math.min(folds, nRuns);
}

/** Fits that are done. */
export interface FitProgress {
  readonly done: number;
  readonly total: number;
}

/** Where mixtures of the fitted runs lie, by domain. */
export interface SampledWeights {
  readonly mean: readonly number[];
  readonly min: readonly number[];
  readonly max: readonly number[];
}

/** How the deviations of a target's surrogate become intervals. */
export interface TargetCalibration {
  /** The deviation where the surrogate has none of its own: RMSE of cross-validation; null without it. */
  readonly deviation: number | null;
  /** Half widths in deviations at {@link INTERVAL_LEVELS}; null: those of the normal distribution. */
  readonly halfWidths: readonly number[] | null;
}

/** Coverage of intervals at {@link INTERVAL_LEVELS}, shares 0..1. */
export interface Coverage {
  /** Of `mean ± normal quantile × deviation`; null where the surrogate has no deviations. */
  readonly raw: readonly number[] | null;
  /** With half widths from the other folds. */
  readonly calibrated: readonly number[];
}

/** Measures of predictions. Correlations are null where the losses or the predictions do not vary. */
export interface Measures {
  readonly spearman: number | null;
  readonly pearson: number | null;
  readonly rmse: number;
  readonly mae: number;
}

/** Cross-validation of one target. */
export interface TargetReport extends Measures {
  readonly target: string;
  readonly coverage: Coverage;
}

/** Every run predicted by a fit that did not see it. */
export interface CrossValidation {
  readonly nFolds: number;
  readonly targets: readonly TargetReport[];
  /** Means over the targets that vary. */
  readonly mean: Measures;
  /** `[nTargets][nRuns]`. */
  readonly predicted: readonly (readonly number[])[];
  /** Half widths of the calibrated 90 % intervals, `[nTargets][nRuns]`. */
  readonly halfWidths90: readonly (readonly number[])[];
}

/** One size of the learning curve. */
export interface LearningCurvePoint {
  readonly nRuns: number;
  /** Subsets that the measures are means over. */
  readonly nRepeats: number;
  readonly spearman: number | null;
  readonly rmse: number;
  /** By target. */
  readonly targets: readonly {
    readonly target: string;
    readonly spearman: number | null;
    readonly rmse: number;
  }[];
}

/** Measures on runs that were left out, by the number of runs fitted on. */
export interface LearningCurve {
  readonly nHeldOut: number;
  readonly points: readonly LearningCurvePoint[];
}

/** What is known of a fit. */
export interface FitReport {
  readonly nRuns: number;
  readonly constantTargets: readonly string[];
  /** Consequences of the data that the user should know of. */
  readonly notes: readonly string[];
  readonly crossValidation: CrossValidation | null;
  readonly learningCurve: LearningCurve | null;
  /** Of model `scale`: what blocks of scale that were left out say. */
  readonly scale?: ScaleReport | undefined;
  readonly seconds: number;
}

/** A fit of all targets. */
export interface FittedMixture {
  readonly model: SurrogateFamilyName;
  readonly seed: number;
  readonly domains: readonly string[];
  readonly targets: readonly string[];
  /** By target. */
  readonly surrogates: readonly FittedSurrogate[];
  /** By target. */
  readonly calibration: readonly TargetCalibration[];
  readonly sampled: SampledWeights;
  /** The runs it was fitted on. */
  readonly runs: RunTable;
  readonly report: FitReport;
}
