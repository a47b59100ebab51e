/**
 * Posterior covariance of a fitted Gaussian process between mixtures, from what its JSON holds. The surrogate itself gives
 * deviations only; a batch that is chosen jointly needs to know how much one run would tell of another.
 *
 * Kernel and features are those of native/mixture/gaussian_process.h; losses are standardised, so covariances are in units
 * of `lossScale²`. Losses are not needed: what a run would tell does not depend on what it says.
 */
import { GristmillError } from '../../errors.ts';
import type { FittedSurrogate } from '../types.ts';

/** A process as its family writes it, as far as covariances need it. */
export interface ProcessJson {
  readonly family: 'gp';
  readonly nDomains: number;
  readonly nRuns: number;
  readonly means: readonly number[];
  readonly scales: readonly number[];
  readonly lossScale: number;
  /** Logarithms: length scales, signal, linear, noise. */
  readonly parameters: readonly number[];
  readonly weights: readonly number[];
}

/** In front of the logarithm of weights; as native/mixture. */
const OFFSET = 0.01;
/** Added to the noise of runs; as native/mixture. */
const JITTER = 1e-8;
const ROOT5 = Math.sqrt(5);

/**
 * The process of a surrogate: itself, or the member of an ensemble; null where there is none, or its target was constant. That
 * of model `scale` is none: it stands on what laws leave, and has columns of size and tokens.
 */
export function processOf(surrogate: FittedSurrogate): ProcessJson | null {
  if (surrogate.family === 'scale') return null;
  return findProcess(surrogate.toJson());
}

function findProcess(json: unknown): ProcessJson | null {
  if (json === null || typeof json !== 'object') return null;
  const fields = json as Record<string, unknown>;
  if (fields['family'] === 'gp') {
    return Array.isArray(fields['parameters']) ? (json as ProcessJson) : null;
  }
  for (const value of Object.values(fields)) {
    const inner = Array.isArray(value) ? value : [value];
    // Members stand first in their lists; lists of numbers end at their first entry.
    for (const entry of inner) {
      if (entry === null || typeof entry !== 'object') break;
      const found = findProcess(entry);
      if (found !== null) return found;
    }
  }
  return null;
}

/** Covariances of a process. */
export interface PosteriorCovariance {
  /** `[nMixtures × nMixtures]`, row-major, symmetric; of the loss without noise, standardised. */
  readonly matrix: Float64Array;
  /** Variance of the noise of one run, standardised. */
  readonly noise: number;
  readonly lossScale: number;
}

/**
 * Covariance between mixtures, given the runs of the process and `more` runs.
 *
 * @param weights `[nMixtures × nDomains]`, row-major
 * @param more `[nMore × nDomains]`: runs that are under way, whose losses nobody knows yet
 */
export function posteriorCovariance(
  process: ProcessJson,
  weights: Float64Array,
  more: Float64Array = new Float64Array(),
): PosteriorCovariance {
  const { nDomains, parameters, lossScale } = process;
  const kernel = {
    precisions: parameters.slice(0, nDomains).map((log) => Math.exp(-2 * log)),
    signal: Math.exp(parameters[nDomains]!),
    linear: Math.exp(parameters[nDomains + 1]!),
  };
  const noise = Math.exp(parameters[nDomains + 2]!);
  const runs = featuresOf(process, Float64Array.from([...process.weights, ...more]));
  const mixtures = featuresOf(process, weights);
  const nRuns = runs.length / nDomains;
  const nMixtures = mixtures.length / nDomains;
  const factor = new Float64Array(nRuns * nRuns);
  for (let row = 0; row < nRuns; row++) {
    for (let column = 0; column <= row; column++) {
      factor[row * nRuns + column] = kernelAt(kernel, runs, row, runs, column, nDomains);
    }
    factor[row * nRuns + row]! += noise + JITTER;
  }
  cholesky(factor, nRuns);
  // Row r holds L⁻¹ k(r, runs): the dot product of two rows is what the runs tell of both.
  const told = new Float64Array(nMixtures * nRuns);
  for (let row = 0; row < nMixtures; row++) {
    const own = told.subarray(row * nRuns, (row + 1) * nRuns);
    for (let run = 0; run < nRuns; run++) {
      const start = run * nRuns;
      let value = kernelAt(kernel, mixtures, row, runs, run, nDomains);
      for (let at = 0; at < run; at++) value -= factor[start + at]! * own[at]!;
      own[run] = value / factor[start + run]!;
    }
  }
  const matrix = new Float64Array(nMixtures * nMixtures);
  for (let row = 0; row < nMixtures; row++) {
    for (let column = 0; column <= row; column++) {
      let value = kernelAt(kernel, mixtures, row, mixtures, column, nDomains);
      for (let run = 0; run < nRuns; run++) {
        value -= told[row * nRuns + run]! * told[column * nRuns + run]!;
      }
      matrix[row * nMixtures + column] = value;
      matrix[column * nMixtures + row] = value;
    }
  }
  return { matrix, noise, lossScale };
}

interface Kernel {
  readonly precisions: readonly number[];
  readonly signal: number;
  readonly linear: number;
}

function kernelAt(
  { precisions, signal, linear }: Kernel,
  left: Float64Array,
  row: number,
  right: Float64Array,
  column: number,
  nDomains: number,
): number {
  let squares = 0;
  let products = 0;
  for (let at = 0; at < nDomains; at++) {
    const here = left[row * nDomains + at]!;
    const there = right[column * nDomains + at]!;
    squares += precisions[at]! * (here - there) ** 2;
    products += here * there;
  }
  const scaled = ROOT5 * Math.sqrt(squares);
  return signal * (1 + scaled + (scaled * scaled) / 3) * Math.exp(-scaled) + linear * products;
}

function featuresOf({ nDomains, means, scales }: ProcessJson, weights: Float64Array): Float64Array {
  return weights.map((weight, index) => {
    const at = index % nDomains;
    return (Math.log(weight + OFFSET) - means[at]!) / scales[at]!;
  });
}

/** Lower Cholesky factor in place; only the lower triangle is read. */
function cholesky(matrix: Float64Array, size: number): void {
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let value = matrix[row * size + column]!;
      for (let at = 0; at < column; at++) {
        value -= matrix[row * size + at]! * matrix[column * size + at]!;
      }
      if (row !== column) {
        matrix[row * size + column] = value / matrix[column * size + column]!;
      } else if (value > 0) {
        matrix[row * size + row] = Math.sqrt(value);
      } else {
        const reason = 'its kernel matrix is not positive definite';
        throw new GristmillError('MIXTURE_FIT_INVALID', { file: 'surrogate gp', reason });
      }
    }
  }
}
