import { describe, expect, it } from 'vitest';
import { interpolate, lrTable, tableFiles } from '../../../src/interop/schedules/table.ts';
import { decimal } from '../../../src/interop/schedules/target.ts';
import { lrCurve } from '../../../src/schedules/curve.ts';
import type { ScheduleInput } from '../../../src/schedules/spec.ts';

const schedules: readonly ScheduleInput[] = [
  { kind: 'cosine', peakLr: 3e-4, minLr: 0, warmup: { fraction: 0.013 } },
  {
    kind: 'rewarm',
    peakLr: 3e-4,
    minLr: 3e-5,
    cycles: [{ fraction: 0.3 }, { fraction: 0.7 }],
  },
  {
    kind: 'wsd',
    peakLr: 1e-3,
    minLr: 1e-6,
    warmup: { steps: 100 },
    decay: { shape: 'exponential', length: { fraction: 0.2 } },
  },
  { kind: 'power', peakLr: 1e-3, a: 4, warmup: { fraction: 0.01 } },
];

describe('lrTable', () => {
  it('holds every step where they are few', () => {
    const curve = lrCurve(schedules[0]!, { totalSteps: 777 });
    const table = lrTable(curve, 777, 777);
    expect(table).toMatchObject({ isWhole: true, deviation: { relative: 0 } });
    expect(table.rates).toEqual(Array.from({ length: 777 }, (_, at) => curve.at(at + 1)));
  });

  it.each(schedules)('breakpoints of $kind are as near as they say', (schedule) => {
    const totalSteps = 30_011;
    const curve = lrCurve(schedule, { totalSteps, tokensPerStep: 1e6 });
    const peak = Math.max(...curve.phases.flatMap(({ from, to }) => [from, to]));
    for (const maxRows of [10_000, 200, 30]) {
      const table = lrTable(curve, totalSteps, maxRows);
      expect(table.steps.length).toBeLessThanOrEqual(maxRows);
      expect(table.steps[0]).toBe(1);
      expect(table.steps.at(-1)).toBe(totalSteps);
      expect(table.steps.every((step, at) => at === 0 || step > table.steps[at - 1]!)).toBe(true);
      let largest = 0;
      let nBeyond = 0;
      for (let step = 1; step <= totalSteps; step++) {
        const off = Math.abs(interpolate(table, step) - curve.at(step));
        largest = Math.max(largest, off / peak);
        const bound = table.deviation.relative * Math.max(curve.at(step), 1e-9 * peak);
        if (off > bound * (1 + 1e-9)) nBeyond++;
      }
      expect(nBeyond).toBe(0);
      expect(largest).toBeLessThanOrEqual(table.deviation.ofPeak * (1 + 1e-5) + 1e-15);
      if (maxRows === 10_000) expect(table.deviation.relative).toBeLessThanOrEqual(1e-6);
      else expect(table.deviation.ofPeak).toBeLessThan(maxRows === 200 ? 1e-3 : 0.05);
    }
  });

  it('writes numbers that JSON, Python and YAML 1.1 read as numbers', () => {
    expect([1e-7, 1.5e-7, 3e-4, 2e21, 0].map(decimal)).toEqual([
      '1.0e-7',
      '1.5e-7',
      '0.0003',
      '2.0e+21',
      '0',
    ]);
    const curve = lrCurve(schedules[0]!, { totalSteps: 5 });
    expect(tableFiles(lrTable(curve, 5, 5)).map(({ name }) => name)).toEqual([
      'lr-table.csv',
      'lr_table.py',
    ]);
  });
});
