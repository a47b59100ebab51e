/** Bounds of a mixture on the command line: `mix sample` and `mix optimize` take the same. */
import { GristmillError } from '../errors.ts';
import { matchDomain } from '../mixture/domains.ts';

/** Flags of bounds. */
export interface BoundsFlags {
  readonly budgetTokens?: number;
  readonly maxEpochs?: number;
  readonly min?: ReadonlyMap<string, number>;
  readonly max?: ReadonlyMap<string, number>;
}

/** The options of a call that the flags stand for. @throws OPTION_INVALID */
export function boundsOf(
  { budgetTokens, maxEpochs, min, max }: BoundsFlags,
  names: readonly string[],
) {
  return {
    budgetTokens,
    maxEpochs,
    min: weightsBy(min, names, '--min'),
    max: weightsBy(max, names, '--max'),
  };
}

/** Weights under the names of the domains. @throws OPTION_INVALID */
function weightsBy(
  weights: ReadonlyMap<string, number> | undefined,
  names: readonly string[],
  option: string,
): Record<string, number> | undefined {
  if (weights === undefined) return undefined;
  return Object.fromEntries(
    [...weights].map(([name, weight]) => {
      const known = matchDomain(names, name);
      if (known !== null) return [known, weight];
      const expected = `names of domains: ${names.join(', ')}`;
      throw new GristmillError('OPTION_INVALID', { option, expected, received: name });
    }),
  );
}
