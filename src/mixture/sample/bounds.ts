/**
 * Bounds of a mixture: what the tokens of a domain allow, and what the caller wants.
 *
 * A domain of `tokens` tokens that may be seen `epochs` times in a run of `budgetTokens` cannot have a weight above
 * `tokens × epochs / budgetTokens` (Olmix, arXiv 2602.12237: p_j ≤ k N_j / R).
 */
import { GristmillError } from '../../errors.ts';
import { own } from '../../own.ts';
import type { DomainSpec } from '../domains.ts';
import { type MixtureBounds, unitBounds } from '../simplex.ts';

/** Options of {@link mixtureBounds}. */
export interface BoundOptions {
  readonly domains: readonly DomainSpec[];
  /** Tokens of the run that the mixture is for. Without it there are no epoch caps. */
  readonly budgetTokens?: number | undefined;
  /** Times a domain may be seen where it says nothing itself. Without it only domains with their own `maxEpochs` are capped. */
  readonly maxEpochs?: number | undefined;
  /** Smallest weights by domain, 0..1. */
  readonly min?: Readonly<Record<string, number>> | undefined;
  /** Largest weights by domain, 0..1. */
  readonly max?: Readonly<Record<string, number>> | undefined;
  /** Grid that the weights will be rounded to: feasibility is checked on it. Default: none. */
  readonly nUnits?: number | undefined;
}

/**
 * Bounds of every domain, checked: some mixture lies within them.
 *
 * @throws OPTION_INVALID, MIXTURE_BOUNDS_INFEASIBLE
 */
export function mixtureBounds(options: BoundOptions): MixtureBounds {
  const { domains, budgetTokens, maxEpochs, min = {}, max = {}, nUnits } = options;
  checkPositive('budgetTokens', budgetTokens);
  checkPositive('maxEpochs', maxEpochs);
  checkWeights('min', min, domains);
  checkWeights('max', max, domains);
  const lower = new Float64Array(domains.length);
  const upper = new Float64Array(domains.length).fill(1);
  for (const [index, domain] of domains.entries()) {
    const epochs = domain.maxEpochs ?? maxEpochs;
    if (budgetTokens !== undefined && epochs !== undefined) {
      if (domain.tokens === undefined) {
        throw new GristmillError('OPTION_INVALID', {
          option: 'budgetTokens',
          expected: 'tokens of every domain that has an epoch cap',
          received: `no tokens of ${domain.name}`,
        });
      }
      upper[index] = Math.min(1, (domain.tokens * epochs) / budgetTokens);
    }
    upper[index] = Math.min(upper[index]!, own(max, domain.name) ?? 1);
    lower[index] = own(min, domain.name) ?? 0;
    if (lower[index]! > upper[index]!) {
      throw infeasible(`${domain.name}: at least ${lower[index]} and at most ${upper[index]}`);
    }
  }
  checkFeasible({ lower, upper }, nUnits);
  return { lower, upper };
}

/**
 * Checks that some mixture lies within the bounds, on the grid where one is given.
 *
 * @throws MIXTURE_BOUNDS_INFEASIBLE naming the sum that is off
 */
export function checkFeasible(bounds: MixtureBounds, nUnits?: number): void {
  const lowest = sum(bounds.lower);
  const highest = sum(bounds.upper);
  if (lowest > 1 + 1e-9)
    throw infeasible(`the smallest weights sum to ${shown(lowest)}, more than 1`);
  if (highest < 1 - 1e-9)
    throw infeasible(`the largest weights sum to ${shown(highest)}, less than 1`);
  if (nUnits === undefined) return;
  const units = unitBounds(bounds, nUnits);
  for (const [index, low] of units.lower.entries()) {
    if (low > units.upper[index]!) {
      const between = `${bounds.lower[index]} and ${bounds.upper[index]}`;
      throw infeasible(`domain ${index}: no multiple of 1/${nUnits} lies between ${between}`);
    }
  }
  const fewest = sum(units.lower);
  const most = sum(units.upper);
  if (fewest > nUnits || most < nUnits) {
    const off = fewest > nUnits ? `smallest weights sum to ${fewest}` : `largest sum to ${most}`;
    throw infeasible(`on a grid of 1/${nUnits} the ${off} units of ${nUnits}`);
  }
}

function sum(values: ArrayLike<number>): number {
  return Array.from(values).reduce((total, value) => total + value, 0);
}

/** A sum without the noise of its rounding. */
function shown(value: number): number {
  return Number(value.toPrecision(9));
}

function infeasible(reason: string): GristmillError {
  return new GristmillError('MIXTURE_BOUNDS_INFEASIBLE', { reason });
}

function checkPositive(option: string, value: number | undefined): void {
  if (value === undefined || (Number.isFinite(value) && value > 0)) return;
  throw new GristmillError('OPTION_INVALID', {
    option,
    expected: 'a positive number',
    received: value,
  });
}

function checkWeights(
  option: string,
  weights: Readonly<Record<string, number>>,
  domains: readonly DomainSpec[],
): void {
  const known = new Set(domains.map(({ name }) => name));
  for (const [name, weight] of Object.entries(weights)) {
    if (!known.has(name)) {
      const expected = `names of domains: ${[...known].join(', ')}`;
      throw new GristmillError('OPTION_INVALID', { option, expected, received: name });
    }
    if (!(weight >= 0 && weight <= 1)) {
      const received = `${name}=${weight}`;
      throw new GristmillError('OPTION_INVALID', {
        option,
        expected: 'weights of 0..1',
        received,
      });
    }
  }
}
