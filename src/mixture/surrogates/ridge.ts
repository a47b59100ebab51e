/**
 * Ridge regression on the raw weights, the linear baseline of RegMix (arXiv 2407.01492, appendix E).
 *
 * The penalty is chosen by seeded 5-fold cross-validation over 1e-3..1e3 (leave-one-out below ten runs); the intercept
 * is not penalised. It has no deviation.
 */
import { throwIfAborted } from '../../errors.ts';
import { seededRandom, shuffle } from '../../seeded.ts';
import type { FittedSurrogate, SurrogateData, SurrogateFamily } from '../types.ts';
import { checkFit, constantFit, constantOf, countMixtures, FittedReader } from './fitted-json.ts';

/** Penalties that cross-validation chooses from. */
export const RIDGE_PENALTIES: readonly number[] = [1e-3, 1e-2, 1e-1, 1, 10, 100, 1000];
const N_FOLDS = 5;
const HAS = { deviation: false, gradient: true };

export const ridge: SurrogateFamily = {
  name: 'ridge',
  minRuns: () => 3,
  async fit(data, { seed = 0, signal } = {}) {
    checkFit(ridge, data, signal);
    const constant = constantOf(data.losses);
    if (constant !== null) return constantFit('ridge', data.nDomains, constant, HAS);
    const order = Int32Array.from({ length: data.nRuns }, (_, run) => run);
    shuffle(order, seededRandom(seed));
    const nFolds = data.nRuns < 2 * N_FOLDS ? data.nRuns : N_FOLDS;
    const errors = new Float64Array(RIDGE_PENALTIES.length);
    for (let fold = 0; fold < nFolds; fold++) {
      throwIfAborted(signal, 'the ridge fit');
      const train = order.filter((_, at) => at % nFolds !== fold);
      const held = order.filter((_, at) => at % nFolds === fold);
      const solve = prepare(data, train);
      for (const [at, penalty] of RIDGE_PENALTIES.entries()) {
        const model = solve(penalty);
        for (const run of held) {
          errors[at]! += (evaluate(model, data.weights, run) - data.losses[run]!) ** 2;
        }
      }
    }
    const penalty = RIDGE_PENALTIES[errors.indexOf(Math.min(...errors))]!;
    return fitted({ ...prepare(data, order)(penalty), penalty });
  },
  fromJson(json) {
    const reader = new FittedReader('ridge', json);
    const { nDomains } = reader;
    if (reader.has('constant')) {
      return constantFit('ridge', nDomains, reader.number('constant'), HAS);
    }
    return fitted({
      intercept: reader.number('intercept'),
      slopes: reader.numbers('slopes', nDomains),
      penalty: reader.number('penalty'),
    });
  },
};

interface Linear {
  readonly intercept: number;
  readonly slopes: Float64Array;
}

function fitted(model: Linear & { readonly penalty: number }): FittedSurrogate {
  const nDomains = model.slopes.length;
  return {
    family: 'ridge',
    nDomains,
    predict(weights) {
      const mean = new Float64Array(countMixtures(weights, nDomains));
      for (let row = 0; row < mean.length; row++) mean[row] = evaluate(model, weights, row);
      return { mean, deviation: null };
    },
    gradient: () => model.slopes.slice(),
    toJson: () => ({
      family: 'ridge',
      nDomains,
      intercept: model.intercept,
      slopes: Array.from(model.slopes),
      penalty: model.penalty,
    }),
  };
}

function evaluate({ intercept, slopes }: Linear, weights: Float64Array, row: number): number {
  let sum = intercept;
  for (let domain = 0; domain < slopes.length; domain++) {
    sum += slopes[domain]! * weights[row * slopes.length + domain]!;
  }
  return sum;
}

/** The centred normal equations of some runs; what it returns solves them for a penalty. */
function prepare(
  { nDomains, weights, losses }: SurrogateData,
  runs: Int32Array,
): (penalty: number) => Linear {
  const means = new Float64Array(nDomains);
  let lossMean = 0;
  for (const run of runs) {
    lossMean += losses[run]! / runs.length;
    for (let domain = 0; domain < nDomains; domain++) {
      means[domain]! += weights[run * nDomains + domain]! / runs.length;
    }
  }
  const gram = new Float64Array(nDomains * nDomains);
  const right = new Float64Array(nDomains);
  const centred = new Float64Array(nDomains);
  for (const run of runs) {
    for (let domain = 0; domain < nDomains; domain++) {
      centred[domain] = weights[run * nDomains + domain]! - means[domain]!;
    }
    for (let row = 0; row < nDomains; row++) {
      right[row]! += centred[row]! * (losses[run]! - lossMean);
      for (let column = 0; column <= row; column++) {
        gram[row * nDomains + column]! += centred[row]! * centred[column]!;
      }
    }
  }
  return (penalty) => {
    const factor = gram.slice();
    for (let row = 0; row < nDomains; row++) factor[row * nDomains + row]! += penalty;
    const slopes = solveCholesky(factor, right, nDomains);
    let intercept = lossMean;
    for (let domain = 0; domain < nDomains; domain++) {
      intercept -= slopes[domain]! * means[domain]!;
    }
    return { intercept, slopes };
  };
}

/** Solves a positive definite system given by its lower triangle, which is overwritten. */
function solveCholesky(factor: Float64Array, right: Float64Array, size: number): Float64Array {
  for (let column = 0; column < size; column++) {
    for (let row = column; row < size; row++) {
      let sum = factor[row * size + column]!;
      for (let at = 0; at < column; at++) {
        sum -= factor[row * size + at]! * factor[column * size + at]!;
      }
      factor[row * size + column] =
        row === column ? Math.sqrt(sum) : sum / factor[column * size + column]!;
    }
  }
  const solution = right.slice();
  for (let row = 0; row < size; row++) {
    for (let at = 0; at < row; at++) solution[row]! -= factor[row * size + at]! * solution[at]!;
    solution[row]! /= factor[row * size + row]!;
  }
  for (let row = size - 1; row >= 0; row--) {
    for (let at = row + 1; at < size; at++) {
      solution[row]! -= factor[at * size + row]! * solution[at]!;
    }
    solution[row]! /= factor[row * size + row]!;
  }
  return solution;
}
