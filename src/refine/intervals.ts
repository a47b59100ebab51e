/**
 * Totals and shares of a corpus from a sample of clusters, with 90 % intervals: ratio estimators (Cochran 1977, chapter 6)
 * with Student's quantiles for the few clusters that a small sample has.
 */
import { quantile95 } from '../student.ts';

/** An estimate with its 90 % interval. */
export interface Interval {
  readonly estimate: number;
  readonly low: number;
  readonly high: number;
}

/** What was measured of sampled clusters, and how large a part of all they are. */
export interface ClusterSample {
  /** What is estimated, by cluster. */
  readonly values: readonly number[];
  /** Its measure of size, by cluster. */
  readonly sizes: readonly number[];
  /** Share of all clusters that were looked at, 0..1: what was seen needs no guess. */
  readonly sampledShare: number;
}

/** The sum of values per size, with its interval. */
export function ratioInterval({ values, sizes, sampledShare }: ClusterSample): Interval {
  const nClusters = values.length;
  const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);
  const [allValues, allSizes] = [sum(values), sum(sizes)];
  if (allSizes === 0) return { estimate: 0, low: 0, high: 0 };
  const ratio = allValues / allSizes;
  if (sampledShare >= 1) return { estimate: ratio, low: ratio, high: ratio };
  if (nClusters < 2) return { estimate: ratio, low: 0, high: Number.POSITIVE_INFINITY };
  // A large cluster draws the ratio to itself: its distance is that to a ratio without it (the jackknife's).
  const squares = sum(
    values.map((value, at) => {
      const own = sizes[at]! / allSizes;
      return own < 1 ? ((value - ratio * sizes[at]!) / (1 - own)) ** 2 : 0;
    }),
  );
  const meanSize = allSizes / nClusters;
  const variance = ((1 - sampledShare) * squares) / ((nClusters - 1) * nClusters * meanSize ** 2);
  const half = quantile95(nClusters - 1) * Math.sqrt(variance);
  return { estimate: ratio, low: Math.max(0, ratio - half), high: ratio + half };
}

/**
 * The same for a share of units, of which none or all may have been seen in the sample: at least what Wilson's interval
 * has for as many units as tell as much as these clusters do.
 *
 * @param nUnits units in the sample
 */
export function shareInterval(sample: ClusterSample, nUnits: number): Interval {
  const { estimate, low, high } = ratioInterval(sample);
  if (sample.sampledShare >= 1 || nUnits === 0) return { estimate, low, high };
  const quantile = quantile95(Math.max(1, sample.values.length - 1));
  const half = (high - low) / 2;
  const alone = (quantile ** 2 * estimate * (1 - estimate)) / nUnits;
  // Units of one cluster are alike: so many of them tell as much as one.
  const alike = alone > 0 && Number.isFinite(half) ? Math.max(1, half ** 2 / alone) : 1;
  const n = nUnits / alike;
  const square = quantile ** 2;
  const centre = (estimate + square / (2 * n)) / (1 + square / n);
  const around =
    (quantile * Math.sqrt((estimate * (1 - estimate)) / n + square / (4 * n * n))) /
    (1 + square / n);
  return { estimate, low: Math.max(0, centre - around), high: Math.min(1, centre + around) };
}

/** An interval times a number that is known. */
export function scaled({ estimate, low, high }: Interval, factor: number): Interval {
  return { estimate: estimate * factor, low: low * factor, high: high * factor };
}

/** The product of two that are guessed apart: their relative widths add up as squares. */
export function product(first: Interval, second: Interval): Interval {
  const estimate = first.estimate * second.estimate;
  const relative = (of: Interval, bound: number): number =>
    of.estimate === 0 ? 0 : Math.abs(bound - of.estimate) / of.estimate;
  const half = (side: 'low' | 'high'): number =>
    estimate * Math.hypot(relative(first, first[side]), relative(second, second[side]));
  return { estimate, low: Math.max(0, estimate - half('low')), high: estimate + half('high') };
}
