/**
 * Runs as lines of JSON: one object a line, with time, level, and the ids that lines are found by: run, worker, unit, and the trace
 * that a run or a unit is part of (`trace_id`, `span_id`, `trace_flags`, as OpenTelemetry names them).
 *
 * Invariants
 *  1. No text of a document and nothing that it takes to get in anywhere: lines are made of names, numbers and coded errors.
 *  2. A line is ASCII where it is not seen otherwise: what a terminal acts on stands as `\u001b`, which is the same JSON.
 */
import { hostname } from 'node:os';
import { type Logger, pino } from 'pino';
import { GristmillError } from '../errors.ts';
import type { RunActivity } from '../refine/activity.ts';
import type { RefineProgress } from '../refine/run-options.ts';
import type { RefineCounts, RunSummary } from '../refine/statistics.ts';
import type { WorkActivity } from '../work/activity.ts';
import type { TakeEvent } from '../work/queue/take.ts';
import { type TraceContext, traceContextOf } from './trace-context.ts';

/** Options of {@link RunLog}. */
export interface RunLogOptions {
  /** Takes a line with its line feed. */
  readonly write: (line: string) => void;
  /** Of the command. */
  readonly trace: TraceContext | null;
}

const PROGRESS_EVERY_MS = 10_000;

/** See the file's header. */
export class RunLog {
  /** Without a trace, as every line names one at most: its own, its run's or the command's. */
  readonly #root: Logger;
  readonly #trace: TraceContext | null;
  /** By run, once it is open: for lines with a trace of their own, and for others. */
  readonly #runs = new Map<string, { readonly bare: Logger; readonly log: Logger }>();
  /** Of units under way, `run unit`. */
  readonly #traces = new Map<string, TraceContext | null>();
  #last: Logger;
  #progressMs = performance.now();

  constructor({ write, trace }: RunLogOptions) {
    const settings = {
      base: { pid: process.pid, host: hostname() },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label: string) => ({ level: label }) },
    };
    this.#root = pino(settings, { write: (line: string) => write(shown(line)) });
    this.#trace = trace;
    this.#last = this.#root.child(fieldsOf(trace));
  }

  /** Something that a person would be told. */
  notice(message: string): void {
    this.#last.info({ event: 'notice' }, message);
  }

  failure(error: unknown): void {
    const code = error instanceof GristmillError ? error.code : 'UNEXPECTED';
    const message = error instanceof Error ? error.message : String(error);
    const isOurs = error instanceof GristmillError || !(error instanceof Error);
    this.#last.error({ event: 'error', code, ...(!isOurs && { stack: error.stack }) }, message);
  }

  /** How far a run is, now and then. */
  progress(told: RefineProgress): void {
    if (!told.done && performance.now() - this.#progressMs < PROGRESS_EVERY_MS) return;
    this.#progressMs = performance.now();
    this.#last.info({ event: 'progress', ...told }, 'progress');
  }

  ended({ plan: _, errors, reasons, ...summary }: RunSummary): void {
    this.#last.info({ event: 'run-ended', ...summary, failures: errors.length, reasons }, 'ended');
  }

  /** @param isQueued whether units are told of by {@link take} */
  activity(run: string, activity: RunActivity, isQueued: boolean): void {
    if (activity.kind === 'run') {
      this.#opened(activity);
      return;
    }
    const log = this.#runs.get(run)?.log ?? this.#last;
    if (activity.kind === 'died') {
      log.error({ event: 'worker-died', exit: activity.exit }, 'the worker process died');
      return;
    }
    if (isQueued) return;
    switch (activity.kind) {
      case 'unit-begun':
        log.info({ event: activity.kind, unit: activity.unit, input: activity.input }, 'begun');
        break;
      case 'unit-done': {
        const { kind: event, counts, ...fields } = activity;
        log.info({ event, ...fields, ...numbersOf(counts) }, 'done');
        break;
      }
      case 'unit-failed': {
        const { kind: event, message, ...fields } = activity;
        log.error({ event, ...fields }, message);
        break;
      }
      case 'unit-left':
        log.warn({ event: activity.kind, unit: activity.unit }, 'dropped by an interrupt');
    }
  }

  /** The same of a sweep or an annotation. @param isQueued as in {@link activity} */
  work(run: string, activity: WorkActivity, isQueued: boolean): void {
    if (activity.kind === 'run') {
      const { kind: _, run: name, worker, ...fields } = activity;
      if (!this.#runs.has(name)) this.#open(name, worker, this.#trace);
      this.#last.info({ event: 'run-opened', ...fields }, 'opened');
      return;
    }
    const log = this.#runs.get(run)?.log ?? this.#last;
    if (activity.kind === 'unit-retried') {
      log.error({ event: 'worker-died', unit: activity.unit }, activity.reason);
      return;
    }
    if (isQueued || activity.kind === 'worked') return;
    const { kind: event, ...fields } = activity;
    switch (activity.kind) {
      case 'unit-begun':
        log.info({ event, ...fields }, 'begun');
        break;
      case 'unit-done': {
        const { unit, isOurs, seconds, counts } = activity;
        log.info({ event, unit, isOurs, seconds, ...counts }, 'done');
        break;
      }
      case 'unit-failed':
        log.error({ event, unit: activity.unit, code: activity.code }, activity.message);
        break;
      case 'unit-left':
        log.warn({ event, ...fields }, 'dropped');
    }
  }

  /** The end of such a run, in numbers. */
  workEnded(summary: Readonly<Record<string, unknown>>): void {
    this.#last.info({ event: 'run-ended', ...summary }, 'ended');
  }

  /** Takes what a worker of a queue tells. */
  take(event: TakeEvent, worker: string): void {
    const { id, out, traceparent } = event.run;
    if (event.kind === 'jobs') return;
    if (event.kind === 'run') {
      this.#open(id, worker, traceContextOf(traceparent) ?? this.#trace);
      this.#last.info({ event: 'run-taken', out }, 'taken');
      return;
    }
    const log = this.#runs.get(id)?.log ?? this.#last;
    if (event.kind === 'refused') {
      log.warn({ event: 'run-refused' }, event.reason);
      return;
    }
    if (event.kind === 'session') {
      log.error({ event: 'session-failed' }, event.message);
      return;
    }
    this.#unit(event, this.#runs.get(id)?.bare ?? this.#root);
  }

  #unit(event: TakeEvent & { readonly kind: 'begun' | 'done' | 'failed' }, log: Logger): void {
    const { unit } = event;
    const key = `${event.run.id} ${unit}`;
    if (event.kind === 'begun') {
      const trace = traceContextOf(event.traceparent) ?? this.#trace;
      this.#traces.set(key, trace);
      const fields = { unit, attempt: event.attempt, ...fieldsOf(trace) };
      log.info({ event: 'unit-begun', ...fields }, 'begun');
      return;
    }
    const trace = fieldsOf(this.#traces.get(key) ?? this.#trace);
    this.#traces.delete(key);
    if (event.kind === 'done') {
      const { isOurs, seconds, counts } = event.done;
      log.info({ event: 'unit-done', unit, isOurs, seconds, ...counts, ...trace }, 'done');
    } else log.error({ event: 'unit-failed', unit, code: event.code, ...trace }, event.message);
  }

  #open(run: string, worker: string | null, trace: TraceContext | null): void {
    const bare = this.#root.child({ run, ...(worker !== null && { worker }) });
    this.#last = bare.child(fieldsOf(trace));
    this.#runs.set(run, { bare, log: this.#last });
  }

  #opened(told: RunActivity & { readonly kind: 'run' }): void {
    const { run, worker, device, out, units, rows, bytes, committed } = told;
    if (!this.#runs.has(run)) this.#open(run, worker, this.#trace);
    const fields = { device, out, units, rows, bytes, unitsCommitted: committed.units };
    this.#last.info({ event: 'run-opened', ...fields }, 'opened');
  }
}

function fieldsOf(trace: TraceContext | null): Record<string, string> {
  if (!trace) return {};
  return { trace_id: trace.traceId, span_id: trace.spanId, trace_flags: trace.flags };
}

function numbersOf({ reasons: _, ...numbers }: RefineCounts): Omit<RefineCounts, 'reasons'> {
  return numbers;
}

/** What JSON leaves as it is, and a terminal acts on or does not show. */
const HIDDEN = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu;

function shown(line: string): string {
  return line.replace(HIDDEN, (character) =>
    Array.from({ length: character.length }, (_, at) => {
      return `\\u${character.charCodeAt(at).toString(16).padStart(4, '0')}`;
    }).join(''),
  );
}
