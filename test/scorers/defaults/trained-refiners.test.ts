import { describe, expect, it } from 'vitest';
import { KEEP, REMOVE } from '../../../src/scorers/gold.ts';
import { documentRefiner, lineRefiner } from '../../../src/scorers/refiners.ts';
import { syntheticPages } from '../../train/support.ts';

const pages = syntheticPages(40, 5);

describe('the default recipes, trained anew', () => {
  it('is what `default` means where an evaluation trains', async () => {
    // Was: the network's, which the default refiners are no more.
    const refiner = lineRefiner('default', { folds: true });
    expect(refiner).toMatchObject({ name: 'default', trainable: true });
    const scorer = await refiner.fit(pages.slice(0, 30));
    let right = 0;
    let all = 0;
    for (const { lines, labels } of pages.slice(30)) {
      const scores = await scorer.scoreLines(lines);
      labels.forEach((label, line) => {
        all++;
        if (scores[line]! >= scorer.threshold === (label === KEEP)) right++;
      });
    }
    expect(right / all).toBeGreaterThan(0.95);
    expect(lineRefiner('default').trainable).toBe(false);
  });

  it('judges documents without kinds too', async () => {
    const documents = pages.flatMap(({ id, lines, labels, goldText }) => [
      { id, domain: '', text: goldText!, label: 1 as const },
      {
        ...{ id: `${id} rest`, domain: '', label: 0 as const },
        text: lines.filter((_, line) => labels[line] === REMOVE).join('\n'),
      },
    ]);
    const scorer = await documentRefiner('default', { folds: true }).fit(documents.slice(0, 60));
    for (const { text, label } of documents.slice(60)) {
      expect((await scorer.scoreDocument(text)) >= scorer.threshold ? 1 : 0).toBe(label);
    }
  });
});
