import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mixtureBounds } from '../../../src/mixture/sample/bounds.ts';
import { projectToBox, roundToUnits, unitBounds } from '../../../src/mixture/simplex.ts';

const domains = [
  { name: 'web', tokens: 100e9 },
  { name: 'code', tokens: 10e9 },
  { name: 'math', tokens: 1e9, maxEpochs: 10 },
];

describe('mixtureBounds', () => {
  it('caps weights by tokens × epochs / budget', () => {
    const { lower, upper } = mixtureBounds({
      ...{ domains, budgetTokens: 100e9, maxEpochs: 4 },
      min: { code: 0.05 },
      max: { web: 0.9 },
    });
    expect([...upper]).toEqual([0.9, 0.4, 0.1]);
    expect([...lower]).toEqual([0, 0.05, 0]);
  });

  it.each([
    [{ budgetTokens: 1e12, maxEpochs: 2 }, /largest weights sum to 0\.23, less than 1/],
    [{ min: { web: 0.7, code: 0.4 } }, /smallest weights sum to 1\.1, more than 1/],
    [{ min: { web: 0.7 }, max: { web: 0.6 } }, /web: at least 0\.7 and at most 0\.6/],
    [{ max: { wiki: 0.6 } }, /names of domains: web, code, math, received wiki/],
    [{ max: { web: 1.5 } }, /weights of 0\.\.1, received web=1\.5/],
    [{ budgetTokens: 0 }, /budgetTokens: expected a positive number/],
    [{ min: { web: 0.333 }, max: { web: 0.3333 }, nUnits: 1000 }, null],
    [{ min: { web: 0.3331 }, max: { web: 0.3333 }, nUnits: 1000 }, /no multiple of 1\/1000/],
  ])('%j', (options, message) => {
    const check = expect(() => mixtureBounds({ domains, ...options }));
    if (message === null) check.not.toThrow();
    else check.toThrow(message);
  });

  it('needs tokens for epoch caps', () => {
    const unknown = [...domains, { name: 'wiki' }];
    expect(() => mixtureBounds({ domains: unknown, budgetTokens: 1, maxEpochs: 1 })).toThrow(
      /no tokens of wiki/,
    );
  });
});

const weights = fc
  .array(fc.integer({ min: 0, max: 1000 }), { minLength: 2, maxLength: 8 })
  .filter((parts) => parts.some((part) => part > 0))
  .map((parts) => {
    const sum = parts.reduce((total, part) => total + part, 0);
    return Float64Array.from(parts, (part) => part / sum);
  });

describe('roundToUnits', () => {
  it('sums exactly, is within one unit of the weights, and leaves zeros alone', () => {
    fc.assert(
      fc.property(weights, fc.integer({ min: 1, max: 10_000 }), (row, nUnits) => {
        const free = { lower: row.map(() => 0), upper: row.map(() => 1) };
        const units = roundToUnits(row, nUnits, unitBounds(free, nUnits));
        expect(units.reduce((sum, unit) => sum + unit, 0)).toBe(nUnits);
        for (const [at, unit] of units.entries()) {
          expect(Math.abs(unit - row[at]! * nUnits)).toBeLessThan(1 + 1e-6);
          if (row[at] === 0) expect(unit).toBe(0);
        }
      }),
    );
  });
});

describe('projectToBox', () => {
  it('gives a feasible point that no feasible step brings nearer', () => {
    const value = fc.double({ min: -1, max: 2, noNaN: true });
    fc.assert(
      fc.property(fc.array(value, { minLength: 4, maxLength: 4 }), (values) => {
        const lower = [0, 0.1, 0, 0.05];
        const upper = [0.5, 0.4, 1, 0.3];
        const point = projectToBox(Float64Array.from(values), lower, upper);
        expect(point.reduce((sum, part) => sum + part, 0)).toBeCloseTo(1, 9);
        for (let from = 0; from < 4; from++) {
          expect(point[from]!).toBeGreaterThanOrEqual(lower[from]! - 1e-12);
          expect(point[from]!).toBeLessThanOrEqual(upper[from]! + 1e-12);
          for (let to = 0; to < 4; to++) {
            // Moving weight from one to the other changes half the squared distance by this slope.
            const slope = point[to]! - values[to]! - (point[from]! - values[from]!);
            const mayMove = point[from]! > lower[from]! + 1e-9 && point[to]! < upper[to]! - 1e-9;
            if (mayMove) expect(slope).toBeGreaterThan(-1e-9);
          }
        }
      }),
    );
  });
});
