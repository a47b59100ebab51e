/**
 * Active designs: the next mixtures to run, so that the surrogate's uncertainty over all mixtures falls most.
 *
 * A Gaussian process knows beforehand how far a run would narrow every prediction (Cohn 1996, "ALC"). The batch is chosen
 * jointly: each choice updates the whole posterior covariance as if its run were done, so the next one is not spent on what
 * the first will tell (a greedy choice of a set whose value has diminishing returns). The fall of the variance, averaged
 * over candidates, is averaged over targets as a share of what each target's variance is now.
 *
 * Fits of `gp` and `ensemble` hold such a process; the other members of an ensemble have no covariance and are not asked.
 */
import { setImmediate } from 'node:timers/promises';
import { GristmillError, throwIfAborted } from '../../errors.ts';
import { counting, type OnProgress } from '../../progress.ts';
import { unitsToWeights } from '../simplex.ts';
import type { FittedSurrogate } from '../types.ts';
import { type CandidateOptions, drawCandidates } from './candidates.ts';
import {
  type PosteriorCovariance,
  type ProcessJson,
  posteriorCovariance,
  processOf,
} from './process-covariance.ts';

/** Options of {@link drawActive}. */
export interface ActiveOptions extends CandidateOptions {
  /** Fitted targets whose uncertainty counts. */
  readonly targets: readonly { readonly name: string; readonly surrogate: FittedSurrogate }[];
  /** Mixtures that are running already and not in the fit. */
  readonly pending?: readonly Float64Array[] | undefined;
  /** Mixtures among which the batch is chosen, and over which variance is averaged. Default 600. */
  readonly nCandidates?: number | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An active design. */
export interface ActiveDesign {
  /** Rows of units, most telling first. */
  readonly rows: readonly Int32Array[];
  /** Root mean square deviation of the predicted loss over candidates, without noise, before and after the batch. */
  readonly deviations: readonly {
    readonly target: string;
    readonly before: number;
    readonly after: number;
  }[];
}

/**
 * Chooses the next `n` mixtures.
 *
 * @throws OPTION_INVALID where no target has a process, MIXTURE_SAMPLE_FAILED, ABORTED
 */
export async function drawActive(options: ActiveOptions): Promise<ActiveDesign> {
  const { n, nUnits, targets, nCandidates = 600, signal } = options;
  const processes = targets.flatMap(({ name, surrogate }) => {
    const process = processOf(surrogate);
    return process === null ? [] : [{ name, process }];
  });
  if (processes.length === 0) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'fit',
      expected: 'surrogates with a Gaussian process (gp, ensemble) of targets that vary',
      received: targets.map(({ surrogate }) => surrogate.family).join(', '),
    });
  }
  const rows = drawCandidates({ ...options, n: Math.max(nCandidates, 4 * n) });
  if (rows.length < n) {
    throw new GristmillError('MIXTURE_SAMPLE_FAILED', {
      wanted: n,
      found: rows.length,
      draws: 4 * Math.max(nCandidates, 4 * n),
      reason: `the grid of 1/${nUnits} within the bounds has hardly more`,
    });
  }
  const covariances = await covariancesOf(rows, processes, options);
  const before = covariances.map(deviationOf);
  const chosen = await chooseJointly(covariances, n, signal, options.onProgress);
  return {
    rows: chosen.map((at) => rows[at]!),
    deviations: covariances.map((covariance, index) => ({
      target: processes[index]!.name,
      before: before[index]!,
      after: deviationOf(covariance),
    })),
  };
}

async function covariancesOf(
  candidates: readonly Int32Array[],
  processes: readonly { readonly process: ProcessJson }[],
  { prior, nUnits, pending = [], signal }: ActiveOptions,
): Promise<PosteriorCovariance[]> {
  const weights = new Float64Array(candidates.length * prior.length);
  for (const [row, units] of candidates.entries()) {
    weights.set(unitsToWeights(units, nUnits), row * prior.length);
  }
  const more = Float64Array.from(pending.flatMap((row) => [...row]));
  const covariances: PosteriorCovariance[] = [];
  for (const { process } of processes) {
    await turn(signal);
    covariances.push(posteriorCovariance(process, weights, more));
  }
  return covariances;
}

/**
 * Indices of the `n` mixtures that lower the mean variance most, each given those before it. The covariances are written
 * over by those after the batch.
 */
export async function chooseJointly(
  covariances: readonly PosteriorCovariance[],
  n: number,
  signal?: AbortSignal | undefined,
  onProgress?: OnProgress | undefined,
): Promise<number[]> {
  const size = Math.round(Math.sqrt(covariances[0]!.matrix.length));
  const total = covariances.map(({ matrix }) => traceOf(matrix, size));
  const chosen: number[] = [];
  const tell = counting(onProgress, { phase: 'choosing', unit: 'mixtures', total: n });
  while (chosen.length < n) {
    await turn(signal);
    const gains = new Float64Array(size);
    for (const [index, { matrix, noise }] of covariances.entries()) {
      if (!(total[index]! > 0)) continue;
      for (let at = 0; at < size; at++) {
        let sum = 0;
        for (let other = 0; other < size; other++) sum += matrix[at * size + other]! ** 2;
        gains[at]! += sum / (matrix[at * size + at]! + noise) / total[index]!;
      }
    }
    for (const at of chosen) gains[at] = -1;
    const best = gains.indexOf(Math.max(...gains));
    chosen.push(best);
    tell();
    for (const covariance of covariances) condition(covariance, best, size);
  }
  return chosen;
}

/** Gives the event loop its turn. @throws ABORTED */
async function turn(signal: AbortSignal | undefined): Promise<void> {
  await setImmediate();
  throwIfAborted(signal, 'sampling mixtures');
}

/** Makes the covariance that after one more run. */
export function condition({ matrix, noise }: PosteriorCovariance, run: number, size: number): void {
  const told = matrix.slice(run * size, (run + 1) * size);
  const variance = told[run]! + noise;
  for (let row = 0; row < size; row++) {
    const share = told[row]! / variance;
    for (let column = 0; column < size; column++) {
      matrix[row * size + column]! -= share * told[column]!;
    }
  }
}

function deviationOf({ matrix, lossScale }: PosteriorCovariance): number {
  const size = Math.round(Math.sqrt(matrix.length));
  return lossScale * Math.sqrt(Math.max(0, traceOf(matrix, size)) / size);
}

function traceOf(matrix: Float64Array, size: number): number {
  let sum = 0;
  for (let at = 0; at < size; at++) sum += matrix[at * size + at]!;
  return sum;
}
