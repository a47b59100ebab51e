/** Rows of a target, all or some, in an order. */
import type { SurrogateRows } from '../../native/mixture.ts';
import type { SurrogateData } from '../types.ts';

/** All rows as the addon takes them. */
export function rowsOf({ nDomains, weights, losses }: SurrogateData): SurrogateRows {
  return { nDomains, weights, losses };
}

/** The rows `runs`, in that order. */
export function dataOf(
  { nDomains, weights, losses }: SurrogateData,
  runs: Int32Array,
): SurrogateData {
  const chosen = new Float64Array(runs.length * nDomains);
  for (const [at, run] of runs.entries()) {
    chosen.set(weights.subarray(run * nDomains, (run + 1) * nDomains), at * nDomains);
  }
  return {
    nRuns: runs.length,
    nDomains,
    weights: chosen,
    losses: Float64Array.from(runs, (run) => losses[run]!),
  };
}
