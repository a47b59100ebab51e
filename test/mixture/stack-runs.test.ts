import { describe, expect, it } from 'vitest';
import { stackRuns } from '../../src/mixture/stack-runs.ts';
import type { JoinedRuns } from '../../src/mixture/tables.ts';

const runs = (more: Partial<JoinedRuns> = {}): JoinedRuns => ({
  domains: ['a', 'b'],
  targets: ['a'],
  ids: ['1', '2'],
  weights: Float64Array.of(1, 0, 0.5, 0.5),
  losses: Float64Array.of(3, 4),
  scales: {
    params: Float64Array.of(10, 10),
    tokens: Float64Array.of(7, 7),
    epochs: Float64Array.of(2, 0, 1, 1),
  },
  nWithoutLosses: 1,
  nWithoutMixture: 0,
  ...more,
});

describe('stackRuns', () => {
  it('stacks sweeps in their order, and leaves one as it is', () => {
    const one = runs();
    expect(stackRuns([one], ['x'])).toBe(one);
    const other = runs({ ids: ['2'], losses: Float64Array.of(5), weights: Float64Array.of(0, 1) });
    const scales = {
      params: Float64Array.of(90),
      tokens: Float64Array.of(70),
      epochs: Float64Array.of(0, 3),
    };
    expect(stackRuns([one, { ...other, scales }], ['x', 'y'])).toEqual({
      domains: ['a', 'b'],
      targets: ['a'],
      ids: ['1@1', '2@1', '2@2'],
      weights: Float64Array.of(1, 0, 0.5, 0.5, 0, 1),
      losses: Float64Array.of(3, 4, 5),
      scales: {
        params: Float64Array.of(10, 10, 90),
        tokens: Float64Array.of(7, 7, 70),
        epochs: Float64Array.of(2, 0, 1, 1, 0, 3),
      },
      nWithoutLosses: 2,
      nWithoutMixture: 0,
    });
  });

  it('refuses tables that say different things', () => {
    expect(() => stackRuns([runs(), runs({ targets: ['b'] })], ['x', 'y'])).toThrowError(
      /y.*the targets of x/,
    );
    expect(() => stackRuns([runs(), runs({ scales: undefined })], ['x', 'y'])).toThrowError(
      /y.*all of them, as x has.*none of them/,
    );
  });
});
