/**
 * Measures of document refiners: how well a score separates documents to keep from documents to drop.
 *
 * balancedAccuracy is the mean of the two recalls at the refiner's threshold; auc the share of (keep, drop) pairs in
 * the right order, ties counting half (Mann-Whitney). Cross-validation as for lines, by domain or id.
 */
import { performance } from 'node:perf_hooks';
import { GristmillError } from '../errors.ts';
import { foldOf, type GoldDocument, groupOf, KEEP } from './gold.ts';

/** Scores documents. */
export interface DocumentScorer {
  readonly name: string;
  /** Documents that score below it are dropped. */
  readonly threshold: number;
  /** Keep score, higher is better; any scale. */
  scoreDocument(text: string): number | Promise<number>;
  dispose?(): void | Promise<void>;
}

/** Something that scores documents after training; rules need none. */
export interface DocumentRefiner {
  readonly name: string;
  readonly trainable: boolean;
  fit(documents: readonly GoldDocument[]): DocumentScorer | Promise<DocumentScorer>;
}

/** Measures over documents. */
export interface DocumentMeasures {
  readonly balancedAccuracy: number;
  readonly auc: number;
  readonly nDocs: number;
  readonly nKeep: number;
}

/** What came out. */
export interface DocumentReport extends DocumentMeasures {
  readonly refiner: string;
  readonly nFolds: number | null;
  readonly secondsPerMB: number;
}

/**
 * Measures scores.
 *
 * @param scores keep scores, one a document
 * @param labels 1 keep, 0 drop
 * @param decisions 1 where the refiner keeps
 */
export function measureDocuments(
  scores: ArrayLike<number>,
  labels: ArrayLike<number>,
  decisions: ArrayLike<number>,
): DocumentMeasures {
  let nKeep = 0;
  let keptRight = 0;
  let droppedRight = 0;
  for (let document = 0; document < labels.length; document++) {
    const isKeep = labels[document] === KEEP;
    if (isKeep) nKeep++;
    if (isKeep && decisions[document] === 1) keptRight++;
    if (!isKeep && decisions[document] === 0) droppedRight++;
  }
  const nDrop = labels.length - nKeep;
  const recalls = [nKeep > 0 ? keptRight / nKeep : 0, nDrop > 0 ? droppedRight / nDrop : 0];
  return {
    balancedAccuracy: (recalls[0]! + recalls[1]!) / 2,
    auc: areaUnderCurve(scores, labels),
    nDocs: labels.length,
    nKeep,
  };
}

/** Share of pairs in the right order; 0.5 when there are none. */
export function areaUnderCurve(scores: ArrayLike<number>, labels: ArrayLike<number>): number {
  const order = Uint32Array.from(scores, (_, document) => document);
  order.sort((left, right) => scores[left]! - scores[right]!);
  let below = 0;
  let pairs = 0;
  let nKeep = 0;
  for (let at = 0; at < order.length; ) {
    const score = scores[order[at]!]!;
    let keeps = 0;
    let drops = 0;
    for (; at < order.length && scores[order[at]!] === score; at++) {
      if (labels[order[at]!] === KEEP) keeps++;
      else drops++;
    }
    pairs += keeps * (below + drops / 2);
    below += drops;
    nKeep += keeps;
  }
  return nKeep === 0 || below === 0 ? 0.5 : pairs / (nKeep * below);
}

/** Options of {@link evaluateDocuments}. */
export interface EvaluateDocumentsOptions {
  readonly refiner: DocumentRefiner;
  readonly documents: readonly GoldDocument[];
  /** At least 2; null scores with one refiner made from `trainDocuments`. */
  readonly nFolds: number | null;
  readonly trainDocuments?: readonly GoldDocument[];
}

/**
 * Scores documents and measures the scores.
 *
 * @throws OPTION_INVALID for a trainable refiner without folds and training documents; TRAIN_DATA_TOO_SMALL
 */
export async function evaluateDocuments({
  refiner,
  documents,
  nFolds,
  trainDocuments = [],
}: EvaluateDocumentsOptions): Promise<DocumentReport> {
  const { trainable } = refiner;
  if (trainable && nFolds === null && trainDocuments.length === 0) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'folds',
      expected: `a number of folds or documents to train on for the refiner ${refiner.name}`,
      received: 'neither',
    });
  }
  const folds = trainable && nFolds !== null ? nFolds : 1;
  const scores = new Float64Array(documents.length);
  const decisions = new Uint8Array(documents.length);
  let nBytes = 0;
  let scoringMs = 0;
  for (let fold = 0; fold < folds; fold++) {
    const scored = [...documents.keys()].filter(
      (document) => folds === 1 || foldOf(documents[document]!, folds) === fold,
    );
    if (scored.length === 0) continue;
    const held = new Set(scored.map((document) => groupOf(documents[document]!)));
    const others = folds === 1 ? trainDocuments : [...documents, ...trainDocuments];
    const learning = others.filter((document) => !held.has(groupOf(document)));
    if (trainable && learning.length === 0) {
      throw new GristmillError('TRAIN_DATA_TOO_SMALL', {
        what: `fold ${fold + 1} of ${folds}: other documents to train on`,
        minimum: 1,
        received: 0,
      });
    }
    const scorer = await refiner.fit(learning);
    try {
      for (const document of scored) {
        const { text } = documents[document]!;
        const start = performance.now();
        scores[document] = await scorer.scoreDocument(text);
        scoringMs += performance.now() - start;
        nBytes += Buffer.byteLength(text);
        decisions[document] = scores[document]! >= scorer.threshold ? 1 : 0;
      }
    } finally {
      await scorer.dispose?.();
    }
  }
  const labels = Uint8Array.from(documents, ({ label }) => label);
  return {
    refiner: refiner.name,
    nFolds: trainable ? nFolds : null,
    ...measureDocuments(scores, labels, decisions),
    secondsPerMB: nBytes === 0 ? 0 : scoringMs / 1000 / (nBytes / 1e6),
  };
}
