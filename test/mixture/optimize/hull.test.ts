import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { distanceToHull } from '../../../src/mixture/optimize/hull.ts';
import { drawDirichlet } from '../../../src/mixture/sample/dirichlet.ts';
import { type Random, seededRandom } from '../../../src/seeded.ts';

function dirichletRows(nRows: number, nDomains: number, random: Random, strength = 1) {
  const rows = new Float64Array(nRows * nDomains);
  const shares = new Float64Array(nDomains).fill(strength);
  for (let row = 0; row < nRows; row++) {
    drawDirichlet(shares, random, rows.subarray(row * nDomains, (row + 1) * nDomains));
  }
  return rows;
}

describe('distanceToHull', () => {
  it('is 0 for mixtures of the rows', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 2, max: 20 }), (seed, nDomains) => {
        const random = seededRandom(seed);
        const nRows = 40;
        const rows = dirichletRows(nRows, nDomains, random, 0.3);
        const parts = dirichletRows(1, nRows, random, 0.2);
        const inside = new Float64Array(nDomains);
        for (let at = 0; at < rows.length; at++) {
          inside[at % nDomains]! += parts[Math.floor(at / nDomains)]! * rows[at]!;
        }
        expect(distanceToHull(inside, rows).distance).toBeLessThan(1e-6);
      }),
      { numRuns: 60 },
    );
  });

  it('gives a point that no row reaches past: the nearest one', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 2, max: 20 }), (seed, nDomains) => {
        const random = seededRandom(seed);
        const rows = dirichletRows(60, nDomains, random, 3);
        const outside = dirichletRows(1, nDomains, random, 0.1);
        const { nearest } = distanceToHull(outside, rows);
        // Optimality: every row lies on the far side of the plane through the nearest point.
        const away = outside.map((value, at) => value - nearest[at]!);
        for (let row = 0; row < 60; row++) {
          let past = 0;
          for (let at = 0; at < nDomains; at++) {
            past += away[at]! * (rows[row * nDomains + at]! - nearest[at]!);
          }
          expect(past).toBeLessThan(1e-9);
        }
        expect(distanceToHull(nearest, rows).distance).toBeLessThan(1e-5);
      }),
      { numRuns: 60 },
    );
  });

  it('is known for a segment, a single row, and rows that are there twice', () => {
    const rows = Float64Array.from([1, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0]);
    const { distance, nearest } = distanceToHull(Float64Array.from([0, 0, 1]), rows);
    for (const [at, weight] of nearest.entries())
      expect(weight).toBeCloseTo([0.5, 0.5, 0][at]!, 12);
    expect(distance).toBeCloseTo(2, 12);
    expect(distanceToHull(Float64Array.from([0, 1]), Float64Array.from([1, 0])).distance).toBe(2);
  });
});
