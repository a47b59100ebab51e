/**
 * Runs on a Redis server: what they are, how far they are, who works on them. Delivery is BullMQ's, a queue per run; what is
 * done stands in the output's ledger, so that a server that forgets costs deliveries and never a unit.
 *
 *     gristmill:runs                    hash: run → {@link BoardRun} as JSON
 *     gristmill:run:ID:state            `paused` or `cancelled`; absent: open
 *     gristmill:run:ID:totals           hash: counts of units that were committed
 *     gristmill:run:ID:workers          hash: worker → {@link WorkerSign} as JSON
 *     gristmill:run:ID:errors           list: the last {@link UnitFailure}s as JSON
 *     gristmill:run:ID:refusals         hash: worker → why it refused the run
 *     gristmill:queue:ID:…              BullMQ's own; a job is a unit, `u17`
 */
import type { JobsOptions, Queue } from 'bullmq';
import { GristmillError } from '../../errors.ts';
import type { RedisLink } from './redis.ts';

/** A run as it was submitted. */
export interface BoardRun {
  readonly id: string;
  /** The command that does its units; `refine` where nothing is said. */
  readonly kind?: string;
  readonly out: string;
  /** Runs of a higher one come first. */
  readonly priority: number;
  /** Tries of a unit before it is set aside. */
  readonly tries: number;
  readonly units: number;
  readonly submittedMs: number;
  /** Trace context of whoever submitted it, as W3C has it. */
  readonly traceparent: string | null;
  /** What a worker needs besides; its own room's. */
  readonly spec: unknown;
}

/** A job. */
export interface UnitJob {
  readonly unit: number;
  readonly traceparent?: string;
}

export type BoardState = 'open' | 'paused' | 'cancelled';

/** A worker's sign of life. */
export interface WorkerSign {
  readonly worker: string;
  readonly host: string;
  readonly pid: number;
  readonly device: string;
  readonly units: number;
  readonly rowsPerSecond: number;
  readonly unitsPerSecond: number;
  readonly seenMs: number;
}

/** A try of a unit that failed. */
export interface UnitFailure {
  readonly unit: number;
  readonly code: string;
  readonly message: string;
  readonly worker: string;
  readonly atMs: number;
}

/** Jobs of a run by where they stand. */
export interface JobCounts {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  /** Set aside after all tries. */
  readonly failed: number;
}

/** A run with all that is known of it. */
export interface BoardStatus {
  readonly run: Omit<BoardRun, 'spec'>;
  readonly state: BoardState;
  readonly jobs: JobCounts;
  /** Units that are not to be done any more. */
  readonly unitsDone: number;
  readonly totals: Readonly<Record<string, number>>;
  readonly workers: readonly WorkerSign[];
  readonly rowsPerSecond: number;
  /** Seconds to the end at the workers' rate; null where nothing is known. */
  readonly secondsLeft: number | null;
  readonly errors: readonly UnitFailure[];
  readonly refusals: Readonly<Record<string, string>>;
}

const PREFIX = 'gristmill';
const QUEUE_PREFIX = `${PREFIX}:queue`;
/** Jobs of one call: bounds memory here and there. */
const BATCH = 1_000;
const MAX_ERRORS = 100;
const SHOWN_ERRORS = 5;
/** A worker that gave no sign for so long is not shown. */
const SIGN_MS = 30_000;

const keyOf = (id: string, part: string): string => `${PREFIX}:run:${id}:${part}`;
/** BullMQ refuses names that are numbers. */
const jobName = (unit: number): string => `u${unit}`;

/** See the file's header. */
export class Board {
  readonly #link: RedisLink;
  readonly #queues = new Map<string, Queue<UnitJob>>();

  constructor(link: RedisLink) {
    this.#link = link;
  }

  get link(): RedisLink {
    return this.#link;
  }

  static get queuePrefix(): string {
    return QUEUE_PREFIX;
  }

  async queueOf(id: string): Promise<Queue<UnitJob>> {
    const known = this.#queues.get(id);
    if (known) return known;
    const { Queue: Bull } = await import('bullmq');
    const queue: Queue<UnitJob> = new Bull(id, {
      connection: this.#link.redis,
      prefix: QUEUE_PREFIX,
    });
    queue.on('error', () => undefined);
    this.#queues.set(id, queue);
    return queue;
  }

  /** Puts a run on the board, or in the place of what was known of it. */
  async put(run: BoardRun): Promise<void> {
    await this.#link.redis.hset(`${PREFIX}:runs`, run.id, JSON.stringify(run));
    await this.#link.redis.del(keyOf(run.id, 'state'), keyOf(run.id, 'refusals'));
    await (await this.queueOf(run.id)).resume();
  }

  /** Enqueues units; one that has a job already keeps it. @returns how many were handed over */
  async enqueue(run: BoardRun, units: Iterable<number>): Promise<number> {
    const queue = await this.queueOf(run.id);
    const opts: JobsOptions = {
      attempts: run.tries,
      // The worker's: take.ts.
      backoff: { type: 'bounded' },
      removeOnComplete: true,
      stackTraceLimit: 0,
    };
    let nUnits = 0;
    const send = async (batch: readonly number[]): Promise<void> => {
      nUnits += batch.length;
      const traceparent = run.traceparent ?? undefined;
      await queue.addBulk(
        batch.map((unit) => ({
          name: 'unit',
          data: { unit, ...(traceparent && { traceparent }) },
          opts: { ...opts, jobId: jobName(unit) },
        })),
      );
    };
    let batch: number[] = [];
    for (const unit of units) {
      batch.push(unit);
      if (batch.length < BATCH) continue;
      await send(batch);
      batch = [];
    }
    if (batch.length > 0) await send(batch);
    return nUnits;
  }

  /** The server's clock: those of workers may be anywhere. */
  async nowMs(): Promise<number> {
    const [seconds, micros] = await this.#link.redis.time();
    return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
  }

  async runs(): Promise<BoardRun[]> {
    const found = await this.#link.redis.hgetall(`${PREFIX}:runs`);
    const runs = Object.values(found).map((text) => JSON.parse(text) as BoardRun);
    return runs.sort((a, b) => b.priority - a.priority || a.submittedMs - b.submittedMs);
  }

  /** @throws QUEUE_NO_RUN */
  async run(id: string): Promise<BoardRun> {
    const found = await this.#link.redis.hget(`${PREFIX}:runs`, id);
    if (found !== null) return JSON.parse(found) as BoardRun;
    const known = (await this.runs()).map((run) => run.id);
    throw new GristmillError('QUEUE_NO_RUN', {
      run: id,
      url: this.#link.shown,
      known: known.join(', ') || 'none',
    });
  }

  async state(id: string): Promise<BoardState> {
    return ((await this.#link.redis.get(keyOf(id, 'state'))) as BoardState | null) ?? 'open';
  }

  /** Hands out nothing more of a run; units under way are finished. */
  async pause(id: string): Promise<void> {
    await this.#link.redis.set(keyOf(id, 'state'), 'paused');
    await (await this.queueOf(id)).pause();
  }

  async resume(id: string): Promise<void> {
    await this.#link.redis.del(keyOf(id, 'state'));
    await (await this.queueOf(id)).resume();
  }

  /** Takes all units that wait from the queue; what is committed stays. */
  async cancel(id: string): Promise<void> {
    await this.#link.redis.set(keyOf(id, 'state'), 'cancelled');
    await (await this.queueOf(id)).drain(true);
  }

  /** Takes units that were set aside out, so that they can be enqueued anew. @returns how many */
  async clearFailed(id: string): Promise<number> {
    const queue = await this.queueOf(id);
    let nCleared = 0;
    for (;;) {
      const cleared = await queue.clean(0, BATCH, 'failed');
      nCleared += cleared.length;
      if (cleared.length < BATCH) return nCleared;
    }
  }

  /** Removes all that is known of a run. */
  async forget(id: string): Promise<void> {
    await (await this.queueOf(id)).obliterate({ force: true });
    await this.#link.redis.hdel(`${PREFIX}:runs`, id);
    const parts = ['state', 'totals', 'workers', 'errors', 'refusals'];
    await this.#link.redis.del(...parts.map((part) => keyOf(id, part)));
  }

  async jobs(id: string): Promise<JobCounts> {
    const queue = await this.queueOf(id);
    const counts = await queue.getJobCounts(
      'waiting',
      'prioritized',
      'active',
      'delayed',
      'failed',
    );
    const { waiting = 0, prioritized = 0, active = 0, delayed = 0, failed = 0 } = counts;
    return { waiting: waiting + prioritized, active, delayed, failed };
  }

  /** Units that were set aside, with their last errors: the first `limit`. */
  async failed(
    id: string,
    limit = MAX_ERRORS,
  ): Promise<{ readonly unit: number; readonly reason: string }[]> {
    const jobs = await (await this.queueOf(id)).getFailed(0, limit - 1);
    return jobs.map(({ data, failedReason }) => ({ unit: data.unit, reason: failedReason }));
  }

  async sign(id: string, sign: WorkerSign): Promise<void> {
    await this.#link.redis.hset(keyOf(id, 'workers'), sign.worker, JSON.stringify(sign));
  }

  async signOff(id: string, worker: string): Promise<void> {
    await this.#link.redis.hdel(keyOf(id, 'workers'), worker);
  }

  async count(id: string, counts: Readonly<Record<string, number>>): Promise<void> {
    const pipeline = this.#link.redis.pipeline();
    for (const [name, value] of Object.entries(counts)) {
      if (value !== 0) pipeline.hincrby(keyOf(id, 'totals'), name, Math.round(value));
    }
    await pipeline.exec();
  }

  async noteFailure(id: string, failure: UnitFailure): Promise<void> {
    const key = keyOf(id, 'errors');
    await this.#link.redis
      .pipeline()
      .lpush(key, JSON.stringify(failure))
      .ltrim(key, 0, MAX_ERRORS - 1)
      .exec();
  }

  async noteRefusal(id: string, worker: string, reason: string): Promise<void> {
    await this.#link.redis.hset(keyOf(id, 'refusals'), worker, reason);
  }

  async status(id: string): Promise<BoardStatus> {
    const { redis } = this.#link;
    const { spec: _, ...run } = await this.run(id);
    const [nowMs, state, jobs, totals, signs, errors, refusals] = await Promise.all([
      this.nowMs(),
      this.state(id),
      this.jobs(id),
      redis.hgetall(keyOf(id, 'totals')),
      redis.hgetall(keyOf(id, 'workers')),
      redis.lrange(keyOf(id, 'errors'), 0, SHOWN_ERRORS - 1),
      redis.hgetall(keyOf(id, 'refusals')),
    ]);
    const workers = Object.values(signs)
      .map((text) => JSON.parse(text) as WorkerSign)
      .filter(({ seenMs }) => nowMs - seenMs < SIGN_MS)
      .sort((a, b) => (a.worker < b.worker ? -1 : 1));
    const nLeft = jobs.waiting + jobs.active + jobs.delayed;
    const unitsDone = Math.max(0, run.units - nLeft - jobs.failed);
    const sum = (of: (sign: WorkerSign) => number): number =>
      workers.reduce((total, sign) => total + of(sign), 0);
    const unitsPerSecond = sum((sign) => sign.unitsPerSecond);
    return {
      ...{ run, state, jobs, unitsDone, workers, refusals },
      totals: Object.fromEntries(
        Object.entries(totals).map(([name, text]) => [name, Number(text)]),
      ),
      rowsPerSecond: sum((sign) => sign.rowsPerSecond),
      secondsLeft: nLeft === 0 ? 0 : unitsPerSecond > 0 ? nLeft / unitsPerSecond : null,
      errors: errors.map((text) => JSON.parse(text) as UnitFailure),
    };
  }

  async close(): Promise<void> {
    for (const queue of this.#queues.values()) await queue.close().catch(() => undefined);
    await this.#link.close();
  }
}
