/**
 * The published simulation: many draws of Dirichlet(prior), the lowest predicted ones averaged (RegMix, arXiv 2407.01492
 * §3.3: 1,000,000 draws and the 100 lowest; the reference's notebook: 100,000 and 128).
 *
 * Draws that break a bound are rejected. Bounds and frozen groups are convex, so the average keeps them.
 */
import { setImmediate } from 'node:timers/promises';
import { GristmillError, throwIfAborted } from '../../errors.ts';
import { counting, type OnProgress } from '../../progress.ts';
import { seededRandom } from '../../seeded.ts';
import { drawDirichlet } from '../sample/dirichlet.ts';
import type { MixtureObjective } from './objective.ts';
import type { MixtureSpace } from './space.ts';

/** Options of {@link simulate}. */
export interface SimulateOptions {
  readonly space: MixtureSpace;
  readonly objective: MixtureObjective;
  /** `[nDomains]`, summing to 1. */
  readonly prior: Float64Array;
  readonly nDraws: number;
  readonly nAveraged: number;
  readonly seed: number;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

const CHUNK = 4096;

/**
 * Weights of the averaged lowest draws, and how many draws were feasible.
 *
 * @throws MIXTURE_SAMPLE_FAILED where fewer than `nAveraged` are feasible, ABORTED
 */
export async function simulate(
  options: SimulateOptions,
): Promise<{ readonly weights: Float64Array; readonly nFeasible: number }> {
  const { space, objective, prior, nDraws, nAveraged, seed, signal } = options;
  const nDomains = prior.length;
  const random = seededRandom(seed);
  const draw = new Float64Array(nDomains);
  let best: { readonly value: number; readonly weights: Float64Array }[] = [];
  let nFeasible = 0;
  const { onProgress } = options;
  const tell = counting(onProgress, { phase: 'drawing', unit: 'mixtures', total: nDraws });
  for (let done = 0; done < nDraws; done += CHUNK) {
    if (done > 0) tell(CHUNK);
    await setImmediate();
    throwIfAborted(signal, 'optimising the mixture');
    const rows = new Float64Array(CHUNK * nDomains);
    let nRows = 0;
    for (let index = done; index < Math.min(nDraws, done + CHUNK); index++) {
      drawDirichlet(prior, random, draw);
      const weights = space.blend(draw);
      if (!space.contains(weights, 1e-9)) continue;
      rows.set(weights, nRows * nDomains);
      nRows++;
    }
    nFeasible += nRows;
    if (nRows === 0) continue;
    const values = objective.values(rows.subarray(0, nRows * nDomains));
    const worst = best.length < nAveraged ? Number.POSITIVE_INFINITY : best.at(-1)!.value;
    for (const [row, value] of values.entries()) {
      if (!(value < worst)) continue;
      best.push({ value, weights: rows.slice(row * nDomains, (row + 1) * nDomains) });
    }
    best = best.sort((one, other) => one.value - other.value).slice(0, nAveraged);
  }
  if (best.length < nAveraged) {
    throw new GristmillError('MIXTURE_SAMPLE_FAILED', {
      wanted: nAveraged,
      found: best.length,
      draws: nDraws,
      reason: 'the others broke a bound; the gradient method does not reject',
    });
  }
  const mean = new Float64Array(nDomains);
  for (const { weights } of best) {
    for (const [at, weight] of weights.entries()) mean[at]! += weight / nAveraged;
  }
  return { weights: mean, nFeasible };
}
