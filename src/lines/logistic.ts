/**
 * A logistic regression over lines (or documents), as it is used: bins of features and hashed words of a line and of its
 * neighbours.
 * Trained by scorers/line-logistic.ts.
 */
import { type Bins, binRows } from './bins.ts';
import type { HashedWords } from './hashed-words.ts';

/** A trained regression. */
export interface LineLogistic {
  readonly bins: Bins;
  readonly wordWeights: Float32Array;
  /** `[nFeatures × maxBins]`. */
  readonly binWeights: Float32Array;
}

/** Scale of each of a line's words: they share one unit of influence, else long lines were decided by their length. */
export function wordScale(nWords: number): number {
  return nWords === 0 ? 0 : Math.min(1, 2 / Math.sqrt(nWords));
}

/** Log-odds of "keep" of each row. */
export function lineLogits(
  { bins, wordWeights, binWeights }: LineLogistic,
  { features, words }: { readonly features: Float32Array; readonly words: HashedWords },
): Float32Array {
  const { ids, starts, nearAt } = words;
  const nRows = nearAt.length;
  const { nFeatures, maxBins } = bins;
  const binned = binRows(features, bins);
  const logits = new Float32Array(nRows);
  for (let row = 0; row < nRows; row++) {
    const start = starts[row]!;
    const near = nearAt[row]!;
    const end = starts[row + 1]!;
    let own = 0;
    let around = 0;
    let shape = 0;
    for (let at = start; at < near; at++) own += wordWeights[ids[at]!]!;
    for (let at = near; at < end; at++) around += wordWeights[ids[at]!]!;
    const first = row * nFeatures;
    for (let feature = 0; feature < nFeatures; feature++) {
      shape += binWeights[feature * maxBins + binned[first + feature]!]!;
    }
    logits[row] = wordScale(near - start) * own + wordScale(end - near) * around + shape;
  }
  return logits;
}
