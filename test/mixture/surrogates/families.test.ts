import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { SURROGATE_FAMILIES } from '../../../src/mixture/surrogates/families.ts';
import type { Prediction, SurrogateData } from '../../../src/mixture/types.ts';
import type { MixtureAddon } from '../../../src/native/mixture.ts';
import { addonFile } from '../../../src/paths.ts';
import { differences, mixtures, relativeError, runsOf, typicalLoss } from './runs-support.ts';

const FAMILIES = Object.entries(SURROGATE_FAMILIES);
const WITH_DEVIATION = ['gp', 'ensemble'];

function valuesOf({ mean, deviation }: Prediction): number[][] {
  return [Array.from(mean), Array.from(deviation ?? [])];
}

describe.each(FAMILIES)('%s', (name, family) => {
  const data = runsOf(60, 5, 1, typicalLoss, 0.01);
  const unseen = mixtures(150, 5, 2);

  it('goes by its name and gives the same bytes again, alone or beside other fits', async () => {
    expect(family.name).toBe(name);
    const alone = await family.fit(data, { seed: 3 });
    expect(alone.family).toBe(name);
    expect(alone.nDomains).toBe(5);
    const beside = await Promise.all(
      Array.from({ length: 4 }, () => family.fit(data, { seed: 3 })),
    );
    for (const fit of beside) {
      expect(JSON.stringify(fit.toJson())).toBe(JSON.stringify(alone.toJson()));
      expect(valuesOf(fit.predict(unseen))).toEqual(valuesOf(alone.predict(unseen)));
    }
  });

  it('predicts bit-equally after JSON', async () => {
    const fit = await family.fit(data);
    const read = family.fromJson(JSON.parse(JSON.stringify(fit.toJson())));
    expect(valuesOf(read.predict(unseen))).toEqual(valuesOf(fit.predict(unseen)));
    const point = unseen.slice(0, 5);
    expect(read.gradient(point)).toEqual(fit.gradient(point));
    expect(read.toJson()).toEqual(fit.toJson());
  });

  it('has a deviation or none, and a gradient that differences confirm', async () => {
    const fit = await family.fit(data);
    const { mean, deviation } = fit.predict(unseen);
    expect(mean).toHaveLength(150);
    if (WITH_DEVIATION.includes(name)) {
      expect(deviation!.every((value) => value > 0)).toBe(true);
    } else {
      expect(deviation).toBeNull();
    }
    const point = Float64Array.of(0.31, 0.21, 0.23, 0.14, 0.11);
    const gradient = fit.gradient(point);
    if (name === 'gbdt') {
      expect(gradient).toBeNull();
    } else {
      const numeric = differences((at) => fit.predict(at).mean[0]!, point, 1e-6);
      expect(relativeError(gradient!, numeric)).toBeLessThan(1e-4);
    }
  });

  it('predicts a constant target exactly, with deviation 0', async () => {
    const constant = { ...data, losses: new Float64Array(60).fill(1.5) };
    const fit = await family.fit(constant);
    const read = family.fromJson(JSON.parse(JSON.stringify(fit.toJson())));
    for (const { mean, deviation } of [fit.predict(unseen), read.predict(unseen)]) {
      expect(new Set(mean)).toEqual(new Set([1.5]));
      if (WITH_DEVIATION.includes(name)) expect(new Set(deviation)).toEqual(new Set([0]));
      else expect(deviation).toBeNull();
    }
    if (name !== 'gbdt') expect(new Set(fit.gradient(unseen.slice(0, 5)))).toEqual(new Set([0]));
  });

  it('refuses fewer runs than it needs and fits that many', async () => {
    const fewest = family.minRuns(5);
    const few = runsOf(fewest, 5, 4, typicalLoss);
    const short: SurrogateData = {
      ...few,
      nRuns: fewest - 1,
      weights: few.weights.subarray(0, (fewest - 1) * 5),
      losses: few.losses.subarray(0, fewest - 1),
    };
    await expect(family.fit(short)).rejects.toMatchObject({
      code: 'MIXTURE_DATA_TOO_SMALL',
      details: { minimum: fewest, received: fewest - 1 },
    });
    const { mean, deviation } = (await family.fit(few)).predict(unseen);
    expect(mean.every(Number.isFinite)).toBe(true);
    expect(deviation?.every(Number.isFinite) ?? true).toBe(true);
  });

  it.each([
    [8, 3],
    [8, 20],
    [64, 20],
  ])(
    'fits %i runs of %i domains, rows twice, a domain that never changes',
    async (nRuns, nDomains) => {
      const half = runsOf(nRuns / 2, nDomains, 5, typicalLoss);
      const weights = new Float64Array([...half.weights, ...half.weights]);
      for (let row = 0; row < nRuns; row++) weights[row * nDomains + nDomains - 1] = 0;
      const losses = new Float64Array([...half.losses, ...half.losses.map((loss) => loss + 0.01)]);
      const fit = await family.fit({ nRuns, nDomains, weights, losses });
      const { mean, deviation } = fit.predict(mixtures(40, nDomains, 6));
      expect(mean.every(Number.isFinite)).toBe(true);
      expect(deviation?.every(Number.isFinite) ?? true).toBe(true);
    },
  );

  it('refuses JSON of another family or with a field missing or wrong', async () => {
    const json = (await family.fit(data)).toJson() as Record<string, unknown>;
    const refused = { code: 'MIXTURE_FIT_INVALID' };
    const attempts: unknown[] = [null, 'text', [], { ...json, family: 'other' }];
    for (const [field, value] of Object.entries(json)) {
      if (field === 'family') continue;
      attempts.push({ ...json, [field]: undefined }, { ...json, [field]: 'text' });
      if (Array.isArray(value)) attempts.push({ ...json, [field]: value.slice(1) });
      if (Array.isArray(value)) attempts.push({ ...json, [field]: [null, ...value.slice(1)] });
    }
    for (const attempt of attempts) {
      // A tree fewer is a model, too.
      if (
        name === 'gbdt' &&
        (attempt as { roots?: [] })?.roots?.length !== (json['roots'] as [])?.length
      ) {
        continue;
      }
      expect(() => family.fromJson(attempt), JSON.stringify(attempt)?.slice(0, 80)).toThrowError(
        expect.objectContaining(refused),
      );
    }
  });

  it('refuses weights that are not whole mixtures', async () => {
    const fit = await family.fit(data);
    expect(() => fit.predict(new Float64Array(7))).toThrowError(
      expect.objectContaining({ code: 'OPTION_INVALID' }),
    );
  });

  it('stops when aborted, before and while it fits', async () => {
    await expect(family.fit(data, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    });
    if (name === 'ridge') return;
    const many = runsOf(
      name === 'gp' || name === 'ensemble' ? 500 : 4000,
      15,
      7,
      typicalLoss,
      0.05,
    );
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 30);
    await expect(family.fit(many, { signal: controller.signal })).rejects.toMatchObject({
      code: 'ABORTED',
    });
  });
});

describe('predictions', () => {
  it('do not depend on the number of threads', async () => {
    const data = runsOf(80, 4, 8, typicalLoss, 0.02);
    const addon = createRequire(import.meta.url)(addonFile) as MixtureAddon;
    const cancel = new Int32Array(1);
    const process = {
      ...(await addon.fitGaussianProcess({
        ...data,
        start: new Float64Array(),
        maxIterations: 5,
        cancel,
      })),
      weights: data.weights,
    };
    const factor = addon.gaussianProcessFactor(process);
    const unseen = mixtures(1000, 4, 9);
    const results = [1, 2, 7].map((nThreads) => {
      const means = new Float64Array(1000);
      const deviations = new Float64Array(1000);
      addon.predictGaussianProcess(process, {
        mixtures: unseen,
        means,
        factor,
        deviations,
        nThreads,
      });
      return { means, deviations };
    });
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });
});
