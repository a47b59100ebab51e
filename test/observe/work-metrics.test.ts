import { describe, expect, it } from 'vitest';
import { RunMetrics } from '../../src/observe/metrics.ts';
import { RunLog } from '../../src/observe/run-log.ts';
import { WorkMetrics } from '../../src/observe/work-metrics.ts';
import { type WorkActivity, WorkTeller } from '../../src/work/activity.ts';
import { seriesOf } from '../support/metrics.ts';

const OPENED: WorkActivity = {
  ...{ kind: 'run', run: 'abc', worker: '0-of-2', device: 'cpu', out: 'sweep' },
  ...{ units: 5, resumed: 1 },
};
const done = (unit: string, isOurs = true): WorkActivity => ({
  ...{ kind: 'unit-done', unit, isOurs, seconds: 2, counts: { tokens: 64 } },
});
const failed: WorkActivity = {
  ...{ kind: 'unit-failed', unit: 'c', code: 'TRAIN_NON_FINITE', message: 'step 3: loss NaN' },
};

describe('WorkMetrics', () => {
  it('has units by state, retries, failures, steps, tokens and time of stages', async () => {
    const metrics = new RunMetrics();
    const work = new WorkMetrics(metrics.sink);
    work.take('abc', OPENED);
    for (const unit of ['a', 'b', 'c', 'd']) work.take('abc', { kind: 'unit-begun', unit });
    work.take('abc', done('a'));
    work.take('abc', done('b', false));
    work.take('abc', failed);
    work.take('abc', { kind: 'unit-retried', unit: 'd', reason: 'signal SIGABRT' });
    for (let step = 0; step < 3; step++) {
      const stages = { train: 0.5, measure: 0.25 };
      work.take('abc', { kind: 'worked', stages, steps: 1, tokens: { trained: 64 } });
    }
    work.take('abc', {
      ...{ kind: 'worked', stages: {}, documents: { labelled: 3, failed: 1 } },
      ...{ questions: { answered: 5, cached: 2, failed: 1 }, askedAgain: 4 },
    });
    // Of a run that nobody has opened nothing is known.
    work.take('other', done('a'));
    const series = seriesOf(await metrics.registry.metrics());
    const of = (name: string, labels = ''): number | undefined =>
      series.get(`gristmill_${name}{run="abc"${labels}}`);
    const states = ['waiting', 'active', 'done', 'failed', 'elsewhere', 'resumed'];
    expect(states.map((state) => of('units', `,state="${state}"`))).toEqual([0, 1, 1, 1, 1, 1]);
    expect([of('steps_total'), of('unit_retries_total'), of('worker_deaths_total')]).toEqual([
      3, 1, 1,
    ]);
    expect(of('tokens_total', ',kind="trained"')).toBe(192);
    expect(of('stage_seconds_total', ',stage="train"')).toBe(1.5);
    expect(of('unit_failures_total', ',code="TRAIN_NON_FINITE"')).toBe(1);
    expect(of('documents_total', ',status="labelled"')).toBe(3);
    expect(of('questions_total', ',status="answered"')).toBe(5);
    expect(of('question_retries_total')).toBe(4);
    expect(of('unit_duration_seconds_sum')).toBe(2);
    expect(of('run_info', ',worker="0-of-2",device="cpu",out="sweep"')).toBe(1);
    expect([...series.keys()].filter((key) => key.includes('other'))).toEqual([]);
  });
});

describe('WorkTeller', () => {
  it('tells what was reached since the last time, and the time of stages once', async () => {
    const told: WorkActivity[] = [];
    const teller = new WorkTeller((activity) => told.push(activity));
    const totals = (labelled: number, answered: number) => () => ({
      ...{ documents: { labelled }, questions: { answered }, tokens: { prompt: 10 * answered } },
      askedAgain: 1,
    });
    expect(await teller.timed('ask', async () => 7)).toBe(7);
    teller.reached(totals(2, 4));
    teller.reached(totals(5, 4));
    // A counter that stands for questions under way may fall; what was told is not taken back.
    teller.reached(totals(5, 3));
    expect(told).toMatchObject([
      { kind: 'worked', documents: { labelled: 2 }, questions: { answered: 4 }, askedAgain: 1 },
      { documents: { labelled: 3 }, questions: { answered: 0 }, askedAgain: 0, stages: {} },
      { documents: { labelled: 0 }, questions: { answered: 0 }, tokens: { prompt: 0 } },
    ]);
    expect(Object.keys((told[0] as { stages: object }).stages)).toEqual(['ask']);
  });

  it('measures and makes nothing where nobody listens', () => {
    const teller = new WorkTeller(undefined);
    const never = (): never => {
      throw new Error('made');
    };
    teller.tell(never);
    teller.worked(never);
    teller.reached(never);
  });
});

describe('RunLog', () => {
  it('has lines of units with their ids, and none of the steps in between', () => {
    const lines: string[] = [];
    const log = new RunLog({ write: (line) => lines.push(line), trace: null });
    for (const activity of [
      OPENED,
      { kind: 'unit-begun', unit: 'a' } as const,
      done('a'),
      failed,
    ]) {
      log.work('abc', activity, false);
    }
    log.work('abc', { kind: 'worked', stages: {}, steps: 1 }, false);
    log.work('abc', { kind: 'unit-retried', unit: 'd', reason: 'signal SIGABRT' }, false);
    log.workEnded({ nTrained: 1 });
    const said = lines.map((line) => JSON.parse(line));
    expect(said.map(({ event }) => event)).toEqual([
      ...['run-opened', 'unit-begun', 'unit-done', 'unit-failed', 'worker-died', 'run-ended'],
    ]);
    expect(said[0]).toMatchObject({ run: 'abc', worker: '0-of-2', device: 'cpu', units: 5 });
    expect(said[2]).toMatchObject({ run: 'abc', unit: 'a', isOurs: true, tokens: 64 });
    expect(said[3]).toMatchObject({ level: 'error', code: 'TRAIN_NON_FINITE', unit: 'c' });
    // Units of a queue are told of by the queue.
    const before = lines.length;
    log.work('abc', done('b'), true);
    expect(lines.length).toBe(before);
  });
});
