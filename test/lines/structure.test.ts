import { describe, expect, it } from 'vitest';
import { LINE_FEATURES, N_LINE_FEATURES } from '../../src/lines/feature-names.ts';
import { measurePage } from '../../src/lines/measure.ts';
import { COUNTS, N_COUNTS, scanPage } from '../oracle/pages/page-scan.ts';
import { testTexts } from '../support/corpus.ts';

function columnOf(lines: readonly string[], name: string): number[] {
  const { features, nLines } = measurePage(lines, 8);
  const column = LINE_FEATURES.indexOf(name);
  expect(column).toBeGreaterThanOrEqual(0);
  return Array.from({ length: nLines }, (_, line) => features[line * N_LINE_FEATURES + column]!);
}

const record = (name: string, price: string): string[] => [name, price, 'Add to cart'];
const LISTING = [
  'The lamp was first made in a small town by the sea, and it is still made there today by hand.',
  ...record('Lamp Alba', '$ 12.50'),
  ...record('Lamp Bora', '$ 14.00'),
  ...record('Lamp Cora', '$ 19.90'),
  'Whoever buys one may bring it back within a month, unless it was broken by a fall.',
];

describe('structure of a page', () => {
  it('finds records that come again, their period and that they are regular', () => {
    const copies = columnOf(LISTING, 'logTripleCopies');
    // Three records of three lines: the first triple of each, and the two that reach into the next.
    expect(copies[1]).toBeCloseTo(Math.log2(3), 5);
    expect(copies[0]).toBe(0);
    expect(copies.at(-1)).toBe(0);
    expect(columnOf(LISTING, 'logToLastTriple')[4]).toBe(2);
    expect(columnOf(LISTING, 'isRegular')[4]).toBe(1);
    expect(columnOf(LISTING, 'isRegular')[0]).toBe(0);
  });

  it('counts shapes as a plain scan does, on texts of the corpus', () => {
    for (const text of testTexts(20, 3)) {
      const lines = text.split('\n');
      const scan = scanPage(lines);
      const { features } = measurePage(lines, 8);
      const at = (line: number, name: string): number =>
        features[line * N_LINE_FEATURES + LINE_FEATURES.indexOf(name)]!;
      const shapes = Array.from({ length: scan.nLines }, (_, line) => {
        const words = scan.starts[line + 1]! - scan.starts[line]!;
        const has = (count: number): boolean => scan.counts[line * N_COUNTS + count]! > 0;
        return [
          Math.min(15, Math.round(at(line, 'logChars') * 1.5)),
          words > 12 ? 13 : words > 6 ? 7 : words > 3 ? 4 : words,
          at(line, 'startKind'),
          at(line, 'endKind'),
          has(COUNTS.digits),
          has(COUNTS.currencies),
          has(COUNTS.separators),
          has(COUNTS.joinedDigits),
        ].join();
      });
      shapes.forEach((shape, line) => {
        const same = shapes.filter((other) => other === shape).length;
        expect(at(line, 'logShapeCopies')).toBeCloseTo(Math.log2(same), 5);
        const pair = [shape, shapes[line + 1]].join();
        const pairs = shapes.filter((other, next) => [other, shapes[next + 1]].join() === pair);
        expect(at(line, 'logPairCopies')).toBeCloseTo(Math.log2(pairs.length), 5);
      });
      expect(at(0, 'distinctShapes')).toBeCloseTo(new Set(shapes).size / shapes.length, 5);
    }
  });

  it.each([
    ['hasPrice', '€ 12', 1],
    ['hasPrice', '£3 a pound', 1],
    ['hasPrice', '3 pounds', 0],
    ['hasYear', 'Made in 1987.', 1],
    ['hasYear', 'Made in 12345.', 0],
    ['hasYear', 'Room 2100', 0],
    ['hasJoined', 'at 12:30', 1],
    ['hasJoined', '3.5 stars', 1],
    ['hasJoined', 'no. 5', 0],
    ['hasUrl', 'see https://example.org', 1],
    ['hasUrl', 'www.example.org', 1],
    ['hasUrl', 'a // comment', 0],
    ['hasQuestion', 'Why?', 1],
    ['hasQuestion', 'لماذا؟', 1],
    ['hasQuestion', 'なぜ？', 1],
    ['isBullet', '• one', 1],
    ['isBullet', '- one', 1],
    ['isBullet', 'one - two', 0],
    ['isShort', 'Home', 1],
  ])('%s of %s is %i', (name, line, expected) => {
    expect(columnOf([line], name)).toEqual([expected]);
  });

  it('takes full-width letters and digits for plain ones', () => {
    expect(columnOf(['ＡＢＣ　１２：３０'], 'hasJoined')).toEqual([1]);
    expect(measurePage(['ＡＢＣ'], 18).words).toEqual(measurePage(['abc'], 18).words);
  });
});
