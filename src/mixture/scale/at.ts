/**
 * A fit at a size and a number of tokens: what `mix optimize --at` and `mix predict --at` work on. Scales beyond those of the
 * runs are extrapolation, and are refused unless they are asked for.
 */
import { GristmillError } from '../../errors.ts';
import type { FittedMixture } from '../fit-types.ts';
import { ScaleSurrogate, surrogateAt } from './scale-surrogate.ts';
import type { Scale, ScaleRange } from './types.ts';

/** Sizes and tokens of the runs of a fit; null where its model knows none. */
export function rangeOfFit(fit: FittedMixture): ScaleRange | null {
  const first = fit.surrogates.find((surrogate) => surrogate instanceof ScaleSurrogate);
  return first?.model.range ?? null;
}

/**
 * The fit with all its surrogates at a scale.
 *
 * @param options `beyond`: whether scales beyond the runs are taken (false)
 * @throws OPTION_INVALID for a fit of another model or numbers that are not above 0, MIXTURE_BEYOND_RUNS
 */
export function fitAt(
  fit: FittedMixture,
  scale: Scale,
  { beyond = false }: { readonly beyond?: boolean | undefined } = {},
): FittedMixture {
  const surrogates = fit.surrogates.map((surrogate) => surrogateAt(surrogate, scale));
  const range = surrogates[0]!.model.range;
  for (const what of ['params', 'tokens'] as const) {
    const [least, most] = range[what];
    const asked = scale[what];
    if (!(asked > 0 && Number.isFinite(asked))) {
      const expected = `${what} above 0`;
      throw new GristmillError('OPTION_INVALID', { option: 'at', expected, received: asked });
    }
    if (beyond || (asked >= least && asked <= most)) continue;
    throw new GristmillError('MIXTURE_BEYOND_RUNS', { what, asked, least, most });
  }
  return { ...fit, surrogates };
}

/**
 * Scales on the way to one, the smallest size of the runs at the middle of their tokens first: even steps of the logarithms.
 *
 * @param count at least 2
 */
export function scalesTowards(range: ScaleRange, target: Scale, count: number): Scale[] {
  const middle = Math.sqrt(range.tokens[0] * range.tokens[1]);
  const between = (from: number, to: number, share: number): number =>
    share === 1 ? to : Number((from * (to / from) ** share).toPrecision(2));
  return Array.from({ length: count }, (_, step) => {
    const share = step / (count - 1);
    return {
      ...target,
      params: between(Math.min(range.params[0], target.params), target.params, share),
      tokens: between(Math.min(middle, target.tokens), target.tokens, share),
    };
  });
}
