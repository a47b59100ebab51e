/**
 * Who a process is, so that nobody else is taken for it. A number is not enough: two containers both run as process 1,
 * and numbers come again. A boot, a namespace of numbers, a number and a start time name one process.
 */
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/** A process as others see it; null where the system does not tell. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from the boot to its start. */
  readonly startTime: string | null;
  readonly bootId: string | null;
  /** Namespace in which `pid` counts. */
  readonly pidNamespace: string | null;
  readonly host: string;
}

/** This process. */
export function ownIdentity(): ProcessIdentity {
  const host = hostname();
  const { pid } = process;
  // There are no namespaces and no start times to read, but a number that is not there is nobody's.
  if (process.platform === 'darwin') {
    return { pid, startTime: null, bootId: `darwin ${host}`, pidNamespace: 'darwin', host };
  }
  const stat = statOf('self');
  // A /proc of another namespace shows other processes under our numbers.
  if (stat?.pid !== pid) return { pid, startTime: null, bootId: null, pidNamespace: null, host };
  return {
    pid,
    startTime: stat.startTime,
    bootId: attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()),
    pidNamespace: attempt(() => readlinkSync('/proc/self/ns/pid')),
    host,
  };
}

/** A name for a process besides its number, as long as a word: equal for equal identities, on whatever machine. */
export function markOf({ startTime, bootId, pidNamespace, host }: ProcessIdentity): string {
  const all = JSON.stringify([startTime, bootId, pidNamespace, host]);
  return createHash('sha256').update(all).digest('hex').slice(0, 8);
}

/**
 * True when `other` has certainly ended. False says nothing: it lives, or it cannot be seen from here.
 *
 * A namespace's number may be given again once all of its processes have ended, so equal numbers and another start
 * time are another process too.
 */
export function isCertainlyGone(other: ProcessIdentity, own = ownIdentity()): boolean {
  const isHere =
    other.bootId !== null &&
    other.pidNamespace !== null &&
    other.bootId === own.bootId &&
    other.pidNamespace === own.pidNamespace;
  if (!isHere) return false;
  try {
    process.kill(other.pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
  const stat = statOf(other.pid);
  if (!stat || other.startTime === null) return false;
  // A killed process that nobody waits for, as in containers whose first process is no init, keeps its number.
  return stat.startTime !== other.startTime || stat.state === 'Z' || stat.state === 'X';
}

function statOf(pid: number | 'self') {
  return attempt(() => {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name in brackets may hold anything; fields 3 and 22 of proc(5) stand behind it.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { pid: Number.parseInt(text, 10), state: fields[0], startTime: fields[19] ?? null };
  });
}

function attempt<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
