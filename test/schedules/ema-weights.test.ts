import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { emaWeights } from '../../src/schedules/ema-weights.ts';

/** AdamW carried out on one number: every update is 1 at its own step alone, so that what is left of it is its weight. */
function naive(
  steps: readonly number[],
  decay: number,
  kept: readonly number[],
): { weights: number[]; first: number } {
  const lastOf = (start: number, updates: readonly number[]): number => {
    let weight = start;
    let sum = kept[0]! * weight;
    for (const [step, lr] of steps.entries()) {
      weight = (1 - lr * decay) * weight + lr * updates[step]!;
      sum += kept[step + 1]! * weight;
    }
    return sum;
  };
  const none = steps.map(() => 0);
  return {
    weights: steps.map((_, step) =>
      lastOf(
        0,
        none.map((_zero, at) => (at === step ? 1 : 0)),
      ),
    ),
    first: lastOf(1, none),
  };
}

const lastOnly = (count: number) =>
  Array.from({ length: count + 1 }, (_, at) => (at === count ? 1 : 0));

describe('emaWeights', () => {
  it('by hand: rates 1/2 and 1/4 under a decay of 1', () => {
    const stretches = [
      { nSteps: 1, lr: 0.5 },
      { nSteps: 1, lr: 0.25 },
    ];
    const { weights, first } = emaWeights({ stretches, weightDecay: 1 });
    // c_1 = 1/2 · 3/4, c_2 = 1/4; 3/8 of the first weights are left, and all sum to 1.
    expect(weights[0]).toBeCloseTo(0.375, 15);
    expect(weights[1]).toBeCloseTo(0.25, 15);
    expect(first).toBeCloseTo(0.375, 15);
    const merged = emaWeights({ stretches, weightDecay: 1, kept: [0, 0.5, 0.5] });
    // Half of it is the checkpoint behind step 1: 1/2 · (1 + 3/4) / 2, and 1/4 / 2.
    expect(merged.weights[0]).toBeCloseTo(0.4375, 15);
    expect(merged.weights[1]).toBeCloseTo(0.125, 15);
    expect(merged.first).toBeCloseTo(0.4375, 15);
  });

  it('is what AdamW does, step by step, in stretches, and of merged checkpoints', () => {
    const stretch = fc.record({
      nSteps: fc.integer({ min: 1, max: 12 }),
      lr: fc.oneof(fc.constant(0), fc.double({ min: 1e-5, max: 0.5, noNaN: true })),
      kept: fc.oneof(fc.constant(0), fc.double({ min: 0.01, max: 1, noNaN: true })),
    });
    const decay = fc.oneof(fc.constant(0), fc.double({ min: 1e-4, max: 2, noNaN: true }));
    fc.assert(
      fc.property(
        fc.array(stretch, { minLength: 1, maxLength: 6 }),
        decay,
        fc.boolean(),
        (stretches, weightDecay, isMerged) => {
          const steps = stretches.flatMap(({ nSteps, lr }) => Array(nSteps).fill(lr) as number[]);
          const kept = isMerged
            ? [
                0.3,
                ...stretches.flatMap((one) => [
                  ...(Array(one.nSteps - 1).fill(0) as number[]),
                  one.kept,
                ]),
              ]
            : lastOnly(steps.length);
          const expected = naive(steps, weightDecay, kept);
          const found = emaWeights({
            ...{ stretches, weightDecay },
            ...(isMerged && { kept: [0.3, ...stretches.map((one) => one.kept)] }),
          });
          let at = 0;
          for (const [index, { nSteps }] of stretches.entries()) {
            const sum = expected.weights.slice(at, at + nSteps).reduce((all, one) => all + one, 0);
            at += nSteps;
            expect(Math.abs(found.weights[index]! - sum)).toBeLessThanOrEqual(1e-11 * (1 + sum));
          }
          expect(Math.abs(found.first - expected.first)).toBeLessThanOrEqual(1e-12);
          // Averages: λ times the weights and what is left of the first weights are all that is kept.
          const all = found.weights.reduce((sum, one) => sum + one * weightDecay, found.first);
          expect(all).toBeCloseTo(
            kept.reduce((sum, one) => sum + one, 0),
            9,
          );
        },
      ),
    );
  });

  it('without decay weighs by the rates, and refuses decays that turn weights around', () => {
    const stretches = [
      { nSteps: 2, lr: 3 },
      { nSteps: 1, lr: 1 },
    ];
    expect(emaWeights({ stretches, weightDecay: 0 })).toEqual({
      weights: Float64Array.of(6, 1),
      first: 1,
    });
    expect(() => emaWeights({ stretches, weightDecay: 0.5 })).toThrowError(
      /stretches\.0.*decay 0\.5/,
    );
    expect(() => emaWeights({ stretches, weightDecay: 0, kept: [1] })).toThrowError(/3 weights/);
  });
});
