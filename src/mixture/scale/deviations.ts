/**
 * Deviations of fits over scales, from runs of blocks that were left out (blocks.ts).
 *
 * Squares add up: `inside` is what runs of left-out mixtures are off by; `byDistance` grows with the distance of a scale from
 * the range it is predicted from; how far the laws are apart is known by itself. Both are scaled so that normal 90 % intervals
 * hold 90 % of the left-out runs.
 */
import { NORMAL_QUANTILE_95, quantileBySeries95 } from '../../student.ts';
import { mean } from '../statistics.ts';
import type { ScaleBlock } from './blocks.ts';
import type { ScaleDeviation } from './types.ts';

const COVERAGE = 0.9;

/** A target's predictions of a block's runs. */
export interface Combined {
  readonly kind: ScaleBlock['kind'];
  readonly errors: Float64Array;
  readonly spread: Float64Array;
  readonly distance: Float64Array;
}

/**
 * Deviations of all targets.
 *
 * @param blocks by block, by target
 * @param residualsOf what the whole fit of a target is off by: stands in where no mixtures were left out
 */
export function deviationsOf(
  blocks: readonly (readonly Combined[])[],
  residualsOf: (target: number) => Float64Array,
  nTargets: number,
): ScaleDeviation[] {
  const raw = Array.from({ length: nTargets }, (_, target) => {
    const own = blocks.map((block) => block[target]!);
    const near = own.filter(({ kind }) => kind === 'mixtures').flatMap(({ errors }) => [...errors]);
    const square = mean(
      (near.length > 0 ? near : Array.from(residualsOf(target))).map((error) => error ** 2),
    );
    let [above, below] = [0, 0];
    for (const { errors, distance } of own) {
      for (const [at, far] of distance.entries()) {
        above += Math.max(0, errors[at]! ** 2 - square) * far ** 2;
        below += far ** 4;
      }
    }
    return { square, slope: below > 0 ? above / below : square };
  });
  // One target's errors at one size are nearly one error: half of what is said comes from the others.
  const pooled = mean(raw.map(({ slope }) => slope));
  const unscaled = raw.map(({ square, slope }) => ({
    inside: Math.sqrt(square),
    byDistance: Math.sqrt((slope + pooled) / 2),
  }));
  return scaledDeviations(blocks, unscaled);
}

/** Share of the runs of a block that 90 % intervals hold. */
export function coveredOf(
  block: readonly Combined[],
  deviations: readonly ScaleDeviation[],
): number {
  const ratios = block.flatMap((own, target) => ratiosOf(own, deviations[target]!));
  return ratios.filter((ratio) => ratio <= NORMAL_QUANTILE_95).length / ratios.length;
}

/** Errors in deviations. */
function ratiosOf(
  { errors, spread, distance }: Combined,
  { inside, byDistance }: ScaleDeviation,
): number[] {
  return Array.from(errors, (error, at) => {
    const square = inside ** 2 + (byDistance * distance[at]!) ** 2 + spread[at]!;
    return square > 0 ? Math.abs(error) / Math.sqrt(square) : 0;
  });
}

/**
 * Deviations under which normal 90 % intervals hold 90 % of the runs of left-out mixtures, and then 90 % of those that lie
 * beyond the range they are predicted from. Errors beyond the range are few however many the runs are, about one for two
 * targets of a block: Student's quantile of so many takes the place of the normal one.
 */
function scaledDeviations(
  combined: readonly (readonly Combined[])[],
  deviations: readonly ScaleDeviation[],
): ScaleDeviation[] {
  const near = combined.filter((block) => block[0]!.kind === 'mixtures');
  const far = combined.filter((block) => block[0]!.kind === 'forward');
  const inner =
    near.length === 0
      ? 1
      : widening(near, deviations, (factor, one) => ({ ...one, inside: factor * one.inside }));
  const within = deviations.map((one) => ({ ...one, inside: inner * one.inside }));
  const nErrors = Math.max(2, Math.floor((far.length * deviations.length) / 2));
  const few = quantileBySeries95(nErrors) / NORMAL_QUANTILE_95;
  const outer =
    far.length === 0
      ? few
      : few *
        widening(far, within, (factor, one) => ({ ...one, byDistance: factor * one.byDistance }));
  return within.map((one) => ({ ...one, byDistance: outer * one.byDistance }));
}

/** The factor, between 1/4 and 16, under which intervals hold {@link COVERAGE} of the runs of blocks, found by halving. */
function widening(
  blocks: readonly (readonly Combined[])[],
  deviations: readonly ScaleDeviation[],
  apply: (factor: number, deviation: ScaleDeviation) => ScaleDeviation,
): number {
  const covered = (factor: number): number =>
    mean(
      blocks.map((block) => {
        const ratios = block.flatMap((own, target) =>
          ratiosOf(own, apply(factor, deviations[target]!)),
        );
        return ratios.filter((ratio) => ratio <= NORMAL_QUANTILE_95).length / ratios.length;
      }),
    );
  let [low, high] = [Math.log(1 / 4), Math.log(16)];
  for (let halving = 0; halving < 40; halving++) {
    const middle = (low + high) / 2;
    if (covered(Math.exp(middle)) < COVERAGE) low = middle;
    else high = middle;
  }
  return Math.exp(high);
}
