import { describe, expect, it } from 'vitest';
import { quantile95 } from '../src/student.ts';

describe('quantile95', () => {
  it('has the values of the tables', () => {
    const known = { 1: 6.314, 3: 2.353, 5: 2.015, 10: 1.812, 15: 1.753, 30: 1.697, 1000: 1.646 };
    for (const [degrees, value] of Object.entries(known)) {
      expect(quantile95(Number(degrees))).toBeCloseTo(value, 2);
    }
  });
});
