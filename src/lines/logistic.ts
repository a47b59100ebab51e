/**
 * A logistic regression over lines (or documents), as it is used: bins of features and hashed words of a line and of its
 * neighbours.
 * Trained by scorers/line-logistic.ts.
 */
import { native } from '../native/index.ts';
import type { HashedWords } from '../native/pages.ts';
import { type Bins, nativeBins } from './bins.ts';

/** A trained regression. */
export interface LineLogistic {
  readonly bins: Bins;
  readonly wordWeights: Float32Array;
  /** `[nFeatures × maxBins]`. */
  readonly binWeights: Float32Array;
}

/** Scale of each of a line's words, as native/pages has it, for training: they share one unit of influence, else long lines were decided by their length. */
export function wordScale(nWords: number): number {
  return nWords === 0 ? 0 : Math.min(1, 2 / Math.sqrt(nWords));
}

/** Log-odds of "keep" of each row. */
export function lineLogits(
  { bins, wordWeights, binWeights }: LineLogistic,
  { features, words }: { readonly features: Float32Array; readonly words: HashedWords },
): Float32Array {
  const model = { bins: nativeBins(bins), wordWeights, binWeights };
  return native().regressionLogits(model, features, words);
}
