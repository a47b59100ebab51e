import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lineFeatures, N_LINE_FEATURES } from '../../src/lines/features.ts';
import { scanPage } from '../../src/lines/page-scan.ts';
import { PROTECTION, protectTitles } from '../../src/lines/protection.ts';

const SENTENCE =
  'The reason is density: a litre of olive oil weighs about 910 grams, and water weighs more.';

/** How much each line's log-odds are raised when the lines have these. */
function raised(lines: readonly string[], logits: readonly number[]): number[] {
  const features = lineFeatures(scanPage(lines));
  expect(features).toHaveLength(lines.length * N_LINE_FEATURES);
  const own = Float32Array.from(logits);
  return Array.from(protectTitles(own, features), (logit, line) => logit - own[line]!);
}

describe('protectTitles', () => {
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
