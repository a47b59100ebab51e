/**
 * What a token is worth when it is seen again (arXiv 2305.16264): E epochs over U tokens are worth
 *
 *     U · (1 + R (1 − exp(−(E − 1) / R)))        for E > 1,   E · U below
 *
 * so a second epoch is worth nearly a first one, and beyond about R epochs nothing is gained. R differs by size of model and by
 * how much of it the rest of a mixture takes (arXiv 2605.12715 has 15 to 20 times for scarce domains): it is fitted where
 * the runs repeat, and {@link REPEAT_WORTH} otherwise.
 */

/** R of the paper. */
export const REPEAT_WORTH = 15.4;
/** Values among which a fit chooses. */
export const REPEAT_WORTHS: readonly number[] = [2, 4, 8, REPEAT_WORTH, 32, 64];

/** What is left of a domain's share after so many epochs, 0..1. */
export function repeatedShare(epochs: number, worth: number): number {
  return epochs <= 1 ? 1 : (1 + worth * (1 - Math.exp(-(epochs - 1) / worth))) / epochs;
}

/** What one more token adds after so many epochs, as a share of a fresh one. */
export function marginalShare(epochs: number, worth: number): number {
  return epochs <= 1 ? 1 : Math.exp(-(epochs - 1) / worth);
}
