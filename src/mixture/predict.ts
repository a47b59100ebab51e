/**
 * Predictions of a fit with intervals.
 *
 * An interval is `mean ± h(level) × deviation`. h passes through the conformal half widths of cross-validation, straight
 * in the normal quantile between them, so it grows with the level; without cross-validation h is the normal quantile. What is
 * predicted outside of the losses of the runs has an interval that reaches back to them: nothing was measured beyond.
 */
import { GristmillError } from '../errors.ts';
import { counting, type OnProgress } from '../progress.ts';
import { type FittedMixture, INTERVAL_LEVELS, type TargetCalibration } from './fit-types.ts';
import { normalHalfWidth } from './statistics.ts';
import { alignDomains } from './tables.ts';
import type { MixtureTable, Prediction, RunTable } from './types.ts';

/** Predictions of one target. */
export interface TargetPrediction {
  readonly target: string;
  /** `[nMixtures]`. */
  readonly mean: Float64Array;
  /** Half widths of the intervals, `[nMixtures]`; null where nothing is known of the error. */
  readonly halfWidth: Float64Array | null;
  /** Mixtures that are predicted further outside of the losses of the runs than those lie apart, and how far they go. */
  readonly outside: readonly { readonly row: number; readonly mean: number }[];
  /** Least and largest loss of the runs. */
  readonly seen: readonly [least: number, largest: number];
}

/** Options of {@link predictMixtures}. */
export interface PredictOptions {
  /** Level of the intervals, above 0 and below 1. Default 0.9. */
  readonly level?: number;
  /** Of the mixtures, for messages. */
  readonly file?: string;
  /** Told how many predictions are made, a mixture and a target each. */
  readonly onProgress?: OnProgress | undefined;
}

/**
 * Predicts the losses of mixtures; columns are matched by name.
 *
 * @throws MIXTURE_TABLE_INVALID when the domains are not those of the fit, OPTION_INVALID
 */
export function predictMixtures(
  fit: FittedMixture,
  mixtures: MixtureTable,
  { level = 0.9, file, onProgress }: PredictOptions = {},
): TargetPrediction[] {
  if (!(level > 0 && level < 1)) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'level',
      expected: 'a number above 0 and below 1',
      received: level,
    });
  }
  const weights = alignDomains(mixtures, fit.domains, file);
  const total = mixtures.ids.length * fit.surrogates.length;
  const tell = counting(onProgress, { phase: 'predicting', unit: 'losses', total });
  return fit.surrogates.map((surrogate, targetIndex) => {
    const { mean, deviation } = predictInParts(surrogate, weights, fit.domains.length, tell);
    const seen = lossRange(fit.runs, targetIndex);
    const calibration = fit.calibration[targetIndex]!;
    const halfWidth = halfWidthsOf(calibration, { nRows: mean.length, deviation, level });
    // Losses of other sizes and token counts are no bounds of those at this one.
    const isBounded = surrogate.family !== 'scale';
    return {
      target: fit.targets[targetIndex]!,
      mean,
      halfWidth: isBounded ? reachingBack(halfWidth, mean, seen) : halfWidth,
      outside: Array.from(mean, (loss, row) => ({ row, mean: loss })).filter(
        (one) => isBounded && isFarOutside(one.mean, seen),
      ),
      seen,
    };
  });
}

/** Rows that are predicted at once. */
const ROWS_AT_ONCE = 4096;

/** Rows are predicted each by itself: in parts they come out as all at once. */
function predictInParts(
  surrogate: FittedMixture['surrogates'][number],
  weights: Float64Array,
  nDomains: number,
  tell: (nRows: number) => void,
): Prediction {
  const nRows = weights.length / nDomains;
  const parts: Prediction[] = [];
  for (let row = 0; row < nRows || row === 0; row += ROWS_AT_ONCE) {
    const end = Math.min(nRows, row + ROWS_AT_ONCE);
    parts.push(surrogate.predict(weights.subarray(row * nDomains, end * nDomains)));
    tell(end - row);
  }
  if (parts.length === 1) return parts[0]!;
  const joined = (values: readonly Float64Array[]): Float64Array => {
    const all = new Float64Array(nRows);
    for (const [at, part] of values.entries()) all.set(part, at * ROWS_AT_ONCE);
    return all;
  };
  const deviations = parts.flatMap(({ deviation }) => deviation ?? []);
  return {
    mean: joined(parts.map(({ mean }) => mean)),
    deviation: deviations.length < parts.length ? null : joined(deviations),
  };
}

/** Least and largest loss of a target's runs. */
export function lossRange(
  { losses, targets }: RunTable,
  target: number,
): [least: number, largest: number] {
  let [least, largest] = [losses[target]!, losses[target]!];
  for (let at = target; at < losses.length; at += targets.length) {
    least = Math.min(least, losses[at]!);
    largest = Math.max(largest, losses[at]!);
  }
  return [least, largest];
}

/** True where a prediction lies further outside of the losses of the runs than those lie apart; no number does. */
export function isFarOutside(loss: number, [least, largest]: readonly [number, number]): boolean {
  const width = largest - least;
  return !(loss >= least - width && loss <= largest + width);
}

/** Intervals that hold a loss of the runs; null where none has a width, as those of a target that never changed. */
export function reachingBack(
  halfWidth: Float64Array | null,
  mean: Float64Array,
  [least, largest]: readonly [number, number],
): Float64Array | null {
  if (halfWidth === null || halfWidth.every((half) => half === 0)) return null;
  return halfWidth.map((half, row) => Math.max(half, mean[row]! - largest, least - mean[row]!));
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
