import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type GoldPage, KEEP, REMOVE } from '../../src/scorers/gold.ts';
import {
  CROP_LINES,
  cropPage,
  Donors,
  DRESS_LINES,
  dressDocument,
} from '../../src/scorers/short-pages.ts';
import { seededRandom } from '../../src/seeded.ts';
import { syntheticPages } from '../train/support.ts';

const pages = syntheticPages(30, 5);
const document = (text: string, language = 'en'): GoldPage => {
  const lines = text.split('\n');
  return {
    ...{ id: 'd', domain: '', language, source: 'document', text, lines, goldText: text },
    labels: new Uint8Array(lines.length).fill(KEEP),
  };
};

describe('cropPage', () => {
  it('property: is a stretch of the page with its labels', () => {
    const long = { ...pages[0]!, ...joined(pages) };
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const crop = cropPage(long, seededRandom(seed));
        expect(crop.lines.length).toBeGreaterThanOrEqual(CROP_LINES.least);
        expect(crop.lines.length).toBeLessThanOrEqual(CROP_LINES.most);
        const starts = long.lines.flatMap((_, at) =>
          crop.lines.every(
            (line, index) =>
              line === long.lines[at + index] && crop.labels[index] === long.labels[at + index],
          )
            ? [at]
            : [],
        );
        expect(starts.length).toBeGreaterThan(0);
        expect(crop.text).toBe(crop.lines.join('\n'));
      }),
      { numRuns: 100 },
    );
  });

  it('leaves a page alone that is short already', () => {
    const short = document('one\ntwo');
    expect(cropPage(short, seededRandom(1))).toBe(short);
  });
});

describe('dressDocument', () => {
  it('property: keeps the document and puts noise of one page before and behind', () => {
    const noise = new Set(
      pages.flatMap(({ lines, labels }) => lines.filter((_, at) => labels[at] === REMOVE)),
    );
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const body = document('A title\nThe first sentence is here.\nThe second one too.');
        const dressed = dressDocument(body, new Donors(pages).of('en'), seededRandom(seed));
        const kept = dressed.lines.filter((_, at) => dressed.labels[at] === KEEP);
        expect(kept).toEqual(body.lines);
        const added = dressed.lines.filter((_, at) => dressed.labels[at] === REMOVE);
        expect(added.length).toBeLessThanOrEqual(2 * DRESS_LINES);
        for (const line of added) expect(noise.has(line)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('takes noise of the language where there is some, and does without', () => {
    const german = { ...pages[1]!, language: 'de' };
    const donors = new Donors([...pages, german]);
    expect(donors.of('de')).toEqual([german]);
    expect(donors.of('th')).toHaveLength(31);
    const body = document('one');
    expect(dressDocument(body, [], seededRandom(1)).lines).toEqual(body.lines);
  });
});

function joined(all: readonly GoldPage[]): Pick<GoldPage, 'lines' | 'labels' | 'text'> {
  const lines = all.flatMap((page) => [...page.lines]);
  return {
    lines,
    labels: Uint8Array.from(all.flatMap((page) => [...page.labels])),
    text: lines.join('\n'),
  };
}
