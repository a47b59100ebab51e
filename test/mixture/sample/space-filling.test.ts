import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawCandidates, UniformWalk } from '../../../src/mixture/sample/candidates.ts';
import { drawSpaceFilling, smallestDistance } from '../../../src/mixture/sample/space-filling.ts';
import { seededRandom } from '../../../src/seeded.ts';

const prior = Float64Array.from([0.5, 0.3, 0.15, 0.05]);
const free = { lower: new Float64Array(4), upper: new Float64Array(4).fill(1) };
const nUnits = 1000;

describe('drawSpaceFilling', () => {
  it('is further apart than as many random candidates, and the same for the same seed', async () => {
    const options = { n: 20, prior, bounds: free, nUnits, seed: 1 };
    const design = await drawSpaceFilling(options);
    const random = drawCandidates(options);
    expect(smallestDistance(design, nUnits)).toBeGreaterThan(2 * smallestDistance(random, nUnits));
    expect(await drawSpaceFilling(options)).toEqual(design);
  });

  it('keeps away from the runs there are', async () => {
    const existing = [Float64Array.from([1, 0, 0, 0]), prior];
    const design = await drawSpaceFilling({ n: 3, prior, bounds: free, nUnits, seed: 1, existing });
    const all = [...design, ...existing.map((row) => Int32Array.from(row, (w) => w * nUnits))];
    expect(smallestDistance(all, nUnits)).toBeGreaterThan(0.4);
  });

  it('gives rows within any feasible bounds that sum exactly', async () => {
    const pair = fc.tuple(fc.double({ min: 0, max: 0.24 }), fc.double({ min: 0.26, max: 1 }));
    const bounded = fc.array(
      pair.map(([low, high]) => [low, high] as const),
      {
        minLength: 4,
        maxLength: 4,
      },
    );
    await fc.assert(
      fc.asyncProperty(bounded.filter(noNan), fc.integer(), async (pairs, seed) => {
        const lower = Float64Array.from(pairs, ([low]) => low);
        const upper = Float64Array.from(pairs, ([, high]) => high);
        const options = { n: 5, prior, bounds: { lower, upper }, nUnits: 5000, seed };
        for (const row of await drawSpaceFilling(options)) {
          expect(row.reduce((sum, unit) => sum + unit, 0)).toBe(5000);
          for (const [at, unit] of row.entries()) {
            expect(unit / 5000).toBeGreaterThanOrEqual(lower[at]! - 1e-8);
            expect(unit / 5000).toBeLessThanOrEqual(upper[at]! + 1e-8);
          }
        }
      }),
      { numRuns: 15 },
    );
  });

  it('says that a grid has too few points', async () => {
    const upper = Float64Array.from([0.5, 0.5, 0, 0]);
    const options = { n: 2, prior, bounds: { lower: free.lower, upper }, nUnits, seed: 1 };
    await expect(drawSpaceFilling(options)).rejects.toThrow(/2 mixtures are wanted, 1 were found/);
  });
});

describe('UniformWalk', () => {
  it('has the means of the uniform distribution over the simplex', () => {
    const walk = new UniformWalk(free, seededRandom(3));
    const means = new Float64Array(4);
    for (let draw = 0; draw < 5000; draw++) {
      for (const [at, weight] of walk.next().entries()) means[at]! += weight / 5000;
    }
    for (const mean of means) expect(Math.abs(mean - 0.25)).toBeLessThan(0.02);
  });
});

function noNan(pairs: readonly (readonly [number, number])[]): boolean {
  return pairs.every((pair) => !pair.some(Number.isNaN));
}
