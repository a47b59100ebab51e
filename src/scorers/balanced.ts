/** Weights for training and calibrating on two labels of different number. */

/**
 * Weights of which both labels have the same sum, and the mean is 1: probability 0.5 then aims at balanced accuracy.
 *
 * @param labels 0 or 1
 * @param weights what each weighs before; all 1 without them
 */
export function balanced(labels: readonly number[], weights?: readonly number[]): number[] {
  const sums = [0, 0];
  labels.forEach((label, row) => {
    sums[label]! += weights?.[row] ?? 1;
  });
  return labels.map((label, row) => ((weights?.[row] ?? 1) * labels.length) / (2 * sums[label]!));
}
