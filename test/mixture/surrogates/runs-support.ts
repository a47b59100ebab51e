/** Synthetic runs for the tests of surrogates: random mixtures with many zeros, losses from a function. */
import type { SurrogateData } from '../../../src/mixture/types.ts';
import { seededRandom } from '../../../src/seeded.ts';

/** Random points of the simplex, row-major; about a third of the weights are zero. */
export function mixtures(nMixtures: number, nDomains: number, seed: number): Float64Array {
  const random = seededRandom(seed);
  const weights = new Float64Array(nMixtures * nDomains);
  for (let row = 0; row < nMixtures; row++) {
    const part = weights.subarray(row * nDomains, (row + 1) * nDomains);
    for (let domain = 0; domain < nDomains; domain++) {
      part[domain] = random() < 0.35 ? 0 : -Math.log(1 - random());
    }
    part[row % nDomains]! += 0.1;
    const sum = part.reduce((total, weight) => total + weight);
    for (let domain = 0; domain < nDomains; domain++) part[domain]! /= sum;
  }
  return weights;
}

/** Runs whose losses are `loss` of their mixture, plus normal noise. */
export function runsOf(
  nRuns: number,
  nDomains: number,
  seed: number,
  loss: (mixture: Float64Array) => number,
  noise = 0,
): SurrogateData {
  const random = seededRandom(seed + 1000);
  const weights = mixtures(nRuns, nDomains, seed);
  const losses = lossesOf(weights, nDomains, loss).map((value) => {
    const radius = Math.sqrt(-2 * Math.log(1 - random()));
    return value + noise * radius * Math.cos(2 * Math.PI * random());
  });
  return { nRuns, nDomains, weights, losses };
}

export function lossesOf(
  weights: Float64Array,
  nDomains: number,
  loss: (mixture: Float64Array) => number,
): Float64Array {
  return Float64Array.from({ length: weights.length / nDomains }, (_, row) =>
    loss(weights.subarray(row * nDomains, (row + 1) * nDomains)),
  );
}

/** A loss as proxy runs have it: a floor, a power of the first domain, less of the second. */
export function typicalLoss(mixture: Float64Array): number {
  return 2 + 0.9 * (mixture[0]! + 0.4 * mixture[1]! + 0.03) ** -0.25;
}

/** Root of the mean squared difference. */
export function rmse(left: Float64Array, right: Float64Array): number {
  return Math.sqrt(
    left.reduce((sum, value, at) => sum + (value - right[at]!) ** 2, 0) / left.length,
  );
}

/** Central differences of `f` at `point`. */
export function differences(
  f: (point: Float64Array) => number,
  point: Float64Array,
  step: number,
): Float64Array {
  return point.map((_, at) => {
    const up = point.slice();
    const down = point.slice();
    up[at]! += step;
    down[at]! -= step;
    return (f(up) - f(down)) / (2 * step);
  });
}

/** Largest difference over the largest magnitude of `right`. */
export function relativeError(left: Float64Array, right: Float64Array): number {
  const size = right.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-300);
  return left.reduce((most, value, at) => Math.max(most, Math.abs(value - right[at]!)), 0) / size;
}
