/**
 * Cross-validation by domain: every page is scored by a refiner that saw no page of its domain.
 */
import { performance } from 'node:perf_hooks';
import { GristmillError, throwIfAborted } from '../errors.ts';
import { LineEvaluation, type LineReport } from './eval-lines.ts';
import { foldOf, type GoldPage, groupOf } from './gold.ts';
import type { LineRefiner, LineScorer } from './line-scorer.ts';

/** Options of {@link evaluateLines}. */
export interface EvaluateLinesOptions {
  readonly refiner: LineRefiner;
  readonly pages: readonly GoldPage[];
  /**
   * Number of folds for a trainable refiner, at least 2. Null scores all pages with one refiner, made from
   * `trainPages`.
   */
  readonly nFolds: number | null;
  /** Pages that every training also sees, whenever their domain is not among those to be scored. */
  readonly trainPages?: readonly GoldPage[];
  readonly signal?: AbortSignal | undefined;
  /** Called before each fold. */
  readonly onFold?: (fold: number, nTrain: number, nScored: number) => void;
}

/** What came out. */
export interface LineEvaluationResult extends LineReport {
  readonly refiner: string;
  readonly nFolds: number | null;
  /** Scoring time by 10⁶ bytes (UTF-8) of page text; training apart. */
  readonly secondsPerMB: number;
  readonly trainSeconds: number;
}

/**
 * Scores pages and measures the scores.
 *
 * @throws OPTION_INVALID for a trainable refiner without folds and training pages; TRAIN_DATA_TOO_SMALL when a
 * fold has nothing to learn from
 */
export async function evaluateLines({
  refiner,
  pages,
  nFolds,
  trainPages = [],
  signal,
  onFold,
}: EvaluateLinesOptions): Promise<LineEvaluationResult> {
  const { trainable } = refiner;
  if (trainable && nFolds === null && trainPages.length === 0) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'folds',
      expected: `a number of folds or pages to train on for the refiner ${refiner.name}`,
      received: 'neither',
    });
  }
  if (nFolds !== null && (!Number.isSafeInteger(nFolds) || nFolds < 2)) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'folds',
      expected: 'a whole number of at least 2',
      received: nFolds,
    });
  }
  const folds = trainable && nFolds !== null ? nFolds : 1;
  const evaluation = new LineEvaluation();
  let scoringMs = 0;
  let trainingMs = 0;
  let nBytes = 0;
  for (let fold = 0; fold < folds; fold++) {
    const scored = folds === 1 ? pages : pages.filter((page) => foldOf(page, folds) === fold);
    if (scored.length === 0) continue;
    const learning = trainable ? learnFrom({ pages, trainPages, scored, folds }) : [];
    if (trainable && learning.length === 0) {
      throw new GristmillError('TRAIN_DATA_TOO_SMALL', {
        what: `fold ${fold + 1} of ${folds}: pages of other domains to train on`,
        minimum: 1,
        received: 0,
      });
    }
    onFold?.(fold, learning.length, scored.length);
    const trainStart = performance.now();
    const scorer = await refiner.fit(learning, { signal });
    trainingMs += performance.now() - trainStart;
    try {
      for (const page of scored) {
        throwIfAborted(signal, 'evaluation');
        const start = performance.now();
        const scores = await scorer.scoreLines(page.lines);
        scoringMs += performance.now() - start;
        nBytes += Buffer.byteLength(page.text);
        evaluation.add(page, checked(scorer, page, scores), scorer.threshold);
      }
    } finally {
      await scorer.dispose?.();
    }
  }
  return {
    refiner: refiner.name,
    nFolds: trainable ? nFolds : null,
    ...evaluation.report(),
    secondsPerMB: nBytes === 0 ? 0 : scoringMs / 1000 / (nBytes / 1e6),
    trainSeconds: trainingMs / 1000,
  };
}

function learnFrom({
  pages,
  trainPages,
  scored,
  folds,
}: {
  readonly pages: readonly GoldPage[];
  readonly trainPages: readonly GoldPage[];
  readonly scored: readonly GoldPage[];
  readonly folds: number;
}): GoldPage[] {
  const held = new Set(scored.map(groupOf));
  const others = folds === 1 ? trainPages : [...pages, ...trainPages];
  return others.filter((page) => !held.has(groupOf(page)));
}

function checked(scorer: LineScorer, page: GoldPage, scores: Float32Array): Float32Array {
  if (scores.length !== page.lines.length || scores.some((score) => Number.isNaN(score))) {
    throw new GristmillError('OPTION_INVALID', {
      option: `scores of ${scorer.name}`,
      expected: `${page.lines.length} numbers for page ${page.id}`,
      received: scores.length,
    });
  }
  return scores;
}
