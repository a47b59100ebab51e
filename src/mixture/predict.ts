/**
 * Predictions of a fit with intervals.
 *
 * An interval is `mean ± h(level) × deviation`. h passes through the conformal half widths of cross-validation, straight
 * in the normal quantile between them, so it grows with the level; without cross-validation h is the normal quantile.
 */
import { GristmillError } from '../errors.ts';
import { type FittedMixture, INTERVAL_LEVELS, type TargetCalibration } from './fit-types.ts';
import { normalHalfWidth } from './statistics.ts';
import { alignDomains } from './tables.ts';
import type { MixtureTable } from './types.ts';

/** Predictions of one target. */
export interface TargetPrediction {
  readonly target: string;
  /** `[nMixtures]`. */
  readonly mean: Float64Array;
  /** Half widths of the intervals, `[nMixtures]`; null where nothing is known of the error. */
  readonly halfWidth: Float64Array | null;
}

/** Options of {@link predictMixtures}. */
export interface PredictOptions {
  /** Level of the intervals, above 0 and below 1. Default 0.9. */
  readonly level?: number;
  /** Of the mixtures, for messages. */
  readonly file?: string;
}

/**
 * Predicts the losses of mixtures; columns are matched by name.
 *
 * @throws MIXTURE_TABLE_INVALID when the domains are not those of the fit, OPTION_INVALID
 */
export function predictMixtures(
  fit: FittedMixture,
  mixtures: MixtureTable,
  { level = 0.9, file }: PredictOptions = {},
): TargetPrediction[] {
  if (!(level > 0 && level < 1)) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'level',
      expected: 'a number above 0 and below 1',
      received: level,
    });
  }
  const weights = alignDomains(mixtures, fit.domains, file);
  return fit.surrogates.map((surrogate, targetIndex) => {
    const { mean, deviation } = surrogate.predict(weights);
    const calibration = fit.calibration[targetIndex]!;
    return {
      target: fit.targets[targetIndex]!,
      mean,
      halfWidth: halfWidthsOf(calibration, { nRows: mean.length, deviation, level }),
    };
  });
}

/** Half widths of intervals; null where there is no deviation. */
export function halfWidthsOf(
  calibration: TargetCalibration,
  {
    nRows,
    deviation,
    level,
  }: { readonly nRows: number; readonly deviation: Float64Array | null; readonly level: number },
): Float64Array | null {
  const factor = halfWidthAt(calibration.halfWidths, level);
  if (deviation) return deviation.map((value) => value * factor);
  if (calibration.deviation === null) return null;
  return new Float64Array(nRows).fill(calibration.deviation * factor);
}

/** Half width in deviations at any level. */
export function halfWidthAt(halfWidths: readonly number[] | null, level: number): number {
  const quantile = normalHalfWidth(level);
  if (halfWidths === null) return quantile;
  let lower = { quantile: 0, half: 0 };
  for (const [place, half] of halfWidths.entries()) {
    const upper = { quantile: normalHalfWidth(INTERVAL_LEVELS[place]!), half };
    if (quantile <= upper.quantile) {
      const share = (quantile - lower.quantile) / (upper.quantile - lower.quantile);
      return lower.half + share * (upper.half - lower.half);
    }
    lower = upper;
  }
  return (quantile / lower.quantile) * lower.half;
}
