/**
 * Active designs over scales: which size, tokens and mixture to run next, so that what is not known of the loss at a target
 * scale falls most for the compute that it takes.
 *
 * A fit of model `scale` holds a Gaussian process over (mixture, N, D) on what its laws leave. A run at i would lower the
 * variance at t by cov(i, t)² / (var(i) + noise), whatever its loss is (Cohn 1996, "ALC"); summed over mixtures t at the target,
 * as a share of what each loss has there now, and divided by the FLOPs of the run, 6 N D (arXiv 2001.08361). Each choice
 * updates the covariance as if its run were done.
 *
 * What is not counted: that the laws themselves are fitted. Scales beyond the runs tell the process what the nearest
 * within them tells, and cost more: they are never chosen for it.
 */
import { setImmediate } from 'node:timers/promises';
import { GristmillError, throwIfAborted } from '../../errors.ts';
import { counting, type OnProgress } from '../../progress.ts';
import { processColumnsAt, ScaleSurrogate } from '../scale/scale-surrogate.ts';
import { unitsToWeights } from '../simplex.ts';
import type { FittedSurrogate } from '../types.ts';
import { condition } from './active.ts';
import { type CandidateOptions, drawCandidates } from './candidates.ts';
import {
  type PosteriorCovariance,
  type ProcessJson,
  posteriorCovariance,
} from './process-covariance.ts';

/** A size and a number of tokens. */
export interface DesignScale {
  readonly params: number;
  readonly tokens: number;
}

/** Options of {@link drawActiveScales}. */
export interface ActiveScalesOptions extends CandidateOptions {
  /** Fitted targets of model `scale`. */
  readonly targets: readonly { readonly name: string; readonly surrogate: FittedSurrogate }[];
  /** Scales that may be run. */
  readonly scales: readonly DesignScale[];
  /** Scale whose losses are to be known. */
  readonly at: DesignScale;
  /** Runs under way, with their scales. */
  readonly pending?: readonly (DesignScale & { readonly weights: Float64Array })[] | undefined;
  /** Candidates at most, all scales together; their mixtures are those that variance is averaged over. Default 600. */
  readonly nCandidates?: number | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A run to make. */
export interface DesignedRun extends DesignScale {
  /** `[nDomains]`. */
  readonly units: Int32Array;
  /** 6 N D. */
  readonly flops: number;
  /** Share of the variance at the target that it takes away, given those before it; mean over the targets. */
  readonly gain: number;
}

/** An active design over scales. */
export interface ActiveScalesDesign {
  /** Most telling for its compute first. */
  readonly runs: readonly DesignedRun[];
  /** Root mean square deviation of log L at the target scale that the process has, before and after the runs. */
  readonly deviations: readonly {
    readonly target: string;
    readonly before: number;
    readonly after: number;
  }[];
}

/** FLOPs of a run. @see arXiv 2001.08361 */
export function flopsOf({ params, tokens }: DesignScale): number {
  return 6 * params * tokens;
}

/**
 * Chooses the next `n` runs.
 *
 * @throws OPTION_INVALID where no target has a process over scales, MIXTURE_SAMPLE_FAILED, ABORTED
 */
export async function drawActiveScales(options: ActiveScalesOptions): Promise<ActiveScalesDesign> {
  const {
    n,
    nUnits,
    prior,
    targets,
    scales,
    at,
    pending = [],
    nCandidates = 600,
    signal,
  } = options;
  const processes = targets.flatMap(({ name, surrogate }) => {
    const process = surrogate instanceof ScaleSurrogate ? surrogate.model.process?.toJson() : null;
    const isKnown = Array.isArray((process as Partial<ProcessJson> | null)?.parameters);
    const { model } = surrogate as ScaleSurrogate;
    return isKnown ? [{ name, model, process: process as ProcessJson }] : [];
  });
  if (processes.length === 0 || scales.length === 0) {
    throw new GristmillError('OPTION_INVALID', {
      option: processes.length === 0 ? 'fit' : 'scales',
      expected:
        processes.length === 0 ? 'a fit of model scale with a process of its rest' : 'one or more',
      received: targets.map(({ surrogate }) => surrogate.family).join(', '),
    });
  }
  const nMixtures = Math.max(Math.floor(nCandidates / scales.length), Math.ceil(n / scales.length));
  const rows = drawCandidates({ ...options, n: nMixtures });
  if (rows.length * scales.length < n) {
    throw new GristmillError('MIXTURE_SAMPLE_FAILED', {
      ...{ wanted: n, found: rows.length * scales.length, draws: 4 * nMixtures },
      reason: `the grid of 1/${nUnits} within the bounds has hardly more`,
    });
  }
  const weights = new Float64Array(rows.length * prior.length);
  for (const [row, units] of rows.entries()) {
    weights.set(unitsToWeights(units, nUnits), row * prior.length);
  }
  const covariances: PosteriorCovariance[] = [];
  for (const { process, model } of processes) {
    await turn(signal);
    const columns = [...scales, at].map((scale) => processColumnsAt(model, weights, scale));
    const more = pending.map((run) => processColumnsAt(model, run.weights, run));
    covariances.push(posteriorCovariance(process, joined(columns), joined(more)));
  }
  const nRuns = rows.length * scales.length;
  const costs = Float64Array.from({ length: nRuns }, (_, run) =>
    flopsOf(scales[Math.floor(run / rows.length)]!),
  );
  const before = covariances.map((each) => deviationAt(each, nRuns));
  const chosen = await choosePerCost(covariances, {
    n,
    costs,
    signal,
    onProgress: options.onProgress,
  });
  return {
    runs: chosen.map(({ run, gain }) => ({
      ...scales[Math.floor(run / rows.length)]!,
      units: rows[run % rows.length]!,
      flops: costs[run]!,
      gain,
    })),
    deviations: covariances.map((covariance, index) => ({
      target: processes[index]!.name,
      before: before[index]!,
      after: deviationAt(covariance, nRuns),
    })),
  };
}

/**
 * Indices of the `n` runs that lower the variance of the rows behind the runs most for their cost, each given those before it.
 * The covariances are written over by those after the batch.
 *
 * @param options `costs`: of each run, above 0; `[nRuns]`. Rows from `nRuns` on are what is to be known.
 */
export async function choosePerCost(
  covariances: readonly PosteriorCovariance[],
  {
    n,
    costs,
    signal,
    onProgress,
  }: {
    readonly n: number;
    readonly costs: Float64Array;
    readonly signal?: AbortSignal | undefined;
    readonly onProgress?: OnProgress | undefined;
  },
): Promise<{ readonly run: number; readonly gain: number }[]> {
  const nRuns = costs.length;
  const size = sizeOf(covariances[0]!);
  const totals = covariances.map((covariance) => varianceAt(covariance, nRuns));
  const nVarying = Math.max(1, totals.filter((total) => total > 0).length);
  const chosen: { run: number; gain: number }[] = [];
  const taken = new Set<number>();
  const tell = counting(onProgress, { phase: 'choosing', unit: 'runs', total: n });
  while (chosen.length < n) {
    await turn(signal);
    let best = { run: -1, gain: 0, value: -1 };
    for (let run = 0; run < nRuns; run++) {
      if (taken.has(run)) continue;
      let gain = 0;
      for (const [index, { matrix, noise }] of covariances.entries()) {
        if (!(totals[index]! > 0)) continue;
        let sum = 0;
        for (let row = nRuns; row < size; row++) sum += matrix[run * size + row]! ** 2;
        gain += sum / (matrix[run * size + run]! + noise) / totals[index]! / nVarying;
      }
      const value = gain / costs[run]!;
      if (value > best.value) best = { run, gain, value };
    }
    if (best.run < 0) break;
    taken.add(best.run);
    chosen.push({ run: best.run, gain: best.gain });
    tell();
    for (const covariance of covariances) condition(covariance, best.run, size);
  }
  return chosen;
}

function joined(parts: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function sizeOf({ matrix }: PosteriorCovariance): number {
  return Math.round(Math.sqrt(matrix.length));
}

/** Sum of the variances of the rows from `first` on. */
function varianceAt(covariance: PosteriorCovariance, first: number): number {
  const size = sizeOf(covariance);
  let sum = 0;
  for (let row = first; row < size; row++) sum += covariance.matrix[row * size + row]!;
  return sum;
}

function deviationAt(covariance: PosteriorCovariance, first: number): number {
  const mean = varianceAt(covariance, first) / (sizeOf(covariance) - first);
  return covariance.lossScale * Math.sqrt(Math.max(0, mean));
}

/** Gives the event loop its turn. @throws ABORTED */
async function turn(signal: AbortSignal | undefined): Promise<void> {
  await setImmediate();
  throwIfAborted(signal, 'choosing runs');
}
