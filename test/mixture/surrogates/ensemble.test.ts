import { describe, expect, it } from 'vitest';
import { SURROGATE_FAMILIES } from '../../../src/mixture/surrogates/families.ts';
import { lossesOf, mixtures, rmse, runsOf, typicalLoss } from './runs-support.ts';

describe('the ensemble', () => {
  const data = runsOf(120, 4, 51, typicalLoss, 0.02);
  const unseen = runsOf(300, 4, 52, typicalLoss, 0.02);

  it('is the plain mean of its four members', async () => {
    const fit = await SURROGATE_FAMILIES.ensemble.fit(data, { seed: 2 });
    const members = await Promise.all(
      (['gp', 'power1', 'power2', 'gbdt'] as const).map((name) =>
        SURROGATE_FAMILIES[name].fit(data, { seed: 2 }),
      ),
    );
    const means = members.map((member) => member.predict(unseen.weights).mean);
    const { mean } = fit.predict(unseen.weights);
    for (let row = 0; row < mean.length; row++) {
      expect(mean[row]!).toBeCloseTo(
        means.reduce((sum, values) => sum + values[row]! / 4, 0),
        12,
      );
    }
  });

  it('predicts well, and its 90 % intervals hold about as many unseen runs', async () => {
    const fit = await SURROGATE_FAMILIES.ensemble.fit(data);
    const { mean, deviation } = fit.predict(unseen.weights);
    expect(rmse(mean, lossesOf(unseen.weights, 4, typicalLoss))).toBeLessThan(0.03);
    const inside = unseen.losses.filter(
      (loss, at) => Math.abs(loss - mean[at]!) <= 1.645 * deviation![at]!,
    );
    expect(inside.length / 300).toBeGreaterThan(0.82);
    expect(inside.length / 300).toBeLessThan(0.98);
  });

  it('is wider where its members differ and the process knows little', async () => {
    const near = runsOf(60, 3, 53, typicalLoss);
    for (let run = 0; run < 60; run++) {
      // No run has more than a third of the last domain.
      const row = near.weights.subarray(run * 3, run * 3 + 3);
      const last = row[2]! / 3;
      const rest = row[0]! + row[1]! + 1e-9;
      row.set([((1 - last) * row[0]!) / rest, ((1 - last) * row[1]!) / rest, last]);
    }
    const losses = lossesOf(near.weights, 3, typicalLoss);
    const fit = await SURROGATE_FAMILIES.ensemble.fit({ ...near, losses });
    const inside = fit.predict(
      mixtures(50, 3, 54).map((weight, at) => (at % 3 === 2 ? 0 : weight)),
    );
    const outside = fit.predict(Float64Array.of(0, 0, 1));
    const median = Array.from(inside.deviation!).sort((left, right) => left - right)[25]!;
    expect(outside.deviation![0]!).toBeGreaterThan(2 * median);
  });
});
