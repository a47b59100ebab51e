/**
 * Dirichlet draws from our own seeded generator: Gamma variates by Marsaglia and Tsang (2000), in log space so that
 * concentrations far below 1 do not underflow (log G(a) = log G(a + 1) + log(U) / a).
 */
import type { Random } from '../../seeded.ts';

/** Log of a Gamma(shape, 1) variate. @param shape above 0 */
export function logGamma(shape: number, random: Random): number {
  if (shape < 1) return logGamma(shape + 1, random) + Math.log(positive(random)) / shape;
  const third = shape - 1 / 3;
  const scale = 1 / Math.sqrt(9 * third);
  for (;;) {
    const normal = standardNormal(random);
    const cube = (1 + scale * normal) ** 3;
    if (cube <= 0) continue;
    const logCube = Math.log(cube);
    if (Math.log(positive(random)) < (normal * normal) / 2 + third * (1 - cube + logCube)) {
      return Math.log(third) + logCube;
    }
  }
}

/**
 * Fills `out` with one draw of Dirichlet(concentrations); a concentration of 0 gives a weight of 0.
 *
 * @param concentrations `[nDomains]`, non-negative, at least one positive
 */
export function drawDirichlet(
  concentrations: ArrayLike<number>,
  random: Random,
  out: Float64Array,
): void {
  let highest = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < out.length; index++) {
    const concentration = concentrations[index]!;
    out[index] = concentration > 0 ? logGamma(concentration, random) : Number.NEGATIVE_INFINITY;
    highest = Math.max(highest, out[index]!);
  }
  let total = 0;
  for (let index = 0; index < out.length; index++) {
    out[index] = Math.exp(out[index]! - highest);
    total += out[index]!;
  }
  for (let index = 0; index < out.length; index++) out[index]! /= total;
}

/** A standard normal variate (Box-Muller, one of the two). */
export function standardNormal(random: Random): number {
  return Math.sqrt(-2 * Math.log(positive(random))) * Math.cos(2 * Math.PI * random());
}

/** Uniform in (0, 1]. */
function positive(random: Random): number {
  return 1 - random();
}
