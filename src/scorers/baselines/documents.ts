/**
 * Document refiners to compare with: keep-all, the plain "at least 200 words" rule, and a logistic regression on the
 * form, length and lines of a document.
 *
 * The regression standardises its features, weighs both classes alike (its threshold 0.5 then aims at balanced
 * accuracy), has a ridge penalty and runs full-batch gradient descent with momentum from zero: deterministic.
 */
import { DOCUMENT_FEATURES } from '../../lines/feature-names.ts';
import { measureDocument } from '../../lines/measure.ts';
import type { DocumentRefiner, DocumentScorer } from '../eval-documents.ts';
import { type GoldDocument, KEEP } from '../gold.ts';
import { probability } from './logistic.ts';

/** Keeps every document. */
export const keepAllDocuments: DocumentRefiner = {
  name: 'keep-all',
  trainable: false,
  fit: () => ({ name: 'keep-all', threshold: 0.5, scoreDocument: () => 1 }),
};

/** Words are runs without white space. */
export const MIN_WORDS = 200;

/** Keeps documents of at least {@link MIN_WORDS} words; the score is their number. */
export const wordCount: DocumentRefiner = {
  name: 'words',
  trainable: false,
  fit: () => ({
    name: 'words',
    threshold: MIN_WORDS,
    scoreDocument: (text) => text.split(/\s+/).filter((word) => word !== '').length,
  }),
};

/** Options of {@link fitDocumentLogistic}. */
export interface DocumentLogisticOptions {
  /** Ridge penalty on standardised weights, by the mean loss. */
  readonly ridge: number;
  readonly nSteps: number;
  readonly learningRate: number;
}

/** Plain values, not searched for. */
export const DOCUMENT_LOGISTIC_DEFAULTS: DocumentLogisticOptions = Object.freeze({
  ridge: 0.03,
  nSteps: 400,
  learningRate: 0.3,
});

/** Trains the regression. */
export const documentLogistic: DocumentRefiner = {
  name: 'logistic',
  trainable: true,
  fit: (documents) => fitDocumentLogistic(documents),
};

/** A scorer trained on `documents`. */
export function fitDocumentLogistic(
  documents: readonly GoldDocument[],
  { ridge, nSteps, learningRate }: DocumentLogisticOptions = DOCUMENT_LOGISTIC_DEFAULTS,
): DocumentScorer {
  const rows = documents.map(({ text }) => documentFeatures(text));
  const scale = standardiser(rows);
  const inputs = rows.map(scale);
  const nKeep = documents.filter(({ label }) => label === KEEP).length;
  const share = [documents.length - nKeep, nKeep].map((count) => 0.5 / Math.max(1, count));
  const weights = new Float64Array(DOCUMENT_FEATURES.length + 1);
  const speed = new Float64Array(weights.length);
  for (let step = 0; step < nSteps; step++) {
    const gradient = weights.map((weight, at) => (at === 0 ? 0 : ridge * weight));
    inputs.forEach((input, row) => {
      const { label } = documents[row]!;
      const error = (probability(logit(weights, input)) - label) * share[label]!;
      gradient[0]! += error;
      for (let at = 0; at < input.length; at++) gradient[at + 1]! += error * input[at]!;
    });
    for (let at = 0; at < weights.length; at++) {
      speed[at] = MOMENTUM * speed[at]! - learningRate * gradient[at]!;
      weights[at]! += speed[at]!;
    }
  }
  return {
    name: 'logistic',
    threshold: 0.5,
    scoreDocument: (text) => probability(logit(weights, scale(documentFeatures(text)))),
  };
}

/** Features of a document; the regression reads no words, hence any number of bits. */
function documentFeatures(text: string): Float64Array {
  return Float64Array.from(measureDocument(text, 1).features);
}

const MOMENTUM = 0.9;

function logit(weights: Float64Array, input: Float64Array): number {
  let sum = weights[0]!;
  for (let at = 0; at < input.length; at++) sum += weights[at + 1]! * input[at]!;
  return sum;
}

function standardiser(rows: readonly Float64Array[]): (row: Float64Array) => Float64Array {
  const width = DOCUMENT_FEATURES.length;
  const means = new Float64Array(width);
  const spreads = new Float64Array(width);
  for (let at = 0; at < width; at++) {
    for (const row of rows) means[at]! += row[at]! / rows.length;
    for (const row of rows) spreads[at]! += (row[at]! - means[at]!) ** 2 / rows.length;
  }
  // Three spreads at most: one odd document must not decide.
  return (row) =>
    row.map((value, at) => {
      const standard = (value - means[at]!) / (Math.sqrt(spreads[at]!) || 1);
      return Math.max(-3, Math.min(3, standard));
    });
}
