import { describe, expect, it } from 'vitest';
import { learningRateAt } from '../../src/schedules/schedule.ts';
import { lineScoreBatch, pretrainBatch, sftBatch } from '../../src/train/objectives.ts';

const ids = (...values: number[]) => Int32Array.from(values);

describe('pretrainBatch', () => {
  it('predicts the next token within a sequence and a document', () => {
    const tokens = ids(5, 6, 7, 8, 9, 10);
    expect(pretrainBatch(tokens, { nSeq: 2, nCtx: 3 })).toEqual({
      tokens,
      positions: ids(0, 1, 3, 4),
      labels: ids(6, 7, 9, 10),
    });
    const documents = ids(0, 1, 1, 2, 2, 3);
    expect(pretrainBatch(tokens, { nSeq: 2, nCtx: 3 }, documents)).toEqual({
      tokens,
      segments: documents,
      positions: ids(1, 3),
      labels: ids(7, 9),
    });
    expect(() => pretrainBatch(tokens, { nSeq: 1, nCtx: 3 })).toThrow(/expected 3 elements/);
  });
});

describe('sftBatch', () => {
  it('learns the answer only, each token from the one in front', () => {
    const examples = [
      { prompt: ids(1, 2), answer: ids(3, 4), weight: 0.5 },
      { prompt: ids(7), answer: ids(8) },
    ];
    expect(sftBatch(examples, { nSeq: 3, nCtx: 5, padToken: 9 })).toEqual({
      tokens: ids(1, 2, 3, 4, 9, 7, 8, 9, 9, 9, 9, 9, 9, 9, 9),
      segments: ids(0, 0, 0, 0, -1, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1),
      positions: ids(1, 2, 5),
      labels: ids(3, 4, 8),
      weights: Float32Array.of(0.5, 0.5, 1),
    });
    const turns = { prompt: ids(1, 2, 3, 4, 5), answer: ids(6), learnt: [[1, 3]] as const };
    expect(sftBatch([turns], { nSeq: 1, nCtx: 6 })).toMatchObject({
      positions: ids(0, 1, 4),
      labels: ids(2, 3, 6),
    });
    const first = { ...turns, learnt: [[0, 2]] as const };
    expect(() => sftBatch([first], { nSeq: 1, nCtx: 6 })).toThrow(/learnt: expected within 1..5/);
    expect(() => sftBatch(examples, { nSeq: 1, nCtx: 5 })).toThrow(/at most 1/);
    expect(() => sftBatch(examples, { nSeq: 2, nCtx: 3 })).toThrow(/up to 3 tokens/);
  });
});

describe('lineScoreBatch', () => {
  it('reads a class at each line’s position', () => {
    const window = { tokens: ids(4, 5, 6), positions: ids(0, 2), labels: ids(1, 0) };
    expect(lineScoreBatch([window, window], { nSeq: 2, nCtx: 4 })).toEqual({
      tokens: ids(4, 5, 6, 0, 4, 5, 6, 0),
      segments: ids(0, 0, 0, -1, 0, 0, 0, -1),
      positions: ids(0, 2, 4, 6),
      labels: ids(1, 0, 1, 0),
      weights: Float32Array.of(1, 1, 1, 1),
    });
    const outside = { ...window, positions: ids(0, 3) };
    expect(() => lineScoreBatch([outside], { nSeq: 1, nCtx: 4 })).toThrow(/0..2/);
  });
});

describe('learningRateAt', () => {
  it('warms up, peaks and decays', () => {
    const schedule = {
      kind: 'cosine',
      peakLr: 1,
      minLr: 0.1,
      warmupSteps: 4,
      totalSteps: 24,
    } as const;
    const rates = [0, 3, 4, 14, 24, 100].map((step) => learningRateAt(step, schedule));
    expect(rates.map((rate) => Number(rate.toFixed(6)))).toEqual([0.25, 1, 1, 0.55, 0.1, 0.1]);
    expect(learningRateAt(20, { ...schedule, kind: 'constant' })).toBe(1);
    expect(() => learningRateAt(-1, schedule)).toThrow(/step/);
    expect(() => learningRateAt(0, { ...schedule, warmupSteps: 25 })).toThrow(/0..24/);
  });
});
