import { describe, expect, it } from 'vitest';
import { blindFigures, itemRandom, wilsonInterval } from '../../src/inspect/blind.ts';
import type { BlindEntry } from '../../src/inspect/judgement-types.ts';

describe('wilsonInterval', () => {
  it('is the interval of the textbooks', () => {
    // 81 of 263, Wilson's method without continuity correction: Newcombe (1998), table I.
    const [low, high] = wilsonInterval(81, 263);
    expect([low.toFixed(4), high.toFixed(4)]).toEqual(['0.2553', '0.3662']);
    expect(wilsonInterval(0, 0)).toEqual([0, 1]);
    expect(wilsonInterval(0, 20)[0]).toBe(0);
    expect(wilsonInterval(0, 20)[1].toFixed(4)).toBe('0.1611');
    expect(wilsonInterval(29, 29)[1]).toBe(1);
  });

  it('covers the true share about as often as it says', () => {
    const random = itemRandom(5, 0);
    let covered = 0;
    for (let trial = 0; trial < 2000; trial++) {
      let right = 0;
      for (let item = 0; item < 60; item++) if (random() < 0.9) right++;
      const [low, high] = wilsonInterval(right, 60);
      if (low <= 0.9 && high >= 0.9) covered++;
    }
    expect(covered / 2000).toBeGreaterThan(0.93);
    expect(covered / 2000).toBeLessThan(0.985);
  });
});

describe('blindFigures', () => {
  const entry = (
    item: number,
    was: 'kept' | 'removed',
    answer: BlindEntry['answer'],
  ): BlindEntry => ({
    ...{
      kind: 'blind',
      at: '',
      run: 'r',
      what: 'lines',
      seed: 1,
      unit: 0,
      position: item,
      line: 3,
    },
    ...{ item, was, answer },
  });

  it('counts what should go among the removed, what should stay among the kept, and the last answer', () => {
    const { kept, removed } = blindFigures(
      [
        entry(0, 'removed', 'go'),
        entry(1, 'removed', 'stay'),
        entry(1, 'removed', 'go'),
        entry(2, 'removed', 'unsure'),
        entry(3, 'kept', 'go'),
        { ...entry(4, 'kept', 'stay'), what: 'documents' },
      ],
      'lines',
    );
    expect(removed).toMatchObject({ asked: 2, right: 2, unsure: 1, share: 1, high: 1 });
    expect(kept).toMatchObject({ asked: 1, right: 0, unsure: 0, share: 0, low: 0 });
    expect(blindFigures([], 'lines').kept.share).toBeNull();
  });
});
