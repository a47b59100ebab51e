import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LINE_FEATURES, N_LINE_FEATURES } from '../../src/lines/feature-names.ts';
import { measurePage, spreadScores } from '../../src/lines/measure.ts';
import { COUNTS, N_COUNTS, scanPage } from '../oracle/pages/page-scan.ts';

/** One feature of every line. */
function feature(lines: readonly string[], name: string): number[] {
  const column = LINE_FEATURES.indexOf(name);
  expect(column).toBeGreaterThanOrEqual(0);
  const { features } = measurePage(lines, 8);
  return Array.from(
    { length: features.length / N_LINE_FEATURES },
    (_, line) => features[line * N_LINE_FEATURES + column]!,
  );
}

const PROSE =
  'The river was high that year, and nobody in the town remembered when it had been so wide.';

describe('features of lines', () => {
  it('has a name for each column and none twice', () => {
    expect(new Set(LINE_FEATURES).size).toBe(N_LINE_FEATURES);
  });

  it('measures a line', () => {
    const line = 'Call us: 0123 NOW';
    expect(feature([line], 'logChars')[0]).toBeCloseTo(Math.log2(1 + line.length), 5);
    expect(feature([line], 'logWords')[0]).toBeCloseTo(Math.log2(5), 5);
    expect(feature([line], 'letterShare')[0]).toBeCloseTo(9 / 14, 5);
    expect(feature([line], 'digitShare')[0]).toBeCloseTo(4 / 14, 5);
    expect(feature([line], 'upperShare')[0]).toBeCloseTo(4 / 9, 5);
    expect(feature([line], 'capitalWordShare')[0]).toBeCloseTo(2 / 4, 5);
    expect(feature([line], 'numberWordShare')[0]).toBeCloseTo(1 / 4, 5);
    expect(feature([line], 'colons')[0]).toBe(1);
  });

  it('tells how lines end', () => {
    const ends = ['word', 'a 7', 'this,', 'these:', 'Done.', '“Done.”', '完了。', ')'];
    expect(feature(ends, 'endKind')).toEqual([1, 2, 3, 4, 5, 5, 5, 0]);
  });

  it('finds prose, and the stretch that holds it', () => {
    const lines = ['Home', 'About', PROSE, 'A heading', PROSE.replace('river', 'lake'), 'Foot'];
    expect(feature(lines, 'isProse')).toEqual([0, 0, 1, 0, 1, 0]);
    expect(feature(lines, 'inBestStretch')).toEqual([0, 0, 1, 1, 1, 0]);
    expect(feature(lines, 'logToBestStretch')).toEqual(
      [-Math.fround(Math.log2(3)), -1, 0, 0, 0, 1].map(Math.fround),
    );
    expect(feature(lines, 'logToProseBefore')).toEqual([
      12,
      12,
      12,
      1,
      Math.fround(Math.log2(3)),
      1,
    ]);
    expect(feature(lines, 'logToProseAfter').slice(3)).toEqual([1, 12, 12]);
  });

  it('sees repeated lines, digits apart', () => {
    const lines = ['Reply', '12 likes', 'Reply', '37 likes', 'Once'];
    expect(feature(lines, 'logCopies')).toEqual([1, 1, 1, 1, 0]);
    expect(feature(lines, 'isFirstCopy')).toEqual([1, 1, 0, 0, 1]);
  });

  it('looks at neighbours and windows without the line itself', () => {
    const lines = ['aaa', 'bbbbbbb', 'c'];
    expect(feature(lines, 'logChars[-1]')).toEqual([-1, 2, 3]);
    expect(feature(lines, 'logChars[+2]')).toEqual([1, -1, -1]);
    expect(feature(lines, 'logChars[-2..+2]')).toEqual([2, 1.5, 2.5]);
    expect(feature(['alone'], 'logChars[-2..+2]')).toEqual([-1]);
  });

  it('counts words of the topic in other prose lines only', () => {
    const lines = ['Wide river', PROSE, 'Privacy policy', 'the'];
    expect(feature(lines, 'topicShare')).toEqual([1, 0, 0, -1]);
  });

  it('stays finite on any text and ignores blank lines', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' }), { maxLength: 30 }), (lines) => {
        const { features, nLines } = measurePage(lines, 8);
        expect(features.every(Number.isFinite)).toBe(true);
        const all = lines.flatMap((line) => line.split('\n'));
        const full = all.filter((line) => line.trim() !== '');
        expect(measurePage(full, 8).features).toEqual(features);
        expect(nLines).toBe(full.length);
      }),
    );
  });
});

describe('the scan of a page (in the oracle, which native/pages is held against)', () => {
  it('treats each character of unspaced scripts as a word and keeps marks in words', () => {
    const nWords = (line: string): number => scanPage([line]).words.length;
    expect(nWords('東京タワー')).toBe(5);
    expect(nWords('हिन्दी में')).toBe(2);
    expect(nWords('state-of-the-art')).toBe(4);
  });

  it('gives letter case and digits one hash', () => {
    const [upper, lower] = ['Room 101', 'room 999'].map((line) => scanPage([line]));
    expect(upper!.words).toEqual(lower!.words);
    expect(upper!.lineHashes).toEqual(lower!.lineHashes);
  });

  it('knows stop words of several languages', () => {
    const lines = ['the cat and the mat', 'der Hund und die Katze', 'это не так', '我的书是新的'];
    const scan = scanPage(lines);
    const stops = lines.map((_, line) => scan.counts[line * N_COUNTS + COUNTS.stopWords]);
    expect(stops).toEqual([3, 3, 3, 4]);
  });
});

describe('spreadScores', () => {
  it('gives a blank line the better score of its neighbours', () => {
    const lines = ['', 'a', ' ', 'b', '\t', ''];
    const scores = spreadScores(measurePage(lines, 8), Float32Array.of(0.25, 0.75), lines.length);
    expect([...scores]).toEqual([0.25, 0.25, 0.75, 0.75, 0.75, 0.75]);
  });

  it('keeps a page of blank lines', () => {
    const lines = ['', ' '];
    expect([...spreadScores(measurePage(lines, 8), new Float32Array(0), 2)]).toEqual([1, 1]);
  });
});
