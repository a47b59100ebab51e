/**
 * Real-valued features as small whole numbers: the quantile a value falls in, by the training rows.
 */
import { native } from '../native/index.ts';
import type { NativeBins } from '../native/pages.ts';

/** Cut points of each feature. */
export interface Bins {
  readonly nFeatures: number;
  /** Bins of a feature at most. */
  readonly maxBins: number;
  /** Ascending cut points by feature; a value's bin is the number of cuts that are not above it. */
  readonly cuts: readonly Float32Array[];
}

/** Rows that quantiles are taken from; more would not move them. */
const SAMPLE_ROWS = 40_000;

/**
 * Cuts at the quantiles of `values`, `[nRows × nFeatures]` row-major. Deterministic: evenly spaced rows.
 *
 * @param maxBins 2..256
 */
export function quantileBins(
  values: Float32Array,
  { nFeatures, maxBins }: { readonly nFeatures: number; readonly maxBins: number },
): Bins {
  const nRows = values.length / nFeatures;
  const stride = Math.max(1, Math.floor(nRows / SAMPLE_ROWS));
  const cuts = Array.from({ length: nFeatures }, (_, feature) => {
    const sample = new Float32Array(Math.ceil(nRows / stride));
    for (let at = 0; at < sample.length; at++) {
      sample[at] = values[at * stride * nFeatures + feature]!;
    }
    return cutPoints(sample.sort(), maxBins);
  });
  return { nFeatures, maxBins, cuts };
}

function cutPoints(sorted: Float32Array, maxBins: number): Float32Array {
  const found: number[] = [];
  for (let bin = 1; bin < maxBins; bin++) {
    const at = Math.floor((bin * sorted.length) / maxBins);
    let value = sorted[at]!;
    // A cut at the smallest value would leave the bin below it empty: flags are mostly 0.
    if (value === sorted[0]) {
      let above = at;
      while (above < sorted.length && sorted[above] === value) above++;
      if (above === sorted.length) break;
      value = sorted[above]!;
    }
    if (value > (found.at(-1) ?? Number.NEGATIVE_INFINITY)) found.push(value);
  }
  return Float32Array.from(found);
}

/** Bins of all values, `[nRows × nFeatures]` row-major. */
export function binRows(values: Float32Array, bins: Bins): Uint8Array {
  return native().binRows(nativeBins(bins), values);
}

/** The cuts of all features one after another. */
export function nativeBins({ cuts, maxBins }: Bins): NativeBins {
  const counts = Int32Array.from(cuts, ({ length }) => length);
  const all = new Float32Array(counts.reduce((sum, count) => sum + count, 0));
  let at = 0;
  for (const own of cuts) {
    all.set(own, at);
    at += own.length;
  }
  return { maxBins, counts, cuts: all };
}
