/** Where blends change, against a walk over every step. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { peakOf, segmentSteps, stepsAbove } from '../../../src/continual/plan/segments.ts';
import { lrCurve } from '../../../src/schedules/curve.ts';
import type { ScheduleInput } from '../../../src/schedules/spec.ts';

const SCHEDULES: readonly ScheduleInput[] = [
  { kind: 'constant', peakLr: 1e-3 },
  { kind: 'constant', peakLr: 1e-3, warmup: '10 %' },
  { kind: 'linear', peakLr: 1e-3, warmup: '5 steps' },
  { kind: 'cosine', peakLr: 1e-3, minLr: 1e-5 },
  { kind: 'cosine', peakLr: 1e-3, minLr: 1e-4, warmup: { fraction: 0.013 }, decay: '60 %' },
  { kind: 'inverse-sqrt', peakLr: 1e-3, warmup: '2.5 %' },
  { kind: 'rewarm', peakLr: 1e-3, minLr: 5e-4, warmup: '20 %', cycles: ['40 %', '60 %'] },
  {
    kind: 'infinite',
    peakLr: 1e-3,
    constantLr: 5e-4,
    minLr: 1e-5,
    warmup: '1 %',
    cooldown: { shape: 'inverse-sqrt', length: '59 %', timescale: 10 },
    constant: '25 %',
    anneal: {},
  },
  { kind: 'wsd', peakLr: 1e-3, warmup: '7 %', decay: { shape: '1-sqrt', length: '20 %' } },
];

/** The oracle: the first step at or below the share that is behind the peak. */
function naive(curve: ReturnType<typeof lrCurve>, nSteps: number, share: number): number | null {
  const peak = peakOf(curve);
  const { start, end, from } = curve.phases.find(
    (phase) => phase.from === peak || phase.to === peak,
  )!;
  const behind = from === peak ? start : end;
  for (let step = 1; step <= nSteps; step++) {
    if (step > behind && curve.at(step) <= peak * share * (1 + 1e-12)) return step - 1;
  }
  return null;
}

const refuse = (reason: string): never => {
  throw new Error(reason);
};

describe('stepsAbove', () => {
  it('is what a walk over the steps finds', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SCHEDULES),
        fc.integer({ min: 20, max: 700 }),
        fc.double({ min: 1e-3, max: 1, noNaN: true }),
        (schedule, nSteps, share) => {
          const curve = lrCurve(schedule, { totalSteps: nSteps });
          expect(stepsAbove(curve, share)).toBe(naive(curve, nSteps, share));
        },
      ),
      { numRuns: 400 },
    );
  });
});

describe('segmentSteps', () => {
  const curve = lrCurve({ kind: 'cosine', peakLr: 1, minLr: 0.01 }, { totalSteps: 100 });

  it('cuts at shares of the steps and of the rate', () => {
    expect(
      segmentSteps([{ fraction: 0.25 }, { lrFraction: 0.2 }, undefined], curve, 100, refuse),
    ).toEqual([
      { firstStep: 0, endStep: 25 },
      { firstStep: 25, endStep: 71 },
      { firstStep: 71, endStep: 100 },
    ]);
    expect(curve.at(71)).toBeGreaterThan(0.2);
    expect(curve.at(72)).toBeLessThanOrEqual(0.2);
  });

  it('refuses what leaves a blend without a step', () => {
    const cut =
      (...until: Parameters<typeof segmentSteps>[0]) =>
      () =>
        segmentSteps(until, curve, 100, refuse);
    expect(cut({ fraction: 0.5 }, { fraction: 0.5 }, undefined)).toThrow(/data\.1\.until.*step 50/);
    expect(cut({ fraction: 0.001 }, undefined)).toThrow(/data\.0\.until.*step 0/);
    expect(cut({ fraction: 1 }, undefined)).toThrow(/step 100/);
    expect(cut({ lrFraction: 0.001 }, undefined)).toThrow(/never falls.*0\.001/);
    expect(cut(undefined, undefined)).toThrow(/data\.0\.until: missing/);
    expect(cut({ fraction: 0.5 })).toThrow(/data\.0\.until: the last blend/);
  });
});
