/** Student's distribution: quantiles of means of few measurements. */

/** Quantiles for one to four degrees of freedom, which the series below is too far from. */
const FEW = [6.313752, 2.919986, 2.353363, 2.131847];
/** 0.95 quantile of the normal distribution. */
export const NORMAL_QUANTILE_95 = 1.6448536269514722;

/** Student's 95 % quantile, so that an interval to both sides has 90 %. */
export function quantile95(degrees: number): number {
  return FEW[degrees - 1] ?? quantileBySeries95(degrees);
}

/** The same by Hill's expansion of the normal one: within 1 % from 3 degrees on. @see Abramowitz and Stegun 26.7.5 */
export function quantileBySeries95(degrees: number): number {
  const [z, n] = [NORMAL_QUANTILE_95, degrees];
  const first = (z ** 3 + z) / (4 * n);
  const second = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * n ** 2);
  const third = (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * n ** 3);
  return z + first + second + third;
}
