/**
 * Cross-validation: every page is scored by a refiner that saw no page of its domain; with `leaveOut` none of its source,
 * its type or its language either, which is what a new corpus is.
 */
import { performance } from 'node:perf_hooks';
import { GristmillError, throwIfAborted } from '../errors.ts';
import { counting, type OnProgress } from '../progress.ts';
import { LineEvaluation, type LineReport } from './eval-lines.ts';
import { foldOf, type GoldPage, groupOf, type LeaveOut, leaveOutKey } from './gold.ts';
import type { LineRefiner, LineScorer } from './line-scorer.ts';
import { countPages } from './site-scores.ts';

/** Options of {@link evaluateLines}. */
export interface EvaluateLinesOptions {
  readonly refiner: LineRefiner;
  readonly pages: readonly GoldPage[];
  /**
   * Number of folds for a trainable refiner, at least 2. Null scores all pages with one refiner, made from
   * `trainPages`.
   */
  readonly nFolds: number | null;
  /** Instead of folds: each source (type of page, language) is scored by a refiner that saw none of it. */
  readonly leaveOut?: LeaveOut | undefined;
  /** Pages that every training also sees, whenever their domain is not among those to be scored. */
  readonly trainPages?: readonly GoldPage[];
  /**
   * Measure pages whose site has two or more of them, without and with what their sites repeat: `withSites` of the result
   * is the second. Default false.
   */
  readonly sites?: boolean;
  /** Told the scores of each page that is measured, by a refiner that has not seen it where there are parts. */
  readonly onScores?: ((page: GoldPage, scores: Float32Array) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called before each fold. */
  readonly onFold?: (fold: number, nTrain: number, nScored: number) => void;
  readonly onProgress?: OnProgress | undefined;
}

/** What came out. */
export interface LineEvaluationResult extends LineReport {
  readonly refiner: string;
  readonly nFolds: number | null;
  readonly leftOut: LeaveOut | null;
  /** Scoring time by 10⁶ bytes (UTF-8) of page text; training apart. */
  readonly secondsPerMB: number;
  readonly trainSeconds: number;
  /** With `sites`: the measures of the same pages by scores that know what their sites repeat. */
  readonly withSites?: LineReport;
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
  leaveOut,
  trainPages = [],
  sites: asksSites = false,
  onScores,
  signal,
  onFold,
  onProgress,
}: EvaluateLinesOptions): Promise<LineEvaluationResult> {
  const { trainable } = refiner;
  if (trainable && nFolds === null && !leaveOut && trainPages.length === 0) {
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
  if (nFolds !== null && leaveOut) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'leaveOut',
      expected: 'nothing beside folds',
      received: leaveOut,
    });
  }
  const sites = asksSites ? await countPages(pages) : null;
  const parts = trainable ? partsOf(pages, nFolds, leaveOut) : null;
  const nParts = parts ? Math.max(0, ...parts) + 1 : 1;
  const evaluation = new LineEvaluation();
  const withSites = new LineEvaluation();
  let scoringMs = 0;
  let trainingMs = 0;
  let nBytes = 0;
  const tell = counting(onProgress, { phase: 'scoring', unit: 'pages', total: pages.length });
  for (let fold = 0; fold < nParts; fold++) {
    const scored = parts ? pages.filter((_, page) => parts[page] === fold) : pages;
    if (scored.length === 0) continue;
    const all = parts ? [...pages, ...trainPages] : trainPages;
    const learning = trainable ? learnFrom(all, scored, leaveOut) : [];
    if (trainable && learning.length === 0) {
      throw new GristmillError('TRAIN_DATA_TOO_SMALL', {
        what: `part ${fold + 1} of ${nParts}: other pages to train on`,
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
        // Where a page is alone there is nothing to compare.
        if (sites && sites.nPages(page) < 2) {
          tell();
          continue;
        }
        const start = performance.now();
        const scores = await scorer.scoreLines(page.lines);
        scoringMs += performance.now() - start;
        nBytes += Buffer.byteLength(page.text);
        evaluation.add(page, checked(scorer, page, scores), scorer.threshold);
        onScores?.(page, scores);
        if (sites) withSites.add(page, sites.weigh(page, scores), scorer.threshold);
        tell();
      }
    } finally {
      await scorer.dispose?.();
    }
  }
  sites?.dispose();
  return {
    refiner: refiner.name,
    nFolds: trainable ? nFolds : null,
    leftOut: trainable ? (leaveOut ?? null) : null,
    ...evaluation.report(),
    secondsPerMB: nBytes === 0 ? 0 : scoringMs / 1000 / (nBytes / 1e6),
    trainSeconds: trainingMs / 1000,
    ...(sites && { withSites: withSites.report() }),
  };
}

/** The part that each page is scored in; null when one refiner scores all. */
function partsOf(
  pages: readonly GoldPage[],
  nFolds: number | null,
  leaveOut: LeaveOut | undefined,
): readonly number[] | null {
  if (nFolds !== null) return pages.map((page) => foldOf(page, nFolds));
  if (!leaveOut) return null;
  const keys = [...new Set(pages.map((page) => leaveOutKey(page, leaveOut)))].sort();
  return pages.map((page) => keys.indexOf(leaveOutKey(page, leaveOut)));
}

function learnFrom(
  pages: readonly GoldPage[],
  scored: readonly GoldPage[],
  leaveOut: LeaveOut | undefined,
): GoldPage[] {
  const domains = new Set(scored.map(groupOf));
  const keys = new Set(leaveOut ? scored.map((page) => leaveOutKey(page, leaveOut)) : []);
  return pages.filter(
    (page) => !domains.has(groupOf(page)) && !(leaveOut && keys.has(leaveOutKey(page, leaveOut))),
  );
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
