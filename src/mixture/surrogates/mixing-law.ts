/**
 * The mixing law e^c + e^(t·x) (Data Mixing Laws, arXiv 2403.16952, equation 1), fitted natively.
 *
 * Huber loss with a delta of 0.02, L-BFGS from eight seeded starts (native/mixture/laws.h). The paper's factor before the
 * exponential is part of t, because weights sum to 1. There is no deviation.
 */
import { native } from '../../native/index.ts';
import type { FittedSurrogate, SurrogateFamily } from '../types.ts';
import { checkFit, constantFit, constantOf, countMixtures, FittedReader } from './fitted-json.ts';
import { rowsOf } from './rows.ts';

/** Settings of the fit. */
export const MIXING_LAW_DEFAULTS = Object.freeze({ nStarts: 8, maxIterations: 800 });
const HAS = { deviation: false, gradient: true };

export const mixingLaw: SurrogateFamily = {
  name: 'mixing-law',
  minRuns: () => 8,
  async fit(data, { seed = 0, signal } = {}) {
    checkFit(mixingLaw, data, signal);
    const constant = constantOf(data.losses);
    if (constant !== null) return constantFit('mixing-law', data.nDomains, constant, HAS);
    const start = new Float64Array();
    const request = { ...rowsOf(data), ...MIXING_LAW_DEFAULTS, nTerms: 0, seed, start };
    return fitted((await native().mixture.fitLaw(request, signal)).parameters);
  },
  fromJson(json) {
    const reader = new FittedReader('mixing-law', json);
    const { nDomains } = reader;
    if (reader.has('constant')) {
      return constantFit('mixing-law', nDomains, reader.number('constant'), HAS);
    }
    return fitted(reader.numbers('parameters', nDomains + 1));
  },
};

/** @param parameters `[c, t_1 … t_d]` */
function fitted(parameters: Float64Array): FittedSurrogate {
  const nDomains = parameters.length - 1;
  const floor = Math.exp(parameters[0]!);
  const termOf = (weights: Float64Array, row: number): number => {
    let sum = 0;
    for (let domain = 0; domain < nDomains; domain++) {
      sum += parameters[1 + domain]! * weights[row * nDomains + domain]!;
    }
    return Math.exp(sum);
  };
  return {
    family: 'mixing-law',
    nDomains,
    predict(weights) {
      const mean = new Float64Array(countMixtures(weights, nDomains));
      for (let row = 0; row < mean.length; row++) mean[row] = floor + termOf(weights, row);
      return { mean, deviation: null };
    },
    gradient(weights) {
      const term = termOf(weights, 0);
      return Float64Array.from({ length: nDomains }, (_, at) => term * parameters[1 + at]!);
    },
    toJson: () => ({ family: 'mixing-law', nDomains, parameters: Array.from(parameters) }),
  };
}
