/**
 * Measures of document refiners: how well a score separates documents to keep from documents to drop.
 *
 * balancedAccuracy is the mean of the two recalls at the refiner's threshold; auc the share of (keep, drop) pairs in
 * the right order, ties counting half (Mann-Whitney). Cross-validation as for lines, by domain or id, or leaving out whole
 * sources, kinds or languages. What falls is counted by kind: a mean over documents hides the kind that all falls.
 */
import { performance } from 'node:perf_hooks';
import { GristmillError } from '../errors.ts';
import { counting, type OnProgress } from '../progress.ts';
import { foldOf, type GoldDocument, groupOf, KEEP, type LeaveOut, leaveOutKey } from './gold.ts';

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
  readonly leftOut: LeaveOut | null;
  /** By kind; `unknown` where the data names none. */
  readonly byKind: Readonly<Record<string, KindMeasures>>;
  readonly secondsPerMB: number;
}

/** What falls of one kind of document; shares are null without such documents. */
export interface KindMeasures {
  readonly nGood: number;
  readonly goodDropped: number | null;
  readonly nBad: number;
  readonly badDropped: number | null;
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
  /** Instead of folds: each source (kind, language) is scored by a refiner that saw none of it. */
  readonly leaveOut?: LeaveOut | undefined;
  readonly trainDocuments?: readonly GoldDocument[];
  readonly onProgress?: OnProgress | undefined;
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
  leaveOut,
  trainDocuments = [],
  onProgress,
}: EvaluateDocumentsOptions): Promise<DocumentReport> {
  const { trainable } = refiner;
  if (trainable && nFolds === null && !leaveOut && trainDocuments.length === 0) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'folds',
      expected: `a number of folds or documents to train on for the refiner ${refiner.name}`,
      received: 'neither',
    });
  }
  if (nFolds !== null && leaveOut) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'leaveOut',
      expected: 'nothing beside folds',
      received: leaveOut,
    });
  }
  const parts = trainable ? partsOf(documents, nFolds, leaveOut) : null;
  const nParts = parts ? Math.max(0, ...parts) + 1 : 1;
  const scores = new Float64Array(documents.length);
  const decisions = new Uint8Array(documents.length);
  let nBytes = 0;
  let scoringMs = 0;
  const tell = counting(onProgress, {
    phase: 'scoring',
    unit: 'documents',
    total: documents.length,
  });
  for (let part = 0; part < nParts; part++) {
    const scored = [...documents.keys()].filter((document) => !parts || parts[document] === part);
    if (scored.length === 0) continue;
    const others = parts ? [...documents, ...trainDocuments] : trainDocuments;
    const learning = learnFrom(
      others,
      scored.map((document) => documents[document]!),
      leaveOut,
    );
    if (trainable && learning.length === 0) {
      throw new GristmillError('TRAIN_DATA_TOO_SMALL', {
        what: `part ${part + 1} of ${nParts}: other documents to train on`,
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
        tell();
      }
    } finally {
      await scorer.dispose?.();
    }
  }
  const labels = Uint8Array.from(documents, ({ label }) => label);
  return {
    refiner: refiner.name,
    nFolds: trainable ? nFolds : null,
    leftOut: trainable ? (leaveOut ?? null) : null,
    ...measureDocuments(scores, labels, decisions),
    byKind: kindMeasures(documents, decisions),
    secondsPerMB: nBytes === 0 ? 0 : scoringMs / 1000 / (nBytes / 1e6),
  };
}

function kindMeasures(
  documents: readonly GoldDocument[],
  decisions: Uint8Array,
): Record<string, KindMeasures> {
  const counts = new Map<string, [badGone: number, bad: number, goodGone: number, good: number]>();
  documents.forEach((document, index) => {
    const kind = document.kind || 'unknown';
    const own = counts.get(kind) ?? [0, 0, 0, 0];
    counts.set(kind, own);
    const at = document.label === KEEP ? 2 : 0;
    own[at + 1]!++;
    if (decisions[index] === 0) own[at]!++;
  });
  return Object.fromEntries(
    [...counts]
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([kind, [badGone, nBad, goodGone, nGood]]) => [
        kind,
        {
          ...{ nGood, goodDropped: nGood === 0 ? null : goodGone / nGood },
          ...{ nBad, badDropped: nBad === 0 ? null : badGone / nBad },
        },
      ]),
  );
}

/** The part that each document is scored in; null when one refiner scores all. */
function partsOf(
  documents: readonly GoldDocument[],
  nFolds: number | null,
  leaveOut: LeaveOut | undefined,
): readonly number[] | null {
  if (nFolds !== null) return documents.map((document) => foldOf(document, nFolds));
  if (!leaveOut) return null;
  const keys = [...new Set(documents.map((document) => leaveOutKey(document, leaveOut)))].sort();
  return documents.map((document) => keys.indexOf(leaveOutKey(document, leaveOut)));
}

function learnFrom(
  documents: readonly GoldDocument[],
  scored: readonly GoldDocument[],
  leaveOut: LeaveOut | undefined,
): GoldDocument[] {
  const groups = new Set(scored.map(groupOf));
  const keys = new Set(leaveOut ? scored.map((document) => leaveOutKey(document, leaveOut)) : []);
  return documents.filter(
    (document) =>
      !groups.has(groupOf(document)) && !(leaveOut && keys.has(leaveOutKey(document, leaveOut))),
  );
}
