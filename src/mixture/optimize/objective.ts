/**
 * What is minimised: a weighted mean or the worst case of the targets' predicted losses, with a penalty on their
 * deviation and on the distance to the prior.
 *
 *     score of a target   weight × (mean − offset + confidence × deviation), the mean and offset of one to maximise negated
 *     mean                sum of scores / sum of weights
 *     worst               the largest score; for gradients log-sum-exp(sharpness × scores) / sharpness
 *     both                + kl × KL(w ‖ prior) + pull × squared distance to a hull
 *
 * Gradients are the surrogates' own where they have them. An ensemble's is that of its smooth members: its trees are flat
 * almost everywhere, and the moves between pairs of domains that end a search (descend.ts) are what sees their steps. Where a
 * surrogate has none (trees alone), the mean's slope is a central difference over ±{@link TREE_STEP}: a step function's
 * average slope over that range. The deviation's slope is a central difference over ±{@link SMOOTH_STEP}.
 */
import { GristmillError } from '../../errors.ts';
import type { TargetCalibration } from '../fit-types.ts';
import type { FittedSurrogate, SurrogateFamilyName } from '../types.ts';
import { distanceToHull } from './hull.ts';

/** A target to minimise. */
export interface ObjectiveTarget {
  readonly name: string;
  readonly surrogate: FittedSurrogate;
  /** Above 0. Default 1. */
  readonly weight?: number | undefined;
  /** The more the better, as of accuracies. Default false. */
  readonly maximize?: boolean | undefined;
  /** Loss that counts as 0, in the target's own unit. Default 0. Decides between targets in the worst case. */
  readonly offset?: number | undefined;
  /** How its deviations become intervals. Default: as those of the normal distribution. */
  readonly calibration?: TargetCalibration | undefined;
  /** Least and largest loss of the runs: intervals of predictions beyond reach back to them. Default: they do not. */
  readonly seen?: readonly [least: number, largest: number] | undefined;
}

/** Options of {@link MixtureObjective}. */
export interface ObjectiveOptions {
  readonly targets: readonly ObjectiveTarget[];
  readonly kind: 'mean' | 'worst';
  /** `[nDomains]`, summing to 1. */
  readonly prior: Float64Array;
  /** Nats of KL(w ‖ prior) count this many times, at least 0. */
  readonly kl: number;
  /** Deviations that are added to every mean, at least 0. */
  readonly confidence: number;
  /** Draws mixtures towards the hull of `rows` (`[nRows × nDomains]`). Default: nothing does. */
  readonly hull?: { readonly rows: Float64Array; readonly pull: number } | undefined;
}

/** Families whose means have steps. */
const STEPPED: ReadonlySet<SurrogateFamilyName> = new Set(['gbdt', 'ensemble']);

/** Half the range over which trees are differenced. */
export const TREE_STEP = 0.02;
/** Half the range over which deviations are differenced. */
export const SMOOTH_STEP = 1e-4;

/** The objective of an optimisation. */
export class MixtureObjective {
  readonly #targets: readonly (ObjectiveTarget & { readonly weight: number; offset: number })[];
  readonly #options: ObjectiveOptions;
  readonly #totalWeight: number;
  readonly nDomains: number;

  /** @throws OPTION_INVALID */
  constructor(options: ObjectiveOptions) {
    const { targets, prior, kl, confidence } = options;
    this.#options = options;
    this.nDomains = prior.length;
    if (targets.length === 0) throw bad('targets', 'at least one', 'none');
    if (!(kl >= 0 && Number.isFinite(kl))) throw bad('kl', 'a number of at least 0', kl);
    if (!(confidence >= 0 && Number.isFinite(confidence))) {
      throw bad('confidence', 'a number of at least 0', confidence);
    }
    this.#targets = targets.map((target) => ({
      ...target,
      weight: target.weight ?? 1,
      offset: target.offset ?? 0,
    }));
    for (const { name, weight, surrogate } of this.#targets) {
      if (!(weight > 0 && Number.isFinite(weight))) {
        throw bad('targets', 'weights above 0', `${name}=${weight}`);
      }
      if (surrogate.nDomains !== prior.length) {
        throw bad('targets', `surrogates of ${prior.length} domains`, surrogate.nDomains);
      }
      if (confidence > 0 && surrogate.predict(prior).deviation === null) {
        const received = `${name}: ${surrogate.family}, which has no deviation`;
        throw bad('confidence', '0, or surrogates with a deviation (gp, ensemble)', received);
      }
    }
    this.#totalWeight = this.#targets.reduce((sum, { weight }) => sum + weight, 0);
  }

  /** True when no mean has steps: the ensemble's has those of its trees. */
  get isSmooth(): boolean {
    return this.#targets.every(({ surrogate: { family } }) => !STEPPED.has(family));
  }

  /** True when {@link slope} is smoothed, so that its sharpness matters. */
  get needsSharpness(): boolean {
    return this.#options.kind === 'worst' && this.#targets.length > 1;
  }

  /** Values of mixtures. @param weights `[nMixtures × nDomains]`, row-major */
  values(weights: Float64Array): Float64Array {
    const scores = this.#targets.map((target) => this.#scores(target, weights));
    const nMixtures = weights.length / this.nDomains;
    const isMean = this.#options.kind === 'mean';
    const values = new Float64Array(nMixtures);
    for (let row = 0; row < nMixtures; row++) {
      let value = isMean ? 0 : Number.NEGATIVE_INFINITY;
      for (const own of scores) value = isMean ? value + own[row]! : Math.max(value, own[row]!);
      const start = row * this.nDomains;
      const mixture = weights.subarray(start, start + this.nDomains);
      values[row] = (isMean ? value / this.#totalWeight : value) + this.#penalty(mixture);
    }
    return values;
  }

  /** Value and gradient by the weights at one mixture; the worst case is smoothed by `sharpness`. */
  slope(
    weights: Float64Array,
    sharpness: number,
  ): { readonly value: number; readonly gradient: Float64Array } {
    const scores = this.#targets.map((target) => this.#scores(target, weights)[0]!);
    const { kind } = this.#options;
    const largest = Math.max(...scores);
    const parts =
      kind === 'mean'
        ? scores.map(() => 1 / this.#totalWeight)
        : scores.map((score) => Math.exp(sharpness * (score - largest)));
    const sum = parts.reduce((total, part) => total + part, 0);
    const gradient = new Float64Array(this.nDomains);
    for (const [index, target] of this.#targets.entries()) {
      const part = kind === 'mean' ? parts[index]! : parts[index]! / sum;
      if (part * this.#targets.length < 1e-6) continue;
      const own = this.#gradient(target, weights);
      for (const [at, slope] of own.entries()) gradient[at]! += part * target.weight * slope;
    }
    this.#addPenaltySlope(weights, gradient);
    return { value: this.#smoothed(scores, sharpness) + this.#penalty(weights), gradient };
  }

  /** The value that {@link slope} gives, without its gradient. */
  smoothValue(weights: Float64Array, sharpness: number): number {
    const scores = this.#targets.map((target) => this.#scores(target, weights)[0]!);
    return this.#smoothed(scores, sharpness) + this.#penalty(weights);
  }

  #smoothed(scores: readonly number[], sharpness: number): number {
    if (this.#options.kind === 'mean') {
      return scores.reduce((total, score) => total + score, 0) / this.#totalWeight;
    }
    const largest = Math.max(...scores);
    const sum = scores.reduce((total, score) => total + Math.exp(sharpness * (score - largest)), 0);
    return largest + Math.log(sum) / sharpness;
  }

  #scores(
    { surrogate, weight, offset, maximize }: ObjectiveTarget,
    weights: Float64Array,
  ): Float64Array {
    const predicted = surrogate.predict(weights);
    const { confidence } = this.#options;
    // Deviations may be made when they are read, and cost far more than means.
    const deviation = confidence > 0 ? predicted.deviation : null;
    const sign = maximize ? -1 : 1;
    return predicted.mean.map(
      (loss, row) => weight! * (sign * (loss - offset!) + confidence * (deviation?.[row] ?? 0)),
    );
  }

  #gradient({ surrogate, maximize }: ObjectiveTarget, weights: Float64Array): Float64Array {
    const slope = meanSlope(surrogate, weights);
    const gradient = maximize ? slope.map((value) => -value) : slope;
    const { confidence } = this.#options;
    if (confidence === 0) return gradient;
    const deviation = differences(
      weights,
      SMOOTH_STEP,
      (rows) => surrogate.predict(rows).deviation!,
    );
    return gradient.map((slope, at) => slope + confidence * deviation[at]!);
  }

  #penalty(weights: Float64Array): number {
    const { kl, prior, hull } = this.#options;
    const near = kl === 0 ? 0 : kl * klDivergence(weights, prior);
    return hull ? near + hull.pull * squaredDistance(weights, hull.rows) : near;
  }

  #addPenaltySlope(weights: Float64Array, gradient: Float64Array): void {
    const { kl, prior, hull } = this.#options;
    if (hull) {
      const { nearest } = distanceToHull(weights, hull.rows);
      for (const [at, weight] of weights.entries()) {
        gradient[at]! += 2 * hull.pull * (weight - nearest[at]!);
      }
    }
    if (kl === 0) return;
    for (const [at, weight] of weights.entries()) {
      // The slope is −∞ at 0; this is steep enough to leave it.
      if (prior[at]! > 0) gradient[at]! += kl * (Math.log(Math.max(weight, 1e-9) / prior[at]!) + 1);
    }
  }
}

/** KL(weights ‖ prior) in nats; infinite where the prior is 0 and the weight is not. */
export function klDivergence(weights: Float64Array, prior: Float64Array): number {
  let sum = 0;
  for (const [at, weight] of weights.entries()) {
    if (weight > 0) sum += weight * Math.log(weight / prior[at]!);
  }
  return sum;
}

function squaredDistance(weights: Float64Array, rows: Float64Array): number {
  const { nearest } = distanceToHull(weights, rows);
  return weights.reduce((sum, weight, at) => sum + (weight - nearest[at]!) ** 2, 0);
}

/** Slope of the mean: the surrogate's own, or differenced. */
function meanSlope(surrogate: FittedSurrogate, weights: Float64Array): Float64Array {
  const exact = surrogate.gradient(weights);
  if (exact !== null) return exact;
  return differences(weights, TREE_STEP, (rows) => surrogate.predict(rows).mean);
}

/** Central differences of a function of rows, one-sided at 0 and 1. */
function differences(
  weights: Float64Array,
  step: number,
  valuesOf: (rows: Float64Array) => Float64Array,
): Float64Array {
  const nDomains = weights.length;
  const rows = new Float64Array(2 * nDomains * nDomains);
  for (let at = 0; at < nDomains; at++) {
    const low = rows.subarray(2 * at * nDomains, (2 * at + 1) * nDomains);
    const high = rows.subarray((2 * at + 1) * nDomains, (2 * at + 2) * nDomains);
    low.set(weights);
    high.set(weights);
    low[at] = Math.max(0, weights[at]! - step);
    high[at] = Math.min(1, weights[at]! + step);
  }
  const values = valuesOf(rows);
  return weights.map((weight, at) => {
    const span = Math.min(1, weight + step) - Math.max(0, weight - step);
    return (values[2 * at + 1]! - values[2 * at]!) / span;
  });
}

function bad(option: string, expected: string, received: unknown): GristmillError {
  return new GristmillError('OPTION_INVALID', { option, expected, received });
}
