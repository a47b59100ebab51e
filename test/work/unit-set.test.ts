import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UnitSet } from '../../src/work/unit-set.ts';

describe('UnitSet', () => {
  it('is a set of numbers in their order', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20_000)), fc.array(fc.nat(40_000)), (added, asked) => {
        const units = new UnitSet(added);
        const naive = new Set(added);
        expect([...units]).toEqual([...naive].sort((one, other) => one - other));
        expect(units.size).toBe(naive.size);
        for (const unit of [...added, ...asked]) expect(units.has(unit)).toBe(naive.has(unit));
      }),
    );
  });

  it('has nothing that is no unit', () => {
    const units = new UnitSet([0, 7, 8]);
    for (const other of [-1, Number.NaN, 2 ** 40]) expect(units.has(other)).toBe(false);
  });
});
