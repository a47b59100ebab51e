/** A plan as data and as a table of rates. */
import { describe, expect, it } from 'vitest';
import { checkPlan } from '../../../src/continual/plan/config.ts';
import { planReport, scheduleCsv, tokensText } from '../../../src/continual/plan/report.ts';
import { resolvePlan } from '../../../src/continual/plan/resolve.ts';

const plan = resolvePlan(
  checkPlan({
    preset: 'rewarm',
    model: { from: 'base.gguf' },
    batch: { nSeq: 4, nCtx: 16 },
    datasets: { a: {}, b: {} },
    stages: [
      {
        name: 'one',
        data: 'a',
        steps: 30_000,
        done: true,
        schedule: { kind: 'cosine', peakLr: 1e-3, minLr: 1e-4 },
      },
      {
        name: 'two',
        data: [{ data: { a: 1, b: 1 }, until: { fraction: 0.5 } }, { data: 'b' }],
        steps: 12_000,
        replay: 0.25,
      },
    ],
  }),
);

describe('planReport', () => {
  it('survives JSON and sums the segments', () => {
    const report = planReport(plan);
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    const [, two] = report.stages;
    expect(two!.from).toEqual({ stage: 'one', checkpoint: 'annealed' });
    expect(two!.sources).toEqual([
      { dataset: 'a', kind: 'new', share: 0.1875, nSequences: 9000, nTokens: 144_000 },
      { dataset: 'b', kind: 'new', share: 0.5625, nSequences: 27_000, nTokens: 432_000 },
      { dataset: 'a', kind: 'replay', share: 0.25, nSequences: 12_000, nTokens: 192_000 },
    ]);
    expect(two!.rates).toEqual({ first: plan.stages[1]!.curve.at(1), peak: 1e-3, last: 1e-4 });
    expect(two!.phases.map(({ name, end }) => [name, end])).toEqual([
      ['warmup', 120],
      ['decay', 12_000],
    ]);
  });
});

describe('scheduleCsv', () => {
  it('has every step of the stages that are run', () => {
    const rows = [...scheduleCsv(plan)].join('').trimEnd().split('\n');
    expect(rows[0]).toBe('stage,step,tokens,lr');
    expect(rows).toHaveLength(12_001);
    for (const step of [1, 9999, 10_000, 10_001, 12_000]) {
      expect(rows[step]).toBe(`two,${step},${step * 64},${plan.stages[1]!.curve.at(step)}`);
    }
  });
});

describe('tokensText', () => {
  it('is short', () => {
    expect([0, 999, 1000, 2.5e9, 3e11, 1.5e13].map(tokensText)).toEqual([
      '0',
      '999',
      '1k',
      '2.5B',
      '300B',
      '15T',
    ]);
  });
});
