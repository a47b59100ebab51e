/** What a site says of lines, against a naive reading of the rule. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { native } from '../../src/native/index.ts';

const encoder = new TextEncoder();
const PROSE =
  'It was in the spring of that year that the miller of the village came to the old house by the river and asked for the keys.';

interface Line {
  readonly text: string;
  readonly pages: number;
}

const factorsOf = (lines: readonly Line[], pages: number): number[] => {
  const text = encoder.encode(lines.map((line) => line.text).join('\n'));
  return [
    ...native().siteFactors(
      text,
      pages,
      Int32Array.from(lines, (line) => line.pages),
    ),
  ];
};

/** The rule in words of its header. */
function naive(all: readonly Line[], pages: number): number[] {
  const lines = all.filter(({ text }) => text !== '');
  const least = pages === 3 ? 2 : Math.max(3, Math.ceil(pages / 5));
  const repeats = (at: number): boolean => (lines[at]?.pages ?? Number.POSITIVE_INFINITY) >= least;
  const factors = lines.map((line, at) => {
    const isSpared = line.text === PROSE && (line.pages - 1) / (pages - 1) < 0.5;
    if (pages < 3 || at === 0 || !repeats(at) || isSpared) return 1;
    const near = [-4, -3, -2, -1, 1, 2, 3, 4].map((step) => at + step);
    const there = near.filter((other) => lines[other]);
    const share = there.filter(repeats).length / there.length;
    const pairs = [-2, -1, 1, 2].every((step) => repeats(at + step));
    let factor = 1;
    if (share >= 0.5) factor *= 0.082;
    if (share >= 0.75 || pairs) factor *= 0.37;
    if (share === 1) factor *= 0.11;
    return factor;
  });
  return all.map(({ text }) => (text === '' ? 1 : factors.shift()!));
}

describe('factors of lines', () => {
  it('are those of the rule', () => {
    const line = fc.record({
      text: fc.constantFrom('Home', 'log in', PROSE, '', '12,50 EUR'),
      pages: fc.integer({ min: 0, max: 12 }),
    });
    fc.assert(
      fc.property(
        fc.array(line, { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 0, max: 12 }),
        (drawn, pages) => {
          const lines = drawn.map((each) => ({ ...each, pages: Math.min(each.pages, pages) }));
          const expected = naive(lines, pages);
          for (const [at, factor] of factorsOf(lines, pages).entries()) {
            expect(factor).toBeCloseTo(expected[at]!, 5);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('spare a repeated line among lines that are not, and all of a site with two pages', () => {
    const lines = Array.from({ length: 12 }, (_, at) => ({
      text: `row ${'abcdefghijkl'[at]}`,
      pages: at === 6 ? 9 : 0,
    }));
    expect(new Set(factorsOf(lines, 9))).toEqual(new Set([1]));
    const menu = lines.map(({ text }) => ({ text, pages: 2 }));
    expect(new Set(factorsOf(menu, 2))).toEqual(new Set([1]));
    expect(factorsOf(menu, 3).filter((factor) => factor < 0.01).length).toBe(11);
  });

  it('take counts of another length, and a page of nothing', () => {
    expect([...native().siteFactors(encoder.encode(''), 9, Int32Array.of())]).toEqual([1]);
    expect(
      [...native().siteFactors(encoder.encode('a\nb'), 9, Int32Array.of(9, 9, 9, 9))].length,
    ).toBe(2);
    expect([...native().siteFactors(encoder.encode('a\nb\nc'), 9, Int32Array.of(9))]).toEqual([
      1, 1, 1,
    ]);
  });
});
