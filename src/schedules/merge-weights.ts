/**
 * A decay as weights of checkpoints: what merging them instead of decaying amounts to.
 *
 * Checkpoints θ_0 … θ_K lie one behind the other on a stretch of constant rate, Δ_k = θ_k − θ_{k−1}. A decay that scales
 * the updates of interval k by f_k ends near θ_0 + Σ f_k Δ_k, and that is Σ c_k θ_k with
 *
 *     c_0 = 1 − f_1     c_k = f_k − f_{k+1}     c_K = f_K
 *
 * They sum to one, and as a decay never rises none is below 0. f_k is the mean factor of the interval's steps, from the
 * formulas of curve.ts.
 *
 * @see arXiv 2507.17634, section 3
 */
import { GristmillError } from '../errors.ts';
import { lrCurve } from './curve.ts';
import type { DecayShape } from './spec.ts';

/** Share of the rate that an exponential ends at where nothing is said: it never reaches 0. */
export const EXPONENTIAL_END = 0.1;

/** Options of {@link mergeWeights}. */
export interface MergeWeightsOptions {
  readonly shape: DecayShape;
  /** Checkpoints, that in front of the first interval included; 2 or more. */
  readonly nCheckpoints: number;
  /** Steps from one to the next; it changes the weights little. Default 100. */
  readonly stepsBetween?: number;
  /** Share of the rate at the end of the decay, 0..1. Default 0; 0.1 (`EXPONENTIAL_END`) of an exponential. */
  readonly end?: number;
  /** α of `inverse-sqrt`. Default 1. */
  readonly timescale?: number;
}

/** Bound of the checkpoints of a merge. */
export const MAX_MERGED = 1000;
const STEPS_BETWEEN = 100;

/**
 * Weights of checkpoints, the oldest first: 0 or more, summing to one; `[nCheckpoints]`.
 *
 * @throws OPTION_INVALID, SCHEDULE_INVALID for a shape that cannot end there
 */
export function mergeWeights(options: MergeWeightsOptions): Float64Array {
  const { shape, nCheckpoints, stepsBetween = STEPS_BETWEEN, timescale } = options;
  const end = options.end ?? (shape === 'exponential' ? EXPONENTIAL_END : 0);
  checkWhole('nCheckpoints', nCheckpoints, 2, MAX_MERGED);
  checkWhole('stepsBetween', stepsBetween, 1, 1e9);
  if (!(end >= 0 && end <= 1)) {
    throw new GristmillError('OPTION_INVALID', { option: 'end', expected: '0..1', received: end });
  }
  const nIntervals = nCheckpoints - 1;
  const curve = lrCurve(
    {
      kind: 'infinite',
      constantLr: 1,
      minLr: end,
      anneal: { shape, ...(timescale !== undefined && { timescale }) },
      constant: { steps: 0 },
    },
    { totalSteps: nIntervals * stepsBetween },
    'the merge',
  );
  const factors = Float64Array.from({ length: nIntervals }, (_, interval) =>
    meanOf(Math.min(stepsBetween, MAX_AVERAGED), (part, nParts) =>
      curve.at(interval * stepsBetween + (stepsBetween * (part + 1)) / nParts),
    ),
  );
  return Float64Array.from({ length: nCheckpoints }, (_, at) =>
    Math.max(0, (at === 0 ? 1 : factors[at - 1]!) - (factors[at] ?? 0)),
  );
}

/** Beyond these many steps of an interval its mean is taken over evenly spaced ones. */
const MAX_AVERAGED = 10_000;

function meanOf(nParts: number, at: (part: number, nParts: number) => number): number {
  let sum = 0;
  for (let part = 0; part < nParts; part++) sum += at(part, nParts);
  return sum / nParts;
}

function checkWhole(option: string, received: number, minimum: number, maximum: number): void {
  if (Number.isSafeInteger(received) && received >= minimum && received <= maximum) return;
  const expected = `a whole number in ${minimum}..${maximum}`;
  throw new GristmillError('OPTION_INVALID', { option, expected, received });
}
