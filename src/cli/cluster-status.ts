/** What `gristmill cluster status` shows: runs, how far they are and when they end, who works on them, what went wrong. */
import { count } from '../figures.ts';
import type { BoardStatus } from '../work/queue/board.ts';
import { duration } from './progress.ts';
import { columns } from './say.ts';

/** Characters of an error in a table: all of it is in `--json`. */
const MAX_ERROR_CHARS = 160;

/**
 * Tables of runs, their workers, and their last errors.
 *
 * @param nowMs milliseconds since 1970, for how long ago things were
 */
export function statusTable(runs: readonly BoardStatus[], nowMs: number): string {
  if (runs.length === 0) return 'no runs\n';
  const ago = (atMs: number): string => `${duration(Math.max(0, nowMs - atMs) / 1000)} ago`;
  const parts = [runTable(runs)];
  const workers = runs.flatMap(({ run, workers: all }) =>
    all.map(({ worker, host, pid, device, units, rowsPerSecond, seenMs }) => [
      ...[run.id, worker, host, String(pid), device, count(units), rowsPerSecond.toFixed(1)],
      ago(seenMs),
    ]),
  );
  if (workers.length > 0) {
    const head = ['run', 'worker', 'host', 'pid', 'device', 'units', 'docs/s', 'seen'];
    parts.push(columns([head, ...workers]));
  } else if (runs.some(({ jobs }) => jobs.waiting + jobs.active + jobs.delayed > 0)) {
    parts.push('no workers: gristmill cluster work, on any machines that see the output\n');
  }
  const errors = runs.flatMap(({ run, errors: all, refusals }) => [
    ...all.map(({ unit, code, message, worker, atMs }) => [
      ...[run.id, ago(atMs), `unit ${unit}`, worker, shortened(`${code}: ${message}`)],
    ]),
    ...Object.entries(refusals).map(([worker, reason]) => [
      ...[run.id, '', 'refused', worker, shortened(reason)],
    ]),
  ]);
  if (errors.length > 0) {
    parts.push(columns([['run', 'error', 'of', 'worker', 'what'], ...errors]));
  }
  return parts.join('\n');
}

function runTable(runs: readonly BoardStatus[]): string {
  const head = ['run', 'state', 'priority', 'done', 'waiting', 'active', 'set aside'];
  const rows = runs.map((status) => {
    const { run, state, jobs, unitsDone, totals, rowsPerSecond, secondsLeft } = status;
    const { rowsIn = 0, kept = 0, edited = 0 } = totals;
    const share = run.units === 0 ? 1 : unitsDone / run.units;
    return [
      ...[run.id, state, String(run.priority)],
      `${count(unitsDone)} of ${count(run.units)} (${(100 * share).toFixed(0)}%)`,
      ...[count(jobs.waiting + jobs.delayed), count(jobs.active), count(jobs.failed)],
      ...[count(rowsIn), rowsIn === 0 ? '' : `${((100 * (kept + edited)) / rowsIn).toFixed(1)}%`],
      ...[rowsPerSecond.toFixed(1), secondsLeft === null ? '?' : duration(secondsLeft), run.out],
    ];
  });
  return columns([[...head, 'docs', 'stay', 'docs/s', 'ETA', 'out'], ...rows]);
}

function shortened(text: string): string {
  return text.length <= MAX_ERROR_CHARS ? text : `${text.slice(0, MAX_ERROR_CHARS - 1)}…`;
}
