/** Cross-validation of surrogates: from predictions of left-out runs to measures and calibrated intervals. */
import {
  type Coverage,
  type CrossValidation,
  INTERVAL_LEVELS,
  type Measures,
  type TargetCalibration,
  type TargetReport,
} from './fit-types.ts';
import { halfWidthsOf } from './predict.ts';
import {
  conformalQuantile,
  mean,
  meanAbsoluteError,
  meanOf,
  normalHalfWidth,
  pearson,
  rmse,
  spearman,
} from './statistics.ts';

/** Predictions of one target for every run by fits that did not see it. */
export interface LeftOut {
  readonly target: string;
  /** `[nRuns]`. */
  readonly losses: Float64Array;
  readonly predicted: Float64Array;
  /** Null where the surrogate has no deviations. */
  readonly deviation: Float64Array | null;
  readonly isConstant: boolean;
}

/** Runs of each fold: a shuffled order dealt out. */
export function foldsOf(order: Int32Array, nFolds: number): Int32Array {
  const foldOf = new Int32Array(order.length);
  for (const [place, run] of order.entries()) foldOf[run] = place % nFolds;
  return foldOf;
}

/** Correlations and errors. */
export function measure(losses: Float64Array, predicted: Float64Array): Measures {
  return {
    spearman: spearman(losses, predicted),
    pearson: pearson(losses, predicted),
    rmse: rmse(losses, predicted),
    mae: meanAbsoluteError(losses, predicted),
  };
}

/** Measures of all targets, and their calibrations. */
export function reportOf(
  leftOut: readonly LeftOut[],
  foldOf: Int32Array,
  nFolds: number,
): { readonly report: CrossValidation; readonly calibration: TargetCalibration[] } {
  const calibration = leftOut.map(calibrationOf);
  const targets = leftOut.map(
    (one): TargetReport => ({
      target: one.target,
      ...measure(one.losses, one.predicted),
      coverage: coverageOf(one, foldOf, nFolds),
    }),
  );
  const varying = targets.filter((_, place) => !leftOut[place]!.isConstant);
  return {
    calibration,
    report: {
      nFolds,
      targets,
      mean: {
        spearman: meanOf(varying.map((report) => report.spearman)),
        pearson: meanOf(varying.map((report) => report.pearson)),
        rmse: varying.length === 0 ? 0 : mean(varying.map((report) => report.rmse)),
        mae: varying.length === 0 ? 0 : mean(varying.map((report) => report.mae)),
      },
      predicted: leftOut.map(({ predicted }) => Array.from(predicted)),
      halfWidths90: leftOut.map(({ predicted, deviation }, place) =>
        Array.from(
          halfWidthsOf(calibration[place]!, { nRows: predicted.length, deviation, level: 0.9 })!,
        ),
      ),
    },
  };
}

/** Half widths that cover the levels on the left-out runs (split conformal, with the folds pooled). */
function calibrationOf({ losses, predicted, deviation, isConstant }: LeftOut): TargetCalibration {
  const constantDeviation = rmse(losses, predicted);
  const ratios = isConstant ? [] : ratiosOf(losses, predicted, deviation ?? constantDeviation);
  return {
    deviation: constantDeviation,
    halfWidths:
      ratios.length === 0 ? null : INTERVAL_LEVELS.map((level) => conformalQuantile(ratios, level)),
  };
}

/** Errors in deviations; runs whose deviation is 0 say nothing. */
function ratiosOf(
  losses: Float64Array,
  predicted: Float64Array,
  deviation: Float64Array | number,
  isUsed: (run: number) => boolean = () => true,
): number[] {
  const ratios: number[] = [];
  for (let run = 0; run < losses.length; run++) {
    const scale = typeof deviation === 'number' ? deviation : deviation[run]!;
    if (scale > 0 && isUsed(run)) ratios.push(Math.abs(losses[run]! - predicted[run]!) / scale);
  }
  return ratios;
}

function coverageOf(
  { losses, predicted, deviation }: LeftOut,
  foldOf: Int32Array,
  nFolds: number,
): Coverage {
  // The scale of a constant deviation cancels: half widths are quantiles of errors over it.
  const scale = deviation ?? 1;
  const hits = INTERVAL_LEVELS.map(() => 0);
  const rawHits = INTERVAL_LEVELS.map(() => 0);
  for (let fold = 0; fold < nFolds; fold++) {
    const ratios = ratiosOf(losses, predicted, scale, (run) => foldOf[run] !== fold);
    for (const [place, level] of INTERVAL_LEVELS.entries()) {
      const half = ratios.length === 0 ? 0 : conformalQuantile(ratios, level);
      for (let run = 0; run < losses.length; run++) {
        if (foldOf[run] !== fold) continue;
        const error = Math.abs(losses[run]! - predicted[run]!);
        const unit = typeof scale === 'number' ? scale : scale[run]!;
        if (error <= half * unit) hits[place]!++;
        if (error <= normalHalfWidth(level) * unit) rawHits[place]!++;
      }
    }
  }
  const share = (count: number): number => count / losses.length;
  return { raw: deviation ? rawHits.map(share) : null, calibrated: hits.map(share) };
}
