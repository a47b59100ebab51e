/**
 * How far the rates of a trainer's own schedule are from a curve, step by step.
 *
 * A form is called exact when every step's rate is within 1e-6 of the curve's. Every step is compared up to a million of
 * them; beyond, the steps around the ends of phases and a million spread evenly.
 */
import type { LrCurve } from '../../schedules/curve.ts';

/** Relative difference within which a rate is the same. */
export const EXACT = 1e-6;

const MAX_COMPARED = 1_000_000;
/** Against 0 nothing is relative: rates below this share of the largest one are compared with it. */
const FLOOR = 1e-9;

/** How far rates are from a curve. */
export interface Deviation {
  /** Largest difference relative to the rate of its step. */
  readonly relative: number;
  /** Largest difference as a share of the curve's largest rate. */
  readonly ofPeak: number;
  /** Step of `ofPeak`, from 1. */
  readonly step: number;
}

/** Largest rate of a curve over its whole steps. */
export function largestRate(curve: LrCurve): number {
  let largest = 0;
  for (const { from, to } of curve.phases) largest = Math.max(largest, from, to);
  return largest;
}

/** Steps that are compared: all of them, or those that tell. */
export function* comparedSteps(curve: LrCurve, limit = MAX_COMPARED): Generator<number> {
  const total = Math.floor(curve.totalSteps);
  if (total <= limit) {
    for (let step = 1; step <= total; step++) yield step;
    return;
  }
  for (const { start, end } of curve.phases) {
    for (const edge of [start, end]) {
      for (let near = -3; near <= 3; near++) {
        const step = Math.floor(edge) + near;
        if (step >= 1 && step <= total) yield step;
      }
    }
  }
  for (let at = 0; at < limit; at++) yield 1 + Math.floor((at * total) / limit);
}

/** Compares the rates of a trainer with a curve. */
export function deviationOf(curve: LrCurve, rateAt: (step: number) => number): Deviation {
  const peak = largestRate(curve);
  let relative = 0;
  let ofPeak = 0;
  let atStep = 1;
  for (const step of comparedSteps(curve)) {
    const expected = curve.at(step);
    const difference = Math.abs(rateAt(step) - expected);
    // A form that yields no number is no form.
    if (!(difference >= 0)) return { relative: Infinity, ofPeak: Infinity, step };
    const scale = Math.max(expected, FLOOR * peak);
    if (scale > 0) relative = Math.max(relative, difference / scale);
    // The first of steps that are off alike.
    if (peak > 0 && difference / peak > ofPeak * (1 + 1e-6)) {
      ofPeak = difference / peak;
      atStep = step;
    }
  }
  return { relative, ofPeak, step: atStep };
}
