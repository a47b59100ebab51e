/**
 * Losses as functions of the share p of replay, fitted to pilot runs.
 *
 *     old data   E + C (p + ε)^−γ                           falls with p
 *     new data   E + B (1 − p)^−b                           rises with p
 *
 * With pilots of two token counts D or more, the form of the D-CPT law, q being p for old and 1 − p for new data:
 *
 *     E + A N^−α + B q^η D^−β + C (q + ε)^−γ                A only with two model sizes N or more
 *
 * Coefficients are 0 or more. The error that is reported is that of predicting every pilot from the others: fits of four
 * parameters to a handful of points always look good on the points themselves. Nothing is predicted outside the pilots:
 * on measured runs pilots at 0, 1, 5 and 25 % misplaced the new loss at 50 % by 0.11 (bench/LOG.md has more).
 *
 * @see D-CPT law, arXiv 2406.01375, equation 6; CMR, arXiv 2407.17467; replay: arXiv 2403.08763, section 6.2
 */
import { GristmillError } from '../../errors.ts';
import { counting, type OnProgress } from '../../progress.ts';
import { checkPilots, MIN_SHARES, type Pilot, percentText } from './pilots.ts';
import { fitSeparable, type LogRange, type SeparableFit } from './separable.ts';

/** Which side of the shift a validation set is on. */
export type PilotSide = 'old' | 'new';

/** A fitted loss. */
export interface FittedLoss {
  readonly set: string;
  readonly side: PilotSide;
  /** `power`: a function of replay alone; `d-cpt`: of tokens (and parameters) too. */
  readonly form: 'power' | 'd-cpt';
  /** Names as in the formulas of fit-replay.ts. */
  readonly parameters: Readonly<Record<string, number>>;
  /** Root mean square of the residuals on the pilots. */
  readonly rmse: number;
  /** Every pilot predicted from the others; null with too few of them. */
  readonly leaveOneOut: {
    /** Of pilots whose replay lies between those of others: what predictions are made for. */
    readonly rmse: number;
    readonly largest: number;
    /** At the least and the most replay, where the others do not reach: why nothing is extrapolated. */
    readonly largestAtEnds: number;
    /** Predicted minus measured, in the order of the pilots. */
    readonly errors: readonly number[];
  } | null;
}

/** Fitted losses of a continuation; plain JSON. */
export interface ReplayFit {
  readonly format: 'gristmill-replay-fit';
  readonly pilots: readonly Pilot[];
  readonly losses: readonly FittedLoss[];
  /** What the pilots span, smallest and largest. */
  readonly spans: {
    readonly replay: readonly [number, number];
    readonly tokens?: readonly [number, number];
    readonly params?: readonly [number, number];
  };
  /** What to know of the fit, in words. */
  readonly notes: readonly string[];
}

/** Options of {@link fitReplay}. */
export interface FitReplayOptions {
  readonly pilots: readonly Pilot[];
  /** Validation sets of old data. */
  readonly old: readonly string[];
  /** Validation sets of new data. */
  readonly new: readonly string[];
  /** Of the fits' starts. Default 0. */
  readonly seed?: number;
  /** Named in errors. */
  readonly file?: string;
  /** Told how many fits are done. */
  readonly onProgress?: OnProgress | undefined;
}

/**
 * Fits the losses of pilot runs.
 *
 * @throws CONTINUAL_PILOTS_INVALID; OPTION_INVALID for a set on both sides or none at all
 * @see arXiv 2406.01375, 2407.17467
 */
export function fitReplay(options: FitReplayOptions): ReplayFit {
  const { pilots, seed = 0, file } = options;
  const sides = [
    ...options.old.map((set) => ({ set, side: 'old' as const })),
    ...options.new.map((set) => ({ set, side: 'new' as const })),
  ];
  const sets = sides.map(({ set }) => set);
  if (sets.length === 0 || new Set(sets).size < sets.length) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'old and new',
      expected: 'at least one validation set, each once',
      received: sets.join(', ') || 'none',
    });
  }
  checkPilots(pilots, sets, file);
  const notes: string[] = [];
  const total = sides.length * (1 + pilots.length);
  const tell = counting(options.onProgress, { phase: 'fitting', unit: 'fits', total });
  const losses = sides.map(({ set, side }) => fitLoss(pilots, { set, side, seed, tell }));
  const outer = spanOf(pilots.map(({ replay }) => replay));
  if (losses.some(({ leaveOneOut }) => leaveOneOut === null)) {
    notes.push(`no leave-one-out error: it needs ${MIN_SHARES + 1} different shares of replay`);
  }
  for (const { set, parameters, side } of losses) {
    if ((parameters['C'] ?? 0) > 0 || (parameters['B'] ?? 0) > 0) continue;
    notes.push(`${set}: ${side === 'old' ? 'does not fall' : 'does not rise'} with replay`);
  }
  for (const size of ['tokens', 'params'] as const) {
    const values = pilots.flatMap((pilot) => pilot[size] ?? []);
    const nSizes = new Set(values).size;
    if (nSizes === 1) notes.push(`all pilots have the same ${size}: the fit holds for those`);
    if (nSizes === 2)
      notes.push(`two values of ${size} give no exponent: trust the fit at those only`);
  }
  return {
    format: 'gristmill-replay-fit',
    pilots,
    losses,
    spans: {
      replay: outer,
      ...Object.fromEntries(
        (['tokens', 'params'] as const).flatMap((size) => {
          const values = pilots.flatMap((pilot) => pilot[size] ?? []);
          return values.length > 0 ? [[size, spanOf(values)]] : [];
        }),
      ),
    },
    notes,
  };
}

function fitLoss(
  pilots: readonly Pilot[],
  {
    set,
    side,
    seed,
    tell,
  }: {
    readonly set: string;
    readonly side: PilotSide;
    readonly seed: number;
    readonly tell: () => void;
  },
): FittedLoss {
  const form = new Set(pilots.map(({ tokens }) => tokens)).size > 1 ? 'd-cpt' : 'power';
  const withSize = form === 'd-cpt' && new Set(pilots.map(({ params }) => params)).size > 1;
  const fitOf = (chosen: readonly Pilot[]): FormFit =>
    fitForm(chosen, { set, side, form, withSize }, seed);
  const { parameters, rmse } = fitOf(pilots);
  tell();
  const errors = pilots.map((pilot, left) => {
    tell();
    const others = pilots.filter((_, index) => index !== left);
    if (new Set(others.map(({ replay }) => replay)).size < MIN_SHARES) return null;
    return lossAt({ side, form, parameters: fitOf(others).parameters }, pilot) - pilot.losses[set]!;
  });
  const whole = errors.every((error) => error !== null) ? errors : null;
  const [least, most] = spanOf(pilots.map(({ replay }) => replay));
  const isEnd = (index: number): boolean =>
    pilots[index]!.replay === least || pilots[index]!.replay === most;
  const inner = whole?.filter((_, index) => !isEnd(index)) ?? [];
  return {
    set,
    side,
    form,
    parameters,
    rmse,
    leaveOneOut: whole && {
      rmse: Math.sqrt(inner.reduce((sum, error) => sum + error ** 2, 0) / inner.length),
      largest: largestOf(inner),
      largestAtEnds: largestOf(whole.filter((_, index) => isEnd(index))),
      errors: whole,
    },
  };
}

function largestOf(errors: readonly number[]): number {
  return errors.reduce((most, error) => Math.max(most, Math.abs(error)), 0);
}

interface FormFit {
  readonly parameters: Readonly<Record<string, number>>;
  readonly rmse: number;
}

interface FormOf {
  readonly set: string;
  readonly side: PilotSide;
  readonly form: FittedLoss['form'];
  readonly withSize: boolean;
}

/** ε of old data down to a ten-thousandth: below, runs without replay would have no bound. */
const RANGES = {
  epsilon: { low: 1e-4, high: 1 },
  gamma: { low: 0.01, high: 5 },
  b: { low: 0.01, high: 5 },
  eta: { low: 0.01, high: 5 },
  beta: { low: 0.02, high: 2 },
  alpha: { low: 0.02, high: 2 },
} as const satisfies Record<string, LogRange>;

function fitForm(pilots: readonly Pilot[], form: FormOf, seed: number): FormFit {
  const values = Float64Array.from(pilots, ({ losses }) => losses[form.set]!);
  const column = (of: (pilot: Pilot) => number): Float64Array => Float64Array.from(pilots, of);
  const ones = column(() => 1);
  const solved = (
    names: readonly (keyof typeof RANGES)[],
    coefficients: readonly string[],
    columns: (theta: readonly number[]) => Float64Array[],
  ): FormFit =>
    named(
      fitSeparable({
        values,
        ranges: names.map((name) => RANGES[name]),
        free: coefficients.map(() => false),
        columns,
        seed,
      }),
      names,
      coefficients,
    );
  if (form.form === 'power' && form.side === 'new') {
    return solved(['b'], ['E', 'B'], ([b]) => [ones, column(({ replay }) => (1 - replay) ** -b!)]);
  }
  if (form.form === 'power') {
    return solved(['epsilon', 'gamma'], ['E', 'C'], ([epsilon, gamma]) => [
      ones,
      column(({ replay }) => (replay + epsilon!) ** -gamma!),
    ]);
  }
  const share = ({ replay }: Pilot): number => (form.side === 'old' ? replay : 1 - replay);
  const names = ['epsilon', 'gamma', 'eta', 'beta', ...(form.withSize ? ['alpha' as const] : [])];
  return solved(
    names as (keyof typeof RANGES)[],
    ['E', 'C', 'B', ...(form.withSize ? ['A'] : [])],
    ([epsilon, gamma, eta, beta, alpha]) => [
      ones,
      column((pilot) => (share(pilot) + epsilon!) ** -gamma!),
      column((pilot) => share(pilot) ** eta! * pilot.tokens! ** -beta!),
      ...(form.withSize ? [column(({ params }) => params! ** -alpha!)] : []),
    ],
  );
}

function named(
  { theta, coefficients, rmse }: SeparableFit,
  thetaNames: readonly string[],
  coefficientNames: readonly string[],
): FormFit {
  return {
    parameters: Object.fromEntries([
      ...coefficientNames.map((name, at) => [name, coefficients[at]!] as const),
      ...thetaNames.map((name, at) => [name, theta[at]!] as const),
    ]),
    rmse,
  };
}

/** Where a loss is asked for. */
export interface ReplayPlace {
  /** Share of replay. */
  readonly replay: number;
  /** Default: the largest of the pilots. */
  readonly tokens?: number;
  /** Default: the largest of the pilots. */
  readonly params?: number;
}

/** The value of a form; {@link predictReplay} refuses what the pilots say nothing of. */
export function lossAt(
  { side, form, parameters }: Pick<FittedLoss, 'side' | 'form' | 'parameters'>,
  { replay, tokens, params }: ReplayPlace,
): number {
  const of = (name: string): number => parameters[name] ?? 0;
  if (form === 'power' && side === 'new') return of('E') + of('B') * (1 - replay) ** -of('b');
  const share = side === 'old' ? replay : 1 - replay;
  let loss = of('E') + of('C') * (share + of('epsilon')) ** -of('gamma');
  if (form === 'd-cpt') {
    loss += of('B') * share ** of('eta') * tokens! ** -of('beta');
    if (parameters['A'] !== undefined) loss += of('A') * params! ** -of('alpha');
  }
  return loss;
}

/**
 * Predicted losses, by validation set.
 *
 * @throws CONTINUAL_EXTRAPOLATION outside what the pilots span
 */
export function predictReplay(fit: ReplayFit, place: ReplayPlace): Record<string, number> {
  const whole = placeWithin(fit, place);
  return Object.fromEntries(fit.losses.map((loss) => [loss.set, lossAt(loss, whole)]));
}

/** A place with its sizes. @throws CONTINUAL_EXTRAPOLATION */
export function placeWithin({ spans }: ReplayFit, place: ReplayPlace): ReplayPlace {
  const whole = {
    replay: place.replay,
    ...(spans.tokens && { tokens: place.tokens ?? spans.tokens[1] }),
    ...(spans.params && { params: place.params ?? spans.params[1] }),
  };
  for (const quantity of ['replay', 'tokens', 'params'] as const) {
    const span = spans[quantity];
    const value = whole[quantity];
    if (!span || value === undefined || (value >= span[0] && value <= span[1])) continue;
    const text = quantity === 'replay' ? percentText : String;
    throw new GristmillError('CONTINUAL_EXTRAPOLATION', {
      what: `a loss at ${text(value)}`,
      reason: `${quantity} ${text(value)} was asked for`,
      quantity,
      low: text(span[0]),
      high: text(span[1]),
    });
  }
  return whole;
}

function spanOf(values: readonly number[]): readonly [number, number] {
  return [Math.min(...values), Math.max(...values)];
}
