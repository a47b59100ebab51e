/**
 * Which documents a mixed corpus is made of, and in which order: a function of sizes, weights and seed.
 *
 * By documents: the order of train/blend.ts; every domain has its share to less than one document in every prefix.
 * By size (characters, tokens): a domain takes documents in the order of its epochs until another one would bring it no
 * closer to its share, so that it is off by half a document at most; documents are merged by their middles on the way
 * from nothing to the share, so that the domains advance together.
 */
import { GristmillError } from '../../errors.ts';
import { Blend, seedOf } from '../../train/blend.ts';
import { SequenceOrder } from '../../train/token-data.ts';

/** A domain to draw from. */
export interface PickDomain {
  readonly name: string;
  readonly weight: number;
  /** Of every document; `[nDocs]`. */
  readonly sizes: ArrayLike<number>;
}

/** What is wanted. */
export interface PickOptions {
  readonly unit: 'rows' | 'chars' | 'tokens';
  /** So many units in all, above 0. */
  readonly total: number;
  /** How often a document may be taken, at most; 1 or more, whole. */
  readonly maxEpochs: number;
  readonly seed: number;
}

/** Documents in their order. */
export interface Picks {
  /** Index of each one's domain. */
  readonly domains: Uint16Array;
  /** Index of each one in its domain. */
  readonly docs: Uint32Array;
}

/**
 * Chooses documents.
 *
 * @throws MIXTURE_DOMAIN_TOO_SMALL where a domain's share is more than `maxEpochs` times what it has
 */
export function pickDocuments(domains: readonly PickDomain[], options: PickOptions): Picks {
  const orders = domains.map(
    ({ name, sizes }) => new SequenceOrder(Math.max(1, sizes.length), seedOf(options.seed, name)),
  );
  return options.unit === 'rows'
    ? byRows(domains, orders, options)
    : bySize(domains, orders, options);
}

function byRows(
  domains: readonly PickDomain[],
  orders: readonly SequenceOrder[],
  { total, maxEpochs, seed }: PickOptions,
): Picks {
  const weights = domains.map(({ weight }) => weight);
  const blend = new Blend({ weights, kind: 'exact', seed });
  for (const [domain, needed] of blend.countsBefore(total).entries()) {
    const { name, sizes } = domains[domain]!;
    const available = sizes.length * maxEpochs;
    if (needed > available) tooSmall({ domain: name, needed, unit: 'rows', available, maxEpochs });
  }
  const picks = { domains: new Uint16Array(total), docs: new Uint32Array(total) };
  for (let position = 0; position < total; position++) {
    const [{ domain, index }] = blend.at(position, 1) as [{ domain: number; index: number }];
    picks.domains[position] = domain;
    picks.docs[position] = orders[domain]!.at(index, 1)[0]!;
  }
  return picks;
}

function bySize(
  domains: readonly PickDomain[],
  orders: readonly SequenceOrder[],
  { unit, total, maxEpochs }: PickOptions,
): Picks {
  const taken: { domain: number; doc: number; middle: number }[] = [];
  for (const [domain, { name, weight, sizes }] of domains.entries()) {
    const share = weight * total;
    const nMost = sizes.length * maxEpochs;
    let sum = 0;
    for (let index = 0; sum < share; index++) {
      if (index === nMost) {
        const needed = Math.round(share);
        tooSmall({ domain: name, needed, unit, available: sum, maxEpochs });
      }
      const doc = orders[domain]!.at(index, 1)[0]!;
      const size = sizes[doc]!;
      if (sum + size - share > share - sum) break;
      taken.push({ domain, doc, middle: (sum + size / 2) / share });
      sum += size;
    }
  }
  taken.sort((left, right) => left.middle - right.middle || left.domain - right.domain);
  return {
    domains: Uint16Array.from(taken, ({ domain }) => domain),
    docs: Uint32Array.from(taken, ({ doc }) => doc),
  };
}

function tooSmall(details: Record<string, unknown>): never {
  throw new GristmillError('MIXTURE_DOMAIN_TOO_SMALL', details);
}
