/**
 * What a command costs: CPU of its whole process tree, wall time, peak memory, and the share of one thread.
 *
 * CPU and wall are the shell's own `time`, which counts every child that was waited for. Memory and threads are read from
 * /proc while the command runs: resident memory summed over the tree, and CPU by thread of the process that used most.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** What one run cost. */
export interface ProcessCost {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  /** Highest sum of resident memory over the process tree that was seen. */
  readonly peakBytes: number;
  /** CPU of the main thread of the process that computes, as a share of that process; NaN when nothing was seen. */
  readonly mainShare: number;
  readonly stdout: string;
}

const POLL_MS = 50;
const TICKS_PER_SECOND = 100;

/** Options of {@link costOf}. */
export interface CostOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Runs a command and measures it. @throws Error with its last words when it fails */
export function costOf(
  command: readonly string[],
  { cwd, env = process.env }: CostOptions = {},
): Promise<ProcessCost> {
  return new Promise((resolve, reject) => {
    const script = 'TIMEFORMAT="cost %R %U %S"; time "$@"';
    const child = spawn('bash', ['-c', script, 'bash', ...command], {
      ...(cwd !== undefined && { cwd }),
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    const threads = new Map<number, Map<number, number>>();
    let peakBytes = 0;
    const poll = setInterval(() => {
      peakBytes = Math.max(peakBytes, look(child.pid!, threads));
    }, POLL_MS);
    child.on('error', reject);
    child.on('close', (code) => {
      clearInterval(poll);
      const found = /^cost ([\d.]+) ([\d.]+) ([\d.]+)$/m.exec(stderr);
      if (code !== 0 || !found) {
        reject(new Error(`${command.join(' ')} ended with ${code}: ${stderr.slice(-2000)}`));
        return;
      }
      const [wall, user, system] = found.slice(1).map(Number) as [number, number, number];
      resolve({
        wallSeconds: wall,
        cpuSeconds: user + system,
        peakBytes,
        mainShare: mainShare(threads),
        stdout,
      });
    });
  });
}

/** Notes the CPU of every thread of the tree, and gives the tree's resident memory. */
function look(root: number, threads: Map<number, Map<number, number>>): number {
  let bytes = 0;
  for (const pid of treeOf(root)) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      bytes += 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
      const own = threads.get(pid) ?? new Map<number, number>();
      threads.set(pid, own);
      for (const name of readdirSync(`/proc/${pid}/task`)) {
        const stat = readFileSync(`/proc/${pid}/task/${name}/stat`, 'utf8');
        // The name, in parentheses, may hold spaces; behind it utime and stime are fields 12 and 13.
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        own.set(Number(name), (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND);
      }
    } catch {
      // It ended while we looked.
    }
  }
  return bytes;
}

function treeOf(root: number): number[] {
  const found = [root];
  for (const pid of found) {
    try {
      for (const task of readdirSync(`/proc/${pid}/task`)) {
        const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim();
        if (children !== '') found.push(...children.split(' ').map(Number));
      }
    } catch {
      // It ended while we looked.
    }
  }
  return found;
}

function mainShare(threads: ReadonlyMap<number, ReadonlyMap<number, number>>): number {
  let best = { pid: 0, total: 0 };
  for (const [pid, own] of threads) {
    const total = [...own.values()].reduce((sum, seconds) => sum + seconds, 0);
    if (total > best.total) best = { pid, total };
  }
  return (threads.get(best.pid)?.get(best.pid) ?? Number.NaN) / best.total;
}
