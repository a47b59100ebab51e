import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { labelsFromGold } from '../../src/scorers/align-gold.ts';
import { KEEP, REMOVE, readRows, UNSCORED } from '../../src/scorers/gold.ts';

const WEB_GOLD = new URL('../../../shared/data/web-gold/dev.jsonl.gz', import.meta.url).pathname;

const PAGE = [
  'Home',
  'News from the mill',
  'The bridge at the mill is closed until the first of May.',
  'Share on X',
  'It opens again in June, the town says.',
  '* * *',
  'More about bridges and mills in our archive of 1999',
  'It opens again in June, the town says.',
];

describe('labelsFromGold', () => {
  it('keeps the lines of the clean text, removes the others, does not judge lines without words', () => {
    const gold =
      'News from the mill\n\nThe bridge at the mill is closed until the first of May. It opens again in June, the town says.';
    const labels = Array.from(labelsFromGold(PAGE, gold));
    expect(labels.slice(0, 7)).toEqual([REMOVE, KEEP, KEEP, REMOVE, KEEP, UNSCORED, REMOVE]);
    // The second copy of a line has no place left.
    expect(labels[7]).toBe(REMOVE);
  });

  it('does not judge a line of which half is in the clean text', () => {
    const [label] = labelsFromGold(
      ['one two three four other words stand here too'],
      'one two three four',
    );
    expect(label).toBe(UNSCORED);
  });

  it('matches scripts without spaces', () => {
    const labels = labelsFromGold(
      ['首页', '橋は五月一日まで通行止めです。', '广告'],
      '橋は五月一日まで通行止めです。',
    );
    expect(Array.from(labels)).toEqual([REMOVE, KEEP, REMOVE]);
  });

  it('keeps nothing of an empty text and copes with one word everywhere', () => {
    expect(Array.from(labelsFromGold(['a b c', ''], ''))).toEqual([REMOVE, UNSCORED]);
    const same = 'tick '.repeat(3000);
    expect(labelsFromGold([same, same], same)).toHaveLength(2);
  });

  it.skipIf(!existsSync(WEB_GOLD))('agrees with the labels of real pages', async () => {
    const agreed = [0, 0];
    const judged = [0, 0];
    let nPages = 0;
    for await (const { row } of readRows(WEB_GOLD, undefined)) {
      if (++nPages > 150) break;
      const labels = labelsFromGold(
        (row['text'] as string).split('\n'),
        row['gold_text'] as string,
      );
      const mask = row['line_mask'] as string;
      const given = row['line_labels'] as string;
      labels.forEach((label, line) => {
        if (mask[line] === '0' || label === UNSCORED) return;
        judged[Number(given[line])]!++;
        if (label === Number(given[line])) agreed[Number(given[line])]!++;
      });
    }
    expect(agreed[REMOVE]! / judged[REMOVE]!).toBeGreaterThan(0.999);
    expect(agreed[KEEP]! / judged[KEEP]!).toBeGreaterThan(0.94);
  });
  if (!existsSync(WEB_GOLD))
    console.warn('align-gold: shared/data/web-gold is absent, its pages are not checked');
});
