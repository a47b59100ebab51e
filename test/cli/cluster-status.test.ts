/** What `cluster status` shows of runs. */
import { describe, expect, it } from 'vitest';
import { statusTable } from '../../src/cli/cluster-status.ts';
import type { BoardStatus } from '../../src/work/queue/board.ts';

const NOW = 1_800_000_000_000;
const status: BoardStatus = {
  run: {
    ...{ id: 'abcdef012345', out: 's3://bucket/out', priority: 3, tries: 3, units: 200 },
    ...{ submittedMs: NOW - 9e6, traceparent: null },
  },
  state: 'open',
  jobs: { waiting: 90, active: 2, delayed: 4, failed: 4 },
  unitsDone: 100,
  totals: { units: 100, rowsIn: 1_000_000, kept: 600_000, edited: 250_000, dropped: 150_000 },
  workers: [
    {
      ...{
        worker: 'host-aa',
        host: 'host',
        pid: 12,
        device: 'cuda:0',
        units: 60,
        seenMs: NOW - 900,
      },
      ...{ rowsPerSecond: 300, unitsPerSecond: 0.03 },
    },
    {
      ...{
        worker: 'other-bb',
        host: 'other',
        pid: 7,
        device: 'cpu',
        units: 40,
        seenMs: NOW - 2_000,
      },
      ...{ rowsPerSecond: 20.25, unitsPerSecond: 0.002 },
    },
  ],
  rowsPerSecond: 320.25,
  secondsLeft: 3_000,
  errors: [
    {
      ...{ unit: 17, code: 'CORPUS_CORRUPT', worker: 'other-bb', atMs: NOW - 65_000 },
      message: `file a\u001b[31m.parquet: ${'long '.repeat(100)}`,
    },
  ],
  refusals: { 'third-cc': 'versions.gristmill: "1" -> "2"' },
};

describe('statusTable', () => {
  it('has how far a run is, how fast and for how long, its workers, its errors and who refused it', () => {
    const lines = statusTable([status], NOW).split('\n');
    expect(lines[0]!.split(/ {2,}/)).toEqual([
      ...['run', 'state', 'priority', 'done', 'waiting', 'active', 'set aside', 'docs', 'stay'],
      ...['docs/s', 'ETA', 'out'],
    ]);
    expect(lines[1]!.split(/ {2,}/)).toEqual([
      ...['abcdef012345', 'open', '3', '100 of 200 (50%)', '94', '2', '4', '1,000,000', '85.0%'],
      ...['320.3', '50m00s', 's3://bucket/out'],
    ]);
    const text = lines.join('\n');
    expect(text).toMatch(/abcdef012345 +host-aa +host +12 +cuda:0 +60 +300\.0 +1s ago/);
    expect(text).toMatch(/abcdef012345 +other-bb +other +7 +cpu +40 +20\.3 +2s ago/);
    expect(text).toMatch(/abcdef012345 +1m05s ago +unit 17 +other-bb +CORPUS_CORRUPT: file a/);
    expect(text).toMatch(/refused +third-cc +versions\.gristmill/);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(230);
    expect(text).not.toContain('\u001b');
  });

  it('says what to do where nobody works, and that there is nothing', () => {
    expect(statusTable([{ ...status, workers: [] }], NOW)).toContain(
      'no workers: gristmill cluster work',
    );
    expect(statusTable([], NOW)).toBe('no runs\n');
    const idle = { ...status, workers: [], jobs: { waiting: 0, active: 0, delayed: 0, failed: 0 } };
    const done = statusTable([{ ...idle, secondsLeft: 0, rowsPerSecond: 0 }], NOW);
    expect(done).not.toContain('no workers');
    const unknown = statusTable([{ ...status, secondsLeft: null }], NOW);
    expect(unknown).toMatch(/320\.3 +\? +s3/);
  });
});
