/** Student's distribution: quantiles of means of few measurements. */

/** Quantiles for one to four degrees of freedom, which the series below is too far from. */
const FEW = [6.313752, 2.919986, 2.353363, 2.131847];
const NORMAL = 1.644854;

/** Student's 95 % quantile, so that an interval to both sides has 90 %. @see Abramowitz and Stegun 26.7.5 */
export function quantile95(degrees: number): number {
  const few = FEW[degrees - 1];
  if (few !== undefined) return few;
  const [z, n] = [NORMAL, degrees];
  const first = (z ** 3 + z) / (4 * n);
  const second = (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * n ** 2);
  const third = (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * n ** 3);
  return z + first + second + third;
}
