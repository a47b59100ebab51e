/**
 * Boosted trees over the same features, told by a first model what the words around say.
 *
 *     words, features ── logistic ──► log-odds by line ──┐
 *                        features ────────────────────── ┴─► trees ──► keep score
 *
 * The log-odds the trees learn from come from regressions that did not see the page's domain (inner folds); at use
 * they come from one regression trained on all pages. The trees see log-odds of lines far around
 * (logit-features.ts), so they act on the page: stacked sequential learning (Cohen and Carvalho 2005).
 */

import { binRows, quantileBins } from '../../lines/bins.ts';
import { lineLogits } from '../../lines/logistic.ts';
import { spreadScores } from '../../lines/page-scan.ts';
import { type LineStack, STACK_WIDTH, stackLogits, stackRows } from '../../lines/stack.ts';
import { type BoostedTreesOptions, toColumns, trainBoostedTrees } from '../boosted-trees.ts';
import { foldOf, type GoldPage, groupOf } from '../gold.ts';
import { type LineLogisticOptions, trainLineLogistic } from '../line-logistic.ts';
import type { LineRefiner, LineScorer } from '../line-scorer.ts';
import { buildLineTable, type LineWeights, measurePage, pageOf } from '../line-table.ts';
import { LOGISTIC_DEFAULTS, probability } from './logistic.ts';

/** Options of {@link fitBoosted}. */
export interface BoostedOptions {
  readonly logistic: LineLogisticOptions & LineWeights;
  readonly trees: BoostedTreesOptions;
  readonly maxBins: number;
  /** Inner folds that give the trees honest log-odds. */
  readonly nInnerFolds: number;
  /** Lines that score below it are removed. */
  readonly threshold: number;
}

/** Near the best of a few tried on the first of five folds of web-gold, cheapened to train in a minute. */
export const BOOSTED_DEFAULTS: BoostedOptions = Object.freeze({
  logistic: LOGISTIC_DEFAULTS,
  trees: {
    nTrees: 200,
    nLeaves: 63,
    learningRate: 0.07,
    minHessian: 30,
    lambda: 20,
    rowShare: 0.35,
    featureShare: 0.25,
    seed: 1,
  },
  maxBins: 64,
  nInnerFolds: 4,
  threshold: 0.5,
});

/** Trains the stack. */
export const boosted: LineRefiner = {
  name: 'boosted',
  trainable: true,
  fit: (pages, options) => fitBoosted(pages, BOOSTED_DEFAULTS, options?.signal),
};

/** A scorer trained on `pages`. */
export function fitBoosted(
  pages: readonly GoldPage[],
  options: BoostedOptions = BOOSTED_DEFAULTS,
  signal?: AbortSignal,
): LineScorer {
  const model = trainBoosted(pages, options, signal);
  return {
    name: 'boosted',
    threshold: options.threshold,
    scoreLines: (lines) => {
      const page = measurePage(lines, options.logistic.hashBits);
      const scores = stackLogits(model, page).second.map(probability);
      return spreadScores(page.scan, scores, lines.length);
    },
  };
}

/**
 * Trains both models.
 *
 * @throws TRAIN_DATA_TOO_SMALL when there are no labelled lines
 */
export function trainBoosted(
  pages: readonly GoldPage[],
  { logistic: first, trees: second, maxBins, nInnerFolds }: BoostedOptions = BOOSTED_DEFAULTS,
  signal?: AbortSignal,
): LineStack {
  const table = buildLineTable(pages, first);
  const { nRows, pageStarts, labels, weights } = table;
  const rows = new Float32Array(nRows * STACK_WIDTH);
  // Other folds than those of the evaluation: a hash of the same domain would put all pages in a few.
  const foldOfPage = pages.map((page) =>
    foldOf({ id: page.id, domain: `inner ${groupOf(page)}` }, nInnerFolds),
  );
  for (let fold = 0; fold < nInnerFolds; fold++) {
    const others = Float32Array.from(weights);
    foldOfPage.forEach((own, page) => {
      if (own === fold) others.fill(0, pageStarts[page]!, pageStarts[page + 1]!);
    });
    const model = trainLineLogistic({ ...table, weights: others }, first);
    foldOfPage.forEach((own, page) => {
      if (own !== fold) return;
      const measured = pageOf(table, page);
      const logits = lineLogits(model, measured);
      rows.set(stackRows(measured.features, logits), pageStarts[page]! * STACK_WIDTH);
    });
  }
  const bins = quantileBins(rows, { nFeatures: STACK_WIDTH, maxBins });
  const columns = toColumns(binRows(rows, bins), STACK_WIDTH);
  const targets = Float32Array.from(labels);
  return {
    logistic: trainLineLogistic(table, first),
    bins,
    trees: trainBoostedTrees(
      { nRows, nFeatures: STACK_WIDTH, maxBins, columns, targets, weights },
      { ...second, signal },
    ),
  };
}
