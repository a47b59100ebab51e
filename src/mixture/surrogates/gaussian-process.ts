/**
 * Gaussian process: ARD Matérn-5/2 plus a linear kernel on standardised log weights, natively.
 *
 * Parameters maximise the posterior by L-BFGS with analytic gradients (native/mixture/gaussian_process.h has the kernel
 * and the priors). The deviation is that of a new run: it includes the noise. It needs the inverse Cholesky factor of the
 * runs' kernel matrix, which is not stored but made again at first use, the same on every reading.
 *
 * Work grows with the cube of the runs: from {@link GP_LIMITS}.parameterRuns on the parameters are those of a part of them, and
 * no more than {@link GP_LIMITS}.runs are held at all; fits say so.
 *
 * @see Rasmussen & Williams 2006, chapters 2 and 5
 */
import { native } from '../../native/index.ts';
import type { ProcessFit, ProcessModel } from '../../native/mixture.ts';
import { seededRandom, shuffle } from '../../seeded.ts';
import type { FittedSurrogate, SurrogateData, SurrogateFamily } from '../types.ts';
import { checkFit, constantFit, constantOf, countMixtures, FittedReader } from './fitted-json.ts';
import { dataOf, rowsOf } from './rows.ts';

/** Iterations of L-BFGS at most. */
export const GP_ITERATIONS = 25;
/** Runs that parameters are fitted on, and that a process holds, at most. */
export const GP_LIMITS = Object.freeze({ parameterRuns: 1000, runs: 2000 });
const HAS = { deviation: true, gradient: true };

/** A fitted process, with the logarithms of its parameters. */
interface FittedProcess extends FittedSurrogate {
  readonly parameters: Float64Array;
}

export const gaussianProcess: SurrogateFamily = {
  name: 'gp',
  minRuns: () => 8,
  fit: (data, { signal } = {}) => fitGaussianProcess(data, signal),
  fromJson(json) {
    const reader = new FittedReader('gp', json);
    const { nDomains } = reader;
    if (reader.has('constant')) {
      return constantFit('gp', nDomains, reader.number('constant'), HAS);
    }
    const nRuns = reader.count('nRuns', 1, 1_000_000);
    return fitted({
      weights: reader.numbers('weights', nRuns * nDomains),
      means: reader.numbers('means', nDomains),
      scales: reader.numbers('scales', nDomains),
      lossMean: reader.number('lossMean'),
      lossScale: reader.number('lossScale'),
      parameters: reader.numbers('parameters', nDomains + 3),
      alpha: reader.numbers('alpha', nRuns),
    });
  },
};

async function fitGaussianProcess(
  data: SurrogateData,
  signal: AbortSignal | undefined,
): Promise<FittedSurrogate> {
  checkFit(gaussianProcess, data, signal);
  const constant = constantOf(data.losses);
  if (constant !== null) return constantFit('gp', data.nDomains, constant, HAS);
  const start = new Float64Array();
  const part = thinned(data, GP_LIMITS.parameterRuns);
  const request = { ...rowsOf(part), start, maxIterations: GP_ITERATIONS };
  const fit = await native().mixture.fitProcess(request, signal);
  return part === data
    ? fitted(withRuns(fit, data.weights))
    : conditionProcess(data, fit.parameters, signal);
}

/** Runs drawn from all of them, the same ones every time; all where there are no more. */
function thinned(data: SurrogateData, most: number): SurrogateData {
  if (data.nRuns <= most) return data;
  const order = Int32Array.from({ length: data.nRuns }, (_, run) => run);
  shuffle(order, seededRandom(0));
  return dataOf(data, order.slice(0, most).sort());
}

/** A process of other runs under parameters that were fitted before; nothing is optimised. */
export async function conditionProcess(
  data: SurrogateData,
  parameters: Float64Array,
  signal: AbortSignal | undefined,
): Promise<FittedSurrogate> {
  const part = thinned(data, GP_LIMITS.runs);
  const request = { ...rowsOf(part), start: parameters, maxIterations: 0 };
  return fitted(withRuns(await native().mixture.fitProcess(request, signal), part.weights));
}

/** The parameters of a process that was fitted to a target that is not constant. */
export function processParameters(surrogate: FittedSurrogate): Float64Array {
  return (surrogate as FittedProcess).parameters;
}

function withRuns(fit: ProcessFit, weights: Float64Array): ProcessModel {
  return { ...fit, weights: weights.slice() };
}

function fitted(model: ProcessModel): FittedProcess {
  const nDomains = model.means.length;
  let factor: Float64Array | undefined;
  return {
    family: 'gp',
    nDomains,
    parameters: model.parameters,
    predict(weights) {
      countMixtures(weights, nDomains);
      const { mixture } = native();
      const { means } = mixture.predictProcess(model, weights, null);
      const kept = weights.slice();
      let deviations: Float64Array | undefined;
      return {
        mean: means,
        // n² multiplications a mixture against n for the mean: made only when somebody looks.
        get deviation() {
          factor ??= mixture.processFactor(model);
          deviations ??= mixture.predictProcess(model, kept, factor).deviations!;
          return deviations;
        },
      };
    },
    gradient: (weights) => native().mixture.processGradient(model, weights),
    toJson: () => ({
      family: 'gp',
      nDomains,
      nRuns: model.alpha.length,
      means: Array.from(model.means),
      scales: Array.from(model.scales),
      lossMean: model.lossMean,
      lossScale: model.lossScale,
      parameters: Array.from(model.parameters),
      alpha: Array.from(model.alpha),
      weights: Array.from(model.weights),
    }),
  };
}
