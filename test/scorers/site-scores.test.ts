/** Labelled pages measured with what their domains repeat. */
import { describe, expect, it } from 'vitest';
import { evaluateLines } from '../../src/scorers/cross-validate.ts';
import type { GoldPage } from '../../src/scorers/gold.ts';
import { countPages, timesOdds } from '../../src/scorers/site-scores.ts';

const MENU = ['Start', 'Forum', 'Members', 'Log in', 'Imprint', 'Terms'];

function pageOf(domain: string, page: number): GoldPage {
  const name = [...String(page)].map((digit) => 'abcdefghij'[Number(digit)]).join('');
  const content = [
    `thread ${name}`,
    `first answer to ${name}`,
    `second answer to ${name}`,
    `last ${name}`,
  ];
  const lines = [...MENU, ...content, ...MENU];
  return {
    ...{
      id: `${domain}/${page}`,
      domain,
      language: 'en',
      source: page % 2 ? 'one' : 'two',
      pageType: 'forum',
    },
    ...{ text: lines.join('\n'), lines, goldText: null },
    labels: Uint8Array.from(lines, (line) => (MENU.includes(line) ? 0 : 1)),
  };
}

const pages = [
  ...Array.from({ length: 8 }, (_, page) => pageOf('a.example', page)),
  pageOf('b.example', 90),
];
/** Knows nothing. */
const refiner = {
  name: 'half',
  trainable: false,
  fit: async () => ({
    name: 'half',
    threshold: 0.5,
    scoreLines: async (lines: readonly string[]) => new Float32Array(lines.length).fill(0.6),
  }),
};

describe('scores with what sites repeat', () => {
  it('put the template below the text', async () => {
    const sites = await countPages(pages);
    expect(sites.nPages(pages[0]!)).toBe(8);
    expect(sites.nPages(pages[8]!)).toBe(0);
    const scores = sites.weigh(pages[0]!, new Float32Array(16).fill(0.6));
    const [menu, text] = [0, 1].map((label) =>
      scores.filter((_, line) => line > 0 && pages[0]!.labels[line] === label),
    );
    expect(Math.max(...menu!)).toBeLessThan(Math.min(...text!));
    expect(sites.weigh(pages[8]!, scores)).toEqual(scores);
    sites.dispose();
  });

  it('are measured beside those without, on pages that are not alone', async () => {
    const { withSites, nDocs, noiseCharsRemovedAt, byPageType } = await evaluateLines({
      refiner,
      pages,
      nFolds: null,
      sites: true,
    });
    expect(nDocs).toBe(8);
    expect(noiseCharsRemovedAt['0.99']).toBe(0);
    expect(withSites!.noiseCharsRemovedAt['0.99']).toBeGreaterThan(0.9);
    expect(Object.keys(byPageType)).toEqual(Object.keys(withSites!.byPageType));
    const plain = await evaluateLines({ refiner, pages, nFolds: null });
    expect(plain.nDocs).toBe(9);
    expect('withSites' in plain).toBe(false);
  });

  it('multiply odds', () => {
    expect(timesOdds(0.5, 0.25)).toBeCloseTo(0.2);
    expect(timesOdds(0.3, 1)).toBe(0.3);
    expect(timesOdds(0, 0.1)).toBe(0);
    expect(timesOdds(1, 0.1)).toBe(1);
  });
});
