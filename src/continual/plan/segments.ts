/**
 * Where the blends of a stage change: at a share of its steps, or where its rate has fallen to a share of the peak.
 *
 * A rate is looked for behind the peak, so that a warm-up never counts as low. Every phase of a curve goes one way, up
 * (warm-ups) or down (the others), so that a search by halves within each finds the first such step.
 */
import type { LrCurve } from '../../schedules/curve.ts';

/** When a blend ends. */
export type Until = { readonly lrFraction: number } | { readonly fraction: number };

/** What rounding may do to a rate. */
const TOLERANCE = 1e-12;

/** The highest rate of a curve. */
export function peakOf({ phases }: LrCurve): number {
  return phases.reduce((peak, { from, to }) => Math.max(peak, from, to), 0);
}

/**
 * Steps in front of the first one whose rate, behind the peak, is at most `lrFraction` of it; null where none is.
 */
export function stepsAbove(curve: LrCurve, lrFraction: number): number | null {
  const peak = peakOf(curve);
  const bound = peak * lrFraction * (1 + TOLERANCE);
  const first = curve.phases.findIndex(({ from, to }) => from === peak || to === peak);
  for (const { start, end, from, to } of curve.phases.slice(first)) {
    const low = Math.floor(start) + 1;
    const high = Math.floor(end);
    if (low > high) continue;
    const isReached = (step: number): boolean => curve.at(step) <= bound;
    if (from < to) {
      // Up to the peak is in front of it; later warm-ups are lowest at their first step.
      if (start > curve.phases[first]!.start && isReached(low)) return low - 1;
      continue;
    }
    if (!isReached(high)) continue;
    let before = low - 1;
    let reached = high;
    while (reached - before > 1) {
      const middle = before + Math.floor((reached - before) / 2);
      if (isReached(middle)) reached = middle;
      else before = middle;
    }
    return reached - 1;
  }
  return null;
}

/**
 * First and end step of each blend.
 *
 * @param until of each blend; none for the last
 * @param refuse raises the plan's error
 */
export function segmentSteps(
  until: readonly (Until | undefined)[],
  curve: LrCurve,
  nSteps: number,
  refuse: (reason: string) => never,
): { readonly firstStep: number; readonly endStep: number }[] {
  let firstStep = 0;
  return until.map((bound, part) => {
    const key = `data.${part}.until`;
    const isLast = part === until.length - 1;
    if (isLast !== (bound === undefined)) {
      refuse(
        `${key}: ${isLast ? 'the last blend has none: it ends with the stage' : 'missing: only the last blend ends with the stage'}`,
      );
    }
    let endStep: number | null = nSteps;
    if (bound) {
      endStep =
        'fraction' in bound
          ? Math.round(bound.fraction * nSteps)
          : stepsAbove(curve, bound.lrFraction);
      if (endStep === null) {
        refuse(
          `${key}: the rate never falls to ${JSON.stringify(bound)} of its peak ${peakOf(curve)}`,
        );
      }
    }
    if (endStep! <= firstStep || (!isLast && endStep! >= nSteps)) {
      refuse(
        `${key}: the blend would end behind step ${endStep}, but it begins behind step ${firstStep} of ${nSteps}, and every blend needs a step`,
      );
    }
    const range = { firstStep, endStep: endStep! };
    firstStep = endStep!;
    return range;
  });
}
