import { describe, expect, it } from 'vitest';
import { marginalShare, repeatedShare } from '../../../src/mixture/scale/repetition.ts';

describe('repetition', () => {
  it('counts first epochs whole, and more of them ever less', () => {
    expect(repeatedShare(0.4, 15)).toBe(1);
    expect(repeatedShare(1, 15)).toBe(1);
    let told = 1;
    for (let epochs = 2; epochs < 200; epochs++) {
      const worth = epochs * repeatedShare(epochs, 15);
      expect(worth).toBeGreaterThan(told);
      expect(worth - told).toBeLessThan(1);
      told = worth;
    }
    // Beyond all bounds: the first epoch and R more.
    expect(1e6 * repeatedShare(1e6, 15)).toBeCloseTo(16, 6);
  });

  it('has the slope of what tokens are worth', () => {
    for (const epochs of [0.5, 1.5, 4, 30]) {
      const worth = (times: number) => times * repeatedShare(times, 8);
      const slope = (worth(epochs + 1e-5) - worth(epochs - 1e-5)) / 2e-5;
      expect(marginalShare(epochs, 8)).toBeCloseTo(slope, 6);
    }
  });
});
