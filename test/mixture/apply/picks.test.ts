import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PickDomain, pickDocuments } from '../../../src/mixture/apply/picks.ts';

const sizes = fc.array(fc.integer({ min: 0, max: 500 }), { minLength: 1, maxLength: 40 });
const domainsOf = (rows: readonly (readonly [number, readonly number[]])[]): PickDomain[] => {
  const sum = rows.reduce((total, [weight]) => total + weight, 0);
  return rows.map(([weight, own], domain) => ({
    name: `d${domain}`,
    weight: weight / sum,
    sizes: own,
  }));
};
const inputs = fc.array(fc.tuple(fc.integer({ min: 1, max: 100 }), sizes), {
  minLength: 1,
  maxLength: 8,
});

describe('pickDocuments', () => {
  it('by rows: every domain has its share to less than one, in every prefix', () => {
    fc.assert(
      fc.property(inputs, fc.integer({ min: 1, max: 300 }), (rows, total) => {
        const domains = domainsOf(rows);
        const options = { unit: 'rows', total, maxEpochs: 1000, seed: 5 } as const;
        const picks = pickDocuments(domains, options);
        expect(picks.docs).toHaveLength(total);
        const counts = domains.map(() => 0);
        picks.domains.forEach((domain, at) => {
          counts[domain]!++;
          for (const [index, { weight }] of domains.entries()) {
            expect(Math.abs(counts[index]! - weight * (at + 1))).toBeLessThan(1);
          }
        });
      }),
      { numRuns: 60 },
    );
  });

  it('by size: no domain could come closer with one document more or less', () => {
    fc.assert(
      fc.property(inputs, fc.integer({ min: 1, max: 20_000 }), (rows, total) => {
        const domains = domainsOf(rows);
        fc.pre(
          domains.every(
            (domain) =>
              50 * Array.from(domain.sizes).reduce((sum, size) => sum + size, 0) >
              domain.weight * total,
          ),
        );
        const picks = pickDocuments(domains, { unit: 'chars', total, maxEpochs: 50, seed: 1 });
        for (const [domain, { weight, sizes: own }] of domains.entries()) {
          const docs = [...picks.docs].filter((_, at) => picks.domains[at] === domain);
          const sum = docs.reduce((partial, doc) => partial + own[doc]!, 0);
          expect(Math.abs(sum - weight * total)).toBeLessThanOrEqual(
            Math.max(...Array.from(own)) / 2 + 1e-6,
          );
          // Every document once before any of them twice.
          const firstEpoch = docs.slice(0, own.length);
          expect(new Set(firstEpoch).size).toBe(firstEpoch.length);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('by size: domains advance together', () => {
    const domains = domainsOf([
      [1, Array(100).fill(10)],
      [1, Array(10).fill(100)],
    ]);
    const picks = pickDocuments(domains, { unit: 'tokens', total: 2000, maxEpochs: 1, seed: 0 });
    const taken = [0, 0];
    picks.domains.forEach((domain, at) => {
      taken[domain]! += domains[domain]!.sizes[picks.docs[at]!]!;
      expect(Math.abs(taken[0]! - taken[1]!)).toBeLessThanOrEqual(100);
    });
    expect(taken).toEqual([1000, 1000]);
  });

  it('refuses to repeat a domain more often than allowed', () => {
    const domains = domainsOf([
      [9, Array(100).fill(10)],
      [1, [10, 10]],
    ]);
    const options = { unit: 'rows', total: 100, maxEpochs: 4, seed: 0 } as const;
    expect(() => pickDocuments(domains, options)).toThrow(
      'domain d1: its share is 10 rows, but 8 are there in at most 4 epochs',
    );
    expect(() => pickDocuments(domains, { ...options, unit: 'chars', total: 1000 })).toThrow(
      'domain d1: its share is 100 chars, but 80 are there in at most 4 epochs',
    );
    expect(pickDocuments(domains, { ...options, maxEpochs: 5 }).docs).toHaveLength(100);
  });
});
