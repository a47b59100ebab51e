/**
 * How far a mixture lies outside the hull of others: the nearest point of the hull by Wolfe's method (Mathematical
 * Programming 11, 1976), exact up to rounding.
 *
 * With the mixture moved to the origin the nearest point is that of least norm. A corral is a set of affinely independent
 * rows whose affine hull's point of least norm lies inside them; every round takes in the row that reaches farthest past
 * the present point, and lets go of rows until the rest is a corral again. The norm falls each round, so it ends.
 */

/** The nearest mixture of sampled ones. */
export interface HullDistance {
  /** Sum of absolute differences of weights, 0..2, between the mixture and the nearest point (nearest in Euclid's sense). */
  readonly distance: number;
  /** `[nDomains]`: that point. */
  readonly nearest: Float64Array;
}

const MAX_ROUNDS = 5000;
/** Squared distances this small are 0: a thousandth of the finest grid's step. */
const ZERO = 1e-16;
const EPSILON = 1e-12;

/**
 * Distance of a mixture from the convex hull of rows.
 *
 * @param rows `[nRows × nDomains]`, row-major, at least one row
 */
export function distanceToHull(weights: Float64Array, rows: Float64Array): HullDistance {
  const nDomains = weights.length;
  const nRows = rows.length / nDomains;
  const shifted = rows.map((value, at) => value - weights[at % nDomains]!);
  const row = (index: number): Float64Array =>
    shifted.subarray(index * nDomains, (index + 1) * nDomains);
  const start = leastAlong(shifted, nRows, null).index;
  let corral = [start];
  let parts = [1];
  let point: Float64Array = row(start).slice();
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const norm = dot(point, point);
    if (norm <= ZERO) break;
    const { index: farthest, reach: least } = leastAlong(shifted, nRows, point);
    if (least >= norm - EPSILON * Math.max(1, norm) || corral.includes(farthest)) break;
    corral.push(farthest);
    parts.push(0);
    ({ corral, parts } = settle(corral, parts, row));
    point = combine(corral, parts, row, nDomains);
  }
  const nearest = point.map((value, at) => value + weights[at]!);
  return { distance: point.reduce((sum, value) => sum + Math.abs(value), 0), nearest };
}

/** The row that reaches least along `point`, or the one of least norm. Flat loops: this is where the time goes. */
function leastAlong(
  rows: Float64Array,
  nRows: number,
  point: Float64Array | null,
): { readonly index: number; readonly reach: number } {
  const nDomains = rows.length / nRows;
  let index = 0;
  let reach = Number.POSITIVE_INFINITY;
  for (let row = 0, start = 0; row < nRows; row++, start += nDomains) {
    let sum = 0;
    if (point === null) {
      for (let at = 0; at < nDomains; at++) sum += rows[start + at]! ** 2;
    } else {
      for (let at = 0; at < nDomains; at++) sum += rows[start + at]! * point[at]!;
    }
    if (sum < reach) {
      reach = sum;
      index = row;
    }
  }
  return { index, reach };
}

/** Lets go of rows until the affine hull's point of least norm lies inside the rest. */
function settle(
  corral: readonly number[],
  parts: readonly number[],
  row: (index: number) => Float64Array,
): { corral: number[]; parts: number[] } {
  let kept = [...corral];
  let at = [...parts];
  while (kept.length > 1) {
    const affine = affineLeast(kept.map(row));
    if (affine === null) {
      // Dependent up to rounding: the newest row adds nothing.
      return { corral: kept.slice(0, -1), parts: normalised(at.slice(0, -1)) };
    }
    if (affine.every((part) => part > EPSILON)) return { corral: kept, parts: affine };
    let step = 1;
    for (const [index, part] of affine.entries()) {
      if (part <= EPSILON) step = Math.min(step, at[index]! / Math.max(at[index]! - part, EPSILON));
    }
    at = at.map((part, index) => (1 - step) * part + step * affine[index]!);
    const left = at.flatMap((part, index) => (part > EPSILON ? [index] : []));
    // Rounding may leave all above the bound; the smallest goes, or this would not end.
    if (left.length === kept.length) left.splice(at.indexOf(Math.min(...at)), 1);
    kept = left.map((index) => kept[index]!);
    at = normalised(left.map((index) => at[index]!));
  }
  return { corral: kept, parts: [1] };
}

/** Affine parts of the point of least norm: `(1 1ᵀ + Q Qᵀ) y = 1`, scaled to sum to 1; null where Q is dependent. */
function affineLeast(points: readonly Float64Array[]): number[] | null {
  const size = points.length;
  const system = points.map((one) => [...points.map((other) => 1 + dot(one, other)), 1]);
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let at = column + 1; at < size; at++) {
      if (Math.abs(system[at]![column]!) > Math.abs(system[pivot]![column]!)) pivot = at;
    }
    if (Math.abs(system[pivot]![column]!) < 1e-13) return null;
    [system[column], system[pivot]] = [system[pivot]!, system[column]!];
    for (let at = 0; at < size; at++) {
      if (at === column) continue;
      const factor = system[at]![column]! / system[column]![column]!;
      if (factor === 0) continue;
      for (let cell = column; cell <= size; cell++) {
        system[at]![cell]! -= factor * system[column]![cell]!;
      }
    }
  }
  return normalised(system.map((line, at) => line[size]! / line[at]!));
}

function normalised(parts: readonly number[]): number[] {
  const sum = parts.reduce((total, part) => total + part, 0);
  return parts.map((part) => part / sum);
}

function combine(
  corral: readonly number[],
  parts: readonly number[],
  row: (index: number) => Float64Array,
  nDomains: number,
): Float64Array {
  const point = new Float64Array(nDomains);
  for (const [index, member] of corral.entries()) {
    for (const [at, value] of row(member).entries()) point[at]! += parts[index]! * value;
  }
  return point;
}

function dot(one: Float64Array, other: Float64Array): number {
  let sum = 0;
  for (let at = 0; at < one.length; at++) sum += one[at]! * other[at]!;
  return sum;
}
