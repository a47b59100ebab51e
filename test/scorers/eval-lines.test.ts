import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  agreement,
  CONTENT_BOUNDS,
  countCodePoints,
  LineEvaluation,
} from '../../src/scorers/eval-lines.ts';
import { type GoldPage, KEEP, REMOVE, UNSCORED } from '../../src/scorers/gold.ts';
import { noiseRemovedAt } from '../../src/scorers/noise-removed.ts';

function page(lines: string[], labels: number[], more: Partial<GoldPage> = {}): GoldPage {
  return {
    id: 'p',
    domain: '',
    language: 'en',
    source: 's',
    text: lines.join('\n'),
    lines,
    labels: Uint8Array.from(labels),
    goldText: lines.filter((_, line) => labels[line] === KEEP).join('\n'),
    ...more,
  };
}

/** The definitions, written down again: sets of lines and a threshold tried at every score. */
function oracle(pages: readonly { page: GoldPage; scores: number[]; threshold: number }[]) {
  const rows = pages.flatMap(({ page: { lines, labels }, scores, threshold }) =>
    lines
      .map((line, at) => ({ line, label: labels[at]!, score: Math.fround(scores[at]!), threshold }))
      .filter(({ label }) => label !== UNSCORED),
  );
  const chars = (of: typeof rows): number =>
    of.reduce((sum, { line }) => sum + Array.from(line).length, 0);
  const f1 = (label: number): number => {
    const said = rows.filter(({ score, threshold }) => score >= threshold === (label === KEEP));
    const meant = rows.filter((each) => each.label === label);
    const hits = said.filter((each) => each.label === label).length;
    return said.length + meant.length === 0 ? 0 : (2 * hits) / (said.length + meant.length);
  };
  const content = rows.filter(({ label }) => label === KEEP);
  const noise = rows.filter(({ label }) => label === REMOVE);
  const at = CONTENT_BOUNDS.map((bound) => {
    let best = 0;
    for (const cut of [...rows.map(({ score }) => score), Number.POSITIVE_INFINITY]) {
      const kept = chars(content.filter(({ score }) => score >= cut));
      if (chars(content) > 0 && kept / chars(content) < bound) continue;
      const removed = chars(noise.filter(({ score }) => score < cut));
      if (chars(noise) > 0) best = Math.max(best, removed / chars(noise));
    }
    return best;
  });
  return { keep: f1(KEEP), remove: f1(REMOVE), at };
}

describe('LineEvaluation', () => {
  it('gives the figures of a page worked out by hand', () => {
    const evaluation = new LineEvaluation();
    // 4 + 10 + 6 scored characters; the masked line counts in the words alone.
    const lines = ['Menu', 'Some words', 'masked', 'Footer'];
    const one = page(lines, [REMOVE, KEEP, UNSCORED, REMOVE], { goldText: 'some words' });
    evaluation.add(one, Float32Array.of(0.1, 0.9, 0.8, 0.6), 0.5);
    const report = evaluation.report();
    expect(report.keep).toEqual({ precision: 0.5, recall: 1, f1: 2 / 3 });
    expect(report.remove).toEqual({ precision: 1, recall: 0.5, f1: 2 / 3 });
    expect(report.macroF1).toBeCloseTo(2 / 3, 12);
    expect(report.contentCharsKept).toBe(1);
    expect(report.noiseCharsRemoved).toBe(0.4);
    expect(report.noiseCharsRemovedAt).toEqual({ '0.99': 1, '0.98': 1, '0.95': 1 });
    // kept: some words masked footer; gold: some words
    expect(report.docWordF1).toBeCloseTo((2 * 2) / (4 + 2), 12);
    expect(report).toMatchObject({ nDocs: 1, nLines: 3 });
  });

  it('pools lines over documents but averages words over documents, by source and language too', () => {
    const evaluation = new LineEvaluation();
    evaluation.add(page(['aa', 'bb'], [KEEP, REMOVE]), Float32Array.of(1, 1), 0.5);
    const german = page(['cc'], [KEEP], { source: 't', language: 'de' });
    evaluation.add(german, Float32Array.of(0), 0.5);
    const partial = page(['dd'], [REMOVE], { goldText: null, source: '' });
    evaluation.add(partial, Float32Array.of(0), 0.5);
    const report = evaluation.report();
    expect(report.keep).toEqual({ precision: 0.5, recall: 0.5, f1: 0.5 });
    expect(report.docWordF1).toBeCloseTo((2 / 3 + 0) / 2, 12);
    expect(Object.keys(report.bySource)).toEqual(['s', 't', 'unknown']);
    expect(report.bySource['t']).toMatchObject({ nDocs: 1, nLines: 1, contentCharsKept: 0 });
    expect(report.bySource['unknown']!.docWordF1).toBeNull();
    expect(report.byLanguage['de']!.nDocs).toBe(1);
  });

  it('agrees with the oracle on any pages', () => {
    const anyLine = fc.record({
      text: fc.string({ unit: 'grapheme', maxLength: 12 }),
      label: fc.constantFrom(KEEP, REMOVE, UNSCORED),
      score: fc.constantFrom(0, 0.1, 0.25, 0.5, 0.75, 0.9, 1),
    });
    const anyPage = fc.record({
      lines: fc.array(anyLine, { minLength: 1, maxLength: 12 }),
      threshold: fc.constantFrom(0.25, 0.5, 0.75),
    });
    fc.assert(
      fc.property(fc.array(anyPage, { minLength: 1, maxLength: 5 }), (made) => {
        const evaluation = new LineEvaluation();
        const pages = made.map(({ lines, threshold }) => ({
          page: page(
            lines.map(({ text }) => text.replaceAll('\n', ' ')),
            lines.map(({ label }) => label),
          ),
          scores: lines.map(({ score }) => score),
          threshold,
        }));
        for (const { page: each, scores, threshold } of pages) {
          evaluation.add(each, Float32Array.from(scores), threshold);
        }
        const report = evaluation.report();
        const expected = oracle(pages);
        expect(report.keep.f1).toBeCloseTo(expected.keep, 12);
        expect(report.remove.f1).toBeCloseTo(expected.remove, 12);
        CONTENT_BOUNDS.forEach((bound, index) => {
          const point = report.tradeOff.find(({ contentKept }) => contentKept === bound);
          expect(point!.noiseRemoved).toBe(report.noiseCharsRemovedAt[String(bound)]);
          const found = report.noiseCharsRemovedAt[String(bound)]!;
          expect(found).toBeCloseTo(expected.at[index]!, 12);
        });
      }),
      { numRuns: 300 },
    );
  });
});

describe('noiseRemovedAt', () => {
  it('lets lines of equal score fall together', () => {
    const chars = [1, -10, 99, -10];
    // Score 0.2 holds one content character of 100 and half of the noise.
    expect(noiseRemovedAt([0.2, 0.2, 0.9, 0.8], chars, [0.99, 0.995])).toEqual({
      '0.99': 1,
      '0.995': 0,
    });
  });

  it('has no noise to remove and no content to lose', () => {
    expect(noiseRemovedAt([0.5], [5], [0.99])).toEqual({ '0.99': 0 });
    expect(noiseRemovedAt([0.5], [-5], [0.99])).toEqual({ '0.99': 1 });
    expect(noiseRemovedAt([], [], [0.99])).toEqual({ '0.99': 0 });
  });
});

describe('agreement', () => {
  it('calls a quotient by nothing 0', () => {
    expect(agreement(0, 0, 0)).toEqual({ precision: 0, recall: 0, f1: 0 });
    expect(agreement(3, 1, 2)).toEqual({ precision: 0.75, recall: 0.6, f1: 6 / 9 });
  });
});

describe('countCodePoints', () => {
  it('counts as the iterator of strings does, lone surrogates included', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.constantFrom('', '\ud800', '\udc00x'),
        (a, b) => {
          expect(countCodePoints(a + b)).toBe(Array.from(a + b).length);
        },
      ),
    );
  });
});
