import { describe, expect, it } from 'vitest';
import { scheduleFromNeoxEnds, scheduleFromNeoxLengths } from '../../src/interop/neox-schedules.ts';
import { lrCurve } from '../../src/schedules/curve.ts';

/** In the manner of the paper's experiment files: JSON with a comma too many. */
const ends = (
  style: string,
  more = '"cooldown_iters_percent": 0.6, "constant_iters_percent": 0.85,',
) =>
  `{
  "optimizer": { "type": "Adam", "params": { "lr": 3.0e-4, "betas": [0.9, 0.95], } },
  "min_lr": 3.0e-5,
  "lr-decay-style": "${style}",
  "warmup": 0.01,
  "constant_lr": 0.000165,
  "timescale": 10,
  ${more}
}`;
const lengths = (style: string, more: string) =>
  ends(style, more).replace('"timescale": 10', '"timescale": 10.0');

describe('infinite schedules of gpt-neox', () => {
  it.each([
    ['cosine_cooldown_infinite', 'infinite_cosine'],
    ['inverse_sqrt_infinite', 'infinite_inv_sqrt'],
  ])('%s by ends is %s by lengths', (byEnds, byLengths) => {
    const totalSteps = 132_366;
    const one = lrCurve(scheduleFromNeoxEnds(ends(byEnds)), { totalSteps });
    const text = lengths(byLengths, '"cooldown_iters_perc": 0.59, "constant-iters-perc": 0.25,');
    const other = lrCurve(scheduleFromNeoxLengths(text), { totalSteps });
    expect(one.phases.map(({ name }) => name)).toEqual([
      'warmup',
      'cooldown',
      'constant',
      'anneal',
    ]);
    for (let step = 1; step <= totalSteps; step += 997) {
      expect(Math.abs(one.at(step) / other.at(step) - 1)).toBeLessThan(1e-9);
    }
    expect(one.lastConstantStep).toBe(Math.floor(0.85 * totalSteps));
  });

  it('the same numbers mean two schedules', () => {
    const numbers = (suffix: string) =>
      `"cooldown_iters_${suffix}": 0.3, "constant_iters_${suffix}": 0.4,`;
    const anneal = (spec: Parameters<typeof lrCurve>[0]) =>
      lrCurve(spec, { totalSteps: 1000 }).phases.at(-1)!.start;
    const byEnds = scheduleFromNeoxEnds(ends('cosine_cooldown_infinite', numbers('percent')));
    const byLengths = scheduleFromNeoxLengths(lengths('infinite_cosine', numbers('perc')));
    expect(anneal(byEnds)).toBeCloseTo(400, 6);
    expect(anneal(byLengths)).toBeCloseTo(710, 6);
  });

  it('refuses the keys of the other kind, both at once, and what is left open', () => {
    const perc = '"cooldown_iters_perc": 0.59, "constant_iters_perc": 0.25,';
    const percent = '"cooldown_iters_percent": 0.6, "constant_iters_percent": 0.85,';
    expect(() => scheduleFromNeoxEnds(ends('cosine_cooldown_infinite', perc))).toThrow(
      /say how long phases are/,
    );
    expect(() => scheduleFromNeoxLengths(ends('infinite_cosine', percent))).toThrow(
      /say where phases end/,
    );
    for (const read of [scheduleFromNeoxEnds, scheduleFromNeoxLengths]) {
      expect(() => read(ends('infinite_cosine', perc + percent))).toThrow(/must be clear/);
      expect(() => read('[1, 2')).toThrow(/SCHEDULE_INVALID|the configuration/);
      expect(() => read('null')).toThrow(/keys and values/);
    }
    // As one of the published files has it: an end of the constant phase without one of the cooldown.
    expect(() =>
      scheduleFromNeoxEnds(ends('inverse_sqrt_infinite', '"constant_iters_percent": 0.98,')),
    ).toThrow(/cooldown_iters_percent: expected a number, received nothing/);
    expect(() => scheduleFromNeoxEnds(ends('cosine', percent))).toThrow(/lr-decay-style/);
    expect(() =>
      scheduleFromNeoxEnds(ends('cosine_cooldown_infinite', `${percent} "num_repeats": 3,`)),
    ).toThrow(/num_repeats/);
    expect(() =>
      scheduleFromNeoxEnds(ends('cosine_cooldown_infinite', `${percent} "min-lr": 1,`)),
    ).toThrow(/twice/);
    expect(() =>
      scheduleFromNeoxEnds(ends('cosine_cooldown_infinite', percent.replace('0.6', '0.9'))),
    ).toThrow(/constantEnd/);
    expect(() =>
      scheduleFromNeoxLengths(lengths('infinite_cosine', perc.replace('0.25', '0.45'))),
    ).toThrow(/1\.05/);
  });
});
