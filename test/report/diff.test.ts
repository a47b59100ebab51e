/** A diff is both texts: what stays and went is the one before, what stays and came the one after. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type DiffLine, foldedLines, lineDiff } from '../../src/report/diff.ts';

const side = (lines: readonly DiffLine[], without: 'added' | 'removed'): string =>
  lines
    .filter(({ kind }) => kind !== without)
    .map(({ parts }) =>
      parts
        .filter(({ kind }) => kind !== without)
        .map(({ text }) => text)
        .join(''),
    )
    .join('\n');

const line = fc.constantFrom(
  '',
  'a',
  'Home',
  'Cookie notice',
  'A sentence of a text.',
  'a\u202eb',
  '\u0000',
  'x y  z',
);
const text = fc.array(line, { minLength: 1, maxLength: 25 }).map((lines) => lines.join('\n'));

describe('lineDiff', () => {
  it('gives both texts back', () => {
    fc.assert(
      fc.property(text, text, (before, after) => {
        const { lines, isCut, nRemoved, nBefore } = lineDiff(before, after);
        expect(side(lines, 'added')).toBe(before);
        expect(side(lines, 'removed')).toBe(after);
        expect(isCut).toBe(false);
        expect(nRemoved).toBeLessThanOrEqual(nBefore);
      }),
      { numRuns: 150 },
    );
  });

  it('tells a line that was changed from one that went, character by character', () => {
    const { lines, nRemoved, nChanged } = lineDiff(
      'Menu\nThe  price is 3€\nend',
      'The price is 3€\nend',
    );
    expect(lines.map(({ kind }) => kind)).toEqual(['removed', 'changed', 'same']);
    expect([nRemoved, nChanged]).toEqual([1, 1]);
    expect(lines[1]!.parts.filter(({ kind }) => kind !== 'same')).toEqual([
      { kind: 'removed', text: ' ' },
    ]);
  });

  it('is bounded for long texts, of which it says so', () => {
    const before = Array.from({ length: 20_000 }, (_, at) => `line ${at}`).join('\n');
    const after = Array.from({ length: 20_000 }, (_, at) => `other ${at % 7}`).join('\n');
    const since = performance.now();
    expect(lineDiff(before, after).isCut).toBe(true);
    expect(lineDiff('x'.repeat(3_000_000), 'y'.repeat(3_000_000)).isCut).toBe(true);
    expect(performance.now() - since).toBeLessThan(120_000);
  });
});

describe('foldedLines', () => {
  it('folds what stays away from changes, and stops where it is told to', () => {
    const before = Array.from({ length: 30 }, (_, at) => `line ${at}`);
    const after = before.filter((_, at) => at !== 15);
    const { lines } = lineDiff(before.join('\n'), after.join('\n'));
    const { shown, isCut } = foldedLines(lines, { context: 1, maxLines: 50 });
    expect(isCut).toBe(false);
    expect(shown.map((one) => (one.kind === 'fold' ? one.nLines : one.kind))).toEqual([
      14,
      'same',
      'removed',
      'same',
      13,
    ]);
    expect(foldedLines(lines, { context: 1, maxLines: 2 })).toMatchObject({ isCut: true });
  });
});
