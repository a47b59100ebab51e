/** Weights of checkpoints against what they stand for: scaled updates, summed one by one. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EXPONENTIAL_END, mergeWeights } from '../../src/schedules/merge-weights.ts';
import { DECAY_SHAPES, type DecayShape } from '../../src/schedules/spec.ts';

/** The factor of a step, from the formulas as they are written. */
function factor(shape: DecayShape, x: number, end: number, alpha: number): number {
  switch (shape) {
    case 'linear':
      return 1 - x + end * x;
    case 'cosine':
      return end + ((1 - end) / 2) * (1 + Math.cos(Math.PI * x));
    case '1-sqrt':
      return end + (1 - end) * (1 - Math.sqrt(x));
    case 'exponential':
      return end ** x;
    case 'inverse-sqrt': {
      const h = (at: number) => 1 / Math.sqrt(1 + alpha * at) - 1;
      return 1 + ((end - 1) / h(1)) * h(x);
    }
  }
}

const setup = fc.record({
  shape: fc.constantFrom(...DECAY_SHAPES),
  nCheckpoints: fc.integer({ min: 2, max: 30 }),
  stepsBetween: fc.integer({ min: 1, max: 40 }),
  end: fc.double({ min: 0.01, max: 1, noNaN: true }),
  timescale: fc.double({ min: 0.1, max: 20, noNaN: true }),
});

describe('mergeWeights', () => {
  it('is the decay of the updates, whatever they are', () => {
    fc.assert(
      fc.property(setup, fc.integer({ min: 1, max: 1000 }), (options, seed) => {
        const { shape, nCheckpoints, stepsBetween, end, timescale } = options;
        const weights = mergeWeights(options);
        const nSteps = (nCheckpoints - 1) * stepsBetween;
        const checkpoints = [0.5];
        let decayed = checkpoints[0]!;
        for (let interval = 1; interval < nCheckpoints; interval++) {
          // Within an interval all steps have one update: there the equivalence is exact.
          const update = Math.sin(seed * interval);
          for (let step = 1; step <= stepsBetween; step++) {
            const x = ((interval - 1) * stepsBetween + step) / nSteps;
            decayed += factor(shape, x, end, timescale) * update;
          }
          checkpoints.push(checkpoints.at(-1)! + stepsBetween * update);
        }
        const merged = checkpoints.reduce((sum, value, at) => sum + weights[at]! * value, 0);
        expect(merged).toBeCloseTo(decayed, 7);
      }),
    );
  });

  it('gives weights of 0 or more that sum to one', () => {
    fc.assert(
      fc.property(setup, (options) => {
        const weights = mergeWeights(options);
        expect(weights.length).toBe(options.nCheckpoints);
        expect(Math.min(...weights)).toBeGreaterThanOrEqual(0);
        expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12);
      }),
    );
  });

  it('is the mean of the checkpoints, half of the outer two, for a straight line to 0', () => {
    const weights = mergeWeights({ shape: 'linear', nCheckpoints: 5, stepsBetween: 1_000_000 });
    const expected = [0.125, 0.25, 0.25, 0.25, 0.125];
    for (const [at, weight] of weights.entries()) expect(weight).toBeCloseTo(expected[at]!, 3);
  });

  it('ends an exponential above 0 by itself, and refuses to end it there', () => {
    const options = { shape: 'exponential', nCheckpoints: 3 } as const;
    expect(mergeWeights(options)).toEqual(mergeWeights({ ...options, end: EXPONENTIAL_END }));
    expect(() => mergeWeights({ ...options, end: 0 })).toThrow(/SCHEDULE_INVALID|never reaches 0/);
  });

  it.each([
    [{ nCheckpoints: 1 }, 'nCheckpoints'],
    [{ nCheckpoints: 1001 }, 'nCheckpoints'],
    [{ end: 1.5 }, 'end'],
    [{ end: Number.NaN }, 'end'],
    [{ stepsBetween: 0 }, 'stepsBetween'],
  ])('refuses %j', (wrong, option) => {
    const options = { shape: 'linear', nCheckpoints: 3, ...wrong } as const;
    expect(() => mergeWeights(options)).toThrow(
      expect.objectContaining({
        code: 'OPTION_INVALID',
        details: expect.objectContaining({ option }),
      }),
    );
  });
});
