/**
 * Which documents a mixed corpus is made of, and in which order: a function of sizes, weights and seed.
 *
 * By documents: the order of tokens/blend.ts; every domain has its share to less than one document in every prefix.
 * By size (characters, tokens): a domain takes documents in the order of its epochs until another one would bring it no
 * closer to its share, so that it is off by half a document at most; documents are merged by their middles on the way
 * from nothing to the share, so that the domains advance together.
 *
 * Shares are compared with what is there before anything is counted or held, so that a total that nothing can fill costs
 * nothing; the loops behind that give the event loop its turn and hear the signal.
 */
import { setImmediate } from 'node:timers/promises';
import { GristmillError } from '../../errors.ts';
import { Blend, seedOf } from '../../tokens/blend.ts';
import { SequenceOrder } from '../../tokens/token-data.ts';
import { NextFirst } from './next-first.ts';

/** A domain to draw from. */
export interface PickDomain {
  readonly name: string;
  /** Above 0; all of them sum to 1. */
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
  readonly signal?: AbortSignal | undefined;
}

/** Documents in their order. */
export interface Picks {
  /** Index of each one's domain. */
  readonly domains: Uint16Array;
  /** Index of each one in its domain. */
  readonly docs: Uint32Array;
  /** Domains that got no document, though they have a weight. */
  readonly left: readonly LeftOutDomain[];
}

/** A domain whose share is less than a document. */
export interface LeftOutDomain {
  readonly name: string;
  /** The least total at which it gets one. */
  readonly leastTotal: number;
}

/** Rows of a mixed corpus, at most: six bytes each are held while it is written. */
export const MAX_PICKED_ROWS = 2 ** 29;
/** Steps between two turns of the event loop. */
const TURN = 2 ** 16;
/** Positions behind the total that are looked through for the first one of a domain. */
const MAX_AHEAD = 2 ** 18;

/**
 * Chooses documents.
 *
 * @throws MIXTURE_DOMAIN_TOO_SMALL naming every domain whose share is more than `maxEpochs` times what it has;
 *   OPTION_INVALID where no domain gets a document, or for more rows than {@link MAX_PICKED_ROWS}; ABORTED
 */
export async function pickDocuments(
  domains: readonly PickDomain[],
  options: PickOptions,
): Promise<Picks> {
  const measured = domains.map((domain): Measured => ({ ...domain, sum: sumOf(domain, options) }));
  checkShares(measured, options);
  const orders = domains.map(
    ({ name, sizes }) => new SequenceOrder(Math.max(1, sizes.length), seedOf(options.seed, name)),
  );
  const picks =
    options.unit === 'rows'
      ? await byRows(measured, orders, options)
      : await bySize(measured, orders, options);
  if (picks.docs.length === 0) {
    const least = Math.min(...picks.left.map(({ leastTotal }) => leastTotal));
    const expected = `at least ${least}, with which a domain gets a document`;
    const received = options.total;
    throw new GristmillError('OPTION_INVALID', { option: options.unit, expected, received });
  }
  return picks;
}

interface Measured extends PickDomain {
  /** Of all documents, in units of the total. */
  readonly sum: number;
}

function sumOf({ sizes }: PickDomain, { unit }: PickOptions): number {
  if (unit === 'rows') return sizes.length;
  let sum = 0;
  for (let doc = 0; doc < sizes.length; doc++) sum += sizes[doc]!;
  return sum;
}

/** Every share against what its domain has in all epochs. */
function checkShares(domains: readonly Measured[], { unit, total, maxEpochs }: PickOptions): void {
  const short = domains.flatMap(({ name, weight, sum }): string[] => {
    const share = weight * total;
    const needed = share < 1 ? Number(share.toPrecision(3)) : Math.floor(share);
    const available = sum * maxEpochs;
    return sum === 0 || Math.floor(share) > available
      ? [shortfallOf(name, needed, available, { unit, maxEpochs })]
      : [];
  });
  if (short.length > 0) {
    const most = Math.min(
      ...domains.map(({ weight, sum }) => Math.floor((sum * maxEpochs) / weight)),
    );
    tooSmall(
      short,
      most > 0
        ? `${most} ${unit} in all is the most that this mixture gives`
        : 'a domain without any can have no weight',
    );
  }
  const nRows = domains.reduce((rows, { weight, sizes, sum }) => {
    const epochs = (weight * total) / sum;
    return rows + Math.ceil(epochs * sizes.length);
  }, 0);
  if (nRows > MAX_PICKED_ROWS + domains.length) {
    const expected = `a total of at most ${MAX_PICKED_ROWS} documents`;
    const received = `${total}, which are about ${nRows}`;
    throw new GristmillError('OPTION_INVALID', { option: unit, expected, received });
  }
}

/** Lets the event loop run now and then. @throws ABORTED */
async function turn(step: number, signal: AbortSignal | undefined): Promise<void> {
  if (step % TURN !== 0) return;
  await setImmediate();
  if (signal?.aborted) throw new GristmillError('ABORTED', { what: 'mix apply' });
}

async function byRows(
  domains: readonly Measured[],
  orders: readonly SequenceOrder[],
  { total, maxEpochs, seed, signal }: PickOptions,
): Promise<Picks> {
  const blend = new Blend({ weights: domains.map(({ weight }) => weight), kind: 'exact', seed });
  const picks = { domains: new Uint16Array(total), docs: new Uint32Array(total) };
  for (let position = 0; position < total; position++) {
    if (position % TURN === 0) await turn(position, signal);
    const { domain, index } = blend.at(position, 1)[0]!;
    const { name, sizes, weight } = domains[domain]!;
    // A share that fits may be rounded up to one document more than there are.
    if (index >= sizes.length * maxEpochs) {
      const available = sizes.length * maxEpochs;
      const needed = Math.ceil(weight * total);
      tooSmall(
        [shortfallOf(name, needed, available, { unit: 'rows', maxEpochs })],
        `${position} rows in all is the most that this mixture gives`,
      );
    }
    picks.domains[position] = domain;
    picks.docs[position] = orders[domain]!.at(index, 1)[0]!;
  }
  const counts = blend.countsBefore(total);
  const missing = new Set([...counts.keys()].filter((domain) => counts[domain] === 0));
  const firstOf = new Map<number, number>();
  for (
    let position = total;
    firstOf.size < missing.size && position < total + MAX_AHEAD;
    position++
  ) {
    if (position % TURN === 0) await turn(position, signal);
    const { domain } = blend.at(position, 1)[0]!;
    if (missing.has(domain) && !firstOf.has(domain)) firstOf.set(domain, position + 1);
  }
  const left = [...missing].map((domain) => ({
    name: domains[domain]!.name,
    // Further on: a share of one document is one document.
    leastTotal: firstOf.get(domain) ?? Math.ceil(1 / domains[domain]!.weight),
  }));
  return { ...picks, left };
}

async function bySize(
  domains: readonly Measured[],
  orders: readonly SequenceOrder[],
  { total, maxEpochs, signal }: PickOptions,
): Promise<Picks> {
  const counts: number[] = [];
  for (const [domain, own] of domains.entries()) {
    counts.push(await countOf(own, orders[domain]!, { total, maxEpochs, signal }));
  }
  const nRows = counts.reduce((sum, count) => sum + count, 0);
  const picks = { domains: new Uint16Array(nRows), docs: new Uint32Array(nRows) };
  const queue = new NextFirst(domains.length);
  const taken = domains.map(() => ({ index: 0, sum: 0, doc: 0 }));
  const enqueue = (domain: number): void => {
    const own = taken[domain]!;
    if (own.index === counts[domain]) return;
    own.doc = orders[domain]!.at(own.index, 1)[0]!;
    const { sizes, weight } = domains[domain]!;
    queue.add((own.sum + sizes[own.doc]! / 2) / (weight * total), domain);
  };
  for (const domain of domains.keys()) enqueue(domain);
  for (let row = 0; row < nRows; row++) {
    if (row % TURN === 0) await turn(row, signal);
    const domain = queue.take();
    const own = taken[domain]!;
    picks.domains[row] = domain;
    picks.docs[row] = own.doc;
    own.sum += domains[domain]!.sizes[own.doc]!;
    own.index++;
    enqueue(domain);
  }
  const left = domains.flatMap(({ name, weight, sizes }, domain) => {
    if (counts[domain]! > 0) return [];
    const size = sizes[orders[domain]!.at(0, 1)[0]!]!;
    return [{ name, leastTotal: leastTotalOf(size, weight) }];
  });
  return { ...picks, left };
}

/** Documents of a domain: whole epochs below its share, then one by one until another one brings it no closer. */
async function countOf(
  { weight, sizes, sum: epochSize }: Measured,
  order: SequenceOrder,
  { total, maxEpochs, signal }: Pick<PickOptions, 'total' | 'maxEpochs' | 'signal'>,
): Promise<number> {
  const share = weight * total;
  const nEpochs = Math.min(maxEpochs, Math.floor(share / epochSize));
  const most = Math.min(maxEpochs, nEpochs + 1) * sizes.length;
  let sum = nEpochs * epochSize;
  let index = nEpochs * sizes.length;
  for (; sum < share && index < most; index++) {
    if (index % TURN === 0) await turn(index, signal);
    const size = sizes[order.at(index, 1)[0]!]!;
    if (sum + size - share > share - sum) break;
    sum += size;
  }
  return index;
}

/** The least whole total of which half a document is no more than the share. */
function leastTotalOf(size: number, weight: number): number {
  const isTaken = (total: number): boolean => !(size - weight * total > weight * total);
  let least = Math.max(1, Math.ceil(size / (2 * weight)) - 2);
  while (!isTaken(least)) least++;
  return least;
}

function shortfallOf(
  domain: string,
  needed: number,
  available: number,
  { unit, maxEpochs }: Pick<PickOptions, 'unit' | 'maxEpochs'>,
): string {
  return `domain ${domain}: its share is ${needed} ${unit}, but ${available} are there in at most ${maxEpochs} epochs`;
}

function tooSmall(shortfalls: readonly string[], hint: string): never {
  throw new GristmillError('MIXTURE_DOMAIN_TOO_SMALL', {
    shortfalls: shortfalls.join('; '),
    hint: `; ${hint}`,
  });
}
