/** Rows of a target, all or some, in an order. */
import type { SurrogateRows } from '../../native-mixture.ts';
import type { SurrogateData } from '../types.ts';

/** The rows `runs` (default all) as the addon takes them. */
export function rowsOf(data: SurrogateData, runs?: Int32Array): SurrogateRows {
  const { nDomains, weights, losses } = data;
  if (runs === undefined) return { nDomains, weights, losses };
  const chosen = new Float64Array(runs.length * nDomains);
  for (const [at, run] of runs.entries()) {
    chosen.set(weights.subarray(run * nDomains, (run + 1) * nDomains), at * nDomains);
  }
  return { nDomains, weights: chosen, losses: Float64Array.from(runs, (run) => losses[run]!) };
}
