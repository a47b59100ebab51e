/**
 * The loss law of continual pre-training, over learning rates alone:
 *
 *     L(t) = L0 + A (S1pt + S1cpt)^−α − C1 S2pt − C2 S2cpt + B (1 − (1 + E S1cpt)^−β)
 *
 * lr-areas.ts defines the areas S1 and S2. The first terms are the loss that going on as before would give; the last one
 * is the shift of the data: B is above 0 for old and below 0 for new data. One fit is for one validation set, one pair
 * of datasets and one share of replay, which acts through B. L0, A, C1 and C2 are 0 or more.
 *
 * The reported error is that of losses that were not fitted: of every curve from the others, or of the last quarter of
 * the only one.
 *
 * @see arXiv 2505.07796, equation 4; 2408.11029
 */
import { GristmillError } from '../../errors.ts';
import { counting, type OnProgress } from '../../progress.ts';
import type { LrCurve } from '../../schedules/curve.ts';
import type { LossCurve } from './loss-curves.ts';
import { type LrAreas, lrAreas } from './lr-areas.ts';
import { refusePilot } from './pilots.ts';
import { fitSeparable } from './separable.ts';

/** A fitted law; plain JSON. */
export interface CptLaw {
  readonly format: 'gristmill-cpt-law';
  readonly parameters: {
    readonly L0: number;
    readonly A: number;
    readonly alpha: number;
    readonly C1: number;
    readonly C2: number;
    readonly B: number;
    readonly E: number;
    readonly beta: number;
  };
  readonly lambda: number;
  readonly nLosses: number;
  /** Root mean square of the residuals. */
  readonly rmse: number;
  /** Losses that were left out of the fit: of every curve in turn, or of the last quarter of the only one. */
  readonly leftOut: {
    readonly kind: 'curve' | 'tail';
    readonly rmse: number;
    readonly largest: number;
    readonly parts: readonly {
      readonly name: string;
      readonly rmse: number;
      readonly largest: number;
    }[];
  };
}

/** Options of {@link fitLaw}. */
export interface FitLawOptions {
  readonly curves: readonly LossCurve[];
  /** Memory of the annealing, in 0..1, below 1. Default 0.999, the published value; short runs need less. */
  readonly lambda?: number;
  /**
   * First step of pre-training whose loss is fitted. Default: that of the peak rate. The first steps of a model learn
   * what no power law describes.
   */
  readonly fromStep?: number;
  /** Of the fit's starts. Default 0. */
  readonly seed?: number;
  /** Named in errors. */
  readonly file?: string;
  /** Told how many fits are done. */
  readonly onProgress?: OnProgress | undefined;
}

const MIN_LOSSES = 16;
const TAIL = 0.25;
/** Losses of a phase that are fitted; more of them, evenly thinned, say the same. */
const MAX_LOSSES = 400;

interface LawPoint {
  readonly curve: number;
  /** Losses of the continuation come behind those of pre-training. */
  readonly step: number;
  readonly loss: number;
}

/**
 * Fits the law to loss curves.
 *
 * @throws CONTINUAL_PILOTS_INVALID for too few losses of either phase or losses that do not vary; OPTION_INVALID
 * @see arXiv 2505.07796
 */
export function fitLaw(options: FitLawOptions): CptLaw {
  const { curves, lambda = 0.999, fromStep = 1, seed = 0, file = 'given' } = options;
  if (!(lambda >= 0 && lambda < 1)) {
    const expected = 'a number, 0 or more and below 1';
    throw new GristmillError('OPTION_INVALID', { option: 'lambda', expected, received: lambda });
  }
  const areas = curves.map((curve) => lrAreas(curve.pretrainLr, curve.continueLr, lambda));
  const points = curves.flatMap((curve, index) => pointsOf(curve, index, fromStep));
  for (const [phase, count] of [
    ['pretrain', points.filter(({ curve, step }) => !isSecond(curves, curve, step)).length],
    ['continue', points.filter(({ curve, step }) => isSecond(curves, curve, step)).length],
  ] as const) {
    if (count >= MIN_LOSSES / 2) continue;
    refusePilot(file, count, 'loss', `at least ${MIN_LOSSES / 2} losses of phase ${phase}`, count);
  }
  if (points.every(({ loss }) => loss === points[0]!.loss)) {
    refusePilot(file, points.length, 'loss', 'losses that differ', points[0]!.loss);
  }
  const kind = curves.length > 1 ? 'curve' : 'tail';
  const left = kind === 'curve' ? curves.map((_, index) => index) : [-1];
  const total = 1 + left.length;
  const tell = counting(options.onProgress, { phase: 'fitting', unit: 'fits', total });
  const fitted = solveLaw(points, areas, seed);
  const parts = left.map((index) => {
    tell();
    const isLeft = isLeftOut(points, index);
    const others = points.filter((point, at) => !isLeft(point, at));
    const { parameters } = solveLaw(others, areas, seed);
    const errors = points
      .filter(isLeft)
      .map(({ curve, step, loss }) => lawAt(parameters, areas[curve]!, step) - loss);
    return { name: kind === 'curve' ? curves[index]!.name : 'tail', ...sizesOf(errors), errors };
  });
  return {
    format: 'gristmill-cpt-law',
    parameters: fitted.parameters,
    lambda,
    nLosses: points.length,
    rmse: fitted.rmse,
    leftOut: {
      kind,
      ...sizesOf(parts.flatMap(({ errors }) => errors)),
      parts: parts.map(({ name, rmse, largest }) => ({ name, rmse, largest })),
    },
  };
}

/** Points of one curve, or, for −1, the last quarter of all. */
function isLeftOut(
  points: readonly LawPoint[],
  index: number,
): (point: LawPoint, at: number) => boolean {
  if (index >= 0) return ({ curve }) => curve === index;
  const first = Math.ceil(points.length * (1 - TAIL));
  return (_, at) => at >= first;
}

function sizesOf(errors: readonly number[]): { readonly rmse: number; readonly largest: number } {
  return {
    rmse: Math.sqrt(errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length),
    largest: errors.reduce((most, error) => Math.max(most, Math.abs(error)), 0),
  };
}

function isSecond(curves: readonly LossCurve[], curve: number, step: number): boolean {
  return step > curves[curve]!.pretrainLr.length;
}

/** What is fitted of a curve: pre-training from its peak rate on, and the continuation. */
function pointsOf(curve: LossCurve, index: number, fromStep: number): LawPoint[] {
  const { pretrainLr } = curve;
  let peak = 0;
  for (const rate of pretrainLr) peak = Math.max(peak, rate);
  const warm = Math.max(fromStep, pretrainLr.indexOf(peak) + 1);
  const first = curve.pretrainLosses.filter(({ step }) => step >= warm);
  return [
    ...thinned(first).map(({ step, loss }) => ({ curve: index, step, loss })),
    ...thinned(curve.continueLosses).map(({ step, loss }) => ({
      curve: index,
      step: pretrainLr.length + step,
      loss,
    })),
  ];
}

function thinned<Item>(items: readonly Item[]): readonly Item[] {
  if (items.length <= MAX_LOSSES) return items;
  return Array.from(
    { length: MAX_LOSSES },
    (_, at) => items[Math.round((at * (items.length - 1)) / (MAX_LOSSES - 1))]!,
  );
}

function solveLaw(points: readonly LawPoint[], areas: readonly LrAreas[], seed: number) {
  const column = (of: (area: LrAreas, at: number) => number): Float64Array =>
    Float64Array.from(points, ({ curve, step }) => of(areas[curve]!, step - 1));
  const total = column((area, at) => area.firstS1[at]! + area.secondS1[at]!);
  const second = column((area, at) => area.secondS1[at]!);
  const largest = second.reduce((most, value) => Math.max(most, value), 0) || 1;
  const ones = total.map(() => 1);
  const firstS2 = column((area, at) => -area.firstS2[at]!);
  const secondS2 = column((area, at) => -area.secondS2[at]!);
  const { theta, coefficients, rmse } = fitSeparable({
    values: Float64Array.from(points, ({ loss }) => loss),
    ranges: [
      { low: 0.02, high: 3 },
      { low: 0.05 / largest, high: 1e5 / largest },
      { low: 0.01, high: 10 },
    ],
    free: [false, false, false, false, true],
    columns: ([alpha, scale, beta]) => [
      ones,
      total.map((area) => area ** -alpha!),
      firstS2,
      secondS2,
      second.map((area) => 1 - (1 + scale! * area) ** -beta!),
    ],
    seed,
  });
  const [alpha, E, beta] = theta as [number, number, number];
  const [L0, A, C1, C2, B] = coefficients as [number, number, number, number, number];
  return { parameters: { L0, A, alpha, C1, C2, B, E, beta }, rmse };
}

/** @param step counted over both phases, from 1 */
function lawAt(law: CptLaw['parameters'], areas: LrAreas, step: number): number {
  const at = step - 1;
  const { L0, A, alpha, C1, C2, B, E, beta } = law;
  const second = areas.secondS1[at]!;
  return (
    L0 +
    A * (areas.firstS1[at]! + second) ** -alpha -
    C1 * areas.firstS2[at]! -
    C2 * areas.secondS2[at]! +
    B * (1 - (1 + E * second) ** -beta)
  );
}

/** Options of {@link predictLaw}. */
export interface PredictLawOptions {
  readonly law: CptLaw;
  /** A schedule, or rates by step. */
  readonly pretrain: LrCurve | Float64Array;
  readonly continuation: LrCurve | Float64Array;
}

/**
 * Predicted losses of both phases after every step, for any schedule.
 *
 * The law has seen the steps and rates of its curves; far from them it is a guess.
 */
export function predictLaw({ law, pretrain, continuation }: PredictLawOptions): {
  readonly pretrain: Float64Array;
  readonly continuation: Float64Array;
} {
  const first = ratesOf(pretrain);
  const second = ratesOf(continuation);
  const areas = lrAreas(first, second, law.lambda);
  const losses = Float64Array.from({ length: first.length + second.length }, (_, at) =>
    lawAt(law.parameters, areas, at + 1),
  );
  return {
    pretrain: losses.slice(0, first.length),
    continuation: losses.slice(first.length),
  };
}

function ratesOf(rates: LrCurve | Float64Array): Float64Array {
  if (rates instanceof Float64Array) return rates;
  return Float64Array.from({ length: Math.floor(rates.totalSteps) }, (_, step) =>
    rates.at(step + 1),
  );
}
