import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SAMPLE_WAYS, sampleMixtures } from '../../../src/mixture/sample/sample.ts';
import type { FittedSurrogate } from '../../../src/mixture/types.ts';

const domains = [
  { name: 'web', tokens: 60e9 },
  { name: 'code', tokens: 30e9 },
  { name: 'math', tokens: 10e9 },
];
const process = {
  ...{ family: 'gp', nDomains: 3, nRuns: 2, lossScale: 1 },
  ...{ means: [-1, -1, -1], scales: [1, 1, 1] },
  ...{ parameters: [0, 0, 0, 0, -2, -3], weights: [1, 0, 0, 0, 0.5, 0.5] },
};
const surrogate = {
  family: 'gp',
  nDomains: 3,
  toJson: () => process,
} as unknown as FittedSurrogate;
const targets = [{ name: 'loss', surrogate }];

describe('sampleMixtures', () => {
  it('keeps epoch caps and sums, whatever the way and the seed', async () => {
    const way = fc.constantFrom(...SAMPLE_WAYS);
    await fc.assert(
      fc.asyncProperty(way, fc.integer({ min: 0, max: 2 ** 32 - 1 }), async (chosen, seed) => {
        const options = { domains, n: 8, way: chosen, seed, budgetTokens: 100e9, maxEpochs: 2 };
        const sampled = await sampleMixtures({
          ...options,
          ...(chosen === 'active' && { targets }),
        });
        expect(sampled.ids).toEqual(['1', '2', '3', '4', '5', '6', '7', '8']);
        for (let row = 0; row < 8; row++) {
          const units = sampled.units.subarray(row * 3, row * 3 + 3);
          expect(units.reduce((sum, unit) => sum + unit, 0)).toBe(sampled.nUnits);
          expect(units[1]! / sampled.nUnits).toBeLessThanOrEqual(0.6);
          expect(units[2]! / sampled.nUnits).toBeLessThanOrEqual(0.2);
        }
        expect(sampled.smallestDistance).toBeGreaterThan(0);
      }),
      { numRuns: 24 },
    );
  });

  it.each([
    [{ n: 0 }, /n: expected a whole number of 1\.\.100000, received 0/],
    [{ way: 'grid' as 'active' }, /way: expected one of regmix/],
    [{ way: 'active' as const }, /a fit, for an active design/],
    [{ settings: { temperature: 2 } }, /temperature in 0\.\.1/],
    [{ way: 'space-filling' as const, settings: {} }, /a published preset/],
    [{ nUnits: 0.5 }, /nUnits: expected a whole number/],
  ])('refuses %j', async (options, message) => {
    await expect(sampleMixtures({ domains, n: 4, ...options })).rejects.toThrow(message);
  });

  it('takes settings of the published sampler', async () => {
    const settings = { temperature: 1, maxUsage: 1.5 };
    const { weights, statistics } = await sampleMixtures({ domains, n: 50, settings });
    expect(weights.filter((_, at) => at % 3 === 1).every((weight) => weight < 0.46)).toBe(true);
    expect(statistics.effectiveDomains).toBeGreaterThan(1.5);
  });
});
