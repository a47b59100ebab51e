/**
 * Learning rate as a pure function of the step.
 *
 * Linear warm-up, then constant or half a cosine down to `minLr`. A step's rate depends on nothing but its number, so
 * that a resumed run continues on the same curve.
 */
import { GristmillError } from '../errors.ts';

/** A curve of learning rates. */
export interface LrSchedule {
  readonly kind: 'constant' | 'cosine';
  readonly peakLr: number;
  /** Rate at and after `totalSteps` (cosine only); 0..peakLr. Default 0. */
  readonly minLr?: number;
  /** Steps of linear warm-up; 0 for none. Default 0. */
  readonly warmupSteps?: number;
  /** Steps until `minLr`, warm-up included (cosine only). */
  readonly totalSteps: number;
}

/**
 * Learning rate of a step.
 *
 * @param step 0 for the first one
 * @throws OPTION_INVALID
 * @see ProX (arXiv 2409.17115), table 9: warm-up and cosine; Loshchilov & Hutter, arXiv 1608.03983, eq. 5 without restarts
 */
export function learningRateAt(step: number, schedule: LrSchedule): number {
  const { kind, peakLr, minLr = 0, warmupSteps = 0, totalSteps } = schedule;
  require(Number.isInteger(step) && step >= 0, 'step', 'a whole number, 0 or more', step);
  require(Number.isFinite(peakLr) && peakLr >= 0, 'peakLr', 'a finite number, 0 or more', peakLr);
  require(minLr >= 0 && minLr <= peakLr, 'minLr', `0..${peakLr}`, minLr);
  require(Number.isInteger(totalSteps) &&
    totalSteps >= 1, 'totalSteps', 'a whole number above 0', totalSteps);
  require(Number.isInteger(warmupSteps) &&
    warmupSteps >= 0 &&
    warmupSteps <= totalSteps, 'warmupSteps', `0..${totalSteps}`, warmupSteps);
  if (step < warmupSteps) return (peakLr * (step + 1)) / warmupSteps;
  if (kind === 'constant') return peakLr;
  if (step >= totalSteps) return minLr;
  const progress = (step - warmupSteps) / (totalSteps - warmupSteps);
  return minLr + ((peakLr - minLr) * (1 + Math.cos(Math.PI * progress))) / 2;
}

/**
 * The curve of the package's scorers and writers: warm-up over 3 % of the steps, half a cosine down to 2 % of the peak.
 *
 * @param step 0 for the first one
 */
export function shortCosineAt(step: number, peakLr: number, totalSteps: number): number {
  const warmupSteps = Math.ceil(totalSteps * 0.03);
  const minLr = peakLr * 0.02;
  return learningRateAt(step, { kind: 'cosine', peakLr, minLr, warmupSteps, totalSteps });
}

function require(holds: boolean, option: string, expected: string, received: unknown): void {
  if (!holds) throw new GristmillError('OPTION_INVALID', { option, expected, received });
}
