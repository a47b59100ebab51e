/**
 * Learning rates of a schedule: a pure function of the step (or of tokens), made of phases.
 *
 * Time is t, in steps, 1 for the first one (gpt-neox and the paper); a phase holds for start < t <= end. Ends are not
 * rounded. With x = (t − start) / (end − start) and the rates a at the phase's start, b at its end:
 *
 *     warmup, linear   a · (1 − x) + b · x
 *     cosine           b + (a − b) / 2 · (1 + cos πx)                                         arXiv 2403.08763, eq. 2
 *     inverse-sqrt     a + (b − a) / h(1) · h(x),  h(x) = 1 / √(1 + αx) − 1                   ibid., section 7
 *     1-sqrt           b + (a − b) · (1 − √x)                                                 arXiv 2405.18392
 *     exponential      a · (b / a)^x; Megatron-LM's "exponential" is another function         arXiv 2403.08763, section 7
 *     root             a · √(τ / (τ + t − start)), not below the least rate
 *     power            min(peak, a · tokens^b), not below the least rate                      arXiv 2408.13359
 *
 * Held against values of gpt-neox's own classes (the paper's branch) to 1e-12.
 */
import { GristmillError } from '../errors.ts';
import { type Horizon, type Length, stepsOf } from './lengths.ts';
import { checkSchedule, type DecayShape, type ScheduleInput, type ScheduleSpec } from './spec.ts';

/** Names of phases. */
export type PhaseName = 'warmup' | 'cooldown' | 'constant' | 'decay' | 'anneal' | 'minimum';

/** A stretch of a curve under one formula; `start < t <= end`, in steps. */
export interface Phase {
  readonly name: PhaseName;
  readonly shape: DecayShape | 'constant' | 'root' | 'power';
  readonly start: number;
  readonly end: number;
  /** Rates at its start and end. */
  readonly from: number;
  readonly to: number;
  /** α of `inverse-sqrt`; τ in steps of `root`. */
  readonly timescale?: number;
  /** Of a phase that is cut off by the end of the whole: its end and rate there if it were not. */
  readonly whole?: { readonly end: number; readonly to: number };
  /** Of `power`: rate = a · (t · tokensPerStep)^b between `minLr` and `peakLr`. */
  readonly power?: {
    readonly a: number;
    readonly b: number;
    readonly peakLr: number;
    readonly minLr: number;
    readonly origin: number;
    readonly tokensPerStep: number;
  };
  /** Of `root`: the least rate. */
  readonly minLr?: number;
}

/** Float steps that count as nothing: what rounding of fractions leaves. */
const SLACK = 1e-9;

/** A schedule over a horizon. */
export class LrCurve {
  readonly spec: ScheduleSpec;
  readonly totalSteps: number;
  readonly tokensPerStep: number | null;
  /** In order, without gaps, from 0 to `totalSteps`; none is empty. */
  readonly phases: readonly Phase[];

  /** Use {@link lrCurve}. */
  constructor(
    spec: ScheduleSpec,
    { totalSteps, tokensPerStep }: Horizon,
    phases: readonly Phase[],
  ) {
    this.spec = spec;
    this.totalSteps = totalSteps;
    this.tokensPerStep = tokensPerStep ?? null;
    this.phases = phases;
  }

  /**
   * Rate of a step.
   *
   * @param step 1 for the first one; any number, 0 or more; behind the end the last rate holds
   * @throws OPTION_INVALID
   */
  at(step: number): number {
    if (!(step >= 0)) {
      const expected = 'a number, 0 or more';
      throw new GristmillError('OPTION_INVALID', { option: 'step', expected, received: step });
    }
    const time = Math.min(step, this.totalSteps);
    let low = 0;
    let high = this.phases.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (time <= this.phases[middle]!.end) high = middle;
      else low = middle + 1;
    }
    return rateIn(this.phases[low]!, time);
  }

  /**
   * Rate after so many tokens, those of the step that is about to be made included.
   *
   * @throws OPTION_INVALID; SCHEDULE_INVALID without `tokensPerStep`
   */
  atTokens(tokens: number): number {
    if (this.tokensPerStep === null) fail('rates by tokens need tokensPerStep');
    return this.at(tokens / this.tokensPerStep!);
  }

  /**
   * The last whole step before the curve begins its last descent (decay or anneal), or null where it has none that
   * follows a constant phase: the checkpoint that further training should start from.
   */
  get lastConstantStep(): number | null {
    const index = this.phases.findLastIndex(({ name }) => name === 'anneal' || name === 'decay');
    if (index < 1 || this.phases[index - 1]!.name !== 'constant') return null;
    return Math.floor(this.phases[index]!.start + SLACK);
  }
}

/**
 * A schedule over a horizon.
 *
 * @param where named in errors
 * @throws SCHEDULE_INVALID for phases that are longer than the whole, rates in the wrong order, an exponential to 0
 */
export function lrCurve(
  input: ScheduleInput | ScheduleSpec,
  horizon: Horizon,
  where = 'the schedule',
): LrCurve {
  const spec = checkSchedule(input, where);
  const { totalSteps, tokensPerStep } = horizon;
  try {
    if (!(totalSteps > 0 && Number.isFinite(totalSteps)))
      fail(`totalSteps: expected a number above 0, received ${totalSteps}`);
    if (tokensPerStep !== undefined && !(tokensPerStep > 0 && Number.isFinite(tokensPerStep))) {
      fail(`tokensPerStep: expected a number above 0, received ${tokensPerStep}`);
    }
    return new LrCurve(spec, horizon, phasesOf(spec, horizon, 0));
  } catch (error) {
    if (!(error instanceof GristmillError) || error.code !== 'SCHEDULE_INVALID') throw error;
    throw new GristmillError('SCHEDULE_INVALID', { where, reason: error.details['reason'] });
  }
}

function rateIn(phase: Phase, time: number): number {
  const { shape, start, from } = phase;
  const { end, to } = phase.whole ?? phase;
  const x = (time - start) / (end - start);
  switch (shape) {
    case 'constant':
      return from;
    case 'linear':
      return from * (1 - x) + to * x;
    case 'cosine':
      return Math.max(to + ((from - to) / 2) * (1 + Math.cos(Math.PI * x)), Math.min(from, to));
    case 'inverse-sqrt': {
      const h = (at: number): number => 1 / Math.sqrt(1 + phase.timescale! * at) - 1;
      return from + ((to - from) / h(1)) * h(x);
    }
    case '1-sqrt':
      return to + (from - to) * (1 - Math.sqrt(x));
    case 'exponential':
      return Math.max(from * raised(to / from, x), to);
    case 'root': {
      const tau = phase.timescale!;
      return Math.max(from * Math.sqrt(tau / (tau + time - start)), phase.minLr!);
    }
    case 'power':
      return powerRate(phase.power!, time);
  }
}

function powerRate(
  { a, b, peakLr, minLr, origin, tokensPerStep }: NonNullable<Phase['power']>,
  time: number,
): number {
  return Math.max(Math.min(peakLr, a * raised((time - origin) * tokensPerStep, b)), minLr);
}

/** A power of a number above 0. V8's own differs in the last bit between Node 22 and 24; exp and log do not. */
function raised(base: number, exponent: number): number {
  return Math.exp(exponent * Math.log(base));
}

/** Phases one behind the other. */
class Builder {
  readonly phases: Phase[] = [];
  readonly #origin: number;
  readonly #end: number;
  readonly #horizon: Horizon;
  #at: number;

  constructor(origin: number, horizon: Horizon) {
    this.#origin = origin;
    this.#at = origin;
    this.#horizon = horizon;
    this.#end = origin + horizon.totalSteps;
  }

  get at(): number {
    return this.#at;
  }

  get left(): number {
    return Math.max(0, this.#end - this.#at);
  }

  steps(length: Length, what: string): number {
    return stepsOf(length, this.#horizon, what);
  }

  add(name: PhaseName, steps: number, phase: Omit<Phase, 'name' | 'start' | 'end'>): void {
    const tolerance = SLACK * Math.max(1, this.#end);
    if (steps > this.left + tolerance) {
      fail(
        `${name} is ${figure(steps)} steps long, but ${figure(this.left)} of ${figure(this.#horizon.totalSteps)} are left`,
      );
    }
    // The end of the whole is the end of its last phase, whatever the sum of fractions rounds to.
    const end = Math.abs(this.#at + steps - this.#end) <= tolerance ? this.#end : this.#at + steps;
    if (end - this.#at <= (steps > tolerance ? 0 : tolerance)) return;
    this.phases.push({ name, start: this.#at, end, ...phase });
    this.#at = end;
  }

  warmup(length: Length | undefined, startLr: number, peakLr: number): void {
    if (startLr > peakLr) fail(`warmupStartLr ${startLr} is above peakLr ${peakLr}`);
    if (!length) return;
    this.add('warmup', this.steps(length, 'warmup'), {
      shape: 'linear',
      from: startLr,
      to: peakLr,
    });
  }

  flat(name: PhaseName, steps: number, rate: number): void {
    this.add(name, steps, { shape: 'constant', from: rate, to: rate });
  }

  descent(
    name: PhaseName,
    steps: number,
    {
      shape,
      from,
      to,
      timescale,
    }: {
      readonly shape: DecayShape;
      readonly from: number;
      readonly to: number;
      readonly timescale?: number | undefined;
    },
  ): void {
    if (to > from) fail(`${name} goes from ${from} to ${to}, which is above it`);
    if (shape === 'exponential' && !(to > 0))
      fail(`${name}: an exponential never reaches ${to}; give a minLr above 0`);
    this.add(name, steps, {
      shape,
      from,
      to,
      ...(shape === 'inverse-sqrt' && { timescale: timescale ?? 1 }),
    });
  }

  /** Closes the whole: nothing may be left over. */
  finish(missing: string): Phase[] {
    if (this.left > SLACK * Math.max(1, this.#end)) {
      fail(
        `phases end at step ${figure(this.#at - this.#origin)} of ${figure(this.#horizon.totalSteps)}; ${missing}`,
      );
    }
    return this.phases;
  }
}

function phasesOf(spec: ScheduleSpec, horizon: Horizon, origin: number): Phase[] {
  if (spec.kind !== 'composite' && spec.horizon) {
    return cutPhases(spec, spec.horizon, horizon, origin);
  }
  const build = new Builder(origin, horizon);
  switch (spec.kind) {
    case 'constant':
      build.warmup(spec.warmup, spec.warmupStartLr, spec.peakLr);
      build.flat('constant', build.left, spec.peakLr);
      break;
    case 'linear':
    case 'cosine': {
      const { kind: shape, peakLr: from, minLr: to, decay } = spec;
      build.warmup(spec.warmup, spec.warmupStartLr, from);
      build.descent('decay', decay ? build.steps(decay, 'decay') : build.left, { shape, from, to });
      build.flat('minimum', build.left, to);
      break;
    }
    case 'inverse-sqrt':
      inverseSqrt(build, spec);
      break;
    case 'rewarm':
      for (const [index, length] of spec.cycles.entries()) {
        const totalSteps = build.steps(length, `cycles.${index}`);
        const { peakLr: from, minLr: to, decayShape: shape, timescale } = spec;
        within(build, { ...horizon, totalSteps }, `cycle ${index}`, (cycle) => {
          cycle.warmup(spec.warmup, spec.warmupStartLr, from);
          cycle.descent('decay', cycle.left, { shape, from, to, timescale });
        });
      }
      return build.finish('give another cycle');
    case 'infinite':
      return infinite(build, spec);
    case 'wsd': {
      const { peakLr: from, minLr: to, decay } = spec;
      build.warmup(spec.warmup, spec.warmupStartLr, from);
      const steps = decay.length ? build.steps(decay.length, 'decay') : build.left;
      build.flat('constant', Math.max(0, build.left - steps), from);
      build.descent('decay', steps, { ...decay, from, to });
      break;
    }
    case 'wsds':
      for (const [index, length] of spec.periods.entries()) {
        const totalSteps = build.steps(length, `periods.${index}`);
        const { peakLr: from, minLr: to, decay } = spec;
        within(build, { ...horizon, totalSteps }, `period ${index}`, (period) => {
          if (index === 0) period.warmup(spec.warmup, spec.warmupStartLr, from);
          const steps = period.steps(decay.length, 'decay');
          period.flat('constant', Math.max(0, period.left - steps), from);
          period.descent('decay', steps, { ...decay, from, to });
        });
      }
      return build.finish('give another period');
    case 'power':
      power(build, spec, horizon, origin);
      break;
    case 'composite':
      for (const [index, { length, schedule }] of spec.parts.entries()) {
        const totalSteps = length ? build.steps(length, `parts.${index}`) : build.left;
        if (!(totalSteps > 0)) fail(`parts.${index}: no steps are left for it`);
        const phases = phasesOf(schedule, { ...horizon, totalSteps }, build.at);
        append(build, phases, totalSteps, `parts.${index}`);
      }
      return build.finish('leave out the length of the last part, or give another');
  }
  return build.finish('a phase is missing');
}

/** Phases of a schedule that is made for more than there is. */
function cutPhases(
  { horizon: length, ...spec }: Exclude<ScheduleSpec, { kind: 'composite' }>,
  horizonLength: Length,
  horizon: Horizon,
  origin: number,
): Phase[] {
  const totalSteps = stepsOf(horizonLength, horizon, 'horizon');
  if (totalSteps < horizon.totalSteps * (1 - SLACK)) {
    fail(
      `horizon is ${figure(totalSteps)} steps, fewer than the ${figure(horizon.totalSteps)} of the whole; for a schedule that ends before give \`decay\` a length, or use a composite`,
    );
  }
  const cut = origin + horizon.totalSteps;
  const phases = phasesOf(spec as ScheduleSpec, { ...horizon, totalSteps }, origin);
  return phases.flatMap((phase) => {
    const { shape, start, end, from, to } = phase;
    const dust = SLACK * Math.max(1, cut);
    if (start >= cut - dust) return [];
    if (end <= cut + dust) return [end > cut - dust ? { ...phase, end: cut } : phase];
    const isScaled = shape === 'cosine' || shape === 'inverse-sqrt' || shape === '1-sqrt';
    const toCut = shape === 'constant' ? from : rateIn(phase, cut);
    return [{ ...phase, end: cut, to: toCut, ...(isScaled && { whole: { end, to } }) }];
  });
}

function inverseSqrt(build: Builder, spec: Extract<ScheduleSpec, { kind: 'inverse-sqrt' }>): void {
  const { peakLr, minLr } = spec;
  checkOrder('minLr', minLr, 'peakLr', peakLr);
  build.warmup(spec.warmup, spec.warmupStartLr, peakLr);
  const tau = spec.timescale
    ? build.steps(spec.timescale, 'timescale')
    : spec.warmup
      ? build.steps(spec.warmup, 'warmup')
      : 0;
  if (!(tau > 0)) fail('inverse-sqrt needs a warm-up or a timescale');
  const to = Math.max(peakLr * Math.sqrt(tau / (tau + build.left)), minLr);
  build.add('decay', build.left, { shape: 'root', from: peakLr, to, timescale: tau, minLr });
}

function infinite(build: Builder, spec: Extract<ScheduleSpec, { kind: 'infinite' }>): Phase[] {
  const { constantLr, minLr, cooldown, constant, anneal } = spec;
  const peakLr = spec.peakLr ?? constantLr;
  if ((spec.warmup || cooldown) && spec.peakLr === undefined)
    fail('peakLr is needed with a warm-up or a cooldown');
  checkOrder('constantLr', constantLr, 'peakLr', peakLr);
  if (anneal) checkOrder('minLr', minLr, 'constantLr', constantLr);
  if (!cooldown && peakLr !== constantLr) fail('a peakLr above constantLr needs a cooldown');
  build.warmup(spec.warmup, spec.warmupStartLr, peakLr);
  const lengths = [
    cooldown ? cooldown.length : { steps: 0 },
    constant,
    anneal ? anneal.length : { steps: 0 },
  ].map(
    (length, phase) => length && build.steps(length, ['cooldown', 'constant', 'anneal'][phase]!),
  );
  if (lengths.filter((length) => length === undefined).length > 1) {
    fail('of cooldown, constant and anneal only one may leave out its length');
  }
  const sum = lengths.reduce<number>((total, length) => total + (length ?? 0), 0);
  const rest = build.left - sum;
  if (rest < -SLACK * Math.max(1, build.at + build.left)) {
    fail(
      `cooldown, constant and anneal are ${figure(sum)} steps long, but ${figure(build.left)} are left behind the warm-up`,
    );
  }
  const [cooldownSteps, constantSteps, annealSteps] = lengths.map(
    (length) => length ?? Math.max(0, rest),
  );
  if (cooldown)
    build.descent('cooldown', cooldownSteps!, { ...cooldown, from: peakLr, to: constantLr });
  build.flat('constant', constantSteps!, constantLr);
  if (anneal) build.descent('anneal', annealSteps!, { ...anneal, from: constantLr, to: minLr });
  return build.finish('leave out the length of one phase, and it takes what remains');
}

function power(
  build: Builder,
  spec: Extract<ScheduleSpec, { kind: 'power' }>,
  { tokensPerStep }: Horizon,
  origin: number,
): void {
  const { peakLr, minLr, a, b, decay } = spec;
  if (tokensPerStep === undefined)
    fail('power is a function of tokens; tokensPerStep is needed beside it');
  checkOrder('minLr', minLr, 'peakLr', peakLr);
  const law = { a, b, peakLr, minLr, origin, tokensPerStep: tokensPerStep! };
  const warmupSteps = spec.warmup ? build.steps(spec.warmup, 'warmup') : 0;
  build.warmup(spec.warmup, spec.warmupStartLr, powerRate(law, origin + Math.max(warmupSteps, 1)));
  const steps = decay ? (decay.length ? build.steps(decay.length, 'decay') : build.left) : 0;
  const lawSteps = Math.max(0, build.left - steps);
  const from = powerRate(law, Math.max(build.at, origin + 1));
  const to = powerRate(law, Math.max(build.at + lawSteps, origin + 1));
  build.add('constant', lawSteps, { shape: 'power', from, to, power: law });
  if (decay) build.descent('decay', steps, { ...decay, from: to, to: minLr });
}

/** A stretch with phases and a horizon of its own. */
function within(
  build: Builder,
  horizon: Horizon,
  what: string,
  fill: (inner: Builder) => void,
): void {
  if (!(horizon.totalSteps > 0)) fail(`${what}: expected a length above 0`);
  const inner = new Builder(build.at, horizon);
  fill(inner);
  append(build, inner.phases, horizon.totalSteps, what);
}

function append(build: Builder, phases: readonly Phase[], totalSteps: number, what: string): void {
  if (totalSteps > build.left + SLACK * Math.max(1, build.at + build.left)) {
    fail(`${what} is ${figure(totalSteps)} steps long, but ${figure(build.left)} are left`);
  }
  for (const { name, start, end, whole, ...rest } of phases) {
    const shift = build.at - start;
    const moved = whole && { whole: { ...whole, end: whole.end + shift } };
    build.add(name, end - start, { ...rest, ...moved });
  }
}

function checkOrder(low: string, lowRate: number, high: string, highRate: number): void {
  if (lowRate > highRate) fail(`${low} ${lowRate} is above ${high} ${highRate}`);
}

function figure(steps: number): string {
  return String(Number(steps.toPrecision(8)));
}

function fail(reason: string): never {
  throw new GristmillError('SCHEDULE_INVALID', { where: 'the schedule', reason });
}
