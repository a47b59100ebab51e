import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  epochsAt,
  type RepetitionPlan,
  repeatedDomains,
  subsetOf,
  subsetSequences,
  subsetTokens,
} from '../../../src/mixture/repetition/plan.ts';

/** 1,000 tokens of the target; 50 of code, 2,000 of web, and any amount of news. */
const plan: RepetitionPlan = {
  targetTokens: 1000,
  domains: [
    { name: 'code', tokens: 50 },
    { name: 'web', tokens: 2000 },
    { name: 'news', tokens: null },
  ],
};
const stored = (name: string, nSequences: number, mostWeight: number) => ({
  name,
  nSequences,
  mostWeight,
});

describe('subsetTokens', () => {
  it('by hand: 50 tokens at weight .4 of 1,000 are seen 8 times, and by a proxy of 100 tokens with 5 of them too', () => {
    expect(subsetTokens(50, 1000, 100)).toBe(5);
    expect(epochsAt(0.4, 1000, 50)).toBe(8);
    expect(epochsAt(0.4, 100, 5)).toBe(8);
    expect(epochsAt(0.4, 1000, null)).toBe(0);
  });

  it('gives proxies the epochs of the target, whatever weight, tokens and lengths', () => {
    const tokens = fc.double({ min: 1, max: 1e13, noNaN: true });
    fc.assert(
      fc.property(
        fc.double({ min: 1e-6, max: 1, noNaN: true }),
        tokens,
        tokens,
        tokens,
        (w, u, t, p) => {
          const [target, proxy] = [epochsAt(w, t, u), epochsAt(w, p, subsetTokens(u, t, p))];
          expect(Math.abs(proxy - target)).toBeLessThanOrEqual(1e-12 * target);
        },
      ),
    );
  });
});

describe('subsetSequences', () => {
  it('takes whole sequences of what repeats, and all of what does not', () => {
    // A proxy of 400 tokens in sequences of 4: code 20 tokens, web 800, of which the store has less but enough.
    const length = { nTokens: 400, nCtx: 4 };
    const domains = [stored('train_code', 90, 0.5), stored('web', 60, 0.6), stored('news', 100, 1)];
    expect(subsetSequences(plan, domains, length)).toEqual([5, null, null]);
  });

  it('refuses what proxies would repeat more than the target, by sequences', () => {
    const length = { nTokens: 400, nCtx: 4 };
    const web = stored('web', 59, 0.6);
    expect(() => subsetSequences(plan, [web, stored('news', 30, 0.5)], length)).toThrowError(
      /web: proxies would see it 1\.02 times and the target 0\.30 times; the store has 59 sequences of it, and takes 60; domain news: .* takes 50/,
    );
    expect(() => subsetSequences(plan, [stored('code', 3, 0.5)], length)).toThrowError(
      /code: proxies would see it 16\.67 times and the target 10\.00 times; the store has 3 sequences of it, and takes 5/,
    );
  });

  it('refuses subsets of less than half a sequence, and domains that nobody knows', () => {
    expect(() =>
      subsetSequences(plan, [stored('code', 90, 0.1)], { nTokens: 64, nCtx: 8 }),
    ).toThrowError(/code: what proxies may see of it is 3 of the 8 tokens of a sequence/);
    const unknown = [stored('law', 10, 0.1)];
    expect(() => subsetSequences(plan, unknown, { nTokens: 64, nCtx: 8 })).toThrowError(
      /repetition: nothing is said of domain law/,
    );
    // Without a weight nothing needs to be known.
    expect(subsetSequences(plan, [stored('law', 0, 0)], { nTokens: 64, nCtx: 8 })).toEqual([null]);
  });
});

describe('subsetOf', () => {
  it('is the same for the same seed, without repetitions, and nested', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 300 }),
        fc.nat(),
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 1, max: 300 }),
        (nSequences, seed, one, other) => {
          const [small, large] = [Math.min(one, other), Math.max(one, other)].map((size) =>
            subsetOf('web', size, { nSequences, seed }),
          ) as [Int32Array, Int32Array];
          expect(new Set(large).size).toBe(Math.min(Math.max(one, other), nSequences));
          expect([...large].every((at) => at >= 0 && at < nSequences)).toBe(true);
          expect([...small].every((at) => large.includes(at))).toBe(true);
          expect([...large]).toEqual([...large].sort((left, right) => left - right));
        },
      ),
    );
    const of = (name: string, seed: number) => [...subsetOf(name, 8, { nSequences: 1000, seed })];
    expect(of('web', 1)).toEqual(of('web', 1));
    expect(of('web', 1)).not.toEqual(of('web', 2));
    expect(of('web', 1)).not.toEqual(of('code', 1));
  });
});

describe('repeatedDomains', () => {
  it('says mean and most epochs over the mixtures, and what proxies are given', () => {
    const table = {
      domains: ['train_code', 'train_web', 'train_news'],
      ids: ['1', '2'],
      weights: Float64Array.from([0.5, 0.5, 0, 0.1, 0.5, 0.4]),
    };
    expect(repeatedDomains(plan, table, 100)).toEqual([
      { name: 'code', tokens: 50, subset: 5, meanEpochs: 6, mostEpochs: 10 },
      { name: 'web', tokens: 2000, subset: 200, meanEpochs: 0.25, mostEpochs: 0.25 },
      { name: 'news', tokens: null, subset: null, meanEpochs: 0, mostEpochs: 0 },
    ]);
  });
});
