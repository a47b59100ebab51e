import { describe, expect, it } from 'vitest';
import { quantileBins } from '../../../src/lines/bins.ts';
import { N_LINE_FEATURES } from '../../../src/lines/feature-names.ts';
import { encodePage, type LineEncoder } from '../../../src/lines/line-encoder.ts';
import { measurePage } from '../../../src/lines/measure.ts';
import { lineBatch, packPages } from '../../../src/scorers/line-score/packing.ts';
import { seededRandom } from '../../../src/seeded.ts';
import { syntheticPages } from '../../train/support.ts';

describe('packPages', () => {
  const nLines = [3, 0, 40, 7, 16, 17, 1, 90, 5];
  const size = { nSeq: 2, nCtx: 16 };

  it('shows every line once an epoch and fills no sequence over its room', () => {
    for (const seed of [1, 2, 3]) {
      const seen = nLines.map((count) => new Uint8Array(count));
      for (const batch of packPages(nLines, size, seededRandom(seed))) {
        expect(batch.length).toBeLessThanOrEqual(size.nSeq);
        for (const windows of batch) {
          const used = windows.reduce((sum, { start, end }) => sum + end - start, 0);
          expect(used).toBeLessThanOrEqual(size.nCtx);
          for (const { page, start, end } of windows) {
            for (let line = start; line < end; line++) seen[page]![line]!++;
          }
        }
      }
      expect(seen.every((page) => page.every((count) => count === 1))).toBe(true);
    }
  });

  it('keeps a page that fits in one window', () => {
    const windows = packPages(nLines, size, seededRandom(4)).flat(2);
    expect(windows.filter(({ page }) => page === 4)).toEqual([{ page: 4, start: 0, end: 16 }]);
  });
});

describe('lineBatch', () => {
  const gold = syntheticPages(4, 3);
  const features = gold.map(({ lines }) => measurePage(lines, 8).features);
  const values = Float32Array.from(features.flatMap((own) => [...own]));
  const encoder: LineEncoder = {
    bins: quantileBins(values, { nFeatures: N_LINE_FEATURES, maxBins: 8 }),
    hashBits: 8,
    stack: null,
  };
  const pages = gold.map(({ lines, labels }) => {
    const page = encodePage(lines, encoder);
    return { page, labels, weights: Float32Array.from(labels, (_, line) => (line === 0 ? 0 : 2)) };
  });
  const sequences = [
    [
      { page: 1, start: 0, end: 3 },
      { page: 0, start: 1, end: 4 },
    ],
    [{ page: 2, start: 0, end: 5 }],
  ];
  const size = { nSeq: 3, nCtx: 8, encoder, random: seededRandom(1) };

  it('puts windows beside each other as segments, with labels where lines have weight', () => {
    const batch = lineBatch(sequences, pages, { ...size, dropout: { words: 0, features: 0 } });
    const pad = -1;
    expect([...batch.segments!]).toEqual([
      ...[0, 0, 0, 1, 1, 1, pad, pad],
      ...[0, 0, 0, 0, 0, pad, pad, pad],
      ...new Array(8).fill(pad),
    ]);
    expect([...batch.positions]).toEqual([1, 2, 3, 4, 5, 9, 10, 11, 12]);
    const labels = [...pages[1]!.labels.slice(1, 3), ...pages[0]!.labels.slice(1, 4)];
    expect([...batch.labels]).toEqual([...labels, ...pages[2]!.labels.slice(1, 5)]);
    // Bags as a reader would write them: a row for each feature, then the line's own words.
    const { binned, words } = pages[0]!.page;
    const rows = Array.from(
      binned.subarray(N_LINE_FEATURES, 2 * N_LINE_FEATURES),
      (bin, feature) => feature * 8 + bin,
    );
    const ids = words.ids.subarray(words.starts[1]!, words.nearAt[1]!);
    const expected = [...rows, ...Array.from(ids, (id) => N_LINE_FEATURES * 8 + id)];
    const bag = batch.bagIds.subarray(batch.bagStarts[3]!, batch.bagStarts[4]!);
    expect([...bag]).toEqual(expected);
    const weights = batch.bagWeights.subarray(batch.bagStarts[3]!, batch.bagStarts[4]!);
    const scale = Math.fround(Math.min(1, 2 / Math.sqrt(ids.length)));
    expect([...weights]).toEqual([...rows.map(() => 1), ...Array.from(ids, () => scale)]);
    expect(batch.bagStarts[6]).toBe(batch.bagStarts[8]);
    expect(batch.bagStarts).toHaveLength(3 * 8 + 1);
  });

  it('drops about the asked share of rows', () => {
    const full = lineBatch(sequences, pages, { ...size, dropout: { words: 0, features: 0 } });
    let features = 0;
    let words = 0;
    const nWords = full.bagIds.filter((id) => id >= N_LINE_FEATURES * 8).length;
    for (let draw = 0; draw < 40; draw++) {
      const { bagIds } = lineBatch(sequences, pages, {
        ...size,
        dropout: { words: 0.5, features: 0.25 },
      });
      for (const id of bagIds) {
        if (id < N_LINE_FEATURES * 8) features++;
        else words++;
      }
    }
    expect(features / (40 * 11 * N_LINE_FEATURES)).toBeCloseTo(0.75, 1);
    expect(words / (40 * nWords)).toBeCloseTo(0.5, 1);
  });
});
