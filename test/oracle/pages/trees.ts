/**
 * Boosted trees over binned features, naively.
 *
 *     nodes     feature, cut, left child, right child (negative: leaf −1 − index)
 */
import type { BoostedTrees } from '../../../src/lines/stack.ts';

/**
 * Log-odds of "yes" of rows.
 *
 * @param binned `[nRows × nFeatures]`, row-major
 */
export function treeLogits(trees: BoostedTrees, binned: Uint8Array): Float32Array {
  const { base, nFeatures, treeStarts, features, cuts, lefts, rights, leafStarts, leaves } = trees;
  const nRows = binned.length / nFeatures;
  const logits = new Float32Array(nRows);
  const nTrees = treeStarts.length - 1;
  for (let row = 0; row < nRows; row++) {
    const first = row * nFeatures;
    let logit = base;
    for (let tree = 0; tree < nTrees; tree++) {
      const root = treeStarts[tree]!;
      let at = treeStarts[tree + 1] === root ? -1 : 0;
      while (at >= 0) {
        const node = root + at;
        at = binned[first + features[node]!]! <= cuts[node]! ? lefts[node]! : rights[node]!;
      }
      logit += leaves[leafStarts[tree]! - 1 - at]!;
    }
    logits[row] = logit;
  }
  return logits;
}
