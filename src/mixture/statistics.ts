/** Measures of predictions, and the normal distribution. */

/**
 * Ranks from 1; equal values share the mean of their ranks.
 *
 * @param values finite
 */
export function ranks(values: ArrayLike<number>): Float64Array {
  const order = Uint32Array.from(values, (_, place) => place).sort(
    (left, right) => values[left]! - values[right]!,
  );
  const result = new Float64Array(values.length);
  for (let first = 0; first < order.length; ) {
    let end = first + 1;
    while (end < order.length && values[order[end]!] === values[order[first]!]) end++;
    for (let place = first; place < end; place++) result[order[place]!] = (first + 1 + end) / 2;
    first = end;
  }
  return result;
}

/** Pearson's correlation, -1..1; null where a side is constant or there are fewer than two pairs. */
export function pearson(left: ArrayLike<number>, right: ArrayLike<number>): number | null {
  const nPairs = left.length;
  const leftMean = mean(left);
  const rightMean = mean(right);
  let both = 0;
  let leftSquares = 0;
  let rightSquares = 0;
  for (let pair = 0; pair < nPairs; pair++) {
    const leftOff = left[pair]! - leftMean;
    const rightOff = right[pair]! - rightMean;
    both += leftOff * rightOff;
    leftSquares += leftOff * leftOff;
    rightSquares += rightOff * rightOff;
  }
  const scale = Math.sqrt(leftSquares) * Math.sqrt(rightSquares);
  if (!(nPairs > 1 && scale > 0)) return null;
  return Math.max(-1, Math.min(1, both / scale));
}

/** Spearman's rank correlation, -1..1; ties share their mean rank; null as in {@link pearson}. */
export function spearman(left: ArrayLike<number>, right: ArrayLike<number>): number | null {
  return pearson(ranks(left), ranks(right));
}

/** Root of the mean squared difference. */
export function rmse(left: ArrayLike<number>, right: ArrayLike<number>): number {
  let sum = 0;
  for (let pair = 0; pair < left.length; pair++) sum += (left[pair]! - right[pair]!) ** 2;
  return Math.sqrt(sum / left.length);
}

/** Mean absolute difference. */
export function meanAbsoluteError(left: ArrayLike<number>, right: ArrayLike<number>): number {
  let sum = 0;
  for (let pair = 0; pair < left.length; pair++) sum += Math.abs(left[pair]! - right[pair]!);
  return sum / left.length;
}

/** Mean; NaN of nothing. */
export function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let place = 0; place < values.length; place++) sum += values[place]!;
  return sum / values.length;
}

/** Mean of those that are not null; null of nothing. */
export function meanOf(values: readonly (number | null)[]): number | null {
  const present = values.filter((value) => value !== null);
  return present.length === 0 ? null : mean(present);
}

/**
 * The smallest of `values` that at least `ceil((n + 1) · level)` of them do not exceed, as conformal intervals need it;
 * the largest value where that is more than all.
 *
 * @param values at least one
 * @param level 0..1
 */
export function conformalQuantile(values: Iterable<number>, level: number): number {
  const sorted = Float64Array.from(values).sort();
  const rank = Math.ceil((sorted.length + 1) * level);
  return sorted[Math.min(sorted.length, Math.max(1, rank)) - 1]!;
}

// Coefficients of Acklam's rational approximation of the normal quantile.
const CENTRE_ABOVE = [
  -3.969683028665376e1, 2.209460984245205e2, -2.759285104469687e2, 1.38357751867269e2,
  -3.066479806614716e1, 2.506628277459239,
];
const CENTRE_BELOW = [
  -5.447609879822406e1, 1.615858368580409e2, -1.556989798598866e2, 6.680131188771972e1,
  -1.328068155288572e1, 1,
];
const TAIL_ABOVE = [
  -7.784894002430293e-3, -3.223964580411365e-1, -2.400758277161838, -2.549732539343734,
  4.374664141464968, 2.938163982698783,
];
const TAIL_BELOW = [
  7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416, 1,
];
const TAIL = 0.02425;

/**
 * Quantile of the standard normal distribution, relative error below 1.2e-9.
 *
 * @param probability in (0, 1); ±Infinity at the ends
 */
export function normalQuantile(probability: number): number {
  if (!(probability >= 0 && probability <= 1)) return Number.NaN;
  if (probability === 0) return Number.NEGATIVE_INFINITY;
  if (probability === 1) return Number.POSITIVE_INFINITY;
  if (probability > 0.5) return -normalQuantile(1 - probability);
  if (probability < TAIL) {
    const root = Math.sqrt(-2 * Math.log(probability));
    return polynomial(TAIL_ABOVE, root) / polynomial(TAIL_BELOW, root);
  }
  const centred = probability - 0.5;
  const square = centred * centred;
  return (polynomial(CENTRE_ABOVE, square) * centred) / polynomial(CENTRE_BELOW, square);
}

/** Half width, in deviations, of the central normal interval of `level`. */
export function normalHalfWidth(level: number): number {
  return normalQuantile((1 + level) / 2);
}

function polynomial(coefficients: readonly number[], at: number): number {
  return coefficients.reduce((sum, coefficient) => sum * at + coefficient, 0);
}
