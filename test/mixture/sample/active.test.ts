import { describe, expect, it } from 'vitest';
import { chooseJointly, drawActive } from '../../../src/mixture/sample/active.ts';
import { drawDirichlet } from '../../../src/mixture/sample/dirichlet.ts';
import {
  type ProcessJson,
  posteriorCovariance,
  processOf,
} from '../../../src/mixture/sample/process-covariance.ts';
import { SURROGATE_FAMILIES } from '../../../src/mixture/surrogates/families.ts';
import type { FittedSurrogate } from '../../../src/mixture/types.ts';
import { seededRandom } from '../../../src/seeded.ts';

const nDomains = 3;

function mixtures(n: number, seed: number): Float64Array {
  const random = seededRandom(seed);
  const rows = new Float64Array(n * nDomains);
  for (let row = 0; row < n; row++) {
    drawDirichlet([1, 1, 1], random, rows.subarray(row * nDomains, (row + 1) * nDomains));
  }
  return rows;
}

function processJson(nRuns: number): ProcessJson {
  return {
    family: 'gp',
    ...{ nDomains, nRuns, lossScale: 0.5 },
    means: [-1.5, -1.4, -1.6],
    scales: [1, 0.9, 1.1],
    parameters: [0.5, 1, 0, 0.2, -1, -4],
    weights: [...mixtures(nRuns, 7)],
  };
}

function surrogateOf(json: unknown, family: FittedSurrogate['family'] = 'gp'): FittedSurrogate {
  const refuse = () => {
    throw new Error('not asked');
  };
  return { family, nDomains, predict: refuse, gradient: refuse, toJson: () => json };
}

/** Mean posterior variance over `over` when the process has seen `more` too, from scratch. */
function meanVariance(process: ProcessJson, over: Float64Array, more: Float64Array): number {
  const { matrix } = posteriorCovariance(process, over, more);
  const size = over.length / nDomains;
  let sum = 0;
  for (let at = 0; at < size; at++) sum += matrix[at * size + at]!;
  return sum / size;
}

describe('posteriorCovariance', () => {
  it('is the prior’s where nothing was seen, and shrinks to nothing at a run that is seen often', () => {
    const empty = { ...processJson(0), weights: [] };
    const at = mixtures(1, 3);
    const free = posteriorCovariance(empty, at).matrix[0]!;
    const features = at.map((w, d) => (Math.log(w + 0.01) - empty.means[d]!) / empty.scales[d]!);
    const linear = features.reduce((sum, value) => sum + value * value, 0) * Math.exp(-1);
    expect(free).toBeCloseTo(Math.exp(0.2) + linear, 10);
    // n runs at one place leave the variance 1 / (1/free + n/noise).
    const often = Float64Array.from({ length: 5 * nDomains }, (_, index) => at[index % nDomains]!);
    const expected = 1 / (1 / free + 5 / Math.exp(-4));
    expect(posteriorCovariance(empty, at, often).matrix[0]!).toBeCloseTo(expected, 6);
  });
});

describe('processOf and posteriorCovariance', () => {
  it('give the deviations that the native process itself gives, alone and in an ensemble', async () => {
    const weights = mixtures(40, 21);
    const losses = Float64Array.from({ length: 40 }, (_, row) => {
      const [first, second] = weights.subarray(row * nDomains);
      return 3 + Math.log(first! + 0.05) - second! ** 2 + 0.01 * Math.sin(99 * row);
    });
    const data = { nRuns: 40, nDomains, weights, losses };
    const surrogate = await SURROGATE_FAMILIES.gp.fit(data);
    const elsewhere = mixtures(20, 22);
    const { deviation } = surrogate.predict(elsewhere);
    const { matrix, noise, lossScale } = posteriorCovariance(processOf(surrogate)!, elsewhere);
    for (let at = 0; at < 20; at++) {
      const ours = lossScale * Math.sqrt(matrix[at * 20 + at]! + noise);
      expect(Math.abs(ours / deviation![at]! - 1)).toBeLessThan(1e-6);
    }
    const ensemble = await SURROGATE_FAMILIES.ensemble.fit(data);
    expect(processOf(ensemble)!.parameters).toEqual(processOf(surrogate)!.parameters);
  });
});

describe('chooseJointly', () => {
  it('makes the greedy choice of brute force, and foretells what conditioning then gives', async () => {
    const process = processJson(12);
    const over = mixtures(25, 9);
    const rowOf = (at: number) => over.subarray(at * nDomains, (at + 1) * nDomains);
    const expected: number[] = [];
    let more = new Float64Array();
    for (let pick = 0; pick < 4; pick++) {
      let best = { at: -1, variance: Number.POSITIVE_INFINITY };
      for (let at = 0; at < 25; at++) {
        const tried = Float64Array.from([...more, ...rowOf(at)]);
        const variance = meanVariance(process, over, tried);
        if (!expected.includes(at) && variance < best.variance) best = { at, variance };
      }
      expected.push(best.at);
      more = Float64Array.from([...more, ...rowOf(best.at)]);
    }
    const covariance = posteriorCovariance(process, over);
    expect(await chooseJointly([covariance], 4)).toEqual(expected);
    const after = posteriorCovariance(process, over, more).matrix;
    for (const [at, value] of covariance.matrix.entries()) expect(value).toBeCloseTo(after[at]!, 6);
  });

  it('does not spend two runs on twins', async () => {
    // Two pairs of mixtures: twins tell the same. The first pair is the more uncertain.
    const matrix = Float64Array.from([2, 2, 0, 0, 2, 2, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1]);
    const chosen = await chooseJointly([{ matrix, noise: 0.01, lossScale: 1 }], 2);
    expect(chosen.map((at) => at < 2)).toEqual([true, false]);
  });
});

describe('drawActive', () => {
  const free = { lower: new Float64Array(3), upper: Float64Array.from([1, 1, 0.25]) };
  const common = {
    ...{ n: 6, bounds: free, nUnits: 1000, seed: 1, nCandidates: 150 },
    prior: Float64Array.from([0.5, 0.3, 0.2]),
  };

  it('lowers uncertainty more than the first candidates do, within bounds, the same again', async () => {
    const process = processJson(20);
    const targets = [{ name: 'loss', surrogate: surrogateOf(process) }];
    const { rows, deviations } = await drawActive({ ...common, targets });
    expect(deviations[0]!.after).toBeLessThan(0.8 * deviations[0]!.before);
    for (const row of rows) {
      expect(row.reduce((sum, unit) => sum + unit, 0)).toBe(1000);
      expect(row[2]).toBeLessThanOrEqual(250);
    }
    expect(new Set(rows.map(String)).size).toBe(6);
    expect((await drawActive({ ...common, targets })).rows).toEqual(rows);
    const over = mixtures(200, 11);
    const flat = (chosen: readonly Int32Array[]) =>
      Float64Array.from(chosen.flatMap((row) => Array.from(row, (unit) => unit / 1000)));
    const random = mixtures(6, 12);
    expect(meanVariance(process, over, flat(rows))).toBeLessThan(
      meanVariance(process, over, random),
    );
  });

  it('finds the process of an ensemble, and refuses a fit without any', async () => {
    const process = processJson(20);
    const law = { family: 'power1', parameters: [1] };
    const ensemble = surrogateOf({ family: 'ensemble', members: [law, process] }, 'ensemble');
    expect(processOf(ensemble)).toBe(process);
    const targets = [{ name: 'loss', surrogate: surrogateOf(law, 'power1') }];
    await expect(drawActive({ ...common, targets })).rejects.toThrow(/Gaussian process.*power1/);
  });

  it('takes mixtures that are running as told', async () => {
    const targets = [{ name: 'loss', surrogate: surrogateOf(processJson(20)) }];
    const first = await drawActive({ ...common, targets });
    const pending = first.rows.map((row) => Float64Array.from(row, (unit) => unit / 1000));
    const second = await drawActive({ ...common, targets, pending });
    expect(second.deviations[0]!.before).toBeCloseTo(first.deviations[0]!.after, 6);
    expect(second.rows).not.toEqual(first.rows);
  });
});
