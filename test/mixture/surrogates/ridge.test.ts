import { describe, expect, it } from 'vitest';
import { RIDGE_PENALTIES, ridge } from '../../../src/mixture/surrogates/ridge.ts';
import { lossesOf, mixtures, rmse, runsOf } from './runs-support.ts';

const linear = (mixture: Float64Array) => 3 - 0.5 * mixture[0]! + 0.25 * mixture[1]!;

describe('ridge', () => {
  it('recovers a linear loss under the smallest penalty', async () => {
    const fit = await ridge.fit(runsOf(80, 4, 41, linear));
    const unseen = mixtures(100, 4, 42);
    expect(rmse(fit.predict(unseen).mean, lossesOf(unseen, 4, linear))).toBeLessThan(1e-3);
    expect((fit.toJson() as { penalty: number }).penalty).toBe(RIDGE_PENALTIES[0]);
  });

  it('chooses a large penalty where there is nothing but noise', async () => {
    const fit = await ridge.fit(runsOf(40, 8, 43, () => 2, 0.5));
    expect((fit.toJson() as { penalty: number }).penalty).toBeGreaterThan(1);
  });

  it('solves the penalised normal equations', async () => {
    const data = runsOf(30, 3, 44, linear, 0.2);
    const { slopes, intercept, penalty } = (await ridge.fit(data)).toJson() as {
      slopes: number[];
      intercept: number;
      penalty: number;
    };
    const residuals = data.losses.map(
      (loss, run) =>
        loss -
        intercept -
        slopes.reduce((sum, slope, at) => sum + slope * data.weights[run * 3 + at]!, 0),
    );
    expect(residuals.reduce((sum, residual) => sum + residual, 0)).toBeCloseTo(0, 10);
    for (const [domain, slope] of slopes.entries()) {
      const pull = residuals.reduce(
        (sum, residual, run) => sum + residual * data.weights[run * 3 + domain]!,
        0,
      );
      expect(pull).toBeCloseTo(penalty * slope, 10);
    }
  });
});
