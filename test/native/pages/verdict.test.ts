import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { N_LINE_FEATURES } from '../../../src/lines/feature-names.ts';
import { measurePage } from '../../../src/lines/measure.ts';
import { native } from '../../../src/native/index.ts';
import { doubtOf, PROTECTION, protectTitles } from '../../oracle/pages/protection.ts';
import { hostilePage } from '../../oracle/pages/texts.ts';

const SENTENCE =
  'The reason is density: a litre of olive oil weighs about 910 grams, and water weighs more.';

/** How much each line's log-odds are raised when the lines have these. */
function raised(lines: readonly string[], logits: readonly number[]): number[] {
  const { features } = measurePage(lines, 8);
  expect(features).toHaveLength(lines.length * N_LINE_FEATURES);
  const own = Float32Array.from(logits);
  return Array.from(
    native().pageVerdict(own, features).logits,
    (logit, line) => logit - own[line]!,
  );
}

describe('the protection of titles', () => {
  it('raises the first line and what heads a kept paragraph', () => {
    const lines = ['Why oil floats', SENTENCE, 'What binds them', SENTENCE, 'Share this'];
    expect(raised(lines, [-2, 3, -2, 3, -2])).toEqual([PROTECTION, 0, PROTECTION, 0, 0]);
  });

  it('raises no line above a paragraph that goes', () => {
    expect(raised(['Menu', 'Cookies', SENTENCE], [-2, -2, -0.5])).toEqual([PROTECTION, 0, 0]);
  });

  it('takes sentences, lists of links and long lines for no headings', () => {
    const lines = ['First', 'It ends here.', SENTENCE, 'Home | News', SENTENCE, SENTENCE, SENTENCE];
    expect(raised(lines, [0, -2, 3, -2, 3, -2, 3])).toEqual([PROTECTION, 0, 0, 0, 0, 0, 0]);
  });

  it('property: lowers nothing, and raises by one amount', () => {
    const logit = fc.double({ min: -9, max: 9, noNaN: true });
    const line = fc.tuple(fc.string({ minLength: 1 }), logit);
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 30 }), (all) => {
        const lines = all.map(([text]) => `x${text.replaceAll('\n', ' ')}`);
        const found = raised(
          lines,
          all.map(([, own]) => Math.fround(own)),
        );
        for (const by of found) expect([0, PROTECTION]).toContain(Math.round(by * 1000) / 1000);
        expect(found[0]).toBeCloseTo(PROTECTION, 3);
      }),
      { numRuns: 50 },
    );
  });
});

describe('pageVerdict', () => {
  it('is the oracle’s on hostile pages', () => {
    fc.assert(
      fc.property(hostilePage, fc.infiniteStream(fc.double({ min: -9, max: 9 })), (bytes, draw) => {
        const { features } = native().measureLines(bytes, 8);
        const nLines = features.length / N_LINE_FEATURES;
        const logits = Float32Array.from({ length: nLines }, () => draw.next().value || 0);
        const charsOf = (line: number): number => 2 ** features[line * N_LINE_FEATURES]! - 1;
        const found = native().pageVerdict(logits, features);
        expect(found.logits).toEqual(protectTitles(logits, features));
        expect(found.doubt).toBeCloseTo(doubtOf(logits, charsOf), 12);
      }),
      { numRuns: 50 },
    );
  });

  it('doubts the share of the characters on lines that are undecided', () => {
    const { features } = measurePage(['x'.repeat(10), 'x'.repeat(30), 'x'.repeat(60)], 8);
    const doubt = (...logits: number[]): number =>
      native().pageVerdict(Float32Array.from(logits), features).doubt;
    expect(doubt(-3, 0.2, 4)).toBeCloseTo(0.3, 5);
    expect(doubt(1, -1, 0)).toBe(1);
    expect(doubt(9, -9, 9)).toBe(0);
    const nothing = new Float32Array(0);
    expect(native().pageVerdict(nothing, nothing)).toEqual({ logits: nothing, doubt: 0 });
  });
});
