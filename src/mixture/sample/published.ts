/**
 * The published sampler of mixtures (RegMix, arXiv 2407.01492 §3.1; the reference's mixture_config/synthesize_mixture.py).
 *
 * Steps: bounds `maxUsage × prior` of the prior as it is; the prior to the power `temperature`; `multiplier × n` draws of
 * Dirichlet(prior × strength), the strength chosen among log-spaced ones; draws out of bounds rejected; weights below
 * `minWeight` to 0, the rest scaled to 1 and rounded to the grid; rows sorted (last column first) and dropped within an L1
 * distance of `dedupeDistance` of the row kept before; n of them chosen at random.
 *
 * Deviations: random numbers are our own generator's, not numpy's stream, and the reference draws once for every strength
 * and keeps one of them, which is the same distribution as drawing once for a strength chosen first; rounding is by largest
 * remainders within the bounds, so that units sum exactly (the reference's may be off by a few grid steps).
 */
import { setImmediate } from 'node:timers/promises';
import { GristmillError, throwIfAborted } from '../../errors.ts';
import { counting, type OnProgress } from '../../progress.ts';
import { seededRandom, shuffle } from '../../seeded.ts';
import { type MixtureBounds, roundToUnits, unitBounds } from '../simplex.ts';
import { drawDirichlet } from './dirichlet.ts';

/** Settings of the published sampler. */
export interface PublishedSettings {
  /** Power that flattens the prior, 0..1; 1 leaves it. */
  readonly temperature: number;
  /** Smallest and largest strength, and how many log-spaced ones. */
  readonly minStrength: number;
  readonly maxStrength: number;
  readonly nStrengths: number;
  /** Largest weight as a multiple of the prior. */
  readonly maxUsage: number;
  /** Weights below it become 0. */
  readonly minWeight: number;
  /** Units of the grid: weights are multiples of 1/nUnits. */
  readonly nUnits: number;
  /** Draws for every wanted mixture. */
  readonly multiplier: number;
  /** Rows this near (L1) to the row kept before them are dropped. */
  readonly dedupeDistance: number;
}

const HEAD: PublishedSettings = {
  temperature: 0.5,
  minStrength: 0.1,
  maxStrength: 5,
  nStrengths: 15,
  maxUsage: 15,
  minWeight: 2e-4,
  nUnits: 5000,
  multiplier: 100,
  dedupeDistance: 1e-5,
};

/**
 * `regmix`: the reference's settings today. `regmix-paper`: those of its first commit, whose statistics are those of the
 * published tables of 512 and 256 mixtures (weights with three decimals); the authors do not say so.
 */
export const SAMPLER_PRESETS = {
  regmix: HEAD,
  'regmix-paper': { ...HEAD, temperature: 0.1, minStrength: 1, nStrengths: 10, nUnits: 1000 },
} as const satisfies Record<string, PublishedSettings>;

/** Options of {@link drawPublished}. */
export interface DrawPublishedOptions {
  readonly n: number;
  /** `[nDomains]`, summing to 1. */
  readonly prior: Float64Array;
  /** Bounds besides `maxUsage × prior`. */
  readonly bounds: MixtureBounds;
  readonly settings: PublishedSettings;
  readonly seed: number;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a sampler drew. */
export interface Draws {
  /** Rows of units, each summing to `nUnits`. */
  readonly rows: readonly Int32Array[];
  readonly nUnits: number;
  readonly counts: {
    readonly nDrawn: number;
    /** Within the bounds. */
    readonly nAccepted: number;
    /** After deduplication. */
    readonly nDistinct: number;
  };
}

/**
 * Draws `n` mixtures as published.
 *
 * @throws MIXTURE_SAMPLE_FAILED where fewer than `n` are left, ABORTED
 */
export async function drawPublished(options: DrawPublishedOptions): Promise<Draws> {
  const { n, prior, settings, seed, signal } = options;
  const { nUnits, multiplier, minWeight } = settings;
  const bounds = usageBounds(options);
  // Scaling after small weights are gone may lift a weight a little above `maxUsage × prior`, as in the reference; the
  // caller's own bounds hold on the grid too.
  const units = unitBounds(options.bounds, nUnits);
  const random = seededRandom(seed);
  const tempered = temper(prior, settings.temperature);
  const strengths = logSpaced(settings.minStrength, settings.maxStrength, settings.nStrengths);
  const concentrations = strengths.map((strength) => tempered.map((share) => share * strength));
  const nDrawn = n * multiplier;
  const weights = new Float64Array(prior.length);
  const accepted: Int32Array[] = [];
  const tell = counting(options.onProgress, { phase: 'drawing', unit: 'mixtures', total: nDrawn });
  for (let draw = 0; draw < nDrawn; draw++) {
    if (draw % 4096 === 0) {
      if (draw > 0) tell(4096);
      await setImmediate();
      throwIfAborted(signal, 'sampling mixtures');
    }
    drawDirichlet(concentrations[Math.floor(random() * strengths.length)]!, random, weights);
    if (weights.some((weight, at) => weight > bounds.upper[at]! || weight < bounds.lower[at]!)) {
      continue;
    }
    let kept = 0;
    for (const [at, weight] of weights.entries()) {
      if (weight < minWeight) weights[at] = 0;
      kept += weights[at]!;
    }
    for (const [at, weight] of weights.entries()) weights[at] = weight / kept;
    accepted.push(roundToUnits(weights, nUnits, units));
  }
  const distinct = dedupe(accepted, settings.dedupeDistance * nUnits);
  const counts = { nDrawn, nAccepted: accepted.length, nDistinct: distinct.length };
  if (distinct.length < n) {
    throw new GristmillError('MIXTURE_SAMPLE_FAILED', {
      wanted: n,
      found: distinct.length,
      draws: nDrawn,
      reason: `${accepted.length} lay within the bounds; try space-filling, which does not reject`,
    });
  }
  const order = Int32Array.from(distinct.keys());
  shuffle(order, random);
  return { rows: Array.from(order.subarray(0, n), (index) => distinct[index]!), nUnits, counts };
}

/** Rows sorted as `np.lexsort(rows.T)` does, without those that are near the one kept before. */
export function dedupe(rows: readonly Int32Array[], distanceInUnits: number): Int32Array[] {
  const kept: Int32Array[] = [];
  for (const row of [...rows].sort(byLastColumnFirst)) {
    const last = kept.at(-1);
    if (last === undefined || l1(last, row) > distanceInUnits) kept.push(row);
  }
  return kept;
}

/** Rows apart by the sum of absolute differences, in units. */
export function l1(one: Int32Array, other: Int32Array): number {
  let distance = 0;
  for (let at = 0; at < one.length; at++) distance += Math.abs(one[at]! - other[at]!);
  return distance;
}

/** `count` numbers from `first` to `last` with equal ratios. */
export function logSpaced(first: number, last: number, count: number): number[] {
  if (count === 1) return [first];
  const step = Math.log(last / first) / (count - 1);
  return Array.from({ length: count }, (_, index) => first * Math.exp(step * index));
}

/** The prior to a power, summing to 1; 0 stays 0. */
export function temper(prior: Float64Array, temperature: number): Float64Array {
  if (temperature >= 1) return prior.slice();
  const powers = prior.map((share) => (share > 0 ? share ** temperature : 0));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

function usageBounds({ prior, bounds, settings }: DrawPublishedOptions): MixtureBounds {
  const upper = bounds.upper.map((bound, at) => Math.min(bound, 1, settings.maxUsage * prior[at]!));
  return { lower: bounds.lower, upper };
}

function byLastColumnFirst(one: Int32Array, other: Int32Array): number {
  for (let at = one.length - 1; at >= 0; at--) {
    if (one[at] !== other[at]) return one[at]! - other[at]!;
  }
  return 0;
}
