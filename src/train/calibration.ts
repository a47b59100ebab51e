/**
 * From log-odds to probabilities that mean what they say, and from a wanted retention to a threshold.
 *
 * Both are fitted on scores of pages that the model did not learn from.
 */
import { GristmillError } from '../errors.ts';
import type { Calibration, RetentionThreshold } from '../lines/calibration.ts';

const NEWTON_STEPS = 50;

/**
 * Platt's calibration by Newton's method.
 *
 * @param logits log-odds of "yes"
 * @param labels 1 yes, 0 no
 * @param weights 0 leaves a row out; all 1 without them
 * @throws TRAIN_DATA_TOO_SMALL unless both labels occur
 */
export function fitCalibration(
  logits: ArrayLike<number>,
  labels: ArrayLike<number>,
  weights?: ArrayLike<number>,
): Calibration {
  const seen = [0, 0];
  for (let row = 0; row < logits.length; row++) seen[labels[row]!]! += weights?.[row] ?? 1;
  if (!(seen[0]! > 0 && seen[1]! > 0)) {
    throw new GristmillError('TRAIN_DATA_TOO_SMALL', {
      what: 'labels of both kinds to calibrate on',
      minimum: 1,
      received: 0,
    });
  }
  let slope = 1;
  let intercept = 0;
  for (let step = 0; step < NEWTON_STEPS; step++) {
    const gradient = [0, 0];
    // A pinch of ridge: separable scores would send the slope to infinity.
    const hessian = [1e-3, 0, 1e-3];
    gradient[0]! += 1e-3 * (slope - 1);
    gradient[1]! += 1e-3 * intercept;
    for (let row = 0; row < logits.length; row++) {
      const weight = weights?.[row] ?? 1;
      const logit = logits[row]!;
      const probability = 1 / (1 + Math.exp(-(slope * logit + intercept)));
      const error = weight * (probability - labels[row]!);
      const curve = weight * probability * (1 - probability);
      gradient[0]! += error * logit;
      gradient[1]! += error;
      hessian[0]! += curve * logit * logit;
      hessian[1]! += curve * logit;
      hessian[2]! += curve;
    }
    const determinant = hessian[0]! * hessian[2]! - hessian[1]! ** 2;
    const bySlope = (hessian[2]! * gradient[0]! - hessian[1]! * gradient[1]!) / determinant;
    const byIntercept = (hessian[0]! * gradient[1]! - hessian[1]! * gradient[0]!) / determinant;
    slope -= bySlope;
    intercept -= byIntercept;
    if (Math.abs(bySlope) + Math.abs(byIntercept) < 1e-9) break;
  }
  return { slope, intercept };
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
