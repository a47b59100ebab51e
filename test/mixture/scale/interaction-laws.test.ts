import { describe, expect, it } from 'vitest';
import { fitInteractionLaw, InteractionLaw } from '../../../src/mixture/scale/interaction-laws.ts';
import { mixtures } from '../surrogates/runs-support.ts';

const forms = {
  additive: Float64Array.of(1.5, 0.3, 0.4, 2, 1, 0.5, 3, 0.7, 0.2).map(Math.log),
  product: Float64Array.of(1.5, 0.3, 0.4, 0.1, 0.5, 0.6, 2, 1, 0.5).map(Math.log),
} as const;

describe.each(['additive', 'product'] as const)('the %s law', (form) => {
  const shares = Float64Array.of(0.5, 0.2, 0.3);
  const data = Float64Array.of(0.4, 0.2, 0.25);

  it('has the slopes of its differences', () => {
    const parameters = forms[form];
    const slopes = {
      parameters: new Float64Array(parameters.length),
      shares: new Float64Array(3),
      data: new Float64Array(3),
    };
    const law = new InteractionLaw(form, parameters);
    law.loss(shares, data, 0, 1.3, 2.1, slopes);
    for (let at = 0; at < parameters.length; at++) {
      const moved = (step: number) => {
        const next = parameters.slice();
        next[at]! += step;
        return new InteractionLaw(form, next).loss(shares, data, 0, 1.3, 2.1);
      };
      expect(slopes.parameters[at]).toBeCloseTo((moved(1e-5) - moved(-1e-5)) / 2e-5, 7);
    }
    for (let at = 0; at < 3; at++) {
      const moved = (step: number, which: 'shares' | 'data') => {
        const next = { shares: shares.slice(), data: data.slice() };
        next[which][at]! += step;
        return law.loss(next.shares, next.data, 0, 1.3, 2.1);
      };
      const difference = (which: 'shares' | 'data') =>
        (moved(1e-6, which) - moved(-1e-6, which)) / 2e-6;
      expect(slopes.shares[at]).toBeCloseTo(difference('shares'), 6);
      expect(slopes.data[at]).toBeCloseTo(difference('data'), 6);
    }
  });

  it('is found again from its own losses, and holds ahead of them', async () => {
    const truth = new InteractionLaw(form, forms[form]);
    const drawn = mixtures(20, 3, 2);
    const at = (sizes: readonly number[], amounts: readonly number[]) =>
      sizes.flatMap((n) =>
        amounts.flatMap((d) => Array.from({ length: 20 }, (_, mixture) => ({ n, d, mixture }))),
      );
    const rows = at([0.3, 1, 3], [0.5, 1, 2]);
    const weights = Float64Array.from(
      rows.flatMap(({ mixture }) => [...drawn.subarray(mixture * 3, mixture * 3 + 3)]),
    );
    const losses = Float64Array.from(rows, ({ n, d }, row) =>
      truth.loss(weights, weights, row * 3, n, d),
    );
    const { law } = await fitInteractionLaw(
      {
        nRuns: rows.length,
        nDomains: 3,
        weights,
        dataWeights: weights,
        params: Float64Array.from(rows, ({ n }) => n),
        tokens: Float64Array.from(rows, ({ d }) => d),
      },
      losses,
      new Float64Array(rows.length).fill(1),
      { form, maxIterations: 200 },
    );
    for (let mixture = 0; mixture < 20; mixture++) {
      const ratio =
        law.loss(drawn, drawn, mixture * 3, 12, 8) / truth.loss(drawn, drawn, mixture * 3, 12, 8);
      expect(Math.abs(ratio - 1)).toBeLessThan(0.01);
    }
  });
});
