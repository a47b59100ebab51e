/** Synthetic runs: mixtures drawn from the simplex, losses by a law whose optimum is known. */
import type { RunTable } from '../../src/mixture/types.ts';
import { type Random, seededRandom } from '../../src/seeded.ts';

/** A loss of a mixture. */
export type Law = (weights: ArrayLike<number>) => number;

/** Draws uniformly from the simplex, with some weights set to 0. */
export function drawMixture(nDomains: number, random: Random): Float64Array {
  const draws = Float64Array.from({ length: nDomains }, () =>
    random() < 0.3 ? 0 : -Math.log(1 - random()),
  );
  const sum = draws.reduce((total, draw) => total + draw, 0);
  if (sum === 0) return drawMixture(nDomains, random);
  return draws.map((draw) => draw / sum);
}

/** Runs of a set of laws, with normal noise on the losses. */
export function runsOf(
  laws: Readonly<Record<string, Law>>,
  {
    nRuns,
    nDomains,
    noise = 0,
    seed = 1,
  }: {
    readonly nRuns: number;
    readonly nDomains: number;
    readonly noise?: number;
    readonly seed?: number;
  },
): RunTable {
  const random = seededRandom(seed);
  const targets = Object.keys(laws);
  const weights = new Float64Array(nRuns * nDomains);
  const losses = new Float64Array(nRuns * targets.length);
  for (let run = 0; run < nRuns; run++) {
    const mixture = drawMixture(nDomains, random);
    weights.set(mixture, run * nDomains);
    for (const [target, name] of targets.entries()) {
      const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
      losses[run * targets.length + target] = laws[name]!(mixture) + noise * normal;
    }
  }
  return {
    domains: Array.from({ length: nDomains }, (_, domain) => `train_d${domain}`),
    targets,
    ids: Array.from({ length: nRuns }, (_, run) => `r${run}`),
    weights,
    losses,
  };
}

/** Linear in the weights: the optimum is the vertex of the smallest coefficient. */
export function linearLaw(coefficients: readonly number[]): Law {
  return (weights) =>
    coefficients.reduce((sum, coefficient, domain) => sum + coefficient * weights[domain]!, 3);
}

/** `3 + Σ c_i (w_i − optimum_i)²`: the optimum is given. */
export function bowlLaw(optimum: readonly number[], curvature = 2): Law {
  return (weights) =>
    optimum.reduce((sum, best, domain) => sum + curvature * (weights[domain]! - best) ** 2, 3);
}

/** `2 + (0.02 + w_0 + w_1 / 5)^-0.4`: the optimum is all of domain 0. */
export const powerLaw: Law = (weights) => 2 + (0.02 + weights[0]! + weights[1]! / 5) ** -0.4;
