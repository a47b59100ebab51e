/**
 * The share of one of several workers: a split of a plan that follows from the plan alone, so that workers need not speak to
 * each other.
 *
 * Shares are stretches of the plan, balanced by bytes: neighbours lie in one file, whose footer and lines before a unit are
 * then looked at by one worker. A unit is in exactly one share, whatever the count.
 */
import { GristmillError } from '../errors.ts';
import type { Check } from '../options.ts';

/** One worker of several. */
export interface WorkerShare {
  /** From 0. */
  readonly index: number;
  readonly count: number;
}

/** Most workers of a split. */
export const MAX_WORKERS = 1_000_000;

/** Whether a value is one worker of several. */
export function isWorkerShare(value: unknown): value is WorkerShare {
  if (typeof value !== 'object' || value === null) return false;
  const { index, count } = value as Partial<WorkerShare>;
  const whole = (number: unknown): number is number => Number.isSafeInteger(number);
  return whole(index) && whole(count) && index >= 0 && index < count && count <= MAX_WORKERS;
}

/** As an option of a call. */
export const workerOption: Check = {
  expected: `{ index, count } with index in 0..count-1 and count in 1..${MAX_WORKERS}`,
  accepts: isWorkerShare,
};

/** The units of a worker: those whose middle byte lies in its part of all bytes. */
export function shareOf<Unit extends { readonly bytes: number }>(
  units: readonly Unit[],
  { index, count }: WorkerShare,
): Unit[] {
  const starts = shareStarts(units, count);
  return units.slice(starts[index], starts[index + 1]);
}

/** Where the shares of all workers begin: `count + 1` positions, the last behind the last unit. */
export function shareStarts(
  units: readonly { readonly bytes: number }[],
  count: number,
): readonly number[] {
  // A unit without bytes is one of some work too.
  let total = 0;
  for (const { bytes } of units) total += bytes + 1;
  const starts = [0];
  let before = 0;
  for (const [at, { bytes }] of units.entries()) {
    const middle = before + (bytes + 1) / 2;
    before += bytes + 1;
    const owner = Math.min(count - 1, Math.floor((middle / total) * count));
    while (starts.length <= owner) starts.push(at);
  }
  while (starts.length <= count) starts.push(units.length);
  return starts;
}

/** Name of a worker in its ledger. */
export function workerName({ index, count }: WorkerShare): string {
  return `${index}-of-${count}`;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads `i/n`; or `env` and `env/n`, where the scheduler says which worker this is: SLURM_ARRAY_TASK_ID (with its count, or
 * an index from 0 of the n that are given), JOB_COMPLETION_INDEX of an Indexed Job (with the n that is given).
 *
 * @throws OPTION_INVALID
 */
export function parseWorker(text: string, env: Environment = process.env): WorkerShare {
  const refuse = (expected: string, received: string = text): never => {
    throw new GristmillError('OPTION_INVALID', { option: 'worker', expected, received });
  };
  const checked = (index: number, count: number, received: string): WorkerShare => {
    if (!Number.isSafeInteger(count) || count < 1 || count > MAX_WORKERS) {
      refuse(`a count in 1..${MAX_WORKERS}`, received);
    }
    if (!Number.isSafeInteger(index) || index < 0 || index >= count) {
      refuse(`an index in 0..${count - 1}`, received);
    }
    return { index, count };
  };
  const [, own, given] = /^(\d{1,9}|env)(?:\/(\d{1,9}))?$/.exec(text) ?? [];
  if (own === undefined || (own !== 'env' && given === undefined)) {
    return refuse('i/n with i in 0..n-1, or env, or env/n');
  }
  if (own !== 'env') return checked(Number(own), Number(given), text);
  const number = (name: string): number | null => {
    const value = env[name];
    if (value === undefined) return null;
    return /^\d{1,9}$/.test(value) ? Number(value) : refuse(`a whole number in ${name}`, value);
  };
  const slurm = number('SLURM_ARRAY_TASK_ID');
  if (slurm !== null) {
    const said = `SLURM_ARRAY_TASK_ID ${slurm}`;
    if (given !== undefined) return checked(slurm, Number(given), said);
    return slurmShare(slurm, number, (expected) => refuse(expected, said));
  }
  const job = number('JOB_COMPLETION_INDEX');
  if (job === null)
    return refuse('SLURM_ARRAY_TASK_ID or JOB_COMPLETION_INDEX beside env', 'neither');
  if (given === undefined) return refuse('env/n: an Indexed Job does not say how many there are');
  return checked(job, Number(given), `JOB_COMPLETION_INDEX ${job}`);
}

/** An array of Slurm need not begin at 0; one with gaps says nothing of a split. */
function slurmShare(
  id: number,
  number: (name: string) => number | null,
  refuse: (expected: string) => never,
): WorkerShare {
  const count = number('SLURM_ARRAY_TASK_COUNT');
  if (count === null) return refuse('SLURM_ARRAY_TASK_COUNT beside it, or env/n');
  const first = number('SLURM_ARRAY_TASK_MIN') ?? 0;
  const last = number('SLURM_ARRAY_TASK_MAX') ?? first + count - 1;
  const step = number('SLURM_ARRAY_TASK_STEP') ?? 1;
  const index = (id - first) / Math.max(1, step);
  const isEven = Math.floor((last - first) / Math.max(1, step)) === count - 1;
  if (!isEven || !Number.isSafeInteger(index) || index < 0 || index >= count) {
    return refuse('an array without gaps, or env/n with n workers from 0');
  }
  return { index, count };
}
