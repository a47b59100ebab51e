/**
 * From log-odds to probabilities that mean what they say, and from a wanted retention to a threshold.
 *
 * Both are fitted on scores of pages that the model did not learn from.
 */
import { GristmillError } from '../errors.ts';
import type { Calibration, RetentionThreshold } from '../lines/calibration.ts';

const NEWTON_STEPS = 50;

/** Rows of {@link fitCalibration}. */
export interface CalibrationRows {
  /** Log-odds of "yes". */
  readonly logits: ArrayLike<number>;
  /** 1 yes, 0 no. */
  readonly labels: ArrayLike<number>;
  /** 0 leaves a row out; all 1 without them. */
  readonly weights?: ArrayLike<number> | undefined;
  /** Doubt of each row's page, 0..1; without them the calibration does not depend on it. */
  readonly doubts?: ArrayLike<number> | undefined;
}

/** A pinch of ridge: separable scores would send the slope to infinity. */
const RIDGE = 1e-3;

/**
 * Platt's calibration by Newton's method.
 *
 * @throws TRAIN_DATA_TOO_SMALL unless both labels occur
 */
export function fitCalibration({ logits, labels, weights, doubts }: CalibrationRows): Calibration {
  const seen = [0, 0];
  for (let row = 0; row < logits.length; row++) seen[labels[row]!]! += weights?.[row] ?? 1;
  if (!(seen[0]! > 0 && seen[1]! > 0)) {
    throw new GristmillError('TRAIN_DATA_TOO_SMALL', {
      what: 'labels of both kinds to calibrate on',
      minimum: 1,
      received: 0,
    });
  }
  // Slope and intercept, then the same by doubt.
  const start = doubts ? [1, 0, 0, 0] : [1, 0];
  const found = [...start];
  const size = found.length;
  const terms = new Float64Array(size);
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const gradient = found.map((value, term) => RIDGE * (value - start[term]!));
    const hessian = found.map((_, term) => found.map((__, other) => (term === other ? RIDGE : 0)));
    for (let row = 0; row < logits.length; row++) {
      const weight = weights?.[row] ?? 1;
      terms.set([logits[row]!, 1]);
      if (doubts) terms.set([doubts[row]! * logits[row]!, doubts[row]!], 2);
      const sum = terms.reduce((total, value, term) => total + value * found[term]!, 0);
      const probability = 1 / (1 + Math.exp(-sum));
      const error = weight * (probability - labels[row]!);
      const curve = weight * probability * (1 - probability);
      for (let term = 0; term < size; term++) {
        gradient[term]! += error * terms[term]!;
        for (let other = 0; other < size; other++) {
          hessian[term]![other]! += curve * terms[term]! * terms[other]!;
        }
      }
    }
    const moves = solved(hessian, gradient);
    moves.forEach((move, term) => {
      found[term]! -= move;
    });
    if (moves.reduce((sum, move) => sum + Math.abs(move), 0) < 1e-9) break;
  }
  const [slope, intercept, bySlope, byIntercept] = found as [number, number, number?, number?];
  if (!doubts) return { slope, intercept };
  return { slope, intercept, byDoubt: { slope: bySlope!, intercept: byIntercept! } };
}

/** Solves a small positive definite system by elimination; both arguments are used up. */
function solved(matrix: number[][], right: number[]): number[] {
  const size = right.length;
  for (let pivot = 0; pivot < size; pivot++) {
    for (let row = pivot + 1; row < size; row++) {
      const factor = matrix[row]![pivot]! / matrix[pivot]![pivot]!;
      for (let column = pivot; column < size; column++) {
        matrix[row]![column]! -= factor * matrix[pivot]![column]!;
      }
      right[row]! -= factor * right[pivot]!;
    }
  }
  for (let row = size - 1; row >= 0; row--) {
    for (let column = row + 1; column < size; column++) {
      right[row]! -= matrix[row]![column]! * right[column]!;
    }
    right[row]! /= matrix[row]![row]!;
  }
  return right;
}

/**
 * For each wanted retention the highest threshold that reaches it.
 *
 * @param scores calibrated probability of each line
 * @param signedChars characters of each line, negative for noise
 * @param retentions shares of content characters to keep, 0..1
 */
export function retentionThresholds(
  scores: ArrayLike<number>,
  signedChars: ArrayLike<number>,
  retentions: readonly number[],
): RetentionThreshold[] {
  const order = Uint32Array.from(scores, (_, line) => line);
  order.sort((left, right) => scores[left]! - scores[right]!);
  let content = 0;
  let noise = 0;
  for (let line = 0; line < signedChars.length; line++) {
    content += Math.max(0, signedChars[line]!);
    noise += Math.max(0, -signedChars[line]!);
  }
  return retentions.map((retention) => {
    // Content characters that may go; what is tied with the first line that must stay stays too.
    const budget = (1 - retention) * content;
    let contentRemoved = 0;
    let noiseRemoved = 0;
    let threshold = 0;
    let kept = { threshold: 0, noiseRemoved: 0 };
    for (const line of order) {
      if (scores[line]! > threshold) {
        threshold = scores[line]!;
        kept = { threshold, noiseRemoved };
      }
      const chars = signedChars[line]!;
      if (chars > 0) contentRemoved += chars;
      else noiseRemoved -= chars;
      if (contentRemoved > budget) break;
    }
    const isAll = contentRemoved <= budget;
    return {
      retention,
      threshold: isAll ? 1 : kept.threshold,
      noiseRemoved: noise === 0 ? 0 : (isAll ? noiseRemoved : kept.noiseRemoved) / noise,
    };
  });
}
