/**
 * Runs as Prometheus sees them: what the workers of this process do, by run. Names, types and labels are in {@link METRICS},
 * which docs/metrics.md lists and which the dashboard in examples/cluster is held against.
 *
 * Invariants
 *  1. Counters count what this process has committed, from 0 at its start: what an earlier command has done is `resumed`, what
 *     another worker was first with is `elsewhere`. So the counters of all workers add up to the run.
 *  2. A worker process that dies takes nothing along: what it had committed and not yet told is counted from what the next one
 *     finds.
 *  3. Series are bounded: of at most {@link MAX_RUNS} runs, those that came last.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { CommittedWork, RunActivity } from '../refine/activity.ts';
import { llamaCppVersion, version } from '../version.ts';
import type { JobCounts } from '../work/queue/board.ts';
import type { TakeEvent } from '../work/queue/take.ts';

type Kind = 'counter' | 'gauge' | 'histogram';
type Definition = readonly [kind: Kind, labels: readonly string[], help: string];

/** Every metric, without the prefix `gristmill_`. */
export const METRICS = {
  build_info: ['gauge', ['version', 'llama_cpp', 'node'], 'Always 1'],
  run_info: ['gauge', ['run', 'worker', 'device', 'out'], 'Always 1'],
  units: ['gauge', ['run', 'state'], 'Units by state, as this worker sees them'],
  planned_rows: ['gauge', ['run'], 'Rows of the plan or of this share, where all formats tell'],
  planned_bytes: ['gauge', ['run'], 'Bytes of input files in the plan or in this share'],
  resumed_rows: ['gauge', ['run'], 'Rows that were committed before this process began'],
  rows_total: ['counter', ['run', 'status'], 'Rows committed, by status'],
  row_reasons_total: ['counter', ['run', 'reason'], 'Rows committed, by reason'],
  processed_rows_total: ['counter', ['run'], 'Rows of batches written, committed or not'],
  batches_total: ['counter', ['run'], 'Batches written, committed or not'],
  tokens_total: ['counter', ['run', 'kind'], 'Tokens of prompts, of answers, and trained on'],
  steps_total: ['counter', ['run'], 'Optimiser steps of proxies'],
  documents_total: ['counter', ['run', 'status'], 'Documents of an annotation, by status'],
  questions_total: ['counter', ['run', 'status'], 'Questions to an expert, by status'],
  question_retries_total: ['counter', ['run'], 'Questions that were asked again'],
  characters_total: ['counter', ['run', 'direction'], 'Characters of texts, committed'],
  bytes_total: ['counter', ['run', 'direction'], 'Bytes of input files and of output files'],
  stage_seconds_total: ['counter', ['run', 'stage'], 'Time that batches spent in a stage'],
  unit_duration_seconds: ['histogram', ['run'], 'Time of a unit from its first batch to its end'],
  unit_failures_total: ['counter', ['run', 'code'], 'Tries of units that failed, by error code'],
  unit_retries_total: ['counter', ['run'], 'Units begun again after a failed try'],
  queue_units: ['gauge', ['run', 'state'], 'Units of a queue, by state'],
  session_failures_total: ['counter', ['run'], 'Failures of a worker that are no unit’s'],
  refused: ['gauge', ['run'], '1 for a run that this worker may not do'],
  worker_deaths_total: ['counter', ['run'], 'Worker processes that died and were started again'],
  worker_cpu_seconds_total: ['counter', ['run'], 'CPU time of worker processes'],
  worker_resident_bytes: ['gauge', ['run'], 'Resident memory of the worker process'],
  last_progress_timestamp_seconds: ['gauge', ['run'], 'When a batch was last written'],
} as const satisfies Readonly<Record<string, Definition>>;

export type MetricName = keyof typeof METRICS;
export type MetricLabels = Readonly<Record<string, string>>;
type Labels = MetricLabels;

/** Where other kinds of runs put what they count (work-metrics.ts). */
export interface MetricSink {
  add(name: MetricName, labels: MetricLabels, value: number): void;
  set(name: MetricName, labels: MetricLabels, value: number): void;
  /** Of a histogram. */
  observe(name: MetricName, labels: MetricLabels, value: number): void;
}

export const METRIC_PREFIX = 'gristmill_';
const DURATION_BUCKETS = [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1_000, 3_000];
const MAX_RUNS = 32;

/** States of units. */
const UNIT_STATES = ['waiting', 'active', 'done', 'failed', 'elsewhere', 'resumed'] as const;
type UnitState = (typeof UNIT_STATES)[number];

interface RunState {
  /** Null where units come from a queue. */
  units: number | null;
  /** Committed before the first worker process; and since then, by this one and by others, as series. */
  readonly before: ReadonlyMap<string, Sample>;
  readonly since: Map<string, number>;
  readonly active: Set<number>;
  readonly failed: Set<number>;
  readonly nUnits: Record<'done' | 'elsewhere' | 'resumed', number>;
  /** Of the worker process that is there. */
  cpuSeconds: number;
}

/** What a committed unit adds to a counter. */
interface Sample {
  readonly name: MetricName;
  readonly labels: Labels;
  readonly value: number;
}

/** See the file's header. */
export class RunMetrics {
  readonly registry = new Registry();
  readonly #metrics = new Map<MetricName, Counter | Gauge | Histogram>();
  readonly #runs = new Map<string, RunState>();
  /** By run. */
  readonly #series = new Map<string, Map<string, { name: MetricName; labels: Labels }>>();

  constructor() {
    for (const [name, [kind, labels, help]] of Object.entries(METRICS)) {
      const common = {
        ...{ name: METRIC_PREFIX + name, help, labelNames: [...labels] },
        registers: [this.registry],
      };
      const made =
        kind === 'counter'
          ? new Counter(common)
          : kind === 'gauge'
            ? new Gauge(common)
            : new Histogram({ ...common, buckets: DURATION_BUCKETS });
      this.#metrics.set(name as MetricName, made);
    }
    const node = process.versions.node;
    this.#set('build_info', { version, llama_cpp: llamaCppVersion, node }, 1);
  }

  /**
   * Takes what a run does.
   *
   * @param run its name, which its first activity tells
   */
  activity(run: string, activity: RunActivity): void {
    if (activity.kind === 'run') {
      this.#begin(activity);
      return;
    }
    const state = this.#runs.get(run);
    if (!state) return;
    switch (activity.kind) {
      case 'unit-begun':
        state.active.add(activity.unit);
        state.failed.delete(activity.unit);
        break;
      case 'unit-done':
        this.#done(run, state, activity);
        break;
      case 'unit-failed':
        state.active.delete(activity.unit);
        state.failed.add(activity.unit);
        this.#add('unit_failures_total', { run, code: activity.code }, 1);
        break;
      case 'unit-left':
        state.active.delete(activity.unit);
        break;
      case 'worked':
        this.#worked(run, state, activity);
        return;
      case 'written':
        this.#count(run, state, { ...NO_WORK, counts: activity.counts });
        return;
      case 'died':
        state.active.clear();
        state.cpuSeconds = 0;
        this.#add('worker_deaths_total', { run }, 1);
    }
    this.#showUnits(run, state);
  }

  /** For runs of other kinds; their series are bounded like those of this one's. */
  get sink(): MetricSink {
    return {
      add: (name, labels, value) => this.#add(name, labels, value),
      set: (name, labels, value) => this.#set(name, labels, value),
      observe: (name, labels, value) =>
        (this.#seriesOf(name, labels) as Histogram).observe(labels, value),
    };
  }

  /** Takes what a worker of a queue tells; of units what {@link activity} does not. */
  take(event: TakeEvent): void {
    const run = event.run.id;
    if (event.kind === 'refused') this.#set('refused', { run }, 1);
    else if (event.kind === 'session') this.#add('session_failures_total', { run }, 1);
    else if (event.kind === 'jobs') this.#showJobs(run, event.jobs);
    else if (event.kind === 'begun' && event.attempt > 1) {
      this.#add('unit_retries_total', { run }, 1);
    }
  }

  #begin({ run, worker, device, out, ...told }: RunActivity & { readonly kind: 'run' }): void {
    const known = this.#runs.get(run);
    if (known) {
      // A worker that took over, or another session: what was committed and never told.
      const found = samplesOf(run, told.committed);
      for (const [key, { name, labels, value }] of found) {
        const expected = value - (known.before.get(key)?.value ?? 0);
        this.#take(known, key, name, labels, expected - (known.since.get(key) ?? 0));
      }
      const { done, elsewhere, resumed } = known.nUnits;
      known.nUnits.done += Math.max(0, told.committed.units - resumed - done - elsewhere);
      known.active.clear();
      known.cpuSeconds = 0;
      this.#showUnits(run, known);
      return;
    }
    const resumed = told.committed.units;
    const state: RunState = {
      units: told.units,
      before: samplesOf(run, told.committed),
      since: new Map(),
      active: new Set(),
      failed: new Set(),
      nUnits: { done: 0, elsewhere: 0, resumed },
      cpuSeconds: 0,
    };
    this.#runs.set(run, state);
    this.#set('run_info', { run, worker: worker ?? '', device, out }, 1);
    if (told.rows !== null) this.#set('planned_rows', { run }, told.rows);
    if (told.bytes !== null) this.#set('planned_bytes', { run }, told.bytes);
    this.#set('resumed_rows', { run }, told.committed.counts.rowsIn);
    for (const [, { name, labels }] of samplesOf(run, NO_WORK)) this.#add(name, labels, 0);
    for (const name of ['worker_deaths_total', 'unit_retries_total'] as const) {
      this.#add(name, { run }, 0);
    }
    this.#showUnits(run, state);
  }

  #done(run: string, state: RunState, done: RunActivity & { readonly kind: 'unit-done' }): void {
    state.active.delete(done.unit);
    state.failed.delete(done.unit);
    if (done.isOurs) {
      state.nUnits.done++;
      const durations = this.#seriesOf('unit_duration_seconds', { run }) as Histogram;
      durations.observe({ run }, done.seconds);
      this.#count(run, state, { ...done, units: 1 });
      return;
    }
    state.nUnits.elsewhere++;
    for (const [key, { value }] of samplesOf(run, { ...done, units: 1 })) {
      state.since.set(key, (state.since.get(key) ?? 0) + value);
    }
  }

  #count(run: string, state: RunState, work: CommittedWork): void {
    for (const [key, { name, labels, value }] of samplesOf(run, work)) {
      this.#take(state, key, name, labels, value);
    }
  }

  #take(state: RunState, key: string, name: MetricName, labels: Labels, value: number): void {
    if (value <= 0) return;
    state.since.set(key, (state.since.get(key) ?? 0) + value);
    this.#add(name, labels, value);
  }

  #worked(run: string, state: RunState, told: RunActivity & { readonly kind: 'worked' }): void {
    const { batches, rows, stages, cpuSeconds, residentBytes } = told;
    this.#add('batches_total', { run }, batches);
    this.#add('processed_rows_total', { run }, rows);
    for (const [stage, seconds] of Object.entries(stages)) {
      this.#add('stage_seconds_total', { run, stage }, seconds);
    }
    this.#add('worker_cpu_seconds_total', { run }, Math.max(0, cpuSeconds - state.cpuSeconds));
    state.cpuSeconds = cpuSeconds;
    this.#set('worker_resident_bytes', { run }, residentBytes);
    if (batches > 0) this.#set('last_progress_timestamp_seconds', { run }, Date.now() / 1000);
  }

  #showUnits(run: string, { units, active, failed, nUnits }: RunState): void {
    const counts: Record<Exclude<UnitState, 'waiting'>, number> = {
      ...nUnits,
      active: active.size,
      failed: failed.size,
    };
    const others = Object.values(counts).reduce((sum, count) => sum + count, 0);
    for (const state of UNIT_STATES) {
      const value = state === 'waiting' ? units !== null && units - others : counts[state];
      if (value !== false) this.#set('units', { run, state }, Math.max(0, value));
    }
  }

  #showJobs(run: string, jobs: JobCounts): void {
    for (const [state, count] of Object.entries(jobs)) {
      this.#set('queue_units', { run, state }, count);
    }
  }

  #forgetOldest(): void {
    if (this.#series.size < MAX_RUNS) return;
    const [oldest] = this.#series.keys();
    this.#runs.delete(oldest!);
    for (const { name, labels } of this.#series.get(oldest!)?.values() ?? []) {
      this.#metrics.get(name)!.remove(labels);
    }
    this.#series.delete(oldest!);
  }

  #add(name: MetricName, labels: Labels, value: number): void {
    (this.#seriesOf(name, labels) as Counter).inc(labels, value);
  }

  #set(name: MetricName, labels: Labels, value: number): void {
    (this.#seriesOf(name, labels) as Gauge).set(labels, value);
  }

  /** The metric; its series is noted, to be forgotten with its run. */
  #seriesOf(name: MetricName, labels: Labels): Counter | Gauge | Histogram {
    const run = labels['run'];
    if (run !== undefined) {
      if (!this.#series.has(run)) {
        this.#forgetOldest();
        this.#series.set(run, new Map());
      }
      const series = this.#series.get(run)!;
      const key = `${name} ${Object.values(labels).join(' ')}`;
      if (!series.has(key)) series.set(key, { name, labels });
    }
    return this.#metrics.get(name)!;
  }
}

const STATUSES = ['kept', 'edited', 'dropped', 'failed'] as const;
const NO_WORK: CommittedWork = {
  units: 0,
  counts: {
    ...{ rowsIn: 0, kept: 0, edited: 0, dropped: 0, failed: 0, reasons: {}, charsIn: 0 },
    ...{ charsOut: 0, promptTokens: 0, newTokens: 0, windows: 0, windowsSkipped: 0 },
  },
  inputBytes: 0,
  outputBytes: 0,
};

/** Committed work as what it adds to counters, by a key of series. */
function samplesOf(run: string, work: CommittedWork): Map<string, Sample> {
  const { counts, inputBytes, outputBytes } = work;
  const samples: Sample[] = [
    ...STATUSES.map((status) => ({
      ...{ name: 'rows_total' as const, labels: { run, status }, value: counts[status] },
    })),
    ...Object.entries(counts.reasons).map(([reason, value]) => ({
      ...{ name: 'row_reasons_total' as const, labels: { run, reason }, value },
    })),
    { name: 'tokens_total', labels: { run, kind: 'prompt' }, value: counts.promptTokens },
    { name: 'tokens_total', labels: { run, kind: 'generated' }, value: counts.newTokens },
    { name: 'characters_total', labels: { run, direction: 'in' }, value: counts.charsIn },
    { name: 'characters_total', labels: { run, direction: 'out' }, value: counts.charsOut },
    { name: 'bytes_total', labels: { run, direction: 'in' }, value: inputBytes },
    { name: 'bytes_total', labels: { run, direction: 'out' }, value: outputBytes },
  ];
  return new Map(
    samples.map((sample) => [`${sample.name} ${Object.values(sample.labels).join(' ')}`, sample]),
  );
}
