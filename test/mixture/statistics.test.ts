import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  conformalQuantile,
  meanAbsoluteError,
  meanOf,
  normalHalfWidth,
  normalQuantile,
  pearson,
  ranks,
  rmse,
  spearman,
} from '../../src/mixture/statistics.ts';

/** Rank by definition: one more than the values below, and half of the others that are equal. */
function naiveRanks(values: readonly number[]): number[] {
  return values.map((value) => {
    const below = values.filter((other) => other < value).length;
    const equal = values.filter((other) => other === value).length;
    return below + (equal + 1) / 2;
  });
}

function naivePearson(left: readonly number[], right: readonly number[]): number {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value / values.length, 0);
  const covariance = (a: readonly number[], b: readonly number[]): number =>
    mean(a.map((value, place) => (value - mean(a)) * (b[place]! - mean(b))));
  return covariance(left, right) / Math.sqrt(covariance(left, left) * covariance(right, right));
}

const pairs = fc.array(fc.tuple(fc.integer({ min: -6, max: 6 }), fc.integer({ min: -6, max: 6 })), {
  minLength: 2,
  maxLength: 30,
});

describe('statistics', () => {
  it('ranks and correlates as the definitions say, ties included', () => {
    fc.assert(
      fc.property(pairs, (all) => {
        const left = all.map(([value]) => value);
        const right = all.map(([, value]) => value);
        expect([...ranks(left)]).toEqual(naiveRanks(left));
        const isConstant = new Set(left).size === 1 || new Set(right).size === 1;
        if (isConstant) {
          expect([pearson(left, right), spearman(left, right)]).toEqual([null, null]);
        } else {
          expect(pearson(left, right)).toBeCloseTo(naivePearson(left, right), 10);
          const byRank = naivePearson(naiveRanks(left), naiveRanks(right));
          expect(spearman(left, right)).toBeCloseTo(byRank, 10);
        }
        const offs = all.map(([one, two]) => one - two);
        expect(rmse(left, right)).toBeCloseTo(Math.hypot(...offs) / Math.sqrt(offs.length), 10);
        const sum = offs.reduce((total, off) => total + Math.abs(off), 0);
        expect(meanAbsoluteError(left, right)).toBeCloseTo(sum / offs.length, 10);
      }),
    );
  });

  it('inverts the normal distribution', () => {
    // By Simpson's rule over the density.
    const below = (z: number): number => {
      const nSteps = 20_000;
      const width = (z + 9) / nSteps;
      let sum = 0;
      for (let step = 0; step <= nSteps; step++) {
        const x = -9 + step * width;
        const factor = step === 0 || step === nSteps ? 1 : step % 2 === 1 ? 4 : 2;
        sum += factor * Math.exp((-x * x) / 2);
      }
      return (sum * width) / 3 / Math.sqrt(2 * Math.PI);
    };
    for (const probability of [1e-6, 0.001, 0.02, 0.025, 0.3, 0.5, 0.77, 0.95, 0.999]) {
      expect(below(normalQuantile(probability))).toBeCloseTo(probability, 8);
    }
    expect(normalHalfWidth(0.9)).toBeCloseTo(1.6448536, 6);
    expect([normalQuantile(0), normalQuantile(1), normalQuantile(2)]).toEqual([
      -Infinity,
      Infinity,
      Number.NaN,
    ]);
  });

  it('takes conformal quantiles and means of what is there', () => {
    const values = [5, 1, 4, 2, 3, 9, 8, 7, 6];
    expect(conformalQuantile(values, 0.9)).toBe(9);
    expect(conformalQuantile(values, 0.5)).toBe(5);
    expect(conformalQuantile(values, 0.99)).toBe(9);
    expect(conformalQuantile([3], 0)).toBe(3);
    expect([meanOf([1, null, 3]), meanOf([null])]).toEqual([2, null]);
  });
});
