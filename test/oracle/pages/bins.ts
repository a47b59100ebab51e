/** Bins, naively. */
import type { Bins } from '../../../src/lines/bins.ts';

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
