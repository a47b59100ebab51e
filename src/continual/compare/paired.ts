/**
 * Differences of pairs with their interval, and a verdict: which of two is better, or that these measurements do not tell.
 *
 * Pairs of runs: the mean of d_k with s √(1/n) times Student's quantile. Texts of one pair of models: the ratio of sums
 * Σ nats / Σ bytes, whose variance comes from the residuals d_k − r b_k of its documents (Cochran 1977, chapter 6); that is
 * what other texts would change, and not what another training would.
 */
import { quantile95 } from '../../student.ts';

/** What a comparison says: the first is lower (`better`), higher (`worse`), or the interval holds 0. */
export type Verdict = 'better' | 'worse' | 'undecided';

/** A difference, first less second, with its 90 % interval. */
export interface PairedDifference {
  readonly nPairs: number;
  readonly mean: number;
  /** Null for fewer than two pairs. */
  readonly low: number | null;
  readonly high: number | null;
  readonly verdict: Verdict;
}

/** Mean of differences. @param differences first less second, one or more */
export function pairedDifference(differences: readonly number[]): PairedDifference {
  const nPairs = differences.length;
  const mean = differences.reduce((sum, one) => sum + one, 0) / nPairs;
  const squares = differences.reduce((sum, one) => sum + (one - mean) ** 2, 0);
  return judged(nPairs, mean, squares / (nPairs - 1) / nPairs);
}

/**
 * Difference of two ratios over the same documents, e.g. of nats a byte.
 *
 * @param differences first less second, by document
 * @param sizes of the documents, above 0 in sum
 */
export function pairedRatio(
  differences: ArrayLike<number>,
  sizes: ArrayLike<number>,
): PairedDifference {
  const nPairs = differences.length;
  let [sum, size] = [0, 0];
  for (let at = 0; at < nPairs; at++) {
    sum += differences[at]!;
    size += sizes[at]!;
  }
  const ratio = sum / size;
  let squares = 0;
  for (let at = 0; at < nPairs; at++) squares += (differences[at]! - ratio * sizes[at]!) ** 2;
  return judged(nPairs, ratio, (squares * nPairs) / (nPairs - 1) / size ** 2);
}

function judged(nPairs: number, mean: number, variance: number): PairedDifference {
  if (nPairs < 2) return { nPairs, mean, low: null, high: null, verdict: 'undecided' };
  const half = quantile95(nPairs - 1) * Math.sqrt(variance);
  const [low, high] = [mean - half, mean + half];
  return {
    nPairs,
    mean,
    low,
    high,
    verdict: high < 0 ? 'better' : low > 0 ? 'worse' : 'undecided',
  };
}
