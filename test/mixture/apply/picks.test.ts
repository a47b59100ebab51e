import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PickDomain, pickDocuments } from '../../../src/mixture/apply/picks.ts';
import { seedOf } from '../../../src/tokens/blend.ts';
import { SequenceOrder } from '../../../src/tokens/token-data.ts';

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

const sumOf = (own: ArrayLike<number>) => Array.from(own).reduce((sum, size) => sum + size, 0);

/** Document after document, as the rule is written. */
function naive(domains: readonly PickDomain[], total: number, maxEpochs: number): number[][] {
  const taken: { domain: number; doc: number; middle: number }[] = [];
  for (const [domain, { name, weight, sizes: own }] of domains.entries()) {
    const order = new SequenceOrder(own.length, seedOf(1, name));
    const share = weight * total;
    let sum = 0;
    for (let index = 0; sum < share && index < own.length * maxEpochs; index++) {
      const doc = order.at(index, 1)[0]!;
      if (sum + own[doc]! - share > share - sum) break;
      taken.push({ domain, doc, middle: (sum + own[doc]! / 2) / share });
      sum += own[doc]!;
    }
  }
  taken.sort((left, right) => left.middle - right.middle || left.domain - right.domain);
  return taken.map(({ domain, doc }) => [domain, doc]);
}

describe('pickDocuments', () => {
  it('by rows: every domain has its share to less than one, in every prefix', async () => {
    await fc.assert(
      fc.asyncProperty(inputs, fc.integer({ min: 1, max: 300 }), async (rows, total) => {
        const domains = domainsOf(rows);
        const options = { unit: 'rows', total, maxEpochs: 1000, seed: 5 } as const;
        const picks = await pickDocuments(domains, options);
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

  it('by size: as one document after the other gives it, merged by their middles', async () => {
    await fc.assert(
      fc.asyncProperty(inputs, fc.integer({ min: 1, max: 20_000 }), async (rows, total) => {
        const domains = domainsOf(rows);
        const maxEpochs = 50;
        fc.pre(domains.every(({ weight, sizes: own }) => maxEpochs * sumOf(own) > weight * total));
        const expected = naive(domains, total, maxEpochs);
        const options = { unit: 'chars', total, maxEpochs, seed: 1 } as const;
        if (expected.length === 0) {
          await expect(pickDocuments(domains, options)).rejects.toThrow(/gets a document/);
          return;
        }
        const picks = await pickDocuments(domains, options);
        expect([...picks.domains].map((domain, at) => [domain, picks.docs[at]])).toEqual(expected);
        for (const { name, leastTotal } of picks.left) {
          const domain = domains.findIndex((each) => each.name === name);
          const has = (all: readonly (readonly number[])[]) =>
            all.some(([each]) => each === domain);
          expect(has(naive(domains, leastTotal - 1, maxEpochs))).toBe(false);
          expect(has(naive(domains, leastTotal, maxEpochs))).toBe(true);
        }
      }),
      { numRuns: 100 },
    );
  });

  it('by size: domains advance together', async () => {
    const domains = domainsOf([
      [1, Array(100).fill(10)],
      [1, Array(10).fill(100)],
    ]);
    const picks = await pickDocuments(domains, {
      unit: 'tokens',
      total: 2000,
      maxEpochs: 1,
      seed: 0,
    });
    const taken = [0, 0];
    picks.domains.forEach((domain, at) => {
      taken[domain]! += domains[domain]!.sizes[picks.docs[at]!]!;
      expect(Math.abs(taken[0]! - taken[1]!)).toBeLessThanOrEqual(100);
    });
    expect(taken).toEqual([1000, 1000]);
  });

  it('refuses to repeat a domain more often than allowed', async () => {
    const domains = domainsOf([
      [9, Array(100).fill(10)],
      [1, [10, 10]],
    ]);
    const options = { unit: 'rows', total: 100, maxEpochs: 4, seed: 0 } as const;
    await expect(pickDocuments(domains, options)).rejects.toThrow(
      'domain d1: its share is 10 rows, but 8 are there in at most 4 epochs',
    );
    await expect(
      pickDocuments(domains, { ...options, unit: 'chars', total: 1000 }),
    ).rejects.toThrow('domain d1: its share is 100 chars, but 80 are there in at most 4 epochs');
    expect((await pickDocuments(domains, { ...options, maxEpochs: 5 })).docs).toHaveLength(100);
  });

  it('refuses at once what nothing can fill, and names every domain', async () => {
    // Counting 1e12 positions took four hours, deaf to signals.
    const domains = domainsOf([
      [7, Array(5).fill(10)],
      [2, Array(5).fill(10)],
      [1, Array(1000).fill(10)],
    ]);
    const options = { unit: 'rows', total: 1e12, maxEpochs: 4, seed: 0 } as const;
    await expect(pickDocuments(domains, options)).rejects.toThrow(
      /^domain d0: its share is 700000000000 rows, but 20 are there in at most 4 epochs; domain d1: .*; domain d2: .*; 28 rows in all is the most/,
    );
    for (const unit of ['chars', 'tokens'] as const) {
      await expect(pickDocuments(domains, { ...options, unit })).rejects.toMatchObject({
        code: 'MIXTURE_DOMAIN_TOO_SMALL',
      });
    }
    await expect(pickDocuments(domains, { ...options, total: 60 })).rejects.toThrow(
      /^domain d0: [^;]*; 28 rows/,
    );
    expect((await pickDocuments(domains, { ...options, total: 28 })).docs).toHaveLength(28);
    // Epochs that would be there, but no memory for the rows.
    const many = { ...options, maxEpochs: 1e12 };
    for (const unit of ['rows', 'chars'] as const) {
      await expect(pickDocuments(domains, { ...many, unit })).rejects.toThrow(
        /option (rows|chars): expected a total of at most 536870912 documents/,
      );
    }
    const empty = domainsOf([
      [1, []],
      [1, [0, 0]],
    ]);
    for (const unit of ['rows', 'chars'] as const) {
      await expect(
        pickDocuments(empty, { ...options, unit, total: 1, maxEpochs: 1e12 }),
      ).rejects.toThrow(/domain d0: its share is 0.5 .*, but 0 are there/);
    }
  });

  it('hears the signal and lets the event loop run', async () => {
    const domains = domainsOf([
      [1, Array(1000).fill(1)],
      [1, Array(1000).fill(2)],
    ]);
    for (const unit of ['rows', 'chars'] as const) {
      const controller = new AbortController();
      const options = { unit, total: 5e7, maxEpochs: 1e6, seed: 0 } as const;
      const picking = pickDocuments(domains, { ...options, signal: controller.signal });
      setTimeout(() => controller.abort(), 20);
      await expect(picking).rejects.toMatchObject({ code: 'ABORTED' });
    }
  });

  it('names domains that got no document, with the least total that gives them one', async () => {
    const domains = domainsOf([
      [70, Array(9).fill(49)],
      [30, Array(9).fill(49)],
    ]);
    const options = { unit: 'rows', total: 1, maxEpochs: 4, seed: 0 } as const;
    expect((await pickDocuments(domains, options)).left).toEqual([{ name: 'd1', leastTotal: 2 }]);
    const at2 = await pickDocuments(domains, { ...options, total: 2 });
    expect([[...at2.domains], at2.left]).toEqual([[0, 1], []]);
    const rare = domainsOf([
      [999_999_999, Array(9).fill(1)],
      [1, Array(9).fill(1)],
    ]);
    expect((await pickDocuments(rare, options)).left).toEqual([{ name: 'd1', leastTotal: 1e9 }]);
    await expect(pickDocuments(domains, { ...options, unit: 'chars', total: 30 })).rejects.toThrow(
      'option chars: expected at least 35, with which a domain gets a document, received 30',
    );
    const chars = await pickDocuments(domains, { ...options, unit: 'chars', total: 35 });
    expect([[...chars.domains], chars.left]).toEqual([[0], [{ name: 'd1', leastTotal: 82 }]]);
  });
});
