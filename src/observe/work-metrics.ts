/**
 * Runs of units of other kinds (work/activity.ts) in the metrics of metrics.ts: sweeps of proxies and annotations. Counters count what
 * this process has done, from 0 at its start.
 */
import type { WorkActivity } from '../work/activity.ts';
import type { MetricSink } from './metrics.ts';

interface WorkState {
  /** Null where units come from a queue, or there are none. */
  readonly units: number | null;
  readonly resumed: number;
  readonly active: Set<string>;
  readonly failed: Set<string>;
  done: number;
  elsewhere: number;
}

/** See the file's header. */
export class WorkMetrics {
  readonly #sink: MetricSink;
  readonly #runs = new Map<string, WorkState>();

  constructor(sink: MetricSink) {
    this.#sink = sink;
  }

  /** @param run its name */
  take(run: string, activity: WorkActivity): void {
    if (activity.kind === 'run') {
      this.#begin(activity);
      return;
    }
    const state = this.#runs.get(run);
    if (!state) return;
    if (activity.kind === 'worked') {
      this.#worked(run, activity);
      return;
    }
    const { unit } = activity;
    if (activity.kind !== 'unit-begun' && activity.kind !== 'unit-retried') {
      state.active.delete(unit);
    }
    switch (activity.kind) {
      case 'unit-begun':
        state.active.add(unit);
        state.failed.delete(unit);
        break;
      case 'unit-retried':
        this.#sink.add('worker_deaths_total', { run }, 1);
        this.#sink.add('unit_retries_total', { run }, 1);
        break;
      case 'unit-done':
        if (activity.isOurs) {
          state.done++;
          this.#sink.observe('unit_duration_seconds', { run }, activity.seconds);
        } else state.elsewhere++;
        break;
      case 'unit-failed':
        state.failed.add(unit);
        this.#sink.add('unit_failures_total', { run, code: activity.code }, 1);
    }
    this.#show(run, state);
  }

  #begin({ run, worker, device, out, units, resumed }: WorkActivity & { readonly kind: 'run' }) {
    this.#sink.set('run_info', { run, worker: worker ?? '', device, out }, 1);
    for (const name of ['worker_deaths_total', 'unit_retries_total'] as const) {
      this.#sink.add(name, { run }, 0);
    }
    const known = this.#runs.get(run);
    const state: WorkState = known ?? {
      ...{ units, resumed, done: 0, elsewhere: 0 },
      ...{ active: new Set(), failed: new Set() },
    };
    this.#runs.set(run, state);
    this.#show(run, state);
  }

  #worked(run: string, told: WorkActivity & { readonly kind: 'worked' }): void {
    const { stages, steps = 0, tokens = {}, documents = {}, questions = {}, askedAgain = 0 } = told;
    if (steps > 0) this.#sink.add('steps_total', { run }, steps);
    if (askedAgain > 0) this.#sink.add('question_retries_total', { run }, askedAgain);
    for (const [kind, value] of Object.entries(tokens)) {
      this.#sink.add('tokens_total', { run, kind }, value);
    }
    for (const [status, value] of Object.entries(documents)) {
      this.#sink.add('documents_total', { run, status }, value);
    }
    for (const [status, value] of Object.entries(questions)) {
      this.#sink.add('questions_total', { run, status }, value);
    }
    for (const [stage, seconds] of Object.entries(stages)) {
      this.#sink.add('stage_seconds_total', { run, stage }, seconds);
    }
    this.#sink.set('last_progress_timestamp_seconds', { run }, Date.now() / 1000);
  }

  #show(run: string, { units, resumed, active, failed, done, elsewhere }: WorkState): void {
    const counts = { active: active.size, done, failed: failed.size, elsewhere, resumed };
    for (const [state, count] of Object.entries(counts)) {
      this.#sink.set('units', { run, state }, count);
    }
    if (units === null) return;
    const others = Object.values(counts).reduce((sum, count) => sum + count, 0);
    this.#sink.set('units', { run, state: 'waiting' }, Math.max(0, units - others));
  }
}
