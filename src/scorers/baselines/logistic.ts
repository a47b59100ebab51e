/**
 * The bar that neural refiners must clear: logistic regression on shallow features and hashed words of a line and of
 * its neighbours (line-logistic.ts). Trains in seconds, needs no pre-training.
 */

import { lineLogits } from '../../lines/logistic.ts';
import { measurePage, spreadScores } from '../../lines/measure.ts';
import type { GoldPage } from '../gold.ts';
import { type LineLogisticOptions, trainLineLogistic } from '../line-logistic.ts';
import type { LineRefiner, LineScorer } from '../line-scorer.ts';
import { buildLineTable, type LineWeights } from '../line-table.ts';

/** Picked among a few on one held-out fold of web-gold (the first of five, by domain). */
export const LOGISTIC_DEFAULTS: LineLogisticOptions & LineWeights = Object.freeze({
  hashBits: 18,
  maxBins: 8,
  nEpochs: 2,
  learningRate: 0.05,
  l2: 1e-4,
  seed: 1,
  perLogChars: 0.5,
});

/** Trains the regression. */
export const logistic: LineRefiner = {
  name: 'logistic',
  trainable: true,
  fit: (pages) => fitLogistic(pages),
};

/** A scorer trained on `pages`. */
export function fitLogistic(
  pages: readonly GoldPage[],
  options: LineLogisticOptions & LineWeights = LOGISTIC_DEFAULTS,
): LineScorer {
  const model = trainLineLogistic(buildLineTable(pages, options), options);
  return {
    name: 'logistic',
    threshold: 0.5,
    scoreLines: (lines) => {
      const page = measurePage(lines, options.hashBits);
      const scores = lineLogits(model, page).map(probability);
      return spreadScores(page, scores, lines.length);
    },
  };
}

/** Log-odds as a probability. */
export function probability(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}
