/**
 * Curves seen as other trainers see them: one warm-up, one flat stretch, one descent, one flat end.
 *
 *     rate   peakLr      ┌──────────┐
 *                       ╱            ╲
 *            startLr   ╱              ╲____________  toLr
 *                      warmup  hold    decay   tail
 *
 * Lengths are steps, not rounded; the descent of a schedule that is cut off is told whole, beyond the end. A part may be
 * empty; what does not fit (two descents, a second warm-up, a law of tokens) has no such form.
 */
import type { LrCurve, Phase } from '../../schedules/curve.ts';
import type { DecayShape } from '../../schedules/spec.ts';

/** A curve of at most one of each part. */
export interface Trapezoid {
  readonly startLr: number;
  readonly peakLr: number;
  readonly warmup: number;
  readonly hold: number;
  readonly decay: {
    readonly shape: DecayShape;
    readonly steps: number;
    readonly toLr: number;
  } | null;
  readonly tail: number;
  readonly total: number;
}

/** What a trainer's own schedules can hold. */
export interface Vocabulary {
  /** As it is named in messages. */
  readonly trainer: string;
  readonly shapes: readonly DecayShape[];
  /** A flat stretch between warm-up and descent; under which shapes. */
  readonly holdShapes: readonly DecayShape[];
  /** A flat end behind the descent. */
  readonly tail: boolean;
  /** A warm-up that starts above 0. */
  readonly startLr: boolean;
  /** Several descents and warm-ups, one after the other. */
  readonly composes: boolean;
  /** The laws beside the trapezoids: `root` (inverse square root), `power`. */
  readonly laws: readonly ('root' | 'power')[];
}

/** Float dust of sums of fractions, in steps. */
const SLACK = 1e-6;

/** The trapezoid that a curve is, or null. */
export function trapezoidOf({ phases, totalSteps }: LrCurve): Trapezoid | null {
  const rest = [...phases];
  const take = (fits: (phase: Phase) => boolean): Phase | null =>
    rest[0] && fits(rest[0]) ? rest.shift()! : null;
  const warmup = take(({ name }) => name === 'warmup');
  const hold = take(({ shape }) => shape === 'constant');
  const decay = take(({ shape, name }) => isDescent(shape) && name !== 'warmup');
  const tail = take(({ shape }) => shape === 'constant');
  if (rest.length > 0) return null;
  const peakLr = warmup?.to ?? hold?.from ?? decay!.from;
  if ((hold && hold.from !== peakLr) || (decay && decay.from !== peakLr)) return null;
  if (tail && tail.from !== (decay?.to ?? peakLr)) return null;
  const steps = (phase: Phase | null): number => (phase ? phase.end - phase.start : 0);
  // A trainer is told of the whole descent, where it is cut off.
  const descent = decay && { ...decay, ...decay.whole };
  return {
    startLr: warmup?.from ?? peakLr,
    peakLr,
    warmup: steps(warmup),
    hold: steps(hold),
    decay:
      descent && isDescent(descent.shape)
        ? { shape: descent.shape, steps: steps(descent), toLr: descent.to }
        : null,
    tail: steps(tail),
    total: totalSteps,
  };
}

function isDescent(shape: Phase['shape']): shape is DecayShape {
  return shape !== 'constant' && shape !== 'root' && shape !== 'power';
}

/** Warm-up from 0 and a law behind it to the end, or null. */
export function lawOf(
  { phases }: LrCurve,
  shape: 'root' | 'power',
): { readonly warmup: number; readonly peakLr: number; readonly law: Phase } | null {
  const [first, second, ...more] = phases;
  const law = first?.name === 'warmup' ? second : first;
  if (law?.shape !== shape || (first !== law && more.length > 0)) return null;
  if (first === law && second !== undefined) return null;
  if (first !== law && first!.from !== 0) return null;
  return { warmup: law.start, peakLr: law.from, law };
}

/** A number of steps that is whole but for float dust, as a whole number; else null. */
export function whole(steps: number): number | null {
  const rounded = Math.round(steps);
  return Math.abs(steps - rounded) <= SLACK ? rounded : null;
}

/** In words, which phases of a curve a trainer has no form for. */
export function whatIsMissing(curve: LrCurve, vocabulary: Vocabulary): string {
  const { trainer, shapes, holdShapes, laws } = vocabulary;
  const unknown = curve.phases.filter(
    ({ shape }) =>
      (isDescent(shape) && !shapes.includes(shape) && shape !== 'linear') ||
      ((shape === 'root' || shape === 'power') && !laws.includes(shape)),
  );
  const reasons = [...new Set(unknown.map(({ name, shape }) => `${name} (${shape})`))].map(
    (phase) => `the phase ${phase} has no form there`,
  );
  const trapezoid = trapezoidOf(curve);
  if (
    !trapezoid &&
    !vocabulary.composes &&
    !curve.phases.some(({ shape }) => shape === 'root' || shape === 'power')
  ) {
    const phases = curve.phases.map(({ name, shape }) => `${name} (${shape})`);
    const shown = phases.length > 6 ? [...phases.slice(0, 6), '…'] : phases;
    reasons.push(`it has one schedule of one descent, not ${shown.join(', ')}`);
  } else if (trapezoid) {
    const { decay, hold, tail, startLr, warmup } = trapezoid;
    if (decay && hold > 0 && shapes.includes(decay.shape) && !holdShapes.includes(decay.shape))
      reasons.push('it has no constant phase in front of the decay');
    if (decay && tail > 0 && !vocabulary.tail)
      reasons.push('it has no constant phase behind the decay');
    if (warmup > 0 && startLr > 0 && !vocabulary.startLr) reasons.push('its warm-up starts at 0');
  }
  return `${trainer}: ${reasons.join('; ') || 'its nearest schedule is too far from the curve'}`;
}
