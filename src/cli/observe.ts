/** `--metrics-port` and `--log json` of commands that carry out runs. What they need is loaded where somebody asks. */
import type { RunActivity } from '../refine/activity.ts';
import type { RefineProgress } from '../refine/run-options.ts';
import type { RunSummary } from '../refine/statistics.ts';
import type { OnWork, WorkActivity } from '../work/activity.ts';
import type { TakeEvent } from '../work/queue/take.ts';
import { speakThrough } from './say.ts';

/** Flags that commands/observe.ts defines. */
export interface ObserveFlags {
  readonly metricsPort?: number;
  readonly metricsHost?: string;
  readonly metricsLinger?: number;
  readonly log?: 'text' | 'json';
}

/** Who looks on. All may be called where nobody does. */
export interface Observer extends AsyncDisposable {
  /** Whether stderr is a log: nothing else may go there. */
  readonly isLog: boolean;
  /** Undefined where nobody listens, which costs runs nothing. */
  readonly onActivity: ((activity: RunActivity) => void) | undefined;
  /** As {@link onActivity}, of sweeps and annotations. */
  readonly onWork: OnWork | undefined;
  workOf(run: string): OnWork | undefined;
  /** @param summary numbers and names */
  workEnded(summary: Readonly<Record<string, unknown>>): void;
  /** As {@link onActivity}, of a run that a queue has. */
  activityOf(run: string): ((activity: RunActivity) => void) | undefined;
  take(event: TakeEvent): void;
  progress(told: RefineProgress): void;
  ended(summary: RunSummary): void;
  /** Waits for the last scrape, as it was asked. */
  linger(signal: AbortSignal): Promise<void>;
}

const NOBODY: Observer = {
  isLog: false,
  onActivity: undefined,
  onWork: undefined,
  workOf: () => undefined,
  workEnded: () => undefined,
  activityOf: () => undefined,
  take: () => undefined,
  progress: () => undefined,
  ended: () => undefined,
  linger: async () => undefined,
  [Symbol.asyncDispose]: async () => undefined,
};

/**
 * Opens what the flags ask for.
 *
 * @param worker of a queue, as its log names it
 * @param onNotice told where metrics are
 * @throws METRICS_PORT_FAILED
 */
export async function openObserver(
  { metricsPort, metricsHost = '127.0.0.1', metricsLinger = 0, log: form }: ObserveFlags,
  worker: string | null,
  onNotice: (line: string) => void,
): Promise<Observer> {
  if (metricsPort === undefined && form !== 'json') return NOBODY;
  const log = form === 'json' ? await openLog() : null;
  const served = metricsPort === undefined ? null : await openMetrics(metricsHost, metricsPort);
  if (served) (log ? log.notice.bind(log) : onNotice)(`metrics: ${served.server.url}`);
  /** Of a run alone. */
  let current = '';
  const activity = (run: string, told: RunActivity, isQueued: boolean): void => {
    served?.metrics.activity(run, told);
    log?.activity(run, told, isQueued);
  };
  const work = (run: string, told: WorkActivity, isQueued: boolean): void => {
    served?.work.take(run, told);
    log?.work(run, told, isQueued);
  };
  return {
    isLog: log !== null,
    onWork(told) {
      if (told.kind === 'run') current = told.run;
      work(current, told, false);
    },
    workOf: (run) => (told) => work(run, told, true),
    workEnded: (summary) => log?.workEnded(summary),
    onActivity(told) {
      if (told.kind === 'run') current = told.run;
      activity(current, told, false);
    },
    activityOf: (run) => (told) => activity(run, told, true),
    take(event) {
      served?.metrics.take(event);
      log?.take(event, worker ?? '');
    },
    progress: (told) => log?.progress(told),
    ended: (summary) => log?.ended(summary),
    async linger(signal) {
      if (served && metricsLinger > 0) await served.server.scraped(metricsLinger * 1000, signal);
    },
    async [Symbol.asyncDispose]() {
      await served?.server[Symbol.asyncDispose]();
    },
  };
}

/** From here on what people would be told is told to the log, failures of the command too. */
async function openLog() {
  const [{ RunLog }, { TRACE_VARIABLE, traceContextOf }] = await Promise.all([
    import('../observe/run-log.ts'),
    import('../observe/trace-context.ts'),
  ]);
  const log = new RunLog({
    write: (line) => void process.stderr.write(line),
    trace: traceContextOf(process.env[TRACE_VARIABLE]),
  });
  speakThrough({ line: (text) => log.notice(text), failure: (error) => log.failure(error) });
  return log;
}

async function openMetrics(host: string, port: number) {
  const [{ RunMetrics }, { WorkMetrics }, { serveMetrics }] = await Promise.all([
    import('../observe/metrics.ts'),
    import('../observe/work-metrics.ts'),
    import('../observe/metrics-server.ts'),
  ]);
  const metrics = new RunMetrics();
  const work = new WorkMetrics(metrics.sink);
  return { metrics, work, server: await serveMetrics(metrics.registry, { host, port }) };
}
