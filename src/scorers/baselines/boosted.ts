/**
 * Boosted trees over the same features, told by a first model what the words around say.
 *
 *     words, features ── logistic ──► log-odds by line ──┐
 *                        features ────────────────────── ┴─► trees ──► keep score
 *
 * The log-odds the trees learn from come from regressions that did not see the page's source (inner folds; its domain,
 * where there are few sources), as they will meet pages of sources that nobody saw: with folds by domain they trust
 * words too much (noise at 99 % of an unseen source .460 against .469). At use they come from one regression on all pages. The trees see log-odds of lines far around
 * (logit-features.ts), so they act on the page: stacked sequential learning (Cohen and Carvalho 2005).
 */

import { binRows, quantileBins } from '../../lines/bins.ts';
import { lineLogits } from '../../lines/logistic.ts';
import { measurePage, spreadScores } from '../../lines/measure.ts';
import {
  blendLogits,
  type LineStack,
  STACK_WIDTH,
  stackLogits,
  stackRows,
} from '../../lines/stack.ts';
import { type BoostedTreesOptions, toColumns, trainBoostedTrees } from '../boosted-trees.ts';
import { foldOf, type GoldPage, groupOf, sourceGroups } from '../gold.ts';
import { type LineLogisticOptions, trainLineLogistic } from '../line-logistic.ts';
import type { LineRefiner, LineScorer } from '../line-scorer.ts';
import { buildLineTable, type LineWeights, pageOf } from '../line-table.ts';
import { probability } from './logistic.ts';

/** Options of {@link fitBoosted}. */
export interface BoostedOptions {
  readonly logistic: LineLogisticOptions & LineWeights;
  readonly trees: BoostedTreesOptions;
  readonly maxBins: number;
  /** Inner folds that give the trees honest log-odds. */
  readonly nInnerFolds: number;
  /** Share of the trees in the verdict; the rest is the regression's, which errs elsewhere. */
  readonly treeShare: number;
  /** Lines that score below it are removed. */
  readonly threshold: number;
}

/** Near the best of some twenty tried with the largest source of web-gold left out (models/README.md). */
export const BOOSTED_DEFAULTS: BoostedOptions = Object.freeze({
  logistic: {
    hashBits: 18,
    maxBins: 32,
    nEpochs: 2,
    learningRate: 0.05,
    l2: 1e-5,
    seed: 1,
    perLogChars: 1,
    pagePower: 0.5,
  },
  trees: {
    nTrees: 150,
    nLeaves: 24,
    learningRate: 0.09,
    minHessian: 10,
    lambda: 20,
    rowShare: 0.4,
    featureShare: 0.2,
    seed: 1,
  },
  maxBins: 64,
  nInnerFolds: 6,
  treeShare: 0.65,
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
      const logits = blendLogits(stackLogits(model, page), options.treeShare);
      const scores = logits.map(probability);
      return spreadScores(page, scores, lines.length);
    },
  };
}

/**
 * Trains both models.
 *
 * @param pageWeights factor of each page; all 1 without it
 * @throws TRAIN_DATA_TOO_SMALL when there are no labelled lines
 */
export function trainBoosted(
  pages: readonly GoldPage[],
  { logistic: first, trees: second, maxBins, nInnerFolds }: BoostedOptions = BOOSTED_DEFAULTS,
  signal?: AbortSignal,
  pageWeights: readonly number[] | null = null,
): LineStack {
  const table = buildLineTable(pages, first, pageWeights);
  const { nRows, pageStarts, labels, weights } = table;
  const rows = new Float32Array(nRows * STACK_WIDTH);
  const foldOfPage = innerFolds(pages, nInnerFolds);
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

/** Folds by source where there are enough; else by domain, other than those of an evaluation. */
function innerFolds(pages: readonly GoldPage[], nFolds: number): readonly number[] {
  const sources = new Set(pages.map(({ source }) => source));
  if (sources.size >= nFolds) return Array.from(sourceGroups(pages, nFolds));
  return pages.map((page) => foldOf({ id: page.id, domain: `inner ${groupOf(page)}` }, nFolds));
}
