/**
 * Real-valued features as small whole numbers: the quantile a value falls in, by the training rows.
 */

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

/** The bin of a value. */
export function binOf(cuts: Float32Array, value: number): number {
  let low = 0;
  let high = cuts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cuts[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Bins of all values, `[nRows × nFeatures]` row-major. */
export function binRows(values: Float32Array, { cuts, nFeatures }: Bins): Uint8Array {
  const binned = new Uint8Array(values.length);
  for (let feature = 0; feature < nFeatures; feature++) {
    const own = cuts[feature]!;
    for (let at = feature; at < values.length; at += nFeatures) {
      binned[at] = binOf(own, values[at]!);
    }
  }
  return binned;
}
