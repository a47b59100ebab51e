/**
 * Power laws of one and two terms: E + Σ_k e^(b_k) (Σ_i e^(a_ki) x_i + e^(a0_k))^(-β_k), fitted natively.
 *
 * Least squares with a weak pull towards typical parameters, L-BFGS from ten seeded starts (native/mixture/laws.h).
 * Predictions stay within the losses of the runs, widened by 0.3 of their range: two terms of few runs can blow up
 * elsewhere. There is no deviation.
 */
import { native } from '../../native/index.ts';
import type { FittedSurrogate, SurrogateData, SurrogateFamily } from '../types.ts';
import { checkFit, constantFit, constantOf, countMixtures, FittedReader } from './fitted-json.ts';
import { rowsOf } from './rows.ts';

/** Settings of the fit. */
export const POWER_LAW_DEFAULTS = Object.freeze({
  nStarts: 10,
  maxIterations: 800,
  /** Predictions beyond the losses seen, as a share of their range. */
  guard: 0.3,
});
const HAS = { deviation: false, gradient: true };

interface PowerLaw {
  readonly nTerms: number;
  readonly nDomains: number;
  /** `[E, then per term b, log β, log a0, log a_1 … log a_d]`. */
  readonly parameters: Float64Array;
  readonly lowest: number;
  readonly highest: number;
}

/** Exactly one term. */
export const power1 = powerLaw('power1', 1);
/** Two terms. */
export const power2 = powerLaw('power2', 2);

function powerLaw(name: 'power1' | 'power2', nTerms: number): SurrogateFamily {
  const family: SurrogateFamily = {
    name,
    minRuns: () => 8,
    async fit(data, { seed = 0, signal } = {}) {
      checkFit(family, data, signal);
      const constant = constantOf(data.losses);
      if (constant !== null) return constantFit(name, data.nDomains, constant, HAS);
      return fitPowerLaw(data, nTerms, { seed, start: new Float64Array(), signal });
    },
    fromJson(json) {
      const reader = new FittedReader(name, json);
      const { nDomains } = reader;
      if (reader.has('constant')) {
        return constantFit(name, nDomains, reader.number('constant'), HAS);
      }
      return fitted({
        nTerms,
        nDomains,
        parameters: reader.numbers('parameters', 1 + nTerms * (nDomains + 3)),
        lowest: reader.number('lowest'),
        highest: reader.number('highest'),
      });
    },
  };
  return family;
}

/** Fits from seeded starts, or from `start` alone when that is not empty. */
export async function fitPowerLaw(
  data: SurrogateData,
  nTerms: number,
  {
    seed,
    start,
    signal,
  }: {
    readonly seed: number;
    readonly start: Float64Array;
    readonly signal: AbortSignal | undefined;
  },
): Promise<FittedSurrogate> {
  const { nStarts, maxIterations, guard } = POWER_LAW_DEFAULTS;
  const request = { ...rowsOf(data), nTerms, nStarts, maxIterations, seed, start };
  const { parameters } = await native().mixture.fitLaw(request, signal);
  const lowest = data.losses.reduce((least, loss) => Math.min(least, loss));
  const highest = data.losses.reduce((most, loss) => Math.max(most, loss));
  const room = guard * (highest - lowest);
  return fitted({
    nTerms,
    nDomains: data.nDomains,
    parameters,
    lowest: lowest - room,
    highest: highest + room,
  });
}

/** The parameters of a law that was fitted to a target that is not constant. */
export function lawParameters(surrogate: FittedSurrogate): Float64Array {
  return (surrogate as FittedLaw).parameters;
}

interface FittedLaw extends FittedSurrogate {
  readonly parameters: Float64Array;
}

function fitted(law: PowerLaw): FittedLaw {
  const { nTerms, nDomains, parameters, lowest, highest } = law;
  const family = nTerms === 1 ? 'power1' : 'power2';
  const amounts = parameters.map(Math.exp);
  return {
    family,
    nDomains,
    parameters,
    predict(weights) {
      const mean = new Float64Array(countMixtures(weights, nDomains));
      for (let row = 0; row < mean.length; row++) {
        let value = parameters[0]!;
        for (let term = 0; term < nTerms; term++) {
          const first = 1 + term * (nDomains + 3);
          const base = baseOf(amounts, first, weights, row * nDomains, nDomains);
          value += Math.exp(parameters[first]! - amounts[first + 1]! * Math.log(base));
        }
        mean[row] = Math.min(highest, Math.max(lowest, value));
      }
      return { mean, deviation: null };
    },
    gradient(weights) {
      const gradient = new Float64Array(nDomains);
      let value = parameters[0]!;
      for (let term = 0; term < nTerms; term++) {
        const first = 1 + term * (nDomains + 3);
        const beta = amounts[first + 1]!;
        const base = baseOf(amounts, first, weights, 0, nDomains);
        const size = Math.exp(parameters[first]! - beta * Math.log(base));
        value += size;
        for (let domain = 0; domain < nDomains; domain++) {
          gradient[domain]! -= ((beta * size) / base) * amounts[first + 3 + domain]!;
        }
      }
      return value < lowest || value > highest ? gradient.fill(0) : gradient;
    },
    toJson: () => ({
      family,
      nDomains,
      parameters: Array.from(parameters),
      lowest,
      highest,
    }),
  };
}

/** Σ e^(a_i) x_i + e^(a0) of the term whose parameters begin at `first`. */
function baseOf(
  amounts: Float64Array,
  first: number,
  weights: Float64Array,
  offset: number,
  nDomains: number,
): number {
  let base = amounts[first + 2]!;
  for (let domain = 0; domain < nDomains; domain++) {
    base += amounts[first + 3 + domain]! * weights[offset + domain]!;
  }
  return base;
}
