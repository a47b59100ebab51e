import { describe, expect, it } from 'vitest';
import { deviationOf } from '../../../src/interop/schedules/measure.ts';
import { lawOf, trapezoidOf, whole } from '../../../src/interop/schedules/shape.ts';
import { lrCurve } from '../../../src/schedules/curve.ts';
import type { ScheduleInput } from '../../../src/schedules/spec.ts';

const curve = (schedule: ScheduleInput, totalSteps = 1000) =>
  lrCurve(schedule, { totalSteps, tokensPerStep: 1000 });

describe('trapezoidOf', () => {
  it('reads warm-up, hold, descent and flat end', () => {
    const schedule: ScheduleInput = {
      kind: 'cosine',
      peakLr: 1,
      minLr: 0.1,
      warmup: { steps: 12.5 },
      warmupStartLr: 0.2,
      decay: { steps: 500 },
    };
    expect(trapezoidOf(curve(schedule))).toEqual({
      startLr: 0.2,
      peakLr: 1,
      warmup: 12.5,
      hold: 0,
      decay: { shape: 'cosine', steps: 500, toLr: 0.1 },
      tail: 487.5,
      total: 1000,
    });
    expect(trapezoidOf(curve({ kind: 'constant', peakLr: 1 }))).toMatchObject({
      warmup: 0,
      hold: 1000,
      decay: null,
      tail: 0,
    });
    // A cooldown down to a constant phase is a descent with a flat end.
    const infinite: ScheduleInput = {
      kind: 'infinite',
      peakLr: 1,
      constantLr: 0.5,
      cooldown: { shape: 'cosine', length: { steps: 400 } },
    };
    expect(trapezoidOf(curve(infinite))).toMatchObject({ decay: { steps: 400 }, tail: 600 });
  });

  it('two descents, second warm-ups and laws have no such form', () => {
    const anneal: ScheduleInput = {
      kind: 'infinite',
      peakLr: 1,
      constantLr: 0.5,
      minLr: 0.1,
      cooldown: { shape: 'cosine', length: { steps: 400 } },
      constant: { steps: 300 },
      anneal: {},
    };
    const cycles = [{ fraction: 0.5 }, { fraction: 0.5 }];
    expect(trapezoidOf(curve(anneal))).toBeNull();
    expect(trapezoidOf(curve({ kind: 'rewarm', peakLr: 1, minLr: 0, cycles }))).toBeNull();
    const root: ScheduleInput = { kind: 'inverse-sqrt', peakLr: 1, warmup: { steps: 10 } };
    expect(trapezoidOf(curve(root))).toBeNull();
    expect(lawOf(curve(root), 'root')).toMatchObject({ warmup: 10, peakLr: 1 });
    expect(lawOf(curve(root), 'power')).toBeNull();
    expect(lawOf(curve({ ...root, warmupStartLr: 0.5 }), 'root')).toBeNull();
  });

  it('whole forgives float dust and nothing else', () => {
    expect([0.01 * 100, 3.0000000001, 3.01, 0].map(whole)).toEqual([1, 3, null, 0]);
  });
});

describe('deviationOf', () => {
  it('finds the largest difference and its step', () => {
    const linear = curve({ kind: 'linear', peakLr: 2 }, 100);
    const off = deviationOf(linear, (step) => linear.at(step) + (step === 50 ? 0.1 : 0));
    expect(off.step).toBe(50);
    expect(off.ofPeak).toBeCloseTo(0.05, 12);
    expect(off.relative).toBeCloseTo(0.1, 12);
    expect(deviationOf(linear, (step) => linear.at(step))).toMatchObject({
      relative: 0,
      ofPeak: 0,
    });
    expect(deviationOf(linear, () => Number.NaN).ofPeak).toBe(Infinity);
  });

  it('looks at the ends of phases where there are too many steps for all', () => {
    const long = curve(
      { kind: 'wsd', peakLr: 1, decay: { shape: 'linear', length: { steps: 9 } } },
      5e6,
    );
    const edge = 5e6 - 8;
    const off = deviationOf(long, (step) => long.at(step) + (step === edge ? 0.5 : 0));
    expect(off).toMatchObject({ step: edge, ofPeak: 0.5 });
  });
});
