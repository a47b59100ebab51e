import { describe, expect, it } from 'vitest';
import { balanced } from '../../src/scorers/balanced.ts';

describe('balanced', () => {
  it('gives both labels the same sum, and a mean of 1', () => {
    const weights = balanced([1, 1, 1, 0]);
    expect(weights[0]! + weights[1]! + weights[2]!).toBeCloseTo(weights[3]!, 12);
    expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(4, 12);
  });

  it('keeps what weighs more of a label heavier', () => {
    const weights = balanced([1, 1, 0], [3, 1, 5]);
    expect(weights[0]! / weights[1]!).toBeCloseTo(3, 12);
    expect(weights[0]! + weights[1]!).toBeCloseTo(weights[2]!, 12);
  });

  it('does without one of the labels', () => {
    expect(balanced([1, 1])).toEqual([0.5, 0.5]);
    expect(balanced([])).toEqual([]);
  });
});
