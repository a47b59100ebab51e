import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseState, printState, START, TABS } from '../../../src/inspect/page/view-state.ts';

describe('the link', () => {
  it('gives the view back that it was made of', () => {
    const names = fc.array(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 3 });
    const bound = fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }), { nil: null });
    const range = fc.tuple(bound, bound);
    const state = fc.record({
      tab: fc.constantFrom(...TABS),
      lists: fc.record({ status: names, reason: names, domain: names }, { requiredKeys: [] }),
      ranges: fc.record({ score: range, size: range }, { requiredKeys: [] }),
      words: fc.string({ maxLength: 50 }),
      sort: fc.constantFrom('row' as const, 'share' as const),
      descending: fc.boolean(),
      page: fc.nat(1e6),
      open: fc.option(fc.record({ unit: fc.nat(99_999), position: fc.nat(1e6) }), { nil: null }),
      show: fc.constantFrom('changes' as const, 'after' as const),
      seed: fc.integer({ min: 1, max: 1e6 }),
    });
    fc.assert(
      fc.property(state, (made) => {
        expect(parseState(printState(made))).toEqual(made);
      }),
    );
  });

  it('is empty at the start, and anything else in it is left out', () => {
    expect(printState(START)).toBe('');
    expect(parseState('')).toEqual(START);
    fc.assert(fc.property(fc.string(), (text) => void parseState(`#${text}`)));
    expect(parseState('#tab=x&page=-1&doc=1&score=a..b&sort=--x&seed=1e9&show=')).toEqual({
      ...START,
      descending: true,
    });
  });
});
