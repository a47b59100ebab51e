/** Surrogates that are plain functions, for tests whose optimum is known. */
import type { FittedSurrogate, SurrogateFamilyName } from '../../../src/mixture/types.ts';

interface Synthetic {
  readonly family?: SurrogateFamilyName;
  readonly nDomains: number;
  readonly loss: (weights: Float64Array) => number;
  readonly slope?: (weights: Float64Array) => Float64Array;
  readonly deviation?: (weights: Float64Array) => number;
}

export function synthetic({
  family = 'gp',
  nDomains,
  loss,
  slope,
  deviation,
}: Synthetic): FittedSurrogate {
  const each = (rows: Float64Array, of: (weights: Float64Array) => number): Float64Array =>
    Float64Array.from({ length: rows.length / nDomains }, (_, row) =>
      of(rows.subarray(row * nDomains, (row + 1) * nDomains)),
    );
  return {
    family,
    nDomains,
    predict: (rows) => ({
      mean: each(rows, loss),
      deviation: deviation ? each(rows, deviation) : null,
    }),
    gradient: (weights) => slope?.(weights) ?? null,
    toJson: () => ({}),
  };
}

/** Sum of `costs / (weights + offset)`; least at weights + offset in proportion to the roots of the costs. */
export function inverseLaw(costs: readonly number[], offset = 0.01, more = {}): FittedSurrogate {
  return synthetic({
    nDomains: costs.length,
    loss: (weights) => costs.reduce((sum, cost, at) => sum + cost / (weights[at]! + offset), 0),
    slope: (weights) =>
      Float64Array.from(costs, (cost, at) => -cost / (weights[at]! + offset) ** 2),
    ...more,
  });
}

/** Every mixture of `nDomains` domains on a grid of 1/nUnits. */
export function* gridOf(nDomains: number, nUnits: number): Generator<Float64Array> {
  const units = new Int32Array(nDomains);
  function* fill(at: number, left: number): Generator<Float64Array> {
    if (at === nDomains - 1) {
      units[at] = left;
      yield Float64Array.from(units, (unit) => unit / nUnits);
      return;
    }
    for (let unit = 0; unit <= left; unit++) {
      units[at] = unit;
      yield* fill(at + 1, left - unit);
    }
  }
  yield* fill(0, nUnits);
}
