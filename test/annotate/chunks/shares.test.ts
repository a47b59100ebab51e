import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  EXAMPLE_KINDS,
  type ExampleKind,
  type ExampleShares,
  kindOf,
  quotas,
} from '../../../src/annotate/chunks/shares.ts';

type Counts = Record<ExampleKind, number>;
const counts = (
  keep: number,
  remove: number,
  replace: number,
  both: number,
  all: number,
): Counts => ({
  keep,
  remove,
  replace,
  both,
  all,
});

/** The largest total for which the bounded kinds fit, by trying every total from the top. */
function largestTotal(available: Counts, shares: ExampleShares): number {
  const most = EXAMPLE_KINDS.reduce((sum, kind) => sum + available[kind], 0);
  for (let total = most; total > 0; total--) {
    const room = EXAMPLE_KINDS.reduce(
      (sum, kind) =>
        sum + Math.min(available[kind], Math.floor((shares[kind] ?? 1) * total + 1e-9)),
      0,
    );
    if (room >= total) return total;
  }
  return 0;
}

describe('quotas', () => {
  it('leaves everything where nothing is bounded', () => {
    expect(quotas(counts(9, 8, 7, 6, 5), {})).toEqual(counts(9, 8, 7, 6, 5));
  });

  it('thins a kind until it has its share', () => {
    expect(quotas(counts(90, 10, 0, 0, 0), { keep: 0.5 })).toEqual(counts(10, 10, 0, 0, 0));
    expect(quotas(counts(60, 30, 0, 0, 10), { keep: 0.2, all: 0 })).toEqual(counts(7, 30, 0, 0, 0));
  });

  it('gives the largest set in which no kind exceeds its share', () => {
    const count = fc.nat(60);
    const share = fc.option(
      fc.integer({ min: 0, max: 10 }).map((tenths) => tenths / 10),
      { nil: undefined },
    );
    fc.assert(
      fc.property(
        fc.tuple(count, count, count, count, count),
        share,
        share,
        (available, keep, all) => {
          const have = counts(...available);
          const shares: ExampleShares = {
            ...(keep !== undefined && { keep }),
            ...(all !== undefined && { all }),
          };
          const quota = quotas(have, shares);
          const total = EXAMPLE_KINDS.reduce((sum, kind) => sum + quota[kind], 0);
          expect(total).toBe(largestTotal(have, shares));
          for (const kind of EXAMPLE_KINDS) {
            expect(quota[kind]).toBeLessThanOrEqual(
              Math.min(have[kind], (shares[kind] ?? 1) * total + 1e-9),
            );
          }
        },
      ),
    );
  });
});

describe('kindOf', () => {
  it('names what a program does', () => {
    const remove = { op: 'remove_lines', lineStart: 0, lineEnd: 1 } as const;
    const replace = { op: 'normalize', source: 'a', target: '' } as const;
    expect(kindOf([], 'text')).toBe('keep');
    expect(kindOf([remove], 'text')).toBe('remove');
    expect(kindOf([replace], 'text')).toBe('replace');
    expect(kindOf([remove, replace], 'text')).toBe('both');
    expect(kindOf([remove], '')).toBe('all');
  });
});
