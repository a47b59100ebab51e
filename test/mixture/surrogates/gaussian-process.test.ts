import { describe, expect, it } from 'vitest';
import {
  conditionProcess,
  GP_LIMITS,
  gaussianProcess,
  processParameters,
} from '../../../src/mixture/surrogates/gaussian-process.ts';
import type { SurrogateData } from '../../../src/mixture/types.ts';
import { native } from '../../../src/native/index.ts';
import { seededRandom } from '../../../src/seeded.ts';
import {
  differences,
  lossesOf,
  mixtures,
  relativeError,
  rmse,
  runsOf,
  typicalLoss,
} from './runs-support.ts';

/** The process of the header of native/mixture/gaussian_process.h, by plain elimination. */
function naive(data: SurrogateData, parameters: Float64Array) {
  const { nRuns, nDomains, weights, losses } = data;
  const logs = (table: Float64Array) => table.map((weight) => Math.log(weight + 0.01));
  const trained = logs(weights);
  const means = Array.from({ length: nDomains }, (_, domain) =>
    mean(Array.from({ length: nRuns }, (_, run) => trained[run * nDomains + domain]!)),
  );
  const scales = Array.from({ length: nDomains }, (_, domain) =>
    Math.sqrt(
      mean(
        Array.from(
          { length: nRuns },
          (_, run) => (trained[run * nDomains + domain]! - means[domain]!) ** 2,
        ),
      ),
    ),
  );
  const features = (table: Float64Array) =>
    logs(table).map((value, at) => (value - means[at % nDomains]!) / scales[at % nDomains]!);
  const lossMean = mean(Array.from(losses));
  const lossScale = Math.sqrt(mean(Array.from(losses, (loss) => (loss - lossMean) ** 2)));
  const target = losses.map((loss) => (loss - lossMean) / lossScale);
  const [signal, linear, noise] = Array.from(parameters.subarray(nDomains), Math.exp) as [
    number,
    number,
    number,
  ];
  const kernel = (left: Float64Array, row: number, right: Float64Array, column: number) => {
    let square = 0;
    let product = 0;
    for (let domain = 0; domain < nDomains; domain++) {
      const one = left[row * nDomains + domain]!;
      const other = right[column * nDomains + domain]!;
      square += ((one - other) / Math.exp(parameters[domain]!)) ** 2;
      product += one * other;
    }
    const radius = Math.sqrt(5 * square);
    return signal * (1 + radius + (5 * square) / 3) * Math.exp(-radius) + linear * product;
  };
  const points = features(weights);
  const matrix = Array.from({ length: nRuns }, (_, row) =>
    Array.from(
      { length: nRuns },
      (_, column) => kernel(points, row, points, column) + (row === column ? noise + 1e-8 : 0),
    ),
  );
  const { inverse, logDeterminant } = invert(matrix);
  const alpha = inverse.map((row) => row.reduce((sum, value, at) => sum + value * target[at]!, 0));
  let objective = 0.5 * (logDeterminant + nRuns * Math.log(2 * Math.PI));
  objective += 0.5 * alpha.reduce((sum, value, at) => sum + value * target[at]!, 0);
  for (let domain = 0; domain < nDomains; domain++) {
    objective += 0.5 * ((parameters[domain]! - Math.log(1.5 * Math.sqrt(nDomains))) / 1.5) ** 2;
  }
  objective += 0.5 * ((parameters[nDomains + 2]! + 3) / 1.5) ** 2;
  return {
    objective,
    predict(table: Float64Array) {
      const here = features(table);
      const rows = Array.from({ length: table.length / nDomains }, (_, row) => row);
      const crosses = rows.map((row) =>
        Array.from({ length: nRuns }, (_, run) => kernel(here, row, points, run)),
      );
      const dot = (left: number[], right: number[]) =>
        left.reduce((sum, value, at) => sum + value * right[at]!, 0);
      return {
        mean: Float64Array.from(crosses, (cross) => lossMean + lossScale * dot(cross, alpha)),
        deviation: Float64Array.from(rows, (row) => {
          const cross = crosses[row]!;
          const explained = dot(
            cross,
            inverse.map((line) => dot(line, cross)),
          );
          return lossScale * Math.sqrt(kernel(here, row, here, row) + noise - explained);
        }),
      };
    },
  };
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Gauss-Jordan elimination. */
function invert(matrix: number[][]) {
  const size = matrix.length;
  const rows = matrix.map((row, at) => [
    ...row,
    ...Array.from({ length: size }, (_, column) => (column === at ? 1 : 0)),
  ]);
  let logDeterminant = 0;
  for (let pivot = 0; pivot < size; pivot++) {
    const diagonal = rows[pivot]![pivot]!;
    logDeterminant += Math.log(diagonal);
    rows[pivot] = rows[pivot]!.map((value) => value / diagonal);
    for (let row = 0; row < size; row++) {
      const factor = rows[row]![pivot]!;
      if (row === pivot || factor === 0) continue;
      rows[row] = rows[row]!.map((value, at) => value - factor * rows[pivot]![at]!);
    }
  }
  return { inverse: rows.map((row) => row.slice(size)), logDeterminant };
}

/** Sizes around the blocks of the factorisation (48) and of the register tiles. */
const SIZES = [5, 47, 48, 49, 97, 150];

describe('the Gaussian process', () => {
  it.each(SIZES)('has the likelihood and gradient of a plain solve, %i runs', (nRuns) => {
    const nDomains = 4;
    const data = runsOf(nRuns, nDomains, nRuns, typicalLoss, 0.05);
    const random = seededRandom(nRuns);
    const parameters = Float64Array.from({ length: nDomains + 3 }, () => 2 * random() - 1);
    parameters[nDomains + 2] = -2;
    const gradient = new Float64Array(nDomains + 3);
    const { objective } = native().mixture;
    const value = objective('gp', { ...data, parameters, gradient });
    expect(value).toBeCloseTo(naive(data, parameters).objective, 7);
    const unused = new Float64Array(nDomains + 3);
    const numeric = differences(
      (point) => objective('gp', { ...data, parameters: point, gradient: unused }),
      parameters,
      1e-5,
    );
    expect(relativeError(gradient, numeric)).toBeLessThan(1e-6);
  });

  it.each([9, 100])('predicts as a plain solve does, %i runs', async (nRuns) => {
    const data = runsOf(nRuns, 3, 11, typicalLoss, 0.05);
    const parameters = Float64Array.of(0.3, 0.8, 1.1, 0.2, -1.5, -3);
    const unseen = mixtures(130, 3, 12);
    const fit = await conditionProcess(data, parameters, undefined);
    const { mean, deviation } = fit.predict(unseen);
    const expected = naive(data, parameters).predict(unseen);
    expect(relativeError(mean, expected.mean)).toBeLessThan(1e-9);
    expect(relativeError(deviation!, expected.deviation)).toBeLessThan(1e-6);
  });

  it('learns a smooth loss, and its intervals hold what they say', async () => {
    const data = runsOf(160, 4, 13, typicalLoss, 0.02);
    const fit = await gaussianProcess.fit(data);
    const unseen = runsOf(400, 4, 14, typicalLoss, 0.02);
    const { mean, deviation } = fit.predict(unseen.weights);
    expect(rmse(mean, lossesOf(unseen.weights, 4, typicalLoss))).toBeLessThan(0.02);
    const inside = unseen.losses.filter(
      (loss, at) => Math.abs(loss - mean[at]!) <= 1.645 * deviation![at]!,
    );
    expect(inside.length / 400).toBeGreaterThan(0.8);
    expect(inside.length / 400).toBeLessThan(0.97);
  });

  it('computes deviations of the weights that were asked for, also when they change later', async () => {
    const fit = await gaussianProcess.fit(runsOf(30, 3, 15, typicalLoss, 0.02));
    const unseen = mixtures(10, 3, 16);
    const expected = fit.predict(unseen.slice()).deviation;
    const prediction = fit.predict(unseen);
    unseen.fill(1 / 3);
    expect(prediction.deviation).toEqual(expected);
  });
});

describe('a process of many runs', () => {
  it('holds a part of them, the same one every time', async () => {
    // 6,000 runs did not end in minutes, and nothing said why.
    const data = runsOf(GP_LIMITS.runs + 100, 3, 41, typicalLoss, 0.01);
    const parameters = processParameters(await gaussianProcess.fit(runsOf(60, 3, 42, typicalLoss)));
    const fit = await conditionProcess(data, parameters, undefined);
    expect(fit.toJson()).toMatchObject({ nRuns: GP_LIMITS.runs });
    const unseen = mixtures(50, 3, 43);
    expect(rmse(fit.predict(unseen).mean, lossesOf(unseen, 3, typicalLoss))).toBeLessThan(0.02);
    const again = await conditionProcess(data, parameters, undefined);
    expect(again.predict(unseen).mean).toEqual(fit.predict(unseen).mean);
  });
});
