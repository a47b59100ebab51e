/**
 * Which domain every sequence comes from, and which sequence of that domain: pure functions of (seed, position).
 *
 * `exact` spreads the domains evenly: after any number of positions every domain has its share, to less than one. It is
 * Tijdeman's solution of the chairman assignment problem, an error diffusion in which among the domains that may be
 * served without getting ahead the one that would fall behind first is next. Plainly serving the largest deficit, as
 * Megatron's blending does, keeps no such bound: a rare domain may fall behind by more than one (the test has a
 * mixture). `iid` draws every domain on its own, as the published proxies did; counts then vary by multinomial noise.
 *
 * Inside a domain an epoch visits every sequence once, in an order drawn from (seed, name, epoch), whatever the weights:
 * runs of a sweep that share a seed read each domain in the same order.
 *
 * @see R. Tijdeman, The chairman assignment problem, Discrete Mathematics 32 (1980); RegMix, arXiv 2407.01492 (iid)
 */
import { GristmillError } from '../errors.ts';
import { type Random, seededRandom } from '../seeded.ts';
import { SequenceOrder } from './token-data.ts';

/** How domains are chosen; see the file's header. */
export type BlendKind = 'exact' | 'iid';

/** Options of {@link Blend}. */
export interface BlendOptions {
  /** Shares of the domains: finite, 0 or more, not all 0; normalised. `[nDomains]`. */
  readonly weights: ArrayLike<number>;
  readonly kind: BlendKind;
  /** Of the draws; `exact` draws nothing. Any integer. */
  readonly seed: number;
}

/** The domains of an endless run of positions. */
export class Blend {
  /** Normalised. `[nDomains]`. */
  readonly weights: Float64Array;
  readonly #kind: BlendKind;
  readonly #seed: number;
  readonly #active: readonly number[];
  #position = 0;
  #counts: Float64Array;
  #random: Random;

  /** @throws OPTION_INVALID */
  constructor({ weights, kind, seed }: BlendOptions) {
    this.weights = normalised(weights);
    this.#kind = kind;
    this.#seed = seed;
    this.#active = [...this.weights.keys()].filter((domain) => this.weights[domain]! > 0);
    this.#counts = new Float64Array(this.weights.length);
    this.#random = seededRandom(seed);
  }

  /** Sequences of each domain in front of `position`: `[nDomains]`, summing to `position`. */
  countsBefore(position: number): Float64Array {
    this.#seek(position);
    return this.#counts.slice();
  }

  /**
   * Domains of the positions `first .. first + count - 1`, and how many of the same domain came before each.
   *
   * Going back starts again from 0; going on costs one step a position.
   */
  at(first: number, count: number): { readonly domain: number; readonly index: number }[] {
    this.#seek(first);
    return Array.from({ length: count }, () => {
      const domain = this.#next();
      return { domain, index: this.#counts[domain]! - 1 };
    });
  }

  #seek(position: number): void {
    if (position < this.#position) {
      this.#position = 0;
      this.#counts = new Float64Array(this.weights.length);
      this.#random = seededRandom(this.#seed);
    }
    while (this.#position < position) this.#next();
  }

  #next(): number {
    const domain = this.#kind === 'exact' ? this.#due() : this.#drawn();
    this.#position++;
    this.#counts[domain]!++;
    return domain;
  }

  #drawn(): number {
    let left = this.#random();
    for (const domain of this.#active) {
      left -= this.weights[domain]!;
      if (left < 0) return domain;
    }
    // The weights may sum to a little less than 1.
    return this.#active.at(-1)!;
  }

  /** Tijdeman's rule: of the domains whose deficit allows it, the one with the earliest deadline. */
  #due(): number {
    const active = this.#active;
    if (active.length === 1) return active[0]!;
    const slack = 1 / (2 * active.length - 2);
    const position = this.#position + 1;
    const rounding = 1e-12 * position;
    let due = -1;
    let earliest = Number.POSITIVE_INFINITY;
    for (const domain of active) {
      const weight = this.weights[domain]!;
      const deficit = position * weight - this.#counts[domain]!;
      if (deficit < slack - rounding) continue;
      const deadline = (1 - slack - deficit) / weight;
      if (deadline < earliest) {
        earliest = deadline;
        due = domain;
      }
    }
    // Deficits sum to 1, so that one of them is at least 1/n, and 1/n is at least the slack.
    return due < 0 ? active[0]! : due;
  }
}

/** A domain to blend. */
export interface BlendDomain {
  /** Takes part in the order of its sequences. */
  readonly name: string;
  /** At least 1 where the weight is above 0. */
  readonly nSequences: number;
}

/** A sequence of a blend. */
export interface BlendedSequence {
  readonly domain: number;
  /** 0..nSequences-1 of the domain. */
  readonly sequence: number;
  /** How often the whole domain was seen before: 0 in the first epoch. */
  readonly epoch: number;
}

/** The sequences of an endless run of positions. */
export class BlendedOrder {
  readonly blend: Blend;
  readonly #domains: readonly BlendDomain[];
  readonly #orders: readonly (SequenceOrder | null)[];

  /** @throws OPTION_INVALID */
  constructor(domains: readonly BlendDomain[], options: BlendOptions) {
    this.blend = new Blend(options);
    this.#domains = domains;
    const { weights } = this.blend;
    if (weights.length !== domains.length) {
      const expected = `${domains.length} of them`;
      throw new GristmillError('OPTION_INVALID', {
        option: 'weights',
        expected,
        received: weights.length,
      });
    }
    this.#orders = domains.map(({ name, nSequences }, domain) => {
      if (weights[domain] === 0) return null;
      if (Number.isSafeInteger(nSequences) && nSequences >= 1) {
        return new SequenceOrder(nSequences, seedOf(options.seed, name));
      }
      throw new GristmillError('OPTION_INVALID', {
        option: `nSequences of ${name}`,
        expected: 'a whole number above 0',
        received: nSequences,
      });
    });
  }

  /** The sequences at positions `first .. first + count - 1`. */
  at(first: number, count: number): BlendedSequence[] {
    return this.blend.at(first, count).map(({ domain, index }) => ({
      domain,
      sequence: this.#orders[domain]!.at(index, 1)[0]!,
      epoch: Math.floor(index / this.#domains[domain]!.nSequences),
    }));
  }

  /** How often each domain was seen before `position`, 0 or more and not whole. `[nDomains]`. */
  epochsBefore(position: number): Float64Array {
    return this.blend
      .countsBefore(position)
      .map((count, domain) => count / Math.max(1, this.#domains[domain]!.nSequences));
  }
}

/** A seed for each domain, so that a domain's order does not depend on the others (FNV-1a over the name). */
export function seedOf(seed: number, name: string): number {
  let hash = 0x811c9dc5 ^ seed;
  for (const byte of Buffer.from(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

function normalised(weights: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(weights);
  const wrong = values.find((weight) => !Number.isFinite(weight) || weight < 0);
  const sum = values.reduce((total, weight) => total + weight, 0);
  if (wrong === undefined && sum > 0) return values.map((weight) => weight / sum);
  throw new GristmillError('OPTION_INVALID', {
    option: 'weights',
    expected: 'finite numbers, 0 or more, not all 0',
    received: wrong ?? sum,
  });
}
