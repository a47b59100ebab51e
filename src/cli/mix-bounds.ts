/** Bounds of a mixture on the command line: `mix sample` and `mix optimize` take the same. */
import { type Command, InvalidArgumentError } from 'commander';
import { GristmillError } from '../errors.ts';
import { matchDomain } from '../mixture/domains.ts';

/** What {@link boundsOptions} parses. */
export interface BoundsFlags {
  readonly budgetTokens?: number;
  readonly maxEpochs?: number;
  readonly min?: ReadonlyMap<string, number>;
  readonly max?: ReadonlyMap<string, number>;
}

/** Adds the flags of {@link BoundsFlags}. */
export function boundsOptions(command: Command): Command {
  return command
    .option('--budget-tokens <n>', 'tokens of the run, for epoch caps', positive)
    .option('--max-epochs <n>', 'times a domain may be seen', positive)
    .option('--min <weights>', 'smallest weights, name=0.1,…', namedNumbers)
    .option('--max <weights>', 'largest weights, name=0.5,…', namedNumbers);
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

/** Parses `a=1,b=0.5`. */
export function namedNumbers(text: string): ReadonlyMap<string, number> {
  const parts = text.split(',').map((part) => {
    const at = part.lastIndexOf('=');
    const name = part.slice(0, at).trim();
    const value = Number(part.slice(at + 1));
    if (at < 1 || name === '' || part.slice(at + 1).trim() === '' || !Number.isFinite(value)) {
      throw new InvalidArgumentError('expected name=number,name=number.');
    }
    return [name, value] as const;
  });
  const named = new Map(parts);
  if (named.size < parts.length) throw new InvalidArgumentError('expected no name twice.');
  return named;
}

/** Parses a number above 0, 25e9 too. */
export function positive(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('expected a number above 0.');
}
