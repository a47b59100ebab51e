/**
 * A run by three workers of a queue among faults, of kinds that a suite gives: each kind comes, and then any, by a seed, while
 * units are committed between them.
 */
import { loadavg } from 'node:os';
import { seededRandom } from '../../src/seeded.ts';
import type { Board } from '../../src/work/queue/board.ts';
import { sleep, until, within } from './bounded.ts';
import type { Fleet, FleetWorker } from './fleet.ts';
import type { RedisServer } from './redis-server.ts';

/** Nothing at all is committed for so long: sized for machines that are busy with more than this. */
const STILL_MS = 240_000;
/** The board may be what stands still. */
const BOARD_MS = 5_000;
const SHOWN_FAULTS = 30;
/** Of all units so many are left for the time after the last fault. */
const LAST_PART = 0.1;

/** Faults of a run: the default is one for CI, `npm run soak` has more. */
export const N_FAULTS = Number(process.env['GRISTMILL_FAULTS'] ?? 16);
export const N_UNITS = Math.max(200, N_FAULTS);
/** A run of all of them takes a second or two a fault, ten on a machine that is busy with more than this. */
export const RUN_MS = 3_600_000 + N_FAULTS * 20_000;
export const SEED = Number(process.env['GRISTMILL_SEED'] ?? 11);

/** Does one fault. What it returns is when its work is over, not when the fault is. */
export type FaultKind = (worker: FleetWorker, later: (mend: Promise<unknown>) => void) => unknown;

/** What a suite gives. */
export interface FaultRunOptions {
  readonly id: string;
  readonly board: Board;
  readonly fleet: Fleet;
  readonly nUnits: number;
  readonly nFaults: number;
  readonly kinds: Readonly<Record<string, FaultKind>>;
  /** How many units are committed by now. */
  committed(): Promise<number> | number;
}

/** Runs until every unit is committed and every worker has left. @returns how often each kind came */
export async function runAmongFaults(options: FaultRunOptions): Promise<Record<string, number>> {
  const { id, fleet, kinds, nUnits, nFaults } = options;
  const random = seededRandom(SEED);
  const counts: Record<string, number> = {};
  const mends = new Set<Promise<unknown>>();
  const later = (mend: Promise<unknown>): void => {
    const kept = mend.catch(() => undefined).finally(() => mends.delete(kept));
    mends.add(kept);
  };
  let done = 0;
  const begunMs = performance.now();
  const history: string[] = [];
  const describe = async (): Promise<string> =>
    `last faults:\n${history.slice(-SHOWN_FAULTS).join('\n')}\n${await describeRun(options)}`;
  const untilCommitted = (units: number): Promise<void> =>
    until(
      STILL_MS,
      `${units} of ${nUnits} units, with ${done} committed`,
      async () => {
        // Whoever has left, as after a full disk, is replaced.
        if (done < nUnits) await fleet.fill(id);
        done = await options.committed();
        return done >= units;
      },
      describe,
      () => done,
    );
  const names = Object.keys(kinds);
  for (let fault = 0; fault < nFaults; fault++) {
    await untilCommitted(Math.floor((fault + 1) * ((nUnits * (1 - LAST_PART)) / (nFaults + 1))));
    const victim = [...fleet.awake][Math.floor(random() * fleet.awake.size)];
    const name = names[fault < names.length ? fault : Math.floor(random() * names.length)]!;
    if (!victim) continue;
    counts[name] = (counts[name] ?? 0) + 1;
    const seconds = ((performance.now() - begunMs) / 1000).toFixed(0);
    history.push(`${seconds} s, ${done} units: ${name}, worker ${victim.pid}`);
    await within(
      120_000,
      `the fault "${name}" to be done`,
      work(kinds[name]!, victim, later),
      describe,
    );
    if (nFaults >= 50 && (fault + 1) % 25 === 0) {
      say(`${seconds} s: ${fault + 1} of ${nFaults} faults, ${done} of ${nUnits} units`);
    }
  }
  await untilCommitted(nUnits);
  await within(180_000, 'the last faults to be over', Promise.all(mends), describe);
  const left = [...fleet.workers].map(({ finished }) => finished);
  await within(240_000, 'the workers to leave', Promise.all(left), describe);
  say(`faults: ${Object.entries(counts).map(([name, count]) => `${name} ${count}`)}`);
  return counts;
}

async function work(
  kind: FaultKind,
  victim: FleetWorker,
  later: (mend: Promise<unknown>) => void,
): Promise<void> {
  await kind(victim, later);
}

type Facts = Omit<FaultRunOptions, 'kinds' | 'nUnits' | 'nFaults'>;

/** What is known of a run that stands still. */
export async function describeRun(options: Facts): Promise<string> {
  const board = within(BOARD_MS, 'the board', boardOf(options)).catch(String);
  return `${await board}\nload ${loadavg().join(' ')}\n${await options.fleet.describe()}`;
}

async function boardOf(options: Facts): Promise<string> {
  const { id, board } = options;
  const { jobs, state, workers, errors } = await board.status(id);
  const queue = await board.queueOf(id);
  const active = (await queue.getActive()).map((job) => job && [job.id, job.processedBy]);
  const delayed = (await queue.getDelayed(0, 20)).map((job) => job && [job.id, job.delay]);
  const facts = { committed: await options.committed(), state, jobs, active, delayed, errors };
  const signs = workers.map(({ worker, pid, units }) => ({ worker, pid, units }));
  return JSON.stringify({ ...facts, signs }, null, 1);
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Faults of processes, clocks, networks and the queue, whatever the output lies in. */
export function commonFaults(
  fleet: Fleet,
  redis: RedisServer,
  board: Board,
  id: string,
  { nUnits, lockMs, leaseMs }: Readonly<Record<'nUnits' | 'lockMs' | 'leaseMs', number>>,
): Record<string, FaultKind> {
  const random = seededRandom(SEED + 1);
  const asleep = (worker: FleetWorker, ms: number): Promise<void> => {
    worker.signal('SIGSTOP');
    return fleet.without(worker, ms, () => worker.signal('SIGCONT'));
  };
  return {
    SIGKILL: (worker) => worker.signal('SIGKILL'),
    // Others have its units when it wakes up.
    'SIGSTOP beyond its locks': (worker, later) => later(asleep(worker, lockMs + 6_000)),
    'SIGSTOP beyond its lease': (worker, later) => later(asleep(worker, leaseMs + 5_000)),
    'Redis killed': async () => {
      await redis.kill();
      await sleep(300);
      await redis.up();
    },
    'unit twice': async () => {
      const unit = Math.floor(random() * nUnits);
      const jobId = `again-${unit}-${Math.floor(random() * 1e9)}`;
      await (await board.queueOf(id)).add('unit', { unit }, { jobId, removeOnComplete: true });
    },
    'clock moved': (worker) => worker.moveClock(Math.round((random() - 0.5) * 4 * 3600)),
    'network silent': (worker, later) => {
      worker.network.cut();
      later(fleet.without(worker, 2_000 + random() * 18_000, () => worker.network.mend()));
    },
    'network refused': (worker, later) => {
      worker.network.refuse();
      later(fleet.without(worker, 500 + random() * 5_000, () => worker.network.mend()));
    },
  };
}
