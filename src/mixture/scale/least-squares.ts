/**
 * Nonlinear least squares by Levenberg and Marquardt (Marquardt 1963), with a pull of every parameter towards a centre.
 *
 *     ½ Σ r(θ)² + ½ Σ pull_p (θ_p − centre_p)²
 *
 * Residuals are visited one by one with their slopes, so no Jacobian is held. The damping is scaled by the diagonal of the
 * normal equations: parameters of different units move alike.
 */
import { setImmediate } from 'node:timers/promises';
import { throwIfAborted } from '../../errors.ts';

/** A problem of least squares. */
export interface LeastSquaresProblem {
  readonly nParameters: number;
  /**
   * Calls `visit` with every residual. `slopes` are its derivatives by the parameters, `[nParameters]`, written over by the
   * next one; they may be left as they are where `wantsSlopes` is false.
   */
  residuals(
    parameters: Float64Array,
    wantsSlopes: boolean,
    visit: (residual: number, slopes: Float64Array) => void,
  ): void;
}

/** Options of {@link leastSquares}. */
export interface LeastSquaresOptions {
  readonly start: Float64Array;
  /** `[nParameters]`. */
  readonly centre: Float64Array;
  /** `[nParameters]`, at least 0. */
  readonly pull: Float64Array;
  readonly maxIterations: number;
  readonly signal?: AbortSignal | undefined;
}

/** A minimum, of those near the start. */
export interface LeastSquaresFit {
  readonly parameters: Float64Array;
  readonly value: number;
}

/** A relative decrease below this, several times, ends the search. */
const SMALL_DECREASE = 1e-9;
const N_SMALL = 3;
const FIRST_DAMPING = 1e-3;
const MAX_DAMPING = 1e12;

/** Minimises from a start. @throws ABORTED */
export async function leastSquares(
  problem: LeastSquaresProblem,
  { start, centre, pull, maxIterations, signal }: LeastSquaresOptions,
): Promise<LeastSquaresFit> {
  const size = problem.nParameters;
  const valueAt = (parameters: Float64Array): number => {
    let sum = 0;
    problem.residuals(parameters, false, (residual) => {
      sum += residual * residual;
    });
    for (let at = 0; at < size; at++) sum += pull[at]! * (parameters[at]! - centre[at]!) ** 2;
    return sum / 2;
  };
  let parameters = start.slice();
  let value = valueAt(parameters);
  let damping = FIRST_DAMPING;
  let nSmall = 0;
  for (let iteration = 0; iteration < maxIterations && nSmall < N_SMALL; iteration++) {
    await setImmediate();
    throwIfAborted(signal, 'the scale fit');
    const { matrix, right } = normalEquations(problem, parameters, centre, pull);
    let moved = false;
    for (; damping < MAX_DAMPING; damping *= 4) {
      const step = solveDamped(matrix, right, damping, size);
      if (step === null) continue;
      const next = parameters.map((parameter, at) => parameter - step[at]!);
      const there = valueAt(next);
      if (!(there < value)) continue;
      nSmall = value - there <= SMALL_DECREASE * value ? nSmall + 1 : 0;
      parameters = next;
      value = there;
      damping = Math.max(1e-12, damping / 6);
      moved = true;
      break;
    }
    if (!moved) break;
  }
  return { parameters, value };
}

function normalEquations(
  problem: LeastSquaresProblem,
  parameters: Float64Array,
  centre: Float64Array,
  pull: Float64Array,
): { readonly matrix: Float64Array; readonly right: Float64Array } {
  const size = problem.nParameters;
  const matrix = new Float64Array(size * size);
  const right = new Float64Array(size);
  const used = new Int32Array(size);
  problem.residuals(parameters, true, (residual, slopes) => {
    // Most slopes of a law of many domains are 0.
    let nUsed = 0;
    for (let at = 0; at < size; at++) if (slopes[at] !== 0) used[nUsed++] = at;
    for (let one = 0; one < nUsed; one++) {
      const row = used[one]!;
      const slope = slopes[row]!;
      right[row]! += slope * residual;
      for (let other = 0; other <= one; other++) {
        const column = used[other]!;
        matrix[row * size + column]! += slope * slopes[column]!;
      }
    }
  });
  for (let at = 0; at < size; at++) {
    matrix[at * size + at]! += pull[at]!;
    right[at]! += pull[at]! * (parameters[at]! - centre[at]!);
  }
  return { matrix, right };
}

/** The damped step by Cholesky; null where the matrix is not positive definite. */
function solveDamped(
  matrix: Float64Array,
  right: Float64Array,
  damping: number,
  size: number,
): Float64Array | null {
  const factor = matrix.slice();
  for (let at = 0; at < size; at++) {
    factor[at * size + at]! += damping * Math.max(matrix[at * size + at]!, 1e-12);
  }
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = factor[row * size + column]!;
      for (let at = 0; at < column; at++) {
        sum -= factor[row * size + at]! * factor[column * size + at]!;
      }
      if (row === column && !(sum > 0)) return null;
      factor[row * size + column] =
        row === column ? Math.sqrt(sum) : sum / factor[column * size + column]!;
    }
  }
  const step = right.slice();
  for (let row = 0; row < size; row++) {
    for (let at = 0; at < row; at++) step[row]! -= factor[row * size + at]! * step[at]!;
    step[row]! /= factor[row * size + row]!;
  }
  for (let row = size - 1; row >= 0; row--) {
    for (let at = row + 1; at < size; at++) step[row]! -= factor[at * size + row]! * step[at]!;
    step[row]! /= factor[row * size + row]!;
  }
  return step;
}
