import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRefiner, type RefinedDocument, type Refiner } from '../../src/index.ts';
import { readBadDocuments, readWideSet, type WideDocument } from './wide-set.ts';

/**
 * Was: the document refiner dropped 50 of 68 good documents that were no web articles, and the chunk refiner took the
 * first line of 80 of 255. The bars are shares of the wide set, also as means over its kinds.
 */
const BARS = {
  goodDropped: 0.01,
  firstLineRemoved: 0.01,
  cleanChanged: 0.05,
  badDropped: 0.35,
} as const;

let refiner: Refiner;
let good: { readonly document: WideDocument; readonly found: RefinedDocument }[];

beforeAll(async () => {
  refiner = await openRefiner({ isolate: false });
  const documents = readWideSet();
  const found = await refiner.refine(documents.map(({ text }) => text));
  good = documents.map((document, index) => ({ document, found: found[index]! }));
});
afterAll(() => refiner.dispose());

/** Share of the documents that `fails` says yes to: of all, and as a mean over kinds. */
function shares(
  all: typeof good,
  fails: (one: (typeof good)[number]) => boolean,
): [number, number] {
  const kinds = new Map<string, number[]>();
  for (const one of all) {
    const own = kinds.get(one.document.kind) ?? [];
    kinds.set(one.document.kind, own);
    own.push(fails(one) ? 1 : 0);
  }
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  return [mean([...kinds.values()].flat()), mean([...kinds.values()].map(mean))];
}

const firstLine = (text: string): string | undefined =>
  text.split('\n').find((line) => line.trim() !== '');

describe('the default refiners on documents of every kind', () => {
  it('drop next to none of the good ones', () => {
    const isDropped = ({ found }: (typeof good)[number]): boolean => found.status === 'dropped';
    const names = good.filter(isDropped).map(({ document }) => document.id);
    expect(Math.max(...shares(good, isDropped)), names.join(' ')).toBeLessThanOrEqual(
      BARS.goodDropped,
    );
  });

  it('leave titles and first lines', () => {
    const loses = ({ document, found }: (typeof good)[number]): boolean =>
      found.status === 'edited' &&
      !document.removable.includes(0) &&
      firstLine(found.text) !== firstLine(document.text);
    const names = good.filter(loses).map(({ document }) => document.id);
    expect(Math.max(...shares(good, loses)), names.join(' ')).toBeLessThanOrEqual(
      BARS.firstLineRemoved,
    );
  });

  it('give clean documents back as they were', () => {
    const clean = good.filter(({ document }) => document.removable.length === 0);
    const isChanged = ({ document, found }: (typeof good)[number]): boolean =>
      found.status !== 'dropped' && found.text !== document.text;
    const names = clean.filter(isChanged).map(({ document }) => document.id);
    expect(Math.max(...shares(clean, isChanged)), names.join(' ')).toBeLessThanOrEqual(
      BARS.cleanChanged,
    );
  });

  it('drop what is bad', async () => {
    const bad = readBadDocuments();
    const found = await refiner.refine(bad.map(({ text }) => text));
    const dropped = found.filter(({ status }) => status === 'dropped').length / bad.length;
    expect(dropped).toBeGreaterThanOrEqual(BARS.badDropped);
  });
});
