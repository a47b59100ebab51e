/**
 * Fitting what a site's repetition weighs: three factors on the odds of "keep" behind the scores of any refiner of lines
 * (native/pages/site_evidence.h), by logistic regression with the score's log-odds as they are. Lines that no step says
 * anything of do not matter, and no weight may speak for a line: being repeated is evidence against it or none.
 *
 * The scores are to be of refiners that did not see the page's source (`evaluateLines` with `leaveOut`): seen pages are
 * scored too surely for anything to be left to say.
 */
import type { GoldPage } from './gold.ts';
import { KEEP, REMOVE } from './gold-labels.ts';

/** Bits of a line's steps, as native code gives them. */
const STEPS = [1, 2, 4] as const;
const ROUNDS = 500;
const CLOSE = 1e-9;
/** Holds a weight that nothing speaks of. */
const RIDGE = 1;
const MOST_LOG_ODDS = 12;

/** Lines that a site says something of. */
export interface SiteRows {
  /** Log-odds of "keep" by the page alone. */
  readonly offsets: number[];
  /** Bits: half, most and all of the neighbours repeat. */
  readonly steps: number[];
  /** 1: content. */
  readonly labels: number[];
}

/** What the odds of "keep" are multiplied by, each in 0..1. */
export interface SiteWeights {
  readonly half: number;
  readonly most: number;
  readonly all: number;
}

/** No rows yet. */
export function noSiteRows(): SiteRows {
  return { offsets: [], steps: [], labels: [] };
}

/** Adds the lines of a page that have a label and a step. @param scores probabilities of "keep" by line */
export function addSiteRows(
  rows: SiteRows,
  { labels }: Pick<GoldPage, 'labels'>,
  scores: ArrayLike<number>,
  steps: ArrayLike<number>,
): void {
  for (const [line, label] of labels.entries()) {
    const own = steps[line]!;
    if (own === 0 || (label !== KEEP && label !== REMOVE)) continue;
    const odds = Math.log(scores[line]! / (1 - scores[line]!));
    rows.offsets.push(Math.max(-MOST_LOG_ODDS, Math.min(MOST_LOG_ODDS, odds)));
    rows.steps.push(own);
    rows.labels.push(label === KEEP ? 1 : 0);
  }
}

/** Fits the factors: one weight after the other by Newton's step, none above 0, until none moves. */
export function fitSiteWeights({ offsets, steps, labels }: SiteRows): SiteWeights {
  const weights = STEPS.map(() => 0);
  for (let round = 0; round < ROUNDS; round++) {
    let moved = 0;
    for (const [at, bit] of STEPS.entries()) {
      let gradient = -RIDGE * weights[at]!;
      let curvature = RIDGE;
      for (const [row, own] of steps.entries()) {
        if ((own & bit) === 0) continue;
        let odds = offsets[row]!;
        for (const [other, otherBit] of STEPS.entries()) {
          if ((own & otherBit) !== 0) odds += weights[other]!;
        }
        const keep = 1 / (1 + Math.exp(-odds));
        gradient += labels[row]! - keep;
        curvature += keep * (1 - keep);
      }
      const next = Math.min(0, weights[at]! + Math.max(-2, Math.min(2, gradient / curvature)));
      moved = Math.max(moved, Math.abs(next - weights[at]!));
      weights[at] = next;
    }
    if (moved < CLOSE) break;
  }
  const [half, most, all] = weights.map(Math.exp) as [number, number, number];
  return { half, most, all };
}
