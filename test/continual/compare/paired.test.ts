import { describe, expect, it } from 'vitest';
import { pairedDifference, pairedRatio } from '../../../src/continual/compare/paired.ts';
import { seededRandom } from '../../../src/seeded.ts';

describe('pairedDifference', () => {
  it('by hand: three pairs, and Student of two degrees of freedom', () => {
    const { mean, low, high, verdict, nPairs } = pairedDifference([-0.1, -0.2, -0.3]);
    expect({ nPairs, verdict }).toEqual({ nPairs: 3, verdict: 'better' });
    expect(mean).toBeCloseTo(-0.2, 12);
    // 2.919986 · .1 / √3
    expect(low).toBeCloseTo(-0.2 - 0.168586, 5);
    expect(high).toBeCloseTo(-0.2 + 0.168586, 5);
    expect(pairedDifference([0.1, 0.2, 0.3]).verdict).toBe('worse');
    expect(pairedDifference([-0.1, 0.2, -0.3]).verdict).toBe('undecided');
  });

  it('has no interval of one pair, and decides nothing by it', () => {
    expect(pairedDifference([-5])).toEqual({
      ...{ nPairs: 1, mean: -5, low: null, high: null },
      verdict: 'undecided',
    });
  });

  it('holds the truth in about nine of ten', () => {
    const random = seededRandom(5);
    const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    let inside = 0;
    for (let trial = 0; trial < 2000; trial++) {
      const { low, high } = pairedDifference(Array.from({ length: 4 }, () => 0.3 + normal()));
      if (low! <= 0.3 && high! >= 0.3) inside++;
    }
    expect(inside / 2000).toBeGreaterThan(0.88);
    expect(inside / 2000).toBeLessThan(0.92);
  });
});

describe('pairedRatio', () => {
  it('by hand: sums by sums, spread of the residuals', () => {
    // Ratio −3 / 6; residuals −1 + .5 and −2 + 2.5; their squares .25 + .25, times 2 by 1 · 36.
    const { mean, low, high } = pairedRatio([-1, -2], [1, 5]);
    expect(mean).toBe(-0.5);
    expect(high! - mean).toBeCloseTo(6.313752 * Math.sqrt((0.5 * 2) / 36), 6);
    expect(mean - low!).toBeCloseTo(high! - mean, 12);
  });

  it('is sure where every document says the same, whatever its size', () => {
    const { low, high, verdict } = pairedRatio([-1, -2, -4], [10, 20, 40]);
    expect(low).toBeCloseTo(-0.1, 12);
    expect(high).toBeCloseTo(-0.1, 12);
    expect(verdict).toBe('better');
  });
});
