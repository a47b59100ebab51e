/** `gristmill cluster submit|work|status|pause|resume|cancel|retry`: parsing and printing around src/work/queue. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AnnotateJob } from '../annotate/ranges/asker.ts';
import { isGristmillError } from '../errors.ts';
import { count } from '../figures.ts';
import { TRACE_VARIABLE, traceContextOf } from '../observe/trace-context.ts';
import { submitRun } from '../refine/submit-run.ts';
import type { Board, BoardStatus } from '../work/queue/board.ts';
import { retryUnits, type SubmitOptions, type SubmittedRun } from '../work/queue/submit.ts';
import { type TakeEvent, takeUnits } from '../work/queue/take.ts';
import type { DocumentsFlags } from './annotate.ts';
import type { ChunksFlags } from './annotate-chunks.ts';
import { kindOf } from './cluster-kinds.ts';
import { onBoard } from './cluster-redis.ts';
import { statusTable } from './cluster-status.ts';
import { noticePrinter, onInterrupt, untilInterrupted } from './interrupt.ts';
import type { ProxyFlags } from './mix-train.ts';
import { type ObserveFlags, openObserver } from './observe.ts';
import { corpusOptions, type RefineFlags } from './refine.ts';
import { printResult, say, show } from './say.ts';

const INTERRUPT_WORDS = { ending: 'stopping', ended: 'run the same command again' };
/** Units were set aside, or a run was refused. */
const SET_ASIDE = 3;

/** Flags of all of them. */
export interface Common {
  readonly redis?: string;
  readonly json?: boolean;
}

/** Flags of `cluster submit`. */
export type SubmitFlags = RefineFlags &
  Common & { readonly priority: number; readonly tries: number };

/** The action of `cluster submit`. */
export async function submit(inputs: string[], flags: SubmitFlags): Promise<void> {
  const { redis: _redis, priority: _priority, tries: _tries, json: _json, ...rest } = flags;
  await submitting(flags, (board, common, how) =>
    submitRun(board, { ...corpusOptions(inputs, rest), ...common }, how),
  );
}

/** The action of `cluster submit-sweep`. */
export async function submitSweep(flags: ProxyFlags & Queued): Promise<void> {
  const { sweepOf } = await import('./mix-train.ts');
  const queue = await import('../mixture/proxies/sweep-queue.ts');
  await submitting(flags, async (board, common, how) =>
    queue.submitSweep(board, await sweepOf(flags), { ...how, ...common }),
  );
}

/** The action of `cluster submit-documents`. */
export async function submitDocuments(
  inputs: string[],
  flags: DocumentsFlags & Queued,
): Promise<void> {
  const { documentsOptions } = await import('./annotate.ts');
  await submitAnnotation(flags, (common) => {
    return { kind: 'documents', options: { ...documentsOptions(inputs, flags), ...common } };
  });
}

/** The action of `cluster submit-chunks`. */
export async function submitChunks(inputs: string[], flags: ChunksFlags & Queued): Promise<void> {
  const { chunksOptions } = await import('./annotate-chunks.ts');
  await submitAnnotation(flags, (common) => {
    return { kind: 'chunks', options: { ...chunksOptions(inputs, flags), ...common } };
  });
}

async function submitAnnotation(
  flags: Queued,
  jobOf: (common: Watching) => AnnotateJob,
): Promise<void> {
  const queue = await import('../annotate/ranges/asked-queue.ts');
  await submitting(flags, (board, common, how) =>
    queue.submitAnnotation(board, jobOf(common), how),
  );
}

/** Flags of all that submit. */
type Queued = Common & { readonly priority: number; readonly tries: number };

/** What every call is watched with. */
interface Watching {
  readonly signal: AbortSignal;
  readonly onNotice: (line: string) => void;
}

/** Submits a run of any kind, and says what became of it. */
async function submitting(
  flags: Queued,
  submit: (board: Board, common: Watching, how: SubmitOptions) => Promise<SubmittedRun>,
): Promise<void> {
  const { priority, tries, json } = flags;
  await untilInterrupted(INTERRUPT_WORDS, (signal) =>
    onBoard(flags, async (board) => {
      const onNotice = noticePrinter(json ?? false);
      const trace = traceContextOf(process.env[TRACE_VARIABLE]);
      const how = { priority, tries, traceparent: trace?.traceparent ?? null };
      const submitted = await submit(board, { signal, onNotice }, how);
      const { run, committed, enqueued } = submitted;
      const { spec: _, ...shown } = run;
      printResult(json, { ...shown, committed, enqueued }, () =>
        [
          `run ${run.id}: ${count(enqueued)} of ${count(run.units)} units enqueued`,
          committed > 0 ? `, ${count(committed)} are committed already` : '',
          `\nnext: gristmill cluster work, on any machines that see ${run.out}\n`,
        ].join(''),
      );
    }),
  );
}

/** Flags of `cluster work`. */
export interface WorkFlags extends Common, ObserveFlags {
  readonly run?: string;
  readonly device?: string;
  readonly threads?: number;
  readonly workers?: number;
  readonly untilDone?: boolean;
}

/** The action of `cluster work`. */
export async function work(flags: WorkFlags): Promise<void> {
  const { json = false, run, device, threads, workers, untilDone = false } = flags;
  const stop = new AbortController();
  const restore = onInterrupt(stop, 'finishing the units in flight');
  const worker = `${hostname()
    .replace(/[^\w-]/g, '-')
    .slice(0, 40)}-${randomBytes(4).toString('hex')}`;
  const onNotice = noticePrinter(json);
  const own = { device, threads, workers };
  try {
    await using observer = await openObserver(flags, worker, onNotice);
    const { isLog } = observer;
    const lead = async (board: Board): Promise<void> => {
      const taken = await takeUnits({
        ...{ board, worker, untilDone, only: run, stop: stop.signal },
        device: device ?? 'as the run',
        open: async (run) => {
          const onActivity = observer.activityOf(run.id);
          const onWork = observer.workOf(run.id);
          const trace = traceContextOf(run.traceparent);
          return (await kindOf(run)).open(run, {
            ...own,
            ...{ name: worker, onNotice: isLog ? say : onNotice },
            ...(onActivity && { onActivity }),
            ...(onWork && { onWork }),
            ...(trace && { env: { [TRACE_VARIABLE]: trace.traceparent } }),
          });
        },
        onEvent: (event) => {
          observer.take(event);
          const line = isLog ? null : lineOf(event);
          if (line !== null) onNotice(line);
        },
      });
      printResult(json, { worker, ...taken }, () => `${count(taken.units)} units done\n`);
      await observer.linger(stop.signal);
      if (taken.refused.length > 0) process.exitCode = SET_ASIDE;
    };
    await onBoard(flags, lead, isLog ? say : onNotice);
  } finally {
    restore();
  }
}

/** What people are told of; null for what is for metrics. */
function lineOf(event: TakeEvent): string | null {
  const { id } = event.run;
  switch (event.kind) {
    case 'run':
      return `run ${id}: ${event.run.out}`;
    case 'refused':
      return `run ${id} is refused: ${event.reason}`;
    case 'begun':
      return `run ${id}, unit ${event.unit}: begun${event.attempt > 1 ? `, try ${event.attempt}` : ''}`;
    case 'done':
      return `run ${id}, unit ${event.unit}: ${event.done.isOurs ? 'done' : 'was done by another'}`;
    case 'failed':
      return `run ${id}, unit ${event.unit}: ${event.code}: ${event.message}`;
    case 'session':
      return `run ${id}: ${event.message}`;
    case 'jobs':
      return null;
  }
}

/** Flags of `cluster status`. */
export interface StatusFlags extends Common {
  readonly watch?: boolean;
}

/** The action of `cluster status`. */
export async function status(run: string | undefined, flags: StatusFlags): Promise<void> {
  await untilInterrupted({ ...INTERRUPT_WORDS, ending: 'leaving' }, (signal) =>
    onBoard(flags, async (board) => {
      for (;;) {
        const runs = run === undefined ? await statuses(board) : [await board.status(run)];
        const now = new Date();
        const isScreen = flags.watch && !flags.json && process.stdout.isTTY;
        if (isScreen) {
          const time = now.toTimeString().slice(0, 8);
          process.stdout.write('\u001b[2J\u001b[H');
          show(`${time}  ${board.link.shown}  (interrupt to leave)\n\n`);
        }
        printResult(flags.json, { redis: board.link.shown, runs }, () =>
          statusTable(runs, now.getTime()),
        );
        if (!flags.watch || signal.aborted) return;
        await sleep(2_000, undefined, { signal }).catch(() => undefined);
        if (signal.aborted) return;
      }
    }),
  );
}

/** All runs; one that is finished while it is looked at is none any more. */
async function statuses(board: Board): Promise<BoardStatus[]> {
  const found = await Promise.all(
    (await board.runs()).map(({ id }) =>
      board.status(id).catch((error: unknown) => {
        if (isGristmillError(error, 'QUEUE_NO_RUN')) return null;
        throw error;
      }),
    ),
  );
  return found.filter((each) => each !== null);
}

/** What commands on one run do, and say that they did. */
const CONTROLS = {
  pause: async (board: Board, id: string) => {
    await board.pause(id);
    return 'paused; units under way are finished';
  },
  resume: async (board: Board, id: string) => {
    await board.resume(id);
    return 'goes on';
  },
  cancel: async (board: Board, id: string) => {
    await board.cancel(id);
    return 'cancelled; what is committed stays, and submit goes on from there';
  },
  retry: async (board: Board, id: string) => {
    const nUnits = await retryUnits(board, id, async (run) => (await kindOf(run)).done(run));
    return `${count(nUnits)} units enqueued`;
  },
};

/** What can be done to a run. */
export type Control = keyof typeof CONTROLS;

/** The action of `cluster pause`, `resume`, `cancel` and `retry`. */
export async function control(what: Control, run: string, flags: Common): Promise<void> {
  await onBoard(flags, async (board) => {
    const { id } = await board.run(run);
    show(`run ${id}: ${await CONTROLS[what](board, id)}\n`);
  });
}
