/**
 * A regression and trees above it, as they are used: two opinions on every line of a page, or on a document.
 *
 *     words, features ── logistic ──► first log-odds ──┐
 *                        features ──────────────────── ┴─► trees ──► second log-odds
 *
 * The trees see the regression's log-odds of the lines around: stacked sequential learning (Cohen
 * and Carvalho 2005). Of a document they see its own. Trained by scorers/baselines/boosted.ts.
 *
 * Here for training, part by part; scoring does all of it in native/pages at once.
 */
import { native } from '../native/index.ts';
import type { HashedWords, NativeTrees } from '../native/pages.ts';
import { type Bins, nativeBins } from './bins.ts';
import { N_LINE_FEATURES, N_LOGIT_FEATURES } from './feature-names.ts';
import { type LineLogistic, lineLogits } from './logistic.ts';

/**
 * Boosted trees over binned features; all trees one after another. Trained by scorers/boosted-trees.ts.
 *
 *     nodes     feature, cut, left child, right child (negative: leaf −1 − index)
 */
export interface BoostedTrees extends NativeTrees {
  readonly nFeatures: number;
}

/** Both models and the bins between them. */
export interface LineStack {
  readonly logistic: LineLogistic;
  readonly bins: Bins;
  readonly trees: BoostedTrees;
}

/** Log-odds of "keep" by non-blank line. */
export interface StackLogits {
  /** Of the regression. */
  readonly first: Float32Array;
  /** Of the trees. */
  readonly second: Float32Array;
}

/**
 * Log-odds of "yes" of rows.
 *
 * @param rows `[nRows × nFeatures]`, row-major, not binned
 */
export function treeLogits(trees: BoostedTrees, bins: Bins, rows: Float32Array): Float32Array {
  return native().treeLogits(trees, nativeBins(bins), rows);
}

/** Share of the trees in the verdict of a stack; the rest is the regression's. */
export function blendLogits({ first, second }: StackLogits, treeShare: number): Float32Array {
  return second.map((logit, line) => treeShare * logit + (1 - treeShare) * first[line]!);
}

/**
 * What both models say of documents.
 *
 * @param features `[nDocuments × nFeatures]`
 * @param words a line's are a document's
 */
export function documentStackLogits(
  { logistic, bins, trees }: LineStack,
  { features, words }: { readonly features: Float32Array; readonly words: HashedWords },
): StackLogits {
  const first = lineLogits(logistic, { features, words });
  return { first, second: treeLogits(trees, bins, documentRows(features, first)) };
}

/** Features of documents with a model's log-odds behind them. */
export function documentRows(features: Float32Array, logits: Float32Array): Float32Array {
  const nFeatures = features.length / Math.max(1, logits.length);
  const rows = new Float32Array(features.length + logits.length);
  for (let document = 0; document < logits.length; document++) {
    const at = document * (nFeatures + 1);
    rows.set(features.subarray(document * nFeatures, (document + 1) * nFeatures), at);
    rows[at + nFeatures] = Math.max(-LOGIT_BOUND, Math.min(LOGIT_BOUND, logits[document]!));
  }
  return rows;
}

/** Log-odds further out say no more. */
const LOGIT_BOUND = 8;

/** Columns of {@link stackRows} with one model's log-odds. */
export const STACK_WIDTH = N_LINE_FEATURES + N_LOGIT_FEATURES;

/** Bits of the words that a stack reads. */
export function stackHashBits({ logistic }: LineStack): number {
  return Math.log2(logistic.wordWeights.length);
}

/**
 * What both models say of a page.
 *
 * @param features `[nLines × N_LINE_FEATURES]`
 */
export function stackLogits(
  { logistic, bins, trees }: LineStack,
  page: { readonly features: Float32Array; readonly words: HashedWords },
): StackLogits {
  const first = lineLogits(logistic, page);
  const rows = stackRows(page.features, first);
  return { first, second: treeLogits(trees, bins, rows) };
}

/**
 * Features of lines with those of models' log-odds behind them, `[nLines × (N_LINE_FEATURES + logits · N_LOGIT_FEATURES)]`.
 */
export function stackRows(
  features: Float32Array,
  ...logits: readonly Float32Array[]
): Float32Array {
  return joinColumns(
    features,
    logits.map((own) => native().logitColumns(own, features)),
  );
}

/** Features of lines, and behind them the columns that models' log-odds became, `[nLines × N_LOGIT_FEATURES]` each. */
export function joinColumns(features: Float32Array, around: readonly Float32Array[]): Float32Array {
  const nLines = features.length / N_LINE_FEATURES;
  const width = N_LINE_FEATURES + around.length * N_LOGIT_FEATURES;
  const rows = new Float32Array(nLines * width);
  for (let line = 0; line < nLines; line++) {
    const own = features.subarray(line * N_LINE_FEATURES, (line + 1) * N_LINE_FEATURES);
    rows.set(own, line * width);
    around.forEach((near, index) => {
      rows.set(
        near.subarray(line * N_LOGIT_FEATURES, (line + 1) * N_LOGIT_FEATURES),
        line * width + N_LINE_FEATURES + index * N_LOGIT_FEATURES,
      );
    });
  }
  return rows;
}
