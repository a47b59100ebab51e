/**
 * A regression and trees above it, naively: two opinions on every line of a page, or on a document. How rows are laid out and
 * opinions blended is training's own (src/lines/stack.ts), which native/pages has its own code for.
 *
 *     words, features ── logistic ──► first log-odds ──┐
 *                        features ──────────────────── ┴─► trees ──► second log-odds
 *
 * The trees see the regression's log-odds of the lines around (logit-features.ts): stacked sequential learning (Cohen
 * and Carvalho 2005). Of a document they see its own. Trained by scorers/baselines/boosted.ts.
 */
import {
  documentRows,
  joinColumns,
  type LineStack,
  type StackLogits,
} from '../../../src/lines/stack.ts';
import type { HashedWords } from '../../../src/native/pages.ts';
import { binRows } from './bins.ts';
import { N_LINE_FEATURES } from './features.ts';
import { lineLogits } from './logistic.ts';
import { logitFeatures } from './logit-features.ts';
import { treeLogits } from './trees.ts';

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
  return { first, second: treeLogits(trees, binRows(documentRows(features, first), bins)) };
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
  return { first, second: treeLogits(trees, binRows(rows, bins)) };
}

/**
 * Features of lines with those of models' log-odds behind them, `[nLines × (N_LINE_FEATURES + logits · N_LOGIT_FEATURES)]`.
 */
export function stackRows(
  features: Float32Array,
  ...logits: readonly Float32Array[]
): Float32Array {
  const nLines = features.length / N_LINE_FEATURES;
  const logChars = new Float32Array(nLines);
  for (let line = 0; line < nLines; line++) logChars[line] = features[line * N_LINE_FEATURES]!;
  return joinColumns(
    features,
    logits.map((own) => logitFeatures(own, logChars)),
  );
}
