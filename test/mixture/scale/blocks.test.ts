import { describe, expect, it } from 'vitest';
import { blocksOf } from '../../../src/mixture/scale/blocks.ts';
import { scaleRuns } from './synthetic.ts';

function blocks(options: Parameters<typeof scaleRuns>[0] = {}) {
  const { weights, scales, ids } = scaleRuns(options);
  const { params, tokens } = scales;
  const rows = { nRuns: ids.length, nDomains: 3, weights, dataWeights: weights, params, tokens };
  return { rows, found: blocksOf(rows, 16, 0) };
}

describe('blocksOf', () => {
  it('predicts sizes from smaller ones, and leaves out whole mixtures', () => {
    const { rows, found } = blocks();
    expect(found.map(({ kind }) => kind)).toEqual(['forward', 'forward', 'later', 'mixtures']);
    for (const { kind, train, held } of found) {
      const seen = new Set(train);
      expect(held.some((run) => seen.has(run))).toBe(false);
      if (kind === 'forward') {
        expect(Math.max(...Array.from(train, (run) => rows.params[run]!))).toBeLessThan(
          Math.min(...Array.from(held, (run) => rows.params[run]!)),
        );
      }
      if (kind === 'mixtures') {
        const keyOf = (run: number) => rows.weights.subarray(run * 3, run * 3 + 3).join();
        const mixtures = new Set(Array.from(train, keyOf));
        expect(Array.from(held, keyOf).some((key) => mixtures.has(key))).toBe(false);
      }
    }
  });

  it('keeps sizes apart whose values are all below 1, as the units of a fit make them', () => {
    // Sizes were put into an Int32Array: .3 and .9 were one, and nothing was left out by tokens.
    const kinds = blocks({ sizes: [0.3, 0.6, 0.9] }).found.map(({ kind }) => kind);
    expect(kinds).toContain('later');
  });

  it('has no block by size where there are two of them, and none by tokens where there is one count', () => {
    expect(blocks({ sizes: [1e8, 3e8] }).found.map(({ kind }) => kind)).toEqual([
      'later',
      'mixtures',
    ]);
    const { found } = blocks({ tokens: [1e9] });
    expect(found.map(({ kind }) => kind)).toEqual(['forward', 'mixtures']);
  });
});
