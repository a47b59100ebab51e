/**
 * The ensemble: the plain mean of gp, power1, power2 and gbdt. Equal weights, nothing is fitted on top.
 *
 * Its deviation at a mixture is `scale · √(g² + s²)`, with g the Gaussian process' deviation there and s the standard
 * deviation of the four members' means. `scale` comes from the training runs alone: five seeded folds are predicted by
 * members fitted without them (the process under its parameters of the whole fit, laws continued from theirs, as many
 * trees), and `scale` is the 0.9 quantile of |residual| / √(g² + s²) over 1.645, so that normal 90 % intervals hold 90 %
 * of the held-out runs.
 *
 * Trees are piecewise constant: the gradient is that of the other three members, a quarter each, which is the gradient
 * of the mean almost everywhere.
 */
import { throwIfAborted } from '../../errors.ts';
import { seededRandom, shuffle } from '../../seeded.ts';
import type {
  FitOptions,
  FittedSurrogate,
  Prediction,
  SurrogateData,
  SurrogateFamily,
} from '../types.ts';
import { checkFit, constantFit, constantOf, FittedReader } from './fitted-json.ts';
import { conditionProcess, gaussianProcess, processParameters } from './gaussian-process.ts';
import { boostRounds, gbdt, roundsOf } from './gbdt.ts';
import { fitPowerLaw, lawParameters, power1, power2 } from './power-law.ts';
import { dataOf } from './rows.ts';

/** The members, in the order in which they are stored. */
const MEMBERS: readonly SurrogateFamily[] = [gaussianProcess, power1, power2, gbdt];
const N_FOLDS = 5;
/** What normal intervals take to each side of the mean for {@link COVERAGE}. */
const NORMAL_QUANTILE = 1.6448536269514722;
const COVERAGE = 0.9;
const HAS = { deviation: true, gradient: true };

export const ensemble: SurrogateFamily = {
  name: 'ensemble',
  minRuns: (nDomains) => Math.max(...MEMBERS.map((member) => member.minRuns(nDomains))),
  async fit(data, options = {}) {
    checkFit(ensemble, data, options.signal);
    const constant = constantOf(data.losses);
    if (constant !== null) return constantFit('ensemble', data.nDomains, constant, HAS);
    const members = await Promise.all(MEMBERS.map((member) => member.fit(data, options)));
    return fitted(members, options.unscaled ? 1 : await calibrate(data, members, options));
  },
  fromJson(json) {
    const reader = new FittedReader('ensemble', json);
    const { nDomains } = reader;
    if (reader.has('constant')) {
      return constantFit('ensemble', nDomains, reader.number('constant'), HAS);
    }
    const stored = reader.value('members');
    if (!Array.isArray(stored) || stored.length !== MEMBERS.length) {
      throw reader.refuse(`members: expected ${MEMBERS.length} of them`);
    }
    const members = MEMBERS.map((member, at) => member.fromJson(stored[at]));
    const odd = members.find((member) => member.nDomains !== nDomains);
    if (odd) {
      throw reader.refuse(`${odd.family}: expected ${nDomains} domains, found ${odd.nDomains}`);
    }
    return fitted(members, reader.number('scale'));
  },
};

/** Mean and uncalibrated deviation of the members' predictions. */
function combine(predictions: readonly Prediction[]): {
  readonly mean: Float64Array;
  deviation(): Float64Array;
} {
  const nMembers = predictions.length;
  const mean = new Float64Array(predictions[0]!.mean.length);
  for (const prediction of predictions) {
    for (let row = 0; row < mean.length; row++) mean[row]! += prediction.mean[row]! / nMembers;
  }
  return {
    mean,
    deviation() {
      const process = predictions[0]!.deviation!;
      return mean.map((centre, row) => {
        let squares = process[row]! ** 2;
        for (const prediction of predictions) {
          squares += (prediction.mean[row]! - centre) ** 2 / nMembers;
        }
        return Math.sqrt(squares);
      });
    },
  };
}

/** The factor of the deviation, from folds of the training runs. */
async function calibrate(
  data: SurrogateData,
  members: readonly FittedSurrogate[],
  { seed = 0, signal }: FitOptions,
): Promise<number> {
  const { nRuns } = data;
  const order = Int32Array.from({ length: nRuns }, (_, run) => run);
  shuffle(order, seededRandom(seed));
  const nFolds = Math.min(N_FOLDS, nRuns);
  const [process, one, two, trees] = members as [
    FittedSurrogate,
    FittedSurrogate,
    FittedSurrogate,
    FittedSurrogate,
  ];
  const parameters = processParameters(process);
  const starts = [lawParameters(one), lawParameters(two)];
  const ratios = await Promise.all(
    Array.from({ length: nFolds }, async (_, fold) => {
      const train = dataOf(
        data,
        order.filter((_, at) => at % nFolds !== fold),
      );
      const held = dataOf(
        data,
        order.filter((_, at) => at % nFolds === fold),
      );
      const models = await Promise.all([
        conditionProcess(train, parameters, signal),
        fitPowerLaw(train, 1, { seed, start: starts[0]!, signal }),
        fitPowerLaw(train, 2, { seed, start: starts[1]!, signal }),
        boostRounds(train, roundsOf(trees), signal),
      ]);
      throwIfAborted(signal, 'the ensemble fit');
      const { mean, deviation } = combine(models.map((model) => model.predict(held.weights)));
      const deviations = deviation();
      return Array.from(held.losses, (loss, row) => Math.abs(loss - mean[row]!) / deviations[row]!);
    }),
  );
  const sorted = Float64Array.from(ratios.flat()).sort();
  const at = Math.min(nRuns, Math.ceil(COVERAGE * (nRuns + 1))) - 1;
  return sorted[at]! / NORMAL_QUANTILE;
}

function fitted(members: readonly FittedSurrogate[], scale: number): FittedSurrogate {
  const { nDomains } = members[0]!;
  return {
    family: 'ensemble',
    nDomains,
    deviationScale: scale,
    predict(weights) {
      const combined = combine(members.map((member) => member.predict(weights)));
      let deviations: Float64Array | undefined;
      return {
        mean: combined.mean,
        get deviation() {
          deviations ??= combined.deviation().map((deviation) => scale * deviation);
          return deviations;
        },
      };
    },
    gradient(weights) {
      const gradient = new Float64Array(nDomains);
      for (const member of members) {
        const part = member.gradient(weights);
        if (part === null) continue;
        for (let domain = 0; domain < nDomains; domain++) {
          gradient[domain]! += part[domain]! / members.length;
        }
      }
      return gradient;
    },
    toJson: () => ({
      family: 'ensemble',
      nDomains,
      scale,
      members: members.map((member) => member.toJson()),
    }),
  };
}
