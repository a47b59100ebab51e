import { describe, expect, it } from 'vitest';
import { KEEP, REMOVE } from '../../src/scorers/gold.ts';
import { thinNoise } from '../../src/scorers/thin-noise.ts';
import { syntheticPages } from '../train/support.ts';

const pages = syntheticPages(200, 4);
const count = (label: number, of: readonly { labels: Uint8Array }[]): number =>
  of.reduce((sum, { labels }) => sum + labels.filter((each) => each === label).length, 0);

describe('thinNoise', () => {
  it('takes out lines to remove, and only those, in the asked share', () => {
    const thin = pages.map((page) => thinNoise(page, 0.2));
    expect(count(KEEP, thin)).toBe(count(KEEP, pages));
    const share = count(REMOVE, thin) / count(REMOVE, pages);
    expect(Math.abs(share - 0.2)).toBeLessThan(0.04);
    for (const [at, page] of thin.entries()) {
      expect(page.text.split('\n')).toEqual(page.lines);
      expect(page.labels).toHaveLength(page.lines.length);
      expect(page.goldText).toBe(pages[at]!.goldText);
    }
  });

  it('depends on the page and the seed alone', () => {
    const page = pages[3]!;
    expect(thinNoise(page, 0.5)).toEqual(thinNoise(page, 0.5));
    expect(pages.some((each) => thinNoise(each, 0.5, 2).text !== thinNoise(each, 0.5).text)).toBe(
      true,
    );
    expect(thinNoise(page, 1).text).toBe(page.text);
  });
});
