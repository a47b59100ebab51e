/**
 * Least squares for models that are linear in most of their parameters: y ≈ Σ_k c_k · column_k(θ).
 *
 * Variable projection: for every θ the best coefficients are solved exactly, so that only θ is searched, in a box, by
 * Levenberg-Marquardt from seeded starts. Coefficients are 0 or more unless they are free; with at most eight of them
 * every support is tried, which finds the optimum without an iteration that could stall.
 *
 * @see G. Golub, V. Pereyra, Separable nonlinear least squares, Inverse Problems 19 (2003)
 */
import { seededRandom } from '../../seeded.ts';

/** Bounds of a parameter; it is searched by its logarithm. */
export interface LogRange {
  /** Above 0. */
  readonly low: number;
  readonly high: number;
}

/** A model and its data. */
export interface SeparableProblem {
  /** `[nRows]`. */
  readonly values: Float64Array;
  /** Bounds of θ. */
  readonly ranges: readonly LogRange[];
  /** For each column: whether its coefficient may be negative. */
  readonly free: readonly boolean[];
  /** Columns at θ, each `[nRows]`. */
  columns(theta: readonly number[]): readonly Float64Array[];
  readonly seed?: number;
  /** Default 48. */
  readonly nStarts?: number;
}

/** The best parameters that were found. */
export interface SeparableFit {
  readonly theta: readonly number[];
  readonly coefficients: readonly number[];
  /** Root of the mean square of the residuals. */
  readonly rmse: number;
}

const N_STARTS = 48;
/** Of the starts, by their residuals. */
const N_REFINED = 8;
const MAX_ITERATIONS = 60;
/** A column this much smaller than the largest, once the others are taken out of it, says nothing of its own. */
const RANK_TOLERANCE = 1e-11;
const STEP = 1e-6;

/** Fits a model. */
export function fitSeparable(problem: SeparableProblem): SeparableFit {
  const { values, ranges, seed = 0, nStarts = N_STARTS } = problem;
  const random = seededRandom(seed);
  const at = (place: readonly number[]): Projection => project(problem, place);
  const starts = Array.from({ length: ranges.length === 0 ? 1 : nStarts }, (_, start) =>
    at(ranges.map(() => (start === 0 ? 0.5 : random()))),
  );
  starts.sort((left, right) => left.squares - right.squares);
  let best = starts[0]!;
  for (const start of starts.slice(0, N_REFINED)) {
    const refined = ranges.length === 0 ? start : refine(start, at);
    if (refined.squares < best.squares) best = refined;
  }
  return {
    theta: thetaOf(best.place, ranges),
    coefficients: best.coefficients,
    rmse: Math.sqrt(best.squares / values.length),
  };
}

interface Projection {
  /** θ as a place in the unit cube. */
  readonly place: readonly number[];
  readonly coefficients: readonly number[];
  readonly residuals: Float64Array;
  readonly squares: number;
}

function thetaOf(place: readonly number[], ranges: readonly LogRange[]): number[] {
  return ranges.map(({ low, high }, at) => low * (high / low) ** place[at]!);
}

function project(problem: SeparableProblem, place: readonly number[]): Projection {
  const { values, free, ranges } = problem;
  const columns = problem.columns(thetaOf(place, ranges));
  const coefficients = boundedLeastSquares(columns, values, free);
  const residuals = values.slice();
  for (const [at, column] of columns.entries()) {
    const coefficient = coefficients[at]!;
    if (coefficient === 0) continue;
    for (let row = 0; row < residuals.length; row++) residuals[row]! -= coefficient * column[row]!;
  }
  const squares = dot(residuals, residuals);
  return {
    place,
    coefficients,
    residuals,
    squares: Number.isFinite(squares) ? squares : Number.POSITIVE_INFINITY,
  };
}

/** Levenberg-Marquardt in the unit cube; a coordinate that pushes against its bound rests. */
function refine(start: Projection, at: (place: readonly number[]) => Projection): Projection {
  let current = start;
  let damping = 1e-3;
  for (let iteration = 0; iteration < MAX_ITERATIONS && damping < 1e12; iteration++) {
    const { place, residuals, squares } = current;
    const slopes = place.map((value, coordinate) => {
      const step = value + STEP > 1 ? -STEP : STEP;
      const moved = at(place.with(coordinate, value + step)).residuals;
      return moved.map((residual, row) => (residual - residuals[row]!) / step);
    });
    const gradient = slopes.map((slope) => dot(slope, residuals));
    const active = place
      .map((_, coordinate) => coordinate)
      .filter(
        (coordinate) =>
          !(place[coordinate] === 0 && gradient[coordinate]! > 0) &&
          !(place[coordinate] === 1 && gradient[coordinate]! < 0),
      );
    if (active.length === 0) break;
    let moved = false;
    for (let attempt = 0; attempt < 12; attempt++) {
      const next = at(dampedStep(place, slopes, residuals, active, damping));
      if (next.squares < squares) {
        const gain = (squares - next.squares) / squares;
        current = next;
        damping = Math.max(1e-12, damping / 8);
        moved = gain > 1e-13;
        break;
      }
      damping *= 4;
    }
    if (!moved) break;
  }
  return current;
}

function dampedStep(
  place: readonly number[],
  slopes: readonly Float64Array[],
  residuals: Float64Array,
  active: readonly number[],
  damping: number,
): number[] {
  const nRows = residuals.length;
  // [J; √damping · diag] δ = [−r; 0]: as least squares, not as normal equations, which would square the condition.
  const columns = active.map((coordinate, index) => {
    const slope = slopes[coordinate]!;
    const column = new Float64Array(nRows + active.length);
    column.set(slope);
    column[nRows + index] = Math.sqrt(damping * (dot(slope, slope) + 1e-30));
    return column;
  });
  const target = new Float64Array(nRows + active.length);
  for (let row = 0; row < nRows; row++) target[row] = -residuals[row]!;
  const step = solve(columns, target).coefficients;
  const next = place.slice();
  for (const [index, coordinate] of active.entries()) {
    next[coordinate] = Math.min(1, Math.max(0, place[coordinate]! + step[index]!));
  }
  return next;
}

/** Coefficients that minimise the squares, those that are not free at 0 or above. */
export function boundedLeastSquares(
  columns: readonly Float64Array[],
  values: Float64Array,
  free: readonly boolean[],
): number[] {
  const scales = columns.map((column) => Math.sqrt(dot(column, column)) || 1);
  const whole = solve(
    columns.map((column, at) => column.map((value) => value / scales[at]!)),
    values,
  );
  const isGood = (coefficients: readonly number[]): boolean =>
    coefficients.every((coefficient, at) => free[at] || coefficient >= 0);
  if (isGood(whole.coefficients)) return whole.coefficients.map((one, at) => one / scales[at]!);
  const nColumns = columns.length;
  let best: number[] = columns.map(() => 0);
  let bestSquares = Number.POSITIVE_INFINITY;
  for (let support = 0; support < 2 ** nColumns; support++) {
    const chosen = columns.flatMap((_, at) => (free[at] || support & (1 << at) ? [at] : []));
    if (columns.some((_, at) => free[at] && !(support & (1 << at)))) continue;
    // The triangle has the columns' products: what it leaves of the values is the same for every support.
    const { coefficients, squares } = solve(
      chosen.map((at) => whole.triangle[at]!),
      whole.rotated,
    );
    const candidate = columns.map(() => 0);
    for (const [index, at] of chosen.entries()) candidate[at] = coefficients[index]!;
    if (squares < bestSquares && isGood(candidate)) {
      bestSquares = squares;
      best = candidate;
    }
  }
  return best.map((one, at) => one / scales[at]!);
}

interface Solved {
  readonly coefficients: number[];
  /** Columns of R, each `[nColumns]`. */
  readonly triangle: Float64Array[];
  /** The first `nColumns` of Qᵀ·values. */
  readonly rotated: Float64Array;
  readonly squares: number;
}

/** Least squares by Householder reflections; a column without anything of its own gets the coefficient 0. */
function solve(columns: readonly Float64Array[], values: Float64Array): Solved {
  const work = columns.map((column) => column.slice());
  const target = values.slice();
  const nColumns = work.length;
  const nRows = target.length;
  const size = work.reduce((most, column) => Math.max(most, Math.sqrt(dot(column, column))), 0);
  const pivots: number[] = [];
  let top = 0;
  for (let at = 0; at < nColumns && top < nRows; at++) {
    const column = work[at]!;
    let norm = 0;
    for (let row = top; row < nRows; row++) norm += column[row]! ** 2;
    norm = Math.sqrt(norm);
    if (!(norm > RANK_TOLERANCE * size)) continue;
    const alpha = column[top]! > 0 ? -norm : norm;
    const mirror = column.slice(top);
    mirror[0]! -= alpha;
    const length = dot(mirror, mirror);
    for (const other of [...work.slice(at), target]) {
      let product = 0;
      for (let row = top; row < nRows; row++) product += mirror[row - top]! * other[row]!;
      const factor = (2 * product) / length;
      for (let row = top; row < nRows; row++) other[row]! -= factor * mirror[row - top]!;
    }
    pivots.push(at);
    top++;
  }
  const coefficients = new Array<number>(nColumns).fill(0);
  for (let pivot = pivots.length - 1; pivot >= 0; pivot--) {
    const at = pivots[pivot]!;
    let value = target[pivot]!;
    for (let later = pivot + 1; later < pivots.length; later++) {
      value -= work[pivots[later]!]![pivot]! * coefficients[pivots[later]!]!;
    }
    coefficients[at] = value / work[at]![pivot]!;
  }
  let squares = 0;
  for (let row = top; row < nRows; row++) squares += target[row]! ** 2;
  const height = Math.min(nColumns, nRows);
  return {
    coefficients,
    triangle: work.map((column) => column.slice(0, height)),
    rotated: target.slice(0, height),
    squares,
  };
}

function dot(left: Float64Array, right: Float64Array): number {
  let sum = 0;
  for (let row = 0; row < left.length; row++) sum += left[row]! * right[row]!;
  return sum;
}
