/** Some of the runs of a table over scales. */
import { seededRandom, shuffle } from '../../seeded.ts';
import type { ScaleRows } from './types.ts';

/** The least and the most of values. */
export function rangeOf(values: Float64Array): [least: number, most: number] {
  return [
    values.reduce((low, value) => Math.min(low, value)),
    values.reduce((high, value) => Math.max(high, value)),
  ];
}

/** Values of some rows. */
export function pick(values: Float64Array, rows: Int32Array): Float64Array {
  return Float64Array.from(rows, (row) => values[row]!);
}

/** The same of a matrix with so many columns. */
export function pickRows(values: Float64Array, rows: Int32Array, width: number): Float64Array {
  const picked = new Float64Array(rows.length * width);
  for (const [at, row] of rows.entries()) {
    picked.set(values.subarray(row * width, (row + 1) * width), at * width);
  }
  return picked;
}

/** Some runs. */
export function rowsAt(rows: ScaleRows, runs: Int32Array): ScaleRows {
  return {
    nRuns: runs.length,
    nDomains: rows.nDomains,
    weights: pickRows(rows.weights, runs, rows.nDomains),
    dataWeights: pickRows(rows.dataWeights, runs, rows.nDomains),
    params: pick(rows.params, runs),
    tokens: pick(rows.tokens, runs),
  };
}

/** Some of so many rows, the same ones every time, in order. */
export function thinned(nRows: number, most: number, seed: number): Int32Array {
  const order = Int32Array.from({ length: nRows }, (_, row) => row);
  if (nRows <= most) return order;
  shuffle(order, seededRandom(seed));
  return order.slice(0, most).sort();
}
