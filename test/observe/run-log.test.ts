/** Lines of the log: their ids, their traces, and what they do not hold. */
import { describe, expect, it } from 'vitest';
import { GristmillError } from '../../src/errors.ts';
import { RunLog } from '../../src/observe/run-log.ts';
import { traceContextOf } from '../../src/observe/trace-context.ts';
import { ZERO_COUNTS } from '../../src/refine/statistics.ts';
import type { BoardRun } from '../../src/work/queue/board.ts';

const traceOf = (digit: string): string => `00-${digit.repeat(32)}-${digit.repeat(16)}-01`;

function logged(
  act: (log: RunLog) => void,
  trace: string | null = null,
): Record<string, unknown>[] {
  const lines: string[] = [];
  act(new RunLog({ write: (line) => void lines.push(line), trace: traceContextOf(trace) }));
  return lines.map((line) => {
    expect(line.endsWith('\n')).toBe(true);
    // A key twice is one that readers disagree about.
    const keys = [...line.matchAll(/[{,]"(\w+)":/g)].map(([, key]) => key);
    expect(keys.filter((key, at) => keys.indexOf(key) !== at)).toEqual([]);
    return JSON.parse(line) as Record<string, unknown>;
  });
}

const run: BoardRun = {
  ...{ id: 'abc', out: 'out', priority: 0, tries: 2, units: 3, submittedMs: 0, spec: null },
  traceparent: traceOf('b'),
};
const done = { isOurs: true, counts: { rowsIn: 5 }, seconds: 2 };

describe('RunLog', () => {
  it('names run, worker and unit, and the trace that each is part of', () => {
    const lines = logged((log) => {
      log.notice('before');
      log.take({ kind: 'run', run }, 'host-1');
      log.take({ kind: 'begun', run, unit: 0, attempt: 1, traceparent: traceOf('c') }, 'host-1');
      log.take({ kind: 'begun', run, unit: 1, attempt: 2, traceparent: null }, 'host-1');
      log.take({ kind: 'done', run, unit: 0, done }, 'host-1');
      log.take({ kind: 'failed', run, unit: 1, code: 'CORPUS_CORRUPT', message: 'm' }, 'host-1');
      log.activity('abc', { kind: 'died', exit: 'SIGKILL' }, true);
      log.take({ kind: 'session', run, message: 'a full disk' }, 'host-1');
    }, traceOf('a'));
    const seen = lines.map(({ event, level, unit, trace_id: trace }) => [
      ...[event, level, unit, String(trace)[0]],
    ]);
    expect(seen).toEqual([
      ['notice', 'info', undefined, 'a'],
      ['run-taken', 'info', undefined, 'b'],
      ['unit-begun', 'info', 0, 'c'],
      ['unit-begun', 'info', 1, 'a'],
      ['unit-done', 'info', 0, 'c'],
      ['unit-failed', 'error', 1, 'a'],
      ['worker-died', 'error', undefined, 'b'],
      ['session-failed', 'error', undefined, 'b'],
    ]);
    for (const line of lines.slice(1)) expect(line).toMatchObject({ run: 'abc', worker: 'host-1' });
    expect(lines[3]).toMatchObject({ attempt: 2 });
    expect(lines[4]).toMatchObject({ rowsIn: 5, isOurs: true, seconds: 2 });
  });

  it('has no trace where there is none', () => {
    const [line] = logged((log) => log.notice('a line'));
    expect(Object.keys(line!).filter((key) => key.startsWith('trace'))).toEqual([]);
  });

  it('tells of units by themselves or by the queue, never twice', () => {
    const unit = { kind: 'unit-done', unit: 4, isOurs: true, seconds: 1 } as const;
    const activity = { ...unit, counts: ZERO_COUNTS, inputBytes: 7, outputBytes: 3 };
    expect(logged((log) => log.activity('abc', activity, true))).toEqual([]);
    expect(logged((log) => log.activity('abc', activity, false))).toMatchObject([
      { event: 'unit-done', unit: 4, inputBytes: 7, outputBytes: 3 },
    ]);
  });

  it('has codes of failures, stacks of those that are bugs, and nothing that a terminal acts on', () => {
    const hostile = 'a\u001b[31m\u009b2J\u202e\u{e0001}b\u2028c';
    const raw: string[] = [];
    new RunLog({ write: (line) => void raw.push(line), trace: null }).notice(hostile);
    expect(raw[0]).toMatch(/^[\x20-\x7e]+\n$/);
    expect((JSON.parse(raw[0]!) as { msg: string }).msg).toBe(hostile);
    const lines = logged((log) => {
      log.failure(new GristmillError('RUN_OUTPUT_FAILED', { path: 'p', reason: 'ENOSPC' }));
      log.failure(new TypeError('x is not a function'));
    });
    expect(lines[0]).toMatchObject({ code: 'RUN_OUTPUT_FAILED', msg: 'p: ENOSPC' });
    expect(lines[0]!['stack']).toBeUndefined();
    expect(lines[1]).toMatchObject({ code: 'UNEXPECTED', stack: expect.stringContaining('at ') });
  });
});
