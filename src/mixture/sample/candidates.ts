/**
 * Candidate mixtures within bounds, none rejected: Dirichlet draws around the prior from nearly one domain to nearly the
 * prior itself, drawn into the bounds, and uniform points of the bounded simplex by a walk over pairs of domains.
 */
import { type Random, seededRandom } from '../../seeded.ts';
import { type MixtureBounds, projectToBox, roundToUnits, unitBounds } from '../simplex.ts';
import { drawDirichlet } from './dirichlet.ts';
import { logSpaced, temper } from './published.ts';

/** Options of {@link drawCandidates}. */
export interface CandidateOptions {
  readonly n: number;
  /** `[nDomains]`, summing to 1. */
  readonly prior: Float64Array;
  readonly bounds: MixtureBounds;
  readonly nUnits: number;
  readonly seed: number;
}

/** Strengths of the draws: the sampler's range and beyond it, towards the prior. */
const STRENGTHS = logSpaced(0.3, 30, 8);

/** Rows of units within the bounds, distinct; fewer than `n` where there are not more on the grid. */
export function drawCandidates(options: CandidateOptions): Int32Array[] {
  const { n, prior, bounds, nUnits, seed } = options;
  const random = seededRandom(seed);
  const units = unitBounds(bounds, nUnits);
  const tempered = temper(prior, 0.5);
  const walker = new UniformWalk(bounds, random);
  const weights = new Float64Array(prior.length);
  const rows = new Map<string, Int32Array>();
  for (let attempt = 0; attempt < 4 * n && rows.size < n; attempt++) {
    if (attempt % 4 === 3) {
      weights.set(walker.next());
    } else {
      const strength = STRENGTHS[Math.floor(random() * STRENGTHS.length)]! * prior.length ** 0.5;
      const shares = attempt % 2 === 0 ? tempered : prior;
      drawDirichlet(
        shares.map((share) => share * strength),
        random,
        weights,
      );
      projectToBox(weights, bounds.lower, bounds.upper);
    }
    const row = roundToUnits(weights, nUnits, units);
    rows.set(row.join(), row);
  }
  return [...rows.values()];
}

/** Uniform points of `{lower ≤ w ≤ upper, sum w = 1}`: a Gibbs walk that moves weight between random pairs. */
export class UniformWalk {
  readonly #bounds: MixtureBounds;
  readonly #random: Random;
  readonly #point: Float64Array;

  constructor(bounds: MixtureBounds, random: Random) {
    this.#bounds = bounds;
    this.#random = random;
    const middle = bounds.lower.map((low, at) => (low + bounds.upper[at]!) / 2);
    this.#point = projectToBox(middle, bounds.lower, bounds.upper);
  }

  /** The next point, written over by the next call. Six moves a domain lie between points. */
  next(): Float64Array {
    const point = this.#point;
    const { lower, upper } = this.#bounds;
    const random = this.#random;
    for (let move = 0; move < 6 * point.length; move++) {
      const one = Math.floor(random() * point.length);
      const other = Math.floor(random() * (point.length - 1));
      const partner = other < one ? other : other + 1;
      const sum = point[one]! + point[partner]!;
      const low = Math.max(lower[one]!, sum - upper[partner]!);
      const high = Math.min(upper[one]!, sum - lower[partner]!);
      if (high <= low) continue;
      point[one] = low + random() * (high - low);
      point[partner] = sum - point[one]!;
    }
    return point;
  }
}
