/**
 * What fastText's classifiers do (Joulin et al. 2016, "Bag of tricks for efficient text classification"), as corpora are
 * filtered by them: a linear model over hashed words and pairs of words, of a line alone or of a whole document.
 *
 * No features, no neighbours, no pre-trained vectors. Differences: weights are learnt directly (two classes need no
 * embedding in between), by AdaGrad; a text of n terms scales them by 2/√n where fastText takes their mean.
 */

import { mixHashes } from '../../lines/hash.ts';
import { type LineLogistic, lineLogits } from '../../lines/logistic.ts';
import { spreadScores, wordsOf } from '../../lines/measure.ts';
import type { HashedWords, PageWords } from '../../native/pages.ts';
import { balanced } from '../balanced.ts';
import type { DocumentRefiner, DocumentScorer } from '../eval-documents.ts';
import { type GoldDocument, type GoldPage, KEEP, UNSCORED } from '../gold.ts';
import { type LineLogisticOptions, trainLineLogistic } from '../line-logistic.ts';
import type { LineRefiner, LineScorer } from '../line-scorer.ts';
import { probability } from './logistic.ts';

/** fastText's number of epochs; the rest as for the other regressions. */
export const FASTTEXT_DEFAULTS: LineLogisticOptions = Object.freeze({
  hashBits: 20,
  maxBins: 2,
  nEpochs: 5,
  learningRate: 0.05,
  l2: 1e-5,
  seed: 1,
});

/** Keeps terms apart from those of other uses. */
const NAMESPACE = { word: 31, pair: 32 } as const;
/** Terms of a document that are looked at. */
const MAX_TERMS = 20_000;

/** Lines, each by its own words. */
export const fasttextLines: LineRefiner = {
  name: 'fasttext-style',
  trainable: true,
  fit: (pages) => fitFasttextLines(pages),
};

/** Documents by their words. */
export const fasttextDocuments: DocumentRefiner = {
  name: 'fasttext-style',
  trainable: true,
  fit: (documents) => fitFasttextDocuments(documents),
};

/** A scorer of lines trained on `pages`. */
export function fitFasttextLines(
  pages: readonly GoldPage[],
  options: LineLogisticOptions = FASTTEXT_DEFAULTS,
): LineScorer {
  const scans = pages.map(({ lines }) => wordsOf(lines));
  const labels = scans.flatMap(({ lineOf }, page) =>
    Array.from(lineOf, (line) => pages[page]!.labels[line]!),
  );
  const rows = scans.flatMap(rowsOfLines);
  const model = train(rows, labels, options);
  return {
    name: 'fasttext-style',
    threshold: 0.5,
    scoreLines: (lines) => {
      const scan = wordsOf(lines);
      return spreadScores(scan, scoresOf(model, rowsOfLines(scan), options), lines.length);
    },
  };
}

/** A scorer of documents trained on `documents`; both labels weigh alike. */
export function fitFasttextDocuments(
  documents: readonly GoldDocument[],
  options: LineLogisticOptions = FASTTEXT_DEFAULTS,
): DocumentScorer {
  const rows = documents.map(({ text }) => rowOfDocument(text));
  const labels = documents.map(({ label }) => label);
  const model = train(rows, labels, options, balanced(labels));
  return {
    name: 'fasttext-style',
    threshold: 0.5,
    scoreDocument: (text) => scoresOf(model, [rowOfDocument(text)], options)[0]!,
  };
}

/** Hashes of the words of each line. */
function rowsOfLines({ lineOf, starts, words }: PageWords): Int32Array[] {
  return Array.from(lineOf, (_, line) => words.subarray(starts[line], starts[line + 1]));
}

/** Hashes of the words of a document, line after line. */
function rowOfDocument(text: string): Int32Array {
  return wordsOf([text]).words;
}

/** Words and pairs of them as indices into the weights. */
function termsOf(rows: readonly Int32Array[], bits: number): HashedWords {
  const mask = 2 ** bits - 1;
  const lengths = rows.map(({ length }) => Math.min(MAX_TERMS, Math.max(0, 2 * length - 1)));
  const starts = new Int32Array(rows.length + 1);
  lengths.forEach((length, row) => {
    starts[row + 1] = starts[row]! + length;
  });
  const ids = new Int32Array(starts[rows.length]!);
  rows.forEach((words, row) => {
    for (let at = 0; at < lengths[row]!; at++) {
      const word = words[at >> 1]!;
      const hash =
        at % 2 === 0
          ? mixHashes(NAMESPACE.word, word)
          : mixHashes(NAMESPACE.pair, mixHashes(word, words[(at >> 1) + 1]!));
      ids[starts[row]! + at] = hash & mask;
    }
  });
  return { ids, starts, nearAt: starts.slice(1) };
}

const NO_FEATURES = new Float32Array(0);

function train(
  rows: readonly Int32Array[],
  labels: readonly number[],
  options: LineLogisticOptions,
  weights: readonly number[] = labels.map(() => 1),
): LineLogistic {
  return trainLineLogistic(
    {
      nRows: rows.length,
      features: NO_FEATURES,
      words: termsOf(rows, options.hashBits),
      labels: Uint8Array.from(labels, (label) => (label === KEEP ? 1 : 0)),
      weights: Float32Array.from(weights, (weight, row) => (labels[row] === UNSCORED ? 0 : weight)),
    },
    options,
  );
}

function scoresOf(
  model: LineLogistic,
  rows: readonly Int32Array[],
  { hashBits }: LineLogisticOptions,
): Float32Array {
  return lineLogits(model, { features: NO_FEATURES, words: termsOf(rows, hashBits) }).map(
    probability,
  );
}
