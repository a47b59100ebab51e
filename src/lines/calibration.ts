/**
 * What log-odds mean, and which threshold keeps how much: part of every scoring model, fitted by scorers/calibration.ts.
 */
import { GristmillError } from '../errors.ts';

/**
 * probability = 1 / (1 + exp(−(slope · logit + intercept))) (Platt 1999), both of which move with the page's doubt:
 * the same log-odds mean less on a page where much is undecided.
 */
export interface Calibration {
  readonly slope: number;
  readonly intercept: number;
  /** What is added to them at a doubt of 1; nothing without it. */
  readonly byDoubt?: { readonly slope: number; readonly intercept: number } | undefined;
}

/** What a threshold does to content and noise. */
export interface RetentionThreshold {
  /** Share of content characters (or of the documents to keep) that stay, 0..1. */
  readonly retention: number;
  /** Lines (or documents) whose calibrated probability is below it go. */
  readonly threshold: number;
  /** Share of noise characters (or of the documents to drop) that go, 0..1. */
  readonly noiseRemoved: number;
}

/** The probability of "yes". */
export function calibrated(
  logit: number,
  { slope, intercept, byDoubt }: Calibration,
  doubt = 0,
): number {
  const by = byDoubt ?? { slope: 0, intercept: 0 };
  const steep = slope + doubt * by.slope;
  return 1 / (1 + Math.exp(-(steep * logit + intercept + doubt * by.intercept)));
}

/**
 * The threshold that keeps a share of content characters, between the known ones by a straight line.
 *
 * @param retention 0..1, within what `thresholds` cover
 * @throws OPTION_INVALID naming the range the model knows
 */
export function thresholdFor(retention: number, thresholds: readonly RetentionThreshold[]): number {
  const known = [...thresholds].sort((left, right) => left.retention - right.retention);
  const above = known.findIndex((entry) => entry.retention >= retention);
  const upper = known[above];
  const lower = upper?.retention === retention ? upper : known[above - 1];
  if (!upper || !lower) {
    const range =
      known.length === 0 ? 'none' : `${known[0]!.retention}..${known.at(-1)!.retention}`;
    throw new GristmillError('OPTION_INVALID', {
      option: 'retention',
      expected: `a retention that the model has thresholds for, ${range}`,
      received: retention,
    });
  }
  if (upper === lower) return upper.threshold;
  const share = (retention - lower.retention) / (upper.retention - lower.retention);
  return lower.threshold + share * (upper.threshold - lower.threshold);
}
