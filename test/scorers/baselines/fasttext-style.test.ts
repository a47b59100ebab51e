import { describe, expect, it } from 'vitest';
import {
  fasttextDocuments,
  fitFasttextDocuments,
  fitFasttextLines,
} from '../../../src/scorers/baselines/fasttext-style.ts';
import { KEEP, REMOVE, UNSCORED } from '../../../src/scorers/gold.ts';
import { syntheticPages } from '../../train/support.ts';

const pages = syntheticPages(60, 2);

describe('fitFasttextLines', () => {
  it('tells menus from prose on pages that it did not see, line by line', async () => {
    const scorer = fitFasttextLines(pages.slice(0, 40));
    let right = 0;
    let all = 0;
    for (const { lines, labels } of pages.slice(40)) {
      const scores = await scorer.scoreLines(lines);
      expect(scores).toHaveLength(lines.length);
      for (const [line, label] of labels.entries()) {
        all++;
        if (scores[line]! >= scorer.threshold === (label === KEEP)) right++;
      }
    }
    expect(right / all).toBeGreaterThan(0.95);
    const [first] = await scorer.scoreLines(['Sign in', pages[0]!.lines[3]!]);
    expect((await scorer.scoreLines(['', 'Sign in', 'About us']))[1]).toBe(first);
  });

  it('reads pairs of words, not only words', async () => {
    // Every line has the same words; only their order tells.
    const made = ['up and down', 'down and up'].map((line, index) => ({
      ...pages[0]!,
      ...{ id: `p${index}`, text: line, lines: Array.from({ length: 20 }, () => line) },
      labels: new Uint8Array(20).fill(index === 0 ? KEEP : REMOVE),
    }));
    const scorer = fitFasttextLines(made);
    const [up, down] = await scorer.scoreLines(['up and down', 'down and up']);
    expect(up).toBeGreaterThan(0.6);
    expect(down).toBeLessThan(0.4);
  });

  it('is deterministic and learns nothing from lines without a label', async () => {
    const blind = pages.map((page) => ({ ...page, labels: page.labels.slice().fill(UNSCORED) }));
    const { lines } = pages[50]!;
    const scores = await fitFasttextLines(pages.slice(0, 20)).scoreLines(lines);
    const more = [...pages.slice(0, 20), ...blind.slice(20, 30)];
    expect(await fitFasttextLines(pages.slice(0, 20)).scoreLines(lines)).toEqual(scores);
    const untold = await fitFasttextLines(blind).scoreLines(lines);
    expect([...untold]).toEqual(lines.map(() => 0.5));
    const found = await fitFasttextLines(more).scoreLines(lines);
    found.forEach((score, line) => {
      expect(Math.round(score)).toBe(Math.round(scores[line]!));
    });
  });
});

describe('fitFasttextDocuments', () => {
  const documents = pages.flatMap(({ id, lines, labels, goldText }) => [
    { id, domain: '', text: goldText!, label: 1 as const },
    {
      ...{ id: `${id} rest`, domain: '', label: 0 as const },
      text: lines.filter((_, line) => labels[line] === REMOVE).join('\n'),
    },
  ]);

  it('tells documents by their words, whatever the balance of labels', async () => {
    const few = documents.filter(({ label }, index) => label === 1 || index % 8 === 1);
    const scorer = fitFasttextDocuments(few.slice(0, 50));
    for (const { text, label } of documents.slice(90)) {
      const score = await scorer.scoreDocument(text);
      expect(score >= scorer.threshold ? 1 : 0).toBe(label);
    }
    expect(fasttextDocuments.trainable).toBe(true);
  });
});
