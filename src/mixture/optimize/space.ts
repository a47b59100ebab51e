/**
 * Where an optimum is looked for: weights within bounds, with groups of domains held fast.
 *
 * A group with `freeze: 'total'` keeps its share of the mixture while its domains move; one with `freeze: 'ratios'` keeps
 * the ratios of its domains while its share moves (sources, and the topics inside them). The search moves variables: one
 * for every group of ratios, one for every other domain. Variables of a block have a fixed sum:
 *
 *     domains     a    b    c    d    e         {a, b}: ratios 2:1      {c, d}: total .4
 *     variables   v0 ─┘     v1   v2   v3        a = ⅔ v0, b = ⅓ v0
 *     blocks      [v0, v3] = .6   [v1, v2] = .4
 */
import { GristmillError } from '../../errors.ts';
import {
  type MixtureBounds,
  projectToBox,
  roundToUnits,
  type UnitBounds,
  unitBounds,
} from '../simplex.ts';

/** A group of domains of which something does not move. No domain is in two groups. */
export interface FrozenGroup {
  readonly name: string;
  readonly domains: readonly string[];
  readonly freeze: 'total' | 'ratios';
  /** `total`: its share of the mixture, 0..1. Default: that of the prior. */
  readonly total?: number | undefined;
  /** `ratios`: weights of its domains, of any sum. Default: those of the prior. */
  readonly weights?: Readonly<Record<string, number>> | undefined;
}

/** Options of {@link MixtureSpace}. */
export interface MixtureSpaceOptions {
  readonly domains: readonly string[];
  /** `[nDomains]`, summing to 1. */
  readonly prior: Float64Array;
  readonly bounds: MixtureBounds;
  readonly frozen?: readonly FrozenGroup[] | undefined;
  /** Units of the grid. */
  readonly nUnits: number;
}

interface Block {
  readonly name: string;
  readonly variables: readonly number[];
  readonly totalUnits: number;
}

/** The feasible mixtures of an optimisation. */
export class MixtureSpace {
  readonly nDomains: number;
  readonly nVariables: number;
  readonly nUnits: number;
  /** Pairs of variables between which weight may move, each in both directions. */
  readonly pairs: readonly (readonly [from: number, to: number])[];
  readonly #members: readonly (readonly number[])[];
  /** Share of its variable by domain. */
  readonly #share: Float64Array;
  readonly #blocks: readonly Block[];
  readonly #bounds: MixtureBounds;
  readonly #lower: Float64Array;
  readonly #upper: Float64Array;
  readonly #domainUnits: UnitBounds;
  readonly #units: UnitBounds;

  /** @throws OPTION_INVALID, MIXTURE_BOUNDS_INFEASIBLE */
  constructor(options: MixtureSpaceOptions) {
    const { domains, bounds, nUnits } = options;
    this.nDomains = domains.length;
    this.nUnits = nUnits;
    const { members, share, blocks } = layOut(options);
    this.#members = members;
    this.#share = share;
    this.#blocks = blocks;
    this.#bounds = bounds;
    this.nVariables = members.length;
    const over = (value: number, domain: number, empty: number): number =>
      share[domain]! > 0 ? value / share[domain]! : empty;
    this.#lower = Float64Array.from(members, (own) =>
      Math.max(0, ...own.map((domain) => over(bounds.lower[domain]!, domain, 0))),
    );
    this.#upper = Float64Array.from(members, (own) =>
      Math.min(1, ...own.map((domain) => over(bounds.upper[domain]!, domain, 1))),
    );
    this.#domainUnits = unitBounds(bounds, nUnits);
    this.#units = this.#variableUnits();
    for (const block of blocks) this.#checkBlock(block);
    this.pairs = blocks.flatMap(({ variables }) =>
      variables.flatMap((from) =>
        variables.filter((to) => to !== from).map((to) => [from, to] as const),
      ),
    );
  }

  /** Weights of the domains. @param variables `[nVariables]` */
  toWeights(variables: Float64Array): Float64Array {
    const weights = new Float64Array(this.nDomains);
    for (const [variable, own] of this.#members.entries()) {
      for (const domain of own) weights[domain] = variables[variable]! * this.#share[domain]!;
    }
    return weights;
  }

  /** The feasible variables near to weights: sums of groups, then the nearest point. */
  fromWeights(weights: Float64Array): Float64Array {
    return this.project(
      Float64Array.from(this.#members, (own) =>
        own.reduce((sum, domain) => sum + weights[domain]!, 0),
      ),
    );
  }

  /** Weights with every frozen group as it must be and every block scaled to its sum; bounds are not looked at. */
  blend(weights: Float64Array): Float64Array {
    const variables = Float64Array.from(this.#members, (own) =>
      own.reduce((sum, domain) => sum + weights[domain]!, 0),
    );
    for (const { variables: own, totalUnits } of this.#blocks) {
      const sum = own.reduce((total, variable) => total + variables[variable]!, 0);
      const total = totalUnits / this.nUnits;
      for (const variable of own) {
        const scaled = sum > 0 ? (variables[variable]! / sum) * total : total / own.length;
        variables[variable] = scaled;
      }
    }
    return this.toWeights(variables);
  }

  /** The nearest feasible variables, block by block; a new array. */
  project(variables: Float64Array): Float64Array {
    const projected = new Float64Array(variables.length);
    for (const { variables: own, totalUnits } of this.#blocks) {
      const point = Float64Array.from(own, (variable) => variables[variable]!);
      const lower = own.map((variable) => this.#lower[variable]!);
      const upper = own.map((variable) => this.#upper[variable]!);
      projectToBox(point, lower, upper, totalUnits / this.nUnits);
      for (const [at, variable] of own.entries()) projected[variable] = point[at]!;
    }
    return projected;
  }

  /** Gradient by the variables from one by the weights. */
  toVariableGradient(gradient: Float64Array): Float64Array {
    return Float64Array.from(this.#members, (own) =>
      own.reduce((sum, domain) => sum + gradient[domain]! * this.#share[domain]!, 0),
    );
  }

  /** Variables in units of the grid, each block summing exactly. */
  toUnits(variables: Float64Array): Int32Array {
    const units = new Int32Array(this.nVariables);
    for (const { variables: own, totalUnits } of this.#blocks) {
      const bounds = {
        lower: Int32Array.from(own, (variable) => this.#units.lower[variable]!),
        upper: Int32Array.from(own, (variable) => this.#units.upper[variable]!),
      };
      const wanted = own.map((variable) => variables[variable]!);
      const rounded = roundToUnits(wanted, this.nUnits, bounds, totalUnits);
      for (const [at, variable] of own.entries()) units[variable] = rounded[at]!;
    }
    return units;
  }

  /** Domains in units of the grid: groups of ratios are split to within a unit of their ratios. */
  toDomainUnits(units: Int32Array): Int32Array {
    const split = new Int32Array(this.nDomains);
    for (const [variable, own] of this.#members.entries()) {
      const total = units[variable]!;
      if (own.length === 1) {
        split[own[0]!] = total;
        continue;
      }
      const bounds = {
        lower: Int32Array.from(own, (domain) => this.#domainUnits.lower[domain]!),
        upper: Int32Array.from(own, (domain) => this.#domainUnits.upper[domain]!),
      };
      const wanted = own.map((domain) => (total / this.nUnits) * this.#share[domain]!);
      const rounded = roundToUnits(wanted, this.nUnits, bounds, total);
      for (const [at, domain] of own.entries()) split[domain] = rounded[at]!;
    }
    return split;
  }

  /** True when `amount` units may go from one variable to another. */
  mayMove(units: Int32Array, from: number, to: number, amount: number): boolean {
    return (
      units[from]! - amount >= this.#units.lower[from]! &&
      units[to]! + amount <= this.#units.upper[to]!
    );
  }

  /** True when weights lie within the bounds and the blocks have their sums, to within `tolerance`. */
  contains(weights: ArrayLike<number>, tolerance = 1e-9): boolean {
    const { lower, upper } = this.#bounds;
    for (let domain = 0; domain < this.nDomains; domain++) {
      if (weights[domain]! < lower[domain]! - tolerance) return false;
      if (weights[domain]! > upper[domain]! + tolerance) return false;
    }
    const sums = this.#members.map((own) => own.reduce((sum, at) => sum + weights[at]!, 0));
    for (const [variable, own] of this.#members.entries()) {
      const isOff = (domain: number): boolean =>
        Math.abs(weights[domain]! - sums[variable]! * this.#share[domain]!) > tolerance;
      if (own.some(isOff)) return false;
    }
    return this.#blocks.every(({ variables, totalUnits }) => {
      const sum = variables.reduce((total, variable) => total + sums[variable]!, 0);
      return Math.abs(sum - totalUnits / this.nUnits) <= tolerance * this.nDomains;
    });
  }

  #variableUnits(): UnitBounds {
    const { lower, upper } = unitBounds({ lower: this.#lower, upper: this.#upper }, this.nUnits);
    const sumOf = (own: readonly number[], bounds: Int32Array): number =>
      own.reduce((sum, domain) => sum + bounds[domain]!, 0);
    for (const [variable, own] of this.#members.entries()) {
      // A group's total must be splittable on the grid too.
      lower[variable] = Math.max(lower[variable]!, sumOf(own, this.#domainUnits.lower));
      upper[variable] = Math.min(upper[variable]!, sumOf(own, this.#domainUnits.upper));
    }
    return { lower, upper };
  }

  #checkBlock({ name, variables, totalUnits }: Block): void {
    const fewest = variables.reduce((sum, at) => sum + this.#units.lower[at]!, 0);
    const most = variables.reduce((sum, at) => sum + this.#units.upper[at]!, 0);
    const crossed = variables.some((at) => this.#units.lower[at]! > this.#units.upper[at]!);
    if (!crossed && fewest <= totalUnits && totalUnits <= most) return;
    const range = `${fewest / this.nUnits}..${most / this.nUnits}`;
    const reason = crossed
      ? `${name}: the bounds of its domains leave nothing that keeps their ratios`
      : `${name}: its weights sum to ${range}, expected ${totalUnits / this.nUnits}`;
    throw new GristmillError('MIXTURE_BOUNDS_INFEASIBLE', { reason });
  }
}

function layOut({ domains, prior, frozen = [], nUnits }: MixtureSpaceOptions): {
  readonly members: number[][];
  readonly share: Float64Array;
  readonly blocks: Block[];
} {
  const indexOf = new Map(domains.map((name, index) => [name, index]));
  const taken = new Set<number>();
  const share = new Float64Array(domains.length).fill(1);
  const members: number[][] = [];
  const blocks: Block[] = [];
  const free: number[] = [];
  let unitsLeft = nUnits;
  for (const { name, domains: names, freeze, total, weights } of frozen) {
    const own = names.map((domain) => {
      const index = indexOf.get(domain);
      if (index === undefined || taken.has(index)) {
        const received = index === undefined ? `${domain}, which is none` : `${domain} twice`;
        throw bad(name, 'domains, each in one group', received);
      }
      taken.add(index);
      return index;
    });
    if (own.length === 0) throw bad(name, 'at least one domain', 'none');
    if (freeze === 'ratios') {
      const parts = names.map((domain, at) => (weights ? weights[domain] : prior[own[at]!]) ?? 0);
      const sum = parts.reduce((all, part) => all + part, 0);
      if (!(sum > 0 && parts.every((part) => part >= 0))) {
        throw bad(name, 'weights of at least 0 that are not all 0', parts.join(', '));
      }
      for (const [at, domain] of own.entries()) share[domain] = parts[at]! / sum;
      free.push(members.push(own) - 1);
      continue;
    }
    const wanted = total ?? own.reduce((sum, domain) => sum + prior[domain]!, 0);
    if (!(wanted >= 0 && wanted <= 1)) throw bad(name, 'a total of 0..1', wanted);
    const variables = own.map((domain) => members.push([domain]) - 1);
    const totalUnits = Math.round(wanted * nUnits);
    blocks.push({ name: `group ${name}`, variables, totalUnits });
    unitsLeft -= totalUnits;
  }
  for (const domain of domains.keys()) {
    if (!taken.has(domain)) free.push(members.push([domain]) - 1);
  }
  if (unitsLeft < 0) throw bad('all', 'totals that sum to at most 1', 1 - unitsLeft / nUnits);
  // Totals of groups that are the whole mixture may miss 1 by their rounding.
  if (free.length === 0 && blocks.length > 0 && Math.abs(unitsLeft) <= blocks.length) {
    const last = blocks.length - 1;
    blocks[last] = { ...blocks[last]!, totalUnits: blocks[last]!.totalUnits + unitsLeft };
    unitsLeft = 0;
  }
  if (free.length > 0 || unitsLeft > 0) {
    blocks.push({ name: 'the domains outside groups', variables: free, totalUnits: unitsLeft });
  }
  return { members, share, blocks };
}

function bad(group: string, expected: string, received: unknown): GristmillError {
  return new GristmillError('OPTION_INVALID', {
    option: `frozen group ${group}`,
    expected,
    received,
  });
}
