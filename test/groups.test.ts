import { describe, expect, it } from 'vitest';
import { groupBy } from '../src/groups.ts';

describe('groupBy', () => {
  it('keeps the order of items in a group, and of groups by their first item', () => {
    const groups = groupBy([3, 1, 4, 1, 5], (value) => value % 2);
    expect([...groups]).toEqual([
      [1, [3, 1, 1, 5]],
      [0, [4]],
    ]);
    expect(groupBy([], String).size).toBe(0);
  });
});
