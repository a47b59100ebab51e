/** The regression, naively. */
import { type LineLogistic, wordScale } from '../../../src/lines/logistic.ts';
import type { HashedWords } from '../../../src/native/pages.ts';
import { binRows } from './bins.ts';

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
