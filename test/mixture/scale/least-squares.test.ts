import { describe, expect, it } from 'vitest';
import { leastSquares } from '../../../src/mixture/scale/least-squares.ts';

const none = new Float64Array(2);

describe('leastSquares', () => {
  it('finds the minimum of a curved valley', async () => {
    // Rosenbrock's function as two residuals.
    const problem = {
      nParameters: 2,
      residuals(
        [x, y]: Float64Array,
        _wants: boolean,
        visit: (residual: number, slopes: Float64Array) => void,
      ): void {
        visit(1 - x!, Float64Array.of(-1, 0));
        visit(10 * (y! - x! ** 2), Float64Array.of(-20 * x!, 10));
      },
    };
    const start = Float64Array.of(-1.2, 1);
    const options = { start, centre: none, pull: none, maxIterations: 200 };
    const { parameters, value } = await leastSquares(problem, options);
    expect(parameters[0]).toBeCloseTo(1, 6);
    expect(parameters[1]).toBeCloseTo(1, 6);
    expect(value).toBeLessThan(1e-12);
  });

  it('solves a linear problem with a pull as the normal equations do', async () => {
    const rows = [
      [1, 2, 3],
      [2, -1, 1],
      [0.5, 1, -2],
    ] as const;
    const problem = {
      nParameters: 2,
      residuals(
        [x, y]: Float64Array,
        _wants: boolean,
        visit: (residual: number, slopes: Float64Array) => void,
      ): void {
        for (const [a, b, c] of rows) visit(a * x! + b * y! - c, Float64Array.of(a, b));
      },
    };
    const centre = Float64Array.of(1, -1);
    const pull = Float64Array.of(0.5, 2);
    const options = { start: centre, centre, pull, maxIterations: 100 };
    const { parameters } = await leastSquares(problem, options);
    // (AᵀA + P) θ = Aᵀc + P centre, by Cramer's rule.
    const [aa, ab, bb] = [1 + 4 + 0.25 + 0.5, 2 - 2 + 0.5, 4 + 1 + 1 + 2];
    const [ra, rb] = [3 + 2 - 1 + 0.5, 6 - 1 - 2 - 2];
    const determinant = aa * bb - ab * ab;
    expect(parameters[0]).toBeCloseTo((ra * bb - ab * rb) / determinant, 8);
    expect(parameters[1]).toBeCloseTo((aa * rb - ab * ra) / determinant, 8);
  });

  it('stops when it is told to', async () => {
    const problem = { nParameters: 2, residuals: () => {} };
    const options = { start: none, centre: none, pull: none, maxIterations: 10 };
    const aborted = leastSquares(problem, { ...options, signal: AbortSignal.abort() });
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' });
  });
});
