/**
 * A proxy must repeat what the target will repeat (arXiv 2605.12715, 2606.07597): a domain that is fresh to a short proxy and
 * seen ten times by a long run is overrated by the proxy, and the best mixture with it.
 *
 * In a run of T tokens a domain of U tokens at the weight w is seen w T / U times. A proxy of t tokens sees it as often where
 * it is given a subset of
 *
 *     u = U · t / T        tokens:   w t / u = w T / U
 *
 * whatever the weight, so one subset of each domain serves all proxies of a sweep. Only U / T counts: both may be tokens of
 * the target's vocabulary, whatever the proxy's is. A subset is whole sequences, the same ones for the same seed, and the
 * subset of a longer proxy holds that of a shorter one.
 */
import { GristmillError } from '../../errors.ts';
import { seedOf } from '../../tokens/blend.ts';
import { SequenceOrder } from '../../tokens/token-data.ts';
import { domainName } from '../tables.ts';
import type { MixtureTable } from '../types.ts';

/** What the target has: all that proxies need to repeat as it will. */
export interface RepetitionPlan {
  /** Tokens that the target is trained on. */
  readonly targetTokens: number;
  readonly domains: readonly {
    readonly name: string;
    /** Tokens that there are of the domain, in the vocabulary of `targetTokens`; null for as many as are needed. */
    readonly tokens: number | null;
  }[];
}

/** Tokens of a domain that a proxy is given. @param tokens of the domain at the target */
export function subsetTokens(tokens: number, targetTokens: number, proxyTokens: number): number {
  return tokens * (proxyTokens / targetTokens);
}

/** How often a domain is seen at a weight in a run; 0 where there is as much as is needed. */
export function epochsAt(weight: number, runTokens: number, tokens: number | null): number {
  return tokens === null ? 0 : (weight * runTokens) / tokens;
}

/** How a domain is repeated over some mixtures. */
export interface RepeatedDomain {
  readonly name: string;
  /** All that there are of it; null for as many as are needed. */
  readonly tokens: number | null;
  /** Tokens that proxies are given of it; null for all, or where their length is not known. */
  readonly subset: number | null;
  /** How often it is seen, by the target and by proxies: mean and most over the mixtures. */
  readonly meanEpochs: number;
  readonly mostEpochs: number;
}

/** How every domain of a table is repeated. @param proxyTokens tokens of a proxy, where they are known */
export function repeatedDomains(
  { targetTokens, domains }: RepetitionPlan,
  { ids, weights, domains: names }: MixtureTable,
  proxyTokens?: number,
): RepeatedDomain[] {
  const tokensOf = new Map(domains.map(({ name, tokens }) => [name, tokens]));
  return names.map((column, domain) => {
    const name = domainName(column);
    const tokens = tokensOf.get(name) ?? null;
    const epochs = ids.map((_, row) =>
      epochsAt(weights[row * names.length + domain]!, targetTokens, tokens),
    );
    return {
      name,
      tokens,
      subset:
        tokens === null || proxyTokens === undefined
          ? null
          : Math.round(subsetTokens(tokens, targetTokens, proxyTokens)),
      meanEpochs: epochs.reduce((sum, times) => sum + times, 0) / epochs.length,
      mostEpochs: epochs.reduce((most, times) => Math.max(most, times), 0),
    };
  });
}

/** A domain of a store, and what the proxies want of it. */
export interface StoredDomain {
  readonly name: string;
  /** Sequences of its training part. */
  readonly nSequences: number;
  /** Largest weight in the mixtures, 0..1. */
  readonly mostWeight: number;
}

/** Tokens of a proxy, and of a sequence of it. */
export interface ProxyLength {
  readonly nTokens: number;
  readonly nCtx: number;
}

/**
 * Sequences of each domain that proxies are given; null for all of them.
 *
 * A domain that the store has less of than its subset is given whole, which is the same as long as no proxy gets to its end.
 *
 * @param source what messages call the plan
 * @throws MIXTURE_DOMAINS_INVALID for a domain that the plan does not know, MIXTURE_DOMAIN_TOO_SMALL for subsets of less than
 *   half a sequence and for domains that proxies would repeat more often than the target
 */
export function subsetSequences(
  { targetTokens, domains: known }: RepetitionPlan,
  domains: readonly StoredDomain[],
  { nTokens, nCtx }: ProxyLength,
  source = 'repetition',
): (number | null)[] {
  const tokensOf = new Map(known.map(({ name, tokens }) => [domainName(name), tokens]));
  const shortfalls: string[] = [];
  const sizes = domains.map(({ name, nSequences, mostWeight }) => {
    if (mostWeight === 0) return null;
    const tokens = tokensOf.get(domainName(name));
    if (tokens === undefined) {
      const reason = `nothing is said of domain ${name}, which mixtures have`;
      throw new GristmillError('MIXTURE_DOMAINS_INVALID', { file: source, reason });
    }
    const nSeen = (mostWeight * nTokens) / nCtx;
    const wanted = tokens === null ? null : subsetTokens(tokens, targetTokens, nTokens) / nCtx;
    if (wanted !== null && wanted < 0.5) {
      const share = `${Math.round(wanted * nCtx)} of the ${nCtx} tokens of a sequence`;
      shortfalls.push(
        `domain ${name}: what proxies may see of it is ${share}, less than half of one; train proxies for more steps, or with a shorter context`,
      );
      return null;
    }
    const size = wanted === null ? Number.POSITIVE_INFINITY : Math.round(wanted);
    if (size <= nSequences) return size;
    if (nSeen > nSequences) {
      const times = (nSeen / nSequences).toFixed(2);
      const target = epochsAt(mostWeight, targetTokens, tokens).toFixed(2);
      const need = Math.min(size, Math.ceil(nSeen));
      shortfalls.push(
        `domain ${name}: proxies would see it ${times} times and the target ${target} times; the store has ${nSequences} sequences of it, and takes ${need}`,
      );
    }
    return null;
  });
  if (shortfalls.length > 0) {
    const details = { shortfalls: shortfalls.join('; '), hint: '' };
    throw new GristmillError('MIXTURE_DOMAIN_TOO_SMALL', details);
  }
  return sizes;
}

/** The sequences of a subset, in ascending order: of the same seed, a larger one holds a smaller. */
export function subsetOf(
  name: string,
  size: number,
  { nSequences, seed }: { readonly nSequences: number; readonly seed: number },
): Int32Array {
  const order = new SequenceOrder(nSequences, seedOf(seed, `subset of ${name}`));
  return Int32Array.from(order.at(0, Math.min(size, nSequences))).sort();
}
