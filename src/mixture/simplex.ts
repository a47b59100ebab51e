/**
 * Weights on a grid, and the nearest point of a box on the simplex.
 *
 * Weights that leave this room are multiples of 1/nUnits whose units sum to nUnits exactly; the decimals of `units / nUnits`
 * sum to 1 exactly, the doubles to within their rounding. Integer bounds round inwards, so a rounded weight never passes a cap.
 */
import { GristmillError } from '../errors.ts';

/** Smallest and largest weight of each domain, 0..1, `nDomains` each. */
export interface MixtureBounds {
  readonly lower: Float64Array;
  readonly upper: Float64Array;
}

/** Bounds in grid units. */
export interface UnitBounds {
  readonly lower: Int32Array;
  readonly upper: Int32Array;
}

/** Room for the rounding of doubles when a bound is compared with a multiple of the grid. */
const SLACK = 1e-9;

/** Bounds rounded inwards to multiples of 1/nUnits; not checked for feasibility. */
export function unitBounds({ lower, upper }: MixtureBounds, nUnits: number): UnitBounds {
  return {
    lower: Int32Array.from(lower, (bound) => Math.ceil(bound * nUnits - SLACK * nUnits)),
    upper: Int32Array.from(upper, (bound) => Math.floor(bound * nUnits + SLACK * nUnits)),
  };
}

/**
 * Units nearest to `weights` that sum to `nUnits`: floors first, then one unit each to the largest remainders, all within
 * the bounds (Hamilton's method, with bounds).
 *
 * @param weights `[nDomains]`, non-negative, summing to about `total / nUnits`
 * @param total units to give out; default `nUnits`
 * @throws MIXTURE_BOUNDS_INFEASIBLE
 */
export function roundToUnits(
  weights: ArrayLike<number>,
  nUnits: number,
  bounds: UnitBounds,
  total = nUnits,
): Int32Array {
  const nDomains = weights.length;
  const units = new Int32Array(nDomains);
  let left = total;
  for (let domain = 0; domain < nDomains; domain++) {
    const wanted = Math.floor(weights[domain]! * nUnits + SLACK);
    units[domain] = Math.min(Math.max(wanted, bounds.lower[domain]!), bounds.upper[domain]!);
    left -= units[domain]!;
  }
  const remainder = (domain: number): number => weights[domain]! * nUnits - units[domain]!;
  const order = Array.from(units.keys());
  while (left !== 0) {
    const step = left > 0 ? 1 : -1;
    order.sort((one, other) => step * (remainder(other) - remainder(one)) || one - other);
    let moved = false;
    for (const domain of order) {
      if (left === 0) break;
      const next = units[domain]! + step;
      if (next < bounds.lower[domain]! || next > bounds.upper[domain]!) continue;
      units[domain] = next;
      left -= step;
      moved = true;
    }
    if (!moved) {
      const reason = `on a grid of 1/${nUnits} no weights within them sum to ${total / nUnits}`;
      throw new GristmillError('MIXTURE_BOUNDS_INFEASIBLE', { reason });
    }
  }
  return units;
}

/** The doubles nearest to `units / nUnits`. */
export function unitsToWeights(units: Int32Array, nUnits: number): Float64Array {
  return Float64Array.from(units, (unit) => unit / nUnits);
}

/**
 * The point of `{lower ≤ x ≤ upper, sum x = total}` nearest to `point` (Euclidean): `clip(point + shift)` for the shift
 * that makes the sum right, found by bisection and then exactly on the free coordinates.
 *
 * @param point `[n]`, written over
 */
export function projectToBox(
  point: Float64Array,
  lower: ArrayLike<number>,
  upper: ArrayLike<number>,
  total = 1,
): Float64Array {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let at = 0; at < point.length; at++) {
    low = Math.min(low, lower[at]! - point[at]!);
    high = Math.max(high, upper[at]! - point[at]!);
  }
  const clipped = (at: number, shift: number): number =>
    Math.min(Math.max(point[at]! + shift, lower[at]!), upper[at]!);
  // 60 halvings of a range below 4 end beneath the spacing of doubles.
  for (let halving = 0; halving < 60; halving++) {
    const middle = (low + high) / 2;
    let sum = 0;
    for (let at = 0; at < point.length; at++) sum += clipped(at, middle);
    if (sum < total) low = middle;
    else high = middle;
  }
  const shift = (low + high) / 2;
  for (let at = 0; at < point.length; at++) point[at] = clipped(at, shift);
  return point;
}
