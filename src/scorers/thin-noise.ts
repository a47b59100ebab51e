/**
 * Lightly noisy pages from noisy ones: most lines that people removed are taken out, as an extractor would have done.
 *
 * A corpus that was extracted before holds a little noise, not the three quarters of a raw page. Every line to remove
 * stays with probability `share`; lines to keep and lines out of score stay. Seeded by the page's id: the same page
 * is thinned the same way whatever other pages there are.
 */

import { hashWord } from '../lines/hash.ts';
import { seededRandom } from '../seeded.ts';
import { type GoldPage, REMOVE } from './gold.ts';

/**
 * A page with fewer lines to remove.
 *
 * @param share of the lines to remove that stay, 0..1
 */
export function thinNoise(page: GoldPage, share: number, seed = 1): GoldPage {
  const random = seededRandom(hashWord(page.id) ^ seed);
  const stays = page.lines.map((_, line) => {
    // One number a line, whatever its label: labels must not shift the sequence.
    const draw = random();
    return page.labels[line] !== REMOVE || draw < share;
  });
  const lines = page.lines.filter((_, line) => stays[line]);
  return {
    ...page,
    lines,
    labels: page.labels.filter((_, line) => stays[line]),
    text: lines.join('\n'),
  };
}
