import { describe, expect, it } from 'vitest';
import { fitMixture } from '../../../src/mixture/fit.ts';
import { fitAt, rangeOfFit, scalesTowards } from '../../../src/mixture/scale/at.ts';
import { linearLaw, runsOf } from '../laws.ts';
import { scaleRuns } from './synthetic.ts';

describe('fitAt', () => {
  it('stays within the runs unless it is told otherwise', async () => {
    const fit = await fitMixture({ runs: scaleRuns(), model: 'scale', folds: 0 });
    expect(rangeOfFit(fit)).toEqual({ params: [1e8, 9e8], tokens: [2e9, 1e10] });
    expect(fitAt(fit, { params: 5e8, tokens: 1e10 }).model).toBe('scale');
    const beyond = { params: 7e9, tokens: 1e10 };
    expect(() => fitAt(fit, beyond)).toThrow(
      expect.objectContaining({
        code: 'MIXTURE_BEYOND_RUNS',
        message: expect.stringContaining('asked for 7000000000 params'),
      }),
    );
    const { surrogates } = fitAt(fit, beyond, { beyond: true });
    const [home] = fit.surrogates;
    const weights = Float64Array.of(0.4, 0.3, 0.3);
    expect(surrogates[0]!.predict(weights).mean[0]).toBeLessThan(home!.predict(weights).mean[0]!);
    expect(() => fitAt(fit, { params: -1, tokens: 1e10 }, { beyond: true })).toThrow(/above 0/);
  });

  it('refuses a fit that knows no scales', async () => {
    const runs = runsOf({ line: linearLaw([1, -1, 0.5]) }, { nRuns: 40, nDomains: 3 });
    const fit = await fitMixture({ runs, model: 'ridge', folds: 0 });
    expect(rangeOfFit(fit)).toBeNull();
    expect(() => fitAt(fit, { params: 1e9, tokens: 1e9 })).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID' }),
    );
    const scaled = fitMixture({ runs, model: 'scale', folds: 0 });
    await expect(scaled).rejects.toThrow(/columns params and tokens/);
  });

  it('walks to a scale in even steps of the logarithm', () => {
    const range = { params: [1e8, 9e8], tokens: [1e9, 1e11] } as const;
    const path = scalesTowards(range, { params: 1e11, tokens: 1e13 }, 4);
    expect(path.map(({ params }) => params)).toEqual([1e8, 1e9, 1e10, 1e11]);
    expect(path.map(({ tokens }) => tokens)).toEqual([1e10, 1e11, 1e12, 1e13]);
  });
});
