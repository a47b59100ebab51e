/**
 * A surrogate of one target over size and tokens: an ensemble of laws, and a Gaussian process on what they leave.
 *
 *     log L(h, N, D) = Σ_m w_m log L_m(h, N, D) + g(h, N', D')
 *
 * N' and D' are N and D drawn into the range of the runs: beyond it nothing is known of what the laws leave, and what
 * they leave at the nearest scale stays. The variance of log L adds up what mixtures between the runs have, what grows with
 * the distance from the range, how far the members are apart, and how far the law goes when a block of scale is left
 * out of its fit (a jackknife by blocks).
 *
 * As a {@link FittedSurrogate} it stands at one scale: the largest size of the runs at its most tokens, or where {@link at} puts it.
 */
import { GristmillError } from '../../errors.ts';
import { countMixtures, FittedReader } from '../surrogates/fitted-json.ts';
import { gaussianProcess } from '../surrogates/gaussian-process.ts';
import type { FittedSurrogate, Prediction } from '../types.ts';
import { CapacityLaw } from './capacity-law.ts';
import { InteractionLaw } from './interaction-laws.ts';
import { marginalShare, REPEAT_WORTH, repeatedShare } from './repetition.ts';
import type { Scale, ScaleDeviation, ScaleMember, ScaleRange } from './types.ts';

/** What a surrogate is made of. */
export interface ScaleModel {
  readonly nDomains: number;
  /** Units of the laws: parameters and tokens. */
  readonly unitParams: number;
  readonly unitTokens: number;
  /** Which domain the target is, for the capacity law; -1 for none. */
  readonly domain: number;
  readonly members: readonly ScaleMember[];
  /** The members as they were fitted without a block of scale each. */
  readonly rivals: readonly (readonly ScaleMember[])[];
  /** Of the residual of log L over (mixture, N, D); null without. */
  readonly process: FittedSurrogate | null;
  readonly repeatWorth: number;
  readonly range: ScaleRange;
  readonly deviation: ScaleDeviation;
  /** Where the surrogate stands when nobody says otherwise. */
  readonly home: Scale;
}

type Laws = readonly { readonly law: InteractionLaw | CapacityLaw; readonly weight: number }[];

/** A surrogate at a scale. */
export class ScaleSurrogate implements FittedSurrogate {
  readonly family = 'scale' as const;
  readonly model: ScaleModel;
  readonly scale: Scale;
  readonly nDomains: number;
  readonly #laws: Laws;
  readonly #rivals: readonly Laws[];

  constructor(model: ScaleModel, scale: Scale = model.home) {
    this.model = model;
    this.scale = scale;
    this.nDomains = model.nDomains;
    this.#laws = lawsOf(model.members);
    this.#rivals = model.rivals.map(lawsOf);
  }

  /** The same target at another scale. */
  at(scale: Scale): ScaleSurrogate {
    return new ScaleSurrogate(this.model, scale);
  }

  predict(weights: Float64Array): Prediction {
    const { nDomains, model } = this;
    const nMixtures = countMixtures(weights, nDomains);
    const rest = model.process?.predict(this.#columns(weights)).mean;
    const centres = new Float64Array(nMixtures);
    for (let row = 0; row < nMixtures; row++) {
      centres[row] = this.#logs(this.#laws, weights, row * nDomains).centre;
    }
    const mean = centres.map((centre, row) => Math.exp(centre + (rest?.[row] ?? 0)));
    const kept = weights.slice();
    const deviationsOf = () => this.#deviations(kept, centres, mean);
    let deviations: Float64Array | undefined;
    return {
      mean,
      // Several times the work of the mean: made only when somebody looks.
      get deviation() {
        deviations ??= deviationsOf();
        return deviations;
      },
    };
  }

  #deviations(weights: Float64Array, centres: Float64Array, mean: Float64Array): Float64Array {
    const { model, nDomains } = this;
    const { inside, byDistance } = model.deviation;
    const fixed = inside ** 2 + (byDistance * distanceFrom(model.range, this.scale)) ** 2;
    return mean.map((loss, row) => {
      const offset = row * nDomains;
      const { logs } = this.#logs(this.#laws, weights, offset);
      let square = fixed;
      for (const [at, { weight }] of this.#laws.entries()) {
        square += weight * (logs[at]! - centres[row]!) ** 2;
      }
      for (const rival of this.#rivals) {
        const { centre } = this.#logs(rival, weights, offset);
        square += (centre - centres[row]!) ** 2 / this.#rivals.length;
      }
      return loss * Math.sqrt(square);
    });
  }

  gradient(weights: Float64Array): Float64Array {
    const { nDomains, model } = this;
    const { centre, gradient } = this.#logs(this.#laws, weights, 0, new Float64Array(nDomains));
    let logLoss = centre;
    if (model.process) {
      const columns = this.#columns(weights);
      logLoss += model.process.predict(columns).mean[0]!;
      const rest = model.process.gradient(columns)!;
      for (let at = 0; at < nDomains; at++) gradient![at]! += rest[at]!;
    }
    const loss = Math.exp(logLoss);
    return gradient!.map((slope) => loss * slope);
  }

  toJson(): unknown {
    const { members, rivals, process, ...rest } = this.model;
    const plain = (all: readonly ScaleMember[]) =>
      all.map(({ parameters, ...member }) => ({ ...member, parameters: Array.from(parameters) }));
    return {
      family: 'scale',
      ...rest,
      members: plain(members),
      rivals: rivals.map(plain),
      process: process?.toJson() ?? null,
    };
  }

  /** Mean of the logarithms of the laws at one mixture, and its gradient by the weights into `gradient`. */
  #logs(
    laws: Laws,
    weights: Float64Array,
    offset: number,
    gradient: Float64Array | null = null,
  ): { readonly logs: readonly number[]; readonly centre: number; gradient: Float64Array | null } {
    const { nDomains, model, scale } = this;
    const size = scale.params / model.unitParams;
    const tokens = scale.tokens / model.unitTokens;
    const shares = weights.subarray(offset, offset + nDomains);
    const epochs = epochsOf(shares, scale);
    const worth = model.repeatWorth;
    const data = shares.map((share, at) => share * repeatedShare(epochs[at]!, worth));
    let centre = 0;
    const logs = laws.map(({ law, weight }) => {
      let loss: number;
      let slopes: Float64Array | null = null;
      if (law instanceof InteractionLaw) {
        const own = gradient && {
          parameters: new Float64Array(law.parameters.length),
          shares: new Float64Array(nDomains),
          data: new Float64Array(nDomains),
        };
        loss = law.loss(shares, data, 0, size, tokens, own);
        slopes =
          own?.shares.map(
            (slope, at) => slope + own.data[at]! * marginalShare(epochs[at]!, worth),
          ) ?? null;
      } else {
        const capacities = law.capacities(shares, 0, size);
        const own = law.data(data[model.domain]!, tokens);
        loss = law.loss(model.domain, capacities[model.domain]!, own);
        if (gradient) {
          slopes = new Float64Array(nDomains);
          law.slopes(model.domain, { shares, data, offset: 0, tokens }, null, slopes);
          // Its data term falls with the discounted share.
          const fall = law.dataSlope(model.domain, data[model.domain]!, tokens);
          slopes[model.domain]! += fall * (marginalShare(epochs[model.domain]!, worth) - 1);
        }
      }
      const log = Math.log(loss);
      centre += weight * log;
      for (let at = 0; slopes && at < nDomains; at++)
        gradient![at]! += (weight * slopes[at]!) / loss;
      return log;
    });
    return { logs, centre, gradient };
  }

  /** Rows of the process: weights, then size and tokens within the range of the runs. */
  #columns(weights: Float64Array): Float64Array {
    return processColumnsAt(this.model, weights, this.scale);
  }
}

function lawsOf(members: readonly ScaleMember[]): Laws {
  return members.map(({ form, weight, parameters }) => ({
    weight,
    law: form === 'capacity' ? new CapacityLaw(parameters) : new InteractionLaw(form, parameters),
  }));
}

/** Rows of a model's process at a scale: weights, then size and tokens drawn into the range of the runs. */
export function processColumnsAt(
  {
    nDomains,
    range: { params, tokens },
    unitParams,
    unitTokens,
  }: Pick<ScaleModel, 'nDomains' | 'range' | 'unitParams' | 'unitTokens'>,
  weights: Float64Array,
  scale: Pick<Scale, 'params' | 'tokens'>,
): Float64Array {
  const size = Math.min(params[1], Math.max(params[0], scale.params)) / unitParams;
  const amount = Math.min(tokens[1], Math.max(tokens[0], scale.tokens)) / unitTokens;
  return processColumns(weights, nDomains, () => [size, amount]);
}

/** Rows of weights with two columns more. */
export function processColumns(
  weights: Float64Array,
  nDomains: number,
  scaleOf: (row: number) => readonly [size: number, tokens: number],
): Float64Array {
  const nRows = weights.length / nDomains;
  const columns = new Float64Array(nRows * (nDomains + 2));
  for (let row = 0; row < nRows; row++) {
    const start = row * (nDomains + 2);
    columns.set(weights.subarray(row * nDomains, (row + 1) * nDomains), start);
    columns.set(scaleOf(row), start + nDomains);
  }
  return columns;
}

/** How often each domain is seen at a scale; 0 where nobody knows how much there is. */
export function epochsOf(shares: Float64Array, { tokens, available }: Scale): Float64Array {
  return shares.map((share, at) => {
    const there = available?.[at];
    return there === null || there === undefined ? 0 : (share * tokens) / there;
  });
}

/**
 * How far a scale lies outside of a range: Euclid's distance d in the logarithms of size and tokens, as d (1 + d) / 2. A law
 * whose slope is wrong is off by d, one whose curvature is wrong by d².
 */
export function distanceFrom(range: ScaleRange, { params, tokens }: Scale): number {
  const beyond = (value: number, [least, most]: readonly [number, number]): number =>
    Math.max(0, Math.log(value / most), Math.log(least / value));
  const distance = Math.hypot(beyond(params, range.params), beyond(tokens, range.tokens));
  return (distance * (1 + distance)) / 2;
}

/** Reads what {@link ScaleSurrogate.toJson} gave. @throws MIXTURE_FIT_INVALID */
export function scaleFromJson(json: unknown): ScaleSurrogate {
  const reader = new FittedReader('scale', json);
  const { nDomains } = reader;
  const positiveOf = (from: FittedReader, name: string): number => {
    const value = from.number(name);
    if (value > 0) return value;
    throw from.refuse(`${name}: expected a number above 0, found ${value}`);
  };
  const inner = (name: string): FittedReader => {
    const value = reader.value(name);
    if (value === null || typeof value !== 'object')
      throw reader.refuse(`${name}: expected an object`);
    return new FittedReader('scale', { ...value, family: 'scale', nDomains });
  };
  const pair = (name: string): readonly [number, number] => {
    const [least, most] = inner('range').numbers(name, 2);
    if (least! > 0 && most! >= least!) return [least!, most!];
    throw reader.refuse(`range.${name}: expected two numbers above 0 in order`);
  };
  const domain = reader.count('domain', -1, nDomains - 1);
  const lengths: Readonly<Record<string, number>> = {
    additive: 3 + 2 * nDomains,
    product: 6 + nDomains,
    capacity: 5 * nDomains + 1,
  };
  const membersOf = (stored: unknown): ScaleMember[] => {
    if (!Array.isArray(stored) || stored.length === 0)
      throw reader.refuse('members: expected some');
    return stored.map((member) => {
      const from = new FittedReader('scale', { ...(member as object), family: 'scale', nDomains });
      const form = from.value('form');
      if (typeof form !== 'string' || !Object.hasOwn(lengths, form)) {
        throw reader.refuse(`members: expected one of ${Object.keys(lengths).join(', ')}`);
      }
      if (form === 'capacity' && domain < 0) {
        throw reader.refuse('members: the capacity law is of targets that are domains');
      }
      const parameters = from.numbers('parameters', lengths[form]!);
      return { form: form as ScaleMember['form'], weight: positiveOf(from, 'weight'), parameters };
    });
  };
  const rivals = reader.value('rivals');
  if (!Array.isArray(rivals)) throw reader.refuse('rivals: expected a list');
  const deviation = inner('deviation');
  const home = inner('home');
  const rest = reader.value('process');
  const process = rest === null ? null : gaussianProcess.fromJson(rest);
  if (process !== null && process.nDomains !== nDomains + 2) {
    throw reader.refuse(`process: expected ${nDomains + 2} columns, found ${process.nDomains}`);
  }
  return new ScaleSurrogate({
    nDomains,
    unitParams: positiveOf(reader, 'unitParams'),
    unitTokens: positiveOf(reader, 'unitTokens'),
    domain,
    members: membersOf(reader.value('members')),
    rivals: rivals.map(membersOf),
    process,
    repeatWorth: reader.has('repeatWorth') ? positiveOf(reader, 'repeatWorth') : REPEAT_WORTH,
    range: { params: pair('params'), tokens: pair('tokens') },
    deviation: {
      inside: deviation.number('inside'),
      byDistance: deviation.number('byDistance'),
    },
    home: { params: positiveOf(home, 'params'), tokens: positiveOf(home, 'tokens') },
  });
}

/**
 * A surrogate at a scale, where it knows scales.
 *
 * @throws OPTION_INVALID for one of another family
 */
export function surrogateAt(surrogate: FittedSurrogate, scale: Scale): ScaleSurrogate {
  if (surrogate instanceof ScaleSurrogate) return surrogate.at(scale);
  throw new GristmillError('OPTION_INVALID', {
    option: 'at',
    expected: 'a fit of model scale, of runs with params and tokens',
    received: `a fit of model ${surrogate.family}`,
  });
}
