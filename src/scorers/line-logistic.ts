/**
 * Logistic regression over lines: every feature as the bin it falls in, every hashed word as itself.
 *
 * AdaGrad (Duchi et al. 2011), one row at a time, pages' rows in a seeded order; single-threaded and without any
 * reordering of sums, so the same rows give the same weights. A line's words share one unit of influence: each
 * counts 1/√n, else long lines would be decided by their length.
 */

import { binRows, quantileBins } from '../lines/bins.ts';
import { type LineLogistic, wordScale } from '../lines/logistic.ts';
import { seededRandom, shuffle } from '../seeded.ts';
import type { LineTable } from './line-table.ts';

/** Options of {@link trainLineLogistic}. */
export interface LineLogisticOptions {
  /** Table of words: 2 ** hashBits weights. */
  readonly hashBits: number;
  readonly maxBins: number;
  readonly nEpochs: number;
  readonly learningRate: number;
  /** Pull of each used weight to zero, by step. */
  readonly l2: number;
  readonly seed: number;
}

/** Rows to learn from; those of lines are a {@link LineTable}. */
export type LogisticRows = Omit<LineTable, 'pageStarts'>;

/** Trains on the rows of `table` that have weight. */
export function trainLineLogistic(
  { features, words, labels, weights, nRows }: LogisticRows,
  { hashBits, maxBins, nEpochs, learningRate, l2, seed }: LineLogisticOptions,
): LineLogistic {
  const nFeatures = features.length / Math.max(1, nRows);
  const bins = quantileBins(features, { nFeatures, maxBins });
  const binned = binRows(features, bins);
  const wordWeights = new Float32Array(2 ** hashBits);
  const wordSquares = new Float32Array(2 ** hashBits).fill(1e-6);
  const binWeights = new Float32Array(nFeatures * maxBins);
  const binSquares = new Float32Array(binWeights.length).fill(1e-6);
  const order = Int32Array.from({ length: nRows }, (_, row) => row).filter(
    (row) => weights[row]! > 0,
  );
  const random = seededRandom(seed);
  const { ids, starts, nearAt } = words;
  for (let epoch = 0; epoch < nEpochs; epoch++) {
    shuffle(order, random);
    for (const row of order) {
      const start = starts[row]!;
      const near = nearAt[row]!;
      const end = starts[row + 1]!;
      const ownScale = wordScale(near - start);
      const nearScale = wordScale(end - near);
      let own = 0;
      let around = 0;
      let shape = 0;
      for (let at = start; at < near; at++) own += wordWeights[ids[at]!]!;
      for (let at = near; at < end; at++) around += wordWeights[ids[at]!]!;
      const first = row * nFeatures;
      for (let feature = 0; feature < nFeatures; feature++) {
        shape += binWeights[feature * maxBins + binned[first + feature]!]!;
      }
      const logit = ownScale * own + nearScale * around + shape;
      const error = (1 / (1 + Math.exp(-logit)) - labels[row]!) * weights[row]!;
      for (let at = start; at < end; at++) {
        const id = ids[at]!;
        const scale = at < near ? ownScale : nearScale;
        const gradient = error * scale + l2 * wordWeights[id]!;
        wordSquares[id]! += gradient * gradient;
        wordWeights[id]! -= (learningRate * gradient) / Math.sqrt(wordSquares[id]!);
      }
      for (let feature = 0; feature < nFeatures; feature++) {
        const cell = feature * maxBins + binned[first + feature]!;
        const gradient = error + l2 * binWeights[cell]!;
        binSquares[cell]! += gradient * gradient;
        binWeights[cell]! -= (learningRate * gradient) / Math.sqrt(binSquares[cell]!);
      }
    }
  }
  return { bins, wordWeights, binWeights };
}
