import { describe, expect, it } from 'vitest';
import { doubtOf } from '../../src/lines/calibration.ts';

describe('doubtOf', () => {
  it('is the share of the characters on lines that are undecided', () => {
    const chars = [10, 30, 60];
    expect(doubtOf([-3, 0.2, 4], (line) => chars[line]!)).toBeCloseTo(0.3);
    expect(doubtOf([1, -1, 0], (line) => chars[line]!)).toBe(1);
    expect(doubtOf([9, -9, 9], (line) => chars[line]!)).toBe(0);
  });

  it('is none where there is nothing', () => {
    expect(doubtOf([], () => 1)).toBe(0);
    expect(doubtOf([0], () => 0)).toBe(0);
  });
});
