/** What metrics say of a run, by what they are told of it. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { METRIC_PREFIX, METRICS, RunMetrics } from '../../src/observe/metrics.ts';
import type { CommittedWork, RunActivity } from '../../src/refine/activity.ts';
import { addCounts, type RefineCounts, ZERO_COUNTS } from '../../src/refine/statistics.ts';
import { seriesOf } from '../support/metrics.ts';

const RUN = 'abc';
const countsOf = (kept: number, dropped: number): RefineCounts => ({
  ...ZERO_COUNTS,
  ...{ rowsIn: kept + dropped, kept, dropped, charsIn: 7 * kept + dropped, charsOut: 5 * kept },
  ...{ promptTokens: 3 * kept, reasons: dropped > 0 ? { doc_refiner: dropped } : {} },
});
const workOf = (units: readonly number[]): CommittedWork => ({
  units: units.length,
  counts: units.reduce((sum, unit) => addCounts(sum, countsOf(unit + 1, unit)), ZERO_COUNTS),
  inputBytes: units.reduce((sum, unit) => sum + 100 + unit, 0),
  outputBytes: units.reduce((sum, unit) => sum + 50 + unit, 0),
});
const opened = (units: number | null, committed: readonly number[]): RunActivity => ({
  ...{ kind: 'run', run: RUN, worker: null, device: 'cpu', out: 'out', units, rows: 9, bytes: 99 },
  committed: workOf(committed),
});
const done = (unit: number, isOurs = true): RunActivity => {
  const { units: _, ...work } = workOf([unit]);
  return { kind: 'unit-done', unit, isOurs, seconds: 2, ...work };
};
const text = async (metrics: RunMetrics): Promise<Map<string, number>> =>
  seriesOf(await metrics.registry.metrics());

describe('docs/metrics.md', () => {
  it('lists the metrics that there are, with types and labels', () => {
    const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
    const listed = page.split('\n').filter((line) => line.startsWith('| `gristmill_'));
    expect(listed).toEqual(
      Object.entries(METRICS).map(([name, [kind, labels, help]]) => {
        return `| \`${METRIC_PREFIX}${name}\` | ${kind} | ${labels.join(', ')} | ${help} |`;
      }),
    );
  });
});

describe('RunMetrics', () => {
  it('counts what this process commits; what was there, and what others were first with, apart', async () => {
    const metrics = new RunMetrics();
    metrics.activity(RUN, opened(6, [0, 1]));
    for (const unit of [2, 3, 4]) {
      metrics.activity(RUN, { kind: 'unit-begun', unit, input: 'file' });
    }
    metrics.activity(RUN, done(2));
    metrics.activity(RUN, done(3, false));
    const series = await text(metrics);
    const units = ['waiting', 'active', 'done', 'failed', 'elsewhere', 'resumed'].map((state) =>
      series.get(`gristmill_units{run="abc",state="${state}"}`),
    );
    expect(units).toEqual([1, 1, 1, 0, 1, 2]);
    expect(series.get('gristmill_rows_total{run="abc",status="kept"}')).toBe(3);
    expect(series.get('gristmill_rows_total{run="abc",status="dropped"}')).toBe(2);
    expect(series.get('gristmill_resumed_rows{run="abc"}')).toBe(workOf([0, 1]).counts.rowsIn);
    expect(series.get('gristmill_bytes_total{run="abc",direction="in"}')).toBe(102);
    expect(series.get('gristmill_unit_duration_seconds_count{run="abc"}')).toBe(1);
  });

  it('loses and doubles nothing of a worker that dies between a commit and its word', async () => {
    const units = fc.array(fc.record({ isTold: fc.boolean(), dies: fc.boolean() }), {
      maxLength: 12,
    });
    await fc.assert(
      fc.asyncProperty(units, fc.nat(3), async (steps, nBefore) => {
        const before = Array.from({ length: nBefore }, (_, at) => 100 + at);
        const committed = [...before];
        const metrics = new RunMetrics();
        metrics.activity(RUN, opened(20, before));
        let nDeaths = 0;
        for (const [unit, { isTold, dies }] of steps.entries()) {
          metrics.activity(RUN, { kind: 'unit-begun', unit, input: 'file' });
          committed.push(unit);
          if (isTold) metrics.activity(RUN, done(unit));
          if (isTold && !dies) continue;
          nDeaths++;
          metrics.activity(RUN, { kind: 'died', exit: 'SIGKILL' });
          metrics.activity(RUN, opened(20, committed));
        }
        const series = await text(metrics);
        const ours = workOf(committed.slice(nBefore));
        const of = (name: string): number => series.get(name) ?? 0;
        expect({
          kept: of('gristmill_rows_total{run="abc",status="kept"}'),
          dropped: of('gristmill_row_reasons_total{run="abc",reason="doc_refiner"}'),
          inputBytes: of('gristmill_bytes_total{run="abc",direction="in"}'),
          done: of('gristmill_units{run="abc",state="done"}'),
          active: of('gristmill_units{run="abc",state="active"}'),
          deaths: of('gristmill_worker_deaths_total{run="abc"}'),
        }).toEqual({
          ...{ kept: ours.counts.kept, dropped: ours.counts.dropped, inputBytes: ours.inputBytes },
          ...{ done: ours.units, active: 0, deaths: nDeaths },
        });
      }),
    );
  });

  it('takes CPU time of several worker processes together, and stages as they come', async () => {
    const metrics = new RunMetrics();
    metrics.activity(RUN, opened(2, []));
    const stages = { read: 0.5, judge: 1, execute: 0, write: 0, commit: 0 };
    const worked = (cpuSeconds: number): RunActivity => ({
      ...{ kind: 'worked', batches: 1, rows: 10, stages, cpuSeconds, residentBytes: 5 },
    });
    metrics.activity(RUN, worked(3));
    metrics.activity(RUN, worked(4));
    metrics.activity(RUN, { kind: 'died', exit: 'SIGKILL' });
    metrics.activity(RUN, opened(2, []));
    metrics.activity(RUN, worked(2));
    const series = await text(metrics);
    expect(series.get('gristmill_worker_cpu_seconds_total{run="abc"}')).toBe(6);
    expect(series.get('gristmill_stage_seconds_total{run="abc",stage="judge"}')).toBe(3);
    expect(series.get('gristmill_processed_rows_total{run="abc"}')).toBe(30);
  });

  it('keeps series of the last runs only', async () => {
    const metrics = new RunMetrics();
    for (let run = 0; run < 100; run++) {
      const first = { ...opened(2, []), run: `run-${run}` } as RunActivity;
      metrics.activity(`run-${run}`, first);
      metrics.activity(`run-${run}`, done(0));
    }
    const series = await text(metrics);
    const runs = new Set([...series.keys()].flatMap((key) => /run="([^"]*)"/.exec(key)?.[1] ?? []));
    expect(runs.size).toBe(32);
    expect(runs).toContain('run-99');
    expect(runs).not.toContain('run-67');
  });

  it('quotes what stands in labels', async () => {
    const metrics = new RunMetrics();
    const odd = { ...opened(2, []), out: 'a "b"\\\n{c}' } as RunActivity;
    metrics.activity(RUN, odd);
    expect(await metrics.registry.metrics()).toContain('out="a \\"b\\"\\\\\\n{c}"');
  });
});
