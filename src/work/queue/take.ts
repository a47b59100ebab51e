/**
 * A worker of the runs on a board: it takes units of one run at a time, that of the highest priority first, and gives them
 * to a session, which has the models of that run loaded.
 *
 * What a failure means
 *  1. A unit that fails is tried again, here or elsewhere, {@link BoardRun.tries} times; then it is set aside with its error.
 *  2. A session that fails takes no try from its units: a full disk is this worker's. They go back, and come again after a
 *     while; so does the session, {@link MAX_SESSION_FAILURES} times in a row.
 *  3. A run that this worker may not do (another version, model or plan) is refused by name, and the others are done.
 *  4. A worker that is killed, or stands still, loses its units after {@link LOCK_MS}; whoever looks next has them. When it
 *     wakes up and finishes one all the same, the commit tells who was first.
 */
import { hostname } from 'node:os';
import type { Job, Worker } from 'bullmq';
import { GristmillError, isGristmillError } from '../../errors.ts';
import { Board, type BoardRun, type JobCounts, type UnitJob } from './board.ts';
import { Leaving } from './leaving.ts';
import { Overdue } from './overdue.ts';
import { Rates } from './rates.ts';

/** A unit's lock lasts so long after its worker's last sign; renewed at half of it. */
export const LOCK_MS = 12_000;
/** How often somebody looks for units whose lock has run out. */
export const STALLED_LOOK_MS = 3_000;
const LOOK_MS = 500;
const SIGN_MS = 2_000;
const MAX_SESSION_FAILURES = 5;
const PUT_BACK_MS = 2_000;
/** Before the second try of a unit; doubled with each, up to a bound that a run of many tries reaches. */
const FIRST_BACKOFF_MS = 500;
const MAX_BACKOFF_MS = 20_000;
/** One is computed while the next is read. */
export const UNITS_AT_ONCE = 2;

/** What became of a unit in a session. */
export interface DoneUnit {
  readonly isOurs: boolean;
  readonly counts: Readonly<Record<string, number>>;
  readonly seconds: number;
}

/** A run with its models loaded. */
export interface WorkSession {
  /** Units under way at a time; default {@link UNITS_AT_ONCE}. */
  readonly unitsAtOnce?: number;
  /** Rejects with the unit's failure; with {@link SessionEnded} where the session itself fails. */
  do(unit: number): Promise<DoneUnit>;
  /** Finishes what is under way. Rejects with what ended the session. */
  end(): Promise<void>;
  /** Fires when the session has ended by itself. */
  readonly ended: AbortSignal;
}

/** A unit is not to blame. */
export class SessionEnded extends Error {
  override readonly cause: unknown;

  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause));
    this.cause = cause;
  }
}

/** Options of {@link takeUnits}. */
export interface TakeUnitsOptions {
  readonly board: Board;
  /** Of this process, in ledgers and on the board. */
  readonly worker: string;
  readonly device: string;
  /** @throws what refuses the run, among others */
  open(run: BoardRun): WorkSession | Promise<WorkSession>;
  /** Only this run; default: all. */
  readonly only?: string | undefined;
  /** Return when no run has units left. Default: wait for more. */
  readonly untilDone?: boolean;
  /** Finish what is under way, and return; see leaving.ts for how long Redis is waited for. */
  readonly stop?: AbortSignal | undefined;
  /** Tests wait for less. */
  readonly leaveMs?: number;
  readonly onEvent?: (event: TakeEvent) => void;
}

/** What a worker tells of. */
export type TakeEvent =
  | { readonly kind: 'run'; readonly run: BoardRun }
  | { readonly kind: 'refused'; readonly run: BoardRun; readonly reason: string }
  | {
      readonly kind: 'begun';
      readonly run: BoardRun;
      readonly unit: number;
      readonly attempt: number;
      readonly traceparent: string | null;
    }
  | {
      readonly kind: 'done';
      readonly run: BoardRun;
      readonly unit: number;
      readonly done: DoneUnit;
    }
  | {
      readonly kind: 'failed';
      readonly run: BoardRun;
      readonly unit: number;
      readonly code: string;
      readonly message: string;
    }
  | { readonly kind: 'session'; readonly run: BoardRun; readonly message: string }
  /** How many units stand where; told as often as it is looked. */
  | { readonly kind: 'jobs'; readonly run: BoardRun; readonly jobs: JobCounts };

/** What a worker has done. */
export interface Taken {
  readonly units: number;
  readonly failed: number;
  readonly refused: readonly { readonly run: string; readonly reason: string }[];
}

/** Refusals: what will not be otherwise when it is tried again here. */
const REFUSALS: ReadonlySet<string> = new Set([
  'RUN_CHANGED',
  'ENGINE_MODEL_MISSING',
  'REFINER_NOT_PULLED',
  'CORPUS_NO_FILES',
  'OPTION_INVALID',
  'MIXTURE_RUN_CHANGED',
  'MIXTURE_DOMAIN_UNKNOWN',
  'TRAIN_STORE_INVALID',
  'ANNOTATE_OUTPUT_OTHER',
  'ANNOTATE_TEMPLATE_INVALID',
  'ANNOTATE_EXPERT_REFUSED',
  // Another worker may have a budget left; this one has not.
  'ANNOTATE_BUDGET_SPENT',
  'ANNOTATE_EXPERT_QUOTA',
]);

/**
 * Takes units until there is nothing left, or for ever.
 *
 * @throws what ended a session again and again; the refusal where `only` names the run that is refused; QUEUE_UNREACHABLE
 *   where Redis is away while this worker leaves
 */
export async function takeUnits(options: TakeUnitsOptions): Promise<Taken> {
  const { board, stop, untilDone = false, only } = options;
  const refused = new Map<string, string>();
  const tally = { units: 0, failed: 0, underWay: 0 };
  const leaving = new Leaving({
    ...{ stop, url: board.link.shown, isBusy: () => tally.underWay > 0 },
    ...(options.leaveMs !== undefined && { leaveMs: options.leaveMs }),
  });
  let failures = 0;
  while (stop?.aborted !== true) {
    const next = await leaving.answer(chooseRun(board, refused, only));
    if (!next) {
      if (untilDone) break;
      await pause(LOOK_MS, stop);
      continue;
    }
    options.onEvent?.({ kind: 'run', run: next });
    const before = tally.units;
    try {
      await workOn(next, options, { tally, leaving }, refused);
      failures = 0;
    } catch (error) {
      if (isGristmillError(error) && REFUSALS.has(error.code)) {
        refused.set(next.id, error.message);
        await leaving.answer(board.noteRefusal(next.id, options.worker, error.message));
        options.onEvent?.({ kind: 'refused', run: next, reason: error.message });
        if (only !== undefined) throw error;
        continue;
      }
      failures = tally.units > before ? 1 : failures + 1;
      const message = error instanceof Error ? error.message : String(error);
      options.onEvent?.({ kind: 'session', run: next, message });
      if (failures >= MAX_SESSION_FAILURES) throw error;
      await pause(PUT_BACK_MS * failures, stop);
    }
  }
  leaving.check();
  const { units, failed } = tally;
  return { units, failed, refused: [...refused].map(([run, reason]) => ({ run, reason })) };
}

/** What this worker is at. */
interface AtWork {
  readonly tally: { units: number; failed: number; underWay: number };
  readonly leaving: Leaving;
}

/** The run to work on: of those with units to be taken the first on the board. */
async function chooseRun(
  board: Board,
  refused: ReadonlyMap<string, string>,
  only: string | undefined,
): Promise<BoardRun | null> {
  const runs = only === undefined ? await board.runs() : [await board.run(only)];
  for (const run of runs) {
    if (refused.has(run.id) || (await board.state(run.id)) !== 'open') continue;
    const { waiting, active, delayed } = await board.jobs(run.id);
    // Those under way count: of a worker that has died they come back.
    if (waiting + active + delayed > 0) return run;
  }
  return null;
}

/** Works on one run until it has no unit to be taken, another comes first, or this worker is to stop. */
async function workOn(
  run: BoardRun,
  { board, worker, device, open, stop, only, onEvent }: TakeUnitsOptions,
  { tally, leaving }: AtWork,
  refused: ReadonlyMap<string, string>,
): Promise<void> {
  const { Worker: Bull, DelayedError } = await import('bullmq');
  const session = await open(run);
  const rates = new Rates();
  const own = { units: 0 };
  const process = async (job: Job<UnitJob>, token?: string): Promise<void> => {
    const { unit, traceparent = null } = job.data;
    onEvent?.({ kind: 'begun', run, unit, attempt: job.attemptsMade + 1, traceparent });
    tally.underWay++;
    const delivery = await deliver(session, unit).finally(() => tally.underWay--);
    if (delivery.kind === 'done') {
      const { done } = delivery;
      own.units++;
      tally.units++;
      rates.add(done.counts['rowsIn'] ?? 0);
      const { counts, isOurs } = done;
      await board.count(run.id, isOurs ? { units: 1, ...counts } : { lost: 1 });
      onEvent?.({ kind: 'done', run, unit, done });
      return;
    }
    if (delivery.kind === 'put back') {
      await job.moveToDelayed(Date.now() + delivery.afterMs, token);
      throw new DelayedError();
    }
    tally.failed++;
    const { code, message } = delivery;
    await board.noteFailure(run.id, { unit, code, message, worker, atMs: Date.now() });
    onEvent?.({ kind: 'failed', run, unit, code, message });
    throw new Error(`${code}: ${message}`);
  };
  const bull: Worker<UnitJob> = new Bull(run.id, process, {
    connection: board.link.duplicate(),
    prefix: Board.queuePrefix,
    name: worker,
    concurrency: session.unitsAtOnce ?? UNITS_AT_ONCE,
    lockDuration: LOCK_MS,
    stalledInterval: STALLED_LOOK_MS,
    maxStalledCount: maxStalls(run),
    drainDelay: 1,
    settings: { backoffStrategy: backoffMs },
  });
  // Redis goes away and comes back; a lock that another has by now is told by the commit.
  bull.on('error', () => undefined);
  // At once, whatever is waited for here: a unit that ends would have the next one taken.
  const close = (): Promise<void> => bull.close().catch(() => undefined);
  stop?.addEventListener('abort', close, { once: true });
  const sign = async (): Promise<void> => {
    await board.sign(run.id, {
      ...{ worker, device, units: own.units, ...rates.perSecond() },
      ...{ host: hostname(), pid: globalThis.process.pid, seenMs: await board.nowMs() },
    });
  };
  const overdue = new Overdue(await board.queueOf(run.id));
  const look = async (): Promise<boolean> => {
    const jobs = await board.jobs(run.id);
    onEvent?.({ kind: 'jobs', run, jobs });
    const { waiting, active, delayed } = jobs;
    if (waiting + active + delayed === 0 || (await board.state(run.id)) !== 'open') return false;
    if (delayed > 0) await overdue.promote();
    const next = only === undefined ? await chooseRun(board, refused, only) : run;
    return !(next && next.id !== run.id && next.priority > run.priority);
  };
  let lastSignMs = Number.NEGATIVE_INFINITY;
  try {
    while (stop?.aborted !== true && !session.ended.aborted) {
      if (performance.now() - lastSignMs >= SIGN_MS) {
        lastSignMs = performance.now();
        await leaving.answer(sign());
      }
      await pause(LOOK_MS, stop, session.ended);
      if (!(await leaving.answer(look()))) break;
    }
  } catch (error) {
    // The session ends as it would otherwise.
    if (!leaving.hasGivenUp) throw error;
  } finally {
    stop?.removeEventListener('abort', close);
    await leaving.answer(close()).catch(() => undefined);
    await leaving.answer(board.signOff(run.id, worker)).catch(() => undefined);
  }
  await session.end();
}

/** What becomes of a unit that was delivered: its broker marks it done, puts it back, or counts a try. */
export type Delivery =
  | { readonly kind: 'done'; readonly done: DoneUnit }
  | { readonly kind: 'put back'; readonly afterMs: number }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string };

/** Has a session do a unit; see the file's header for what a failure means. */
export async function deliver(session: Pick<WorkSession, 'do'>, unit: number): Promise<Delivery> {
  try {
    return { kind: 'done', done: await session.do(unit) };
  } catch (error) {
    if (error instanceof SessionEnded) return { kind: 'put back', afterMs: PUT_BACK_MS };
    return { kind: 'failed', ...failureOf(error) };
  }
}

/** Times that the lock of a unit may run out under a worker: one that kills its workers has no other error than that. */
export function maxStalls({ tries }: Pick<BoardRun, 'tries'>): number {
  return tries;
}

/** @param nTries that have failed */
export function backoffMs(nTries: number): number {
  const upToMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (nTries - 1));
  return Math.round(upToMs * (0.5 + Math.random() / 2));
}

function failureOf(error: unknown): { readonly code: string; readonly message: string } {
  if (error instanceof GristmillError) return { code: error.code, message: error.message };
  return { code: 'UNEXPECTED', message: error instanceof Error ? error.message : String(error) };
}

/** Waits, or until one of the signals fires. */
function pause(ms: number, ...signals: readonly (AbortSignal | undefined)[]): Promise<void> {
  return new Promise((resolve) => {
    const ending = (): void => {
      clearTimeout(timer);
      for (const signal of signals) signal?.removeEventListener('abort', ending);
      resolve();
    };
    const timer = setTimeout(ending, ms);
    for (const signal of signals) {
      if (signal?.aborted) return ending();
      signal?.addEventListener('abort', ending, { once: true });
    }
  });
}
