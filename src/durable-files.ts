/**
 * Files and folders that survive a crash: written under another name, synced, renamed; and one writer to a folder.
 */
import { closeSync, existsSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { GristmillError, isGristmillError } from './errors.ts';
import { localPath, makeFolder } from './local-path.ts';
import { PendingFile } from './pending-file.ts';

export { syncFolder } from './pending-file.ts';

/**
 * Takes the lock file of a folder; a lock whose process is gone from this host is taken over.
 *
 * @returns gives it back
 * @throws RUN_OUTPUT_IN_USE
 */
export function lock(out: string, file: string): () => void {
  const mine = JSON.stringify({ pid: process.pid, host: hostname() });
  for (let attempt = 0; ; attempt++) {
    try {
      const handle = openSync(file, 'wx');
      writeSync(handle, mine);
      closeSync(handle);
      return () => {
        if (existsSync(file) && readFileSync(file, 'utf8') === mine) unlinkSync(file);
      };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = readHolder(file);
    const gone = holder.host === hostname() && !isAlive(holder.pid);
    if (!gone || attempt > 2) {
      throw new GristmillError('RUN_OUTPUT_IN_USE', { out, ...holder, lock: file });
    }
    unlinkSync(file);
  }
}

function readHolder(file: string): { pid: number; host: string } {
  try {
    const holder = JSON.parse(readFileSync(file, 'utf8')) as { pid: number; host: string };
    if (Number.isSafeInteger(holder.pid) && typeof holder.host === 'string') return holder;
  } catch {
    // A process killed between creating and writing its lock leaves an empty file: nobody holds it.
  }
  return { pid: 0, host: hostname() };
}

function isAlive(pid: number): boolean {
  if (pid === 0) return false;
  // A process that asks twice (two runs in one program) is alive and in its own way.
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** A killed process that nobody waits for, as in containers whose first process is no init, still has its number. */
function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat
      .slice(stat.lastIndexOf(')') + 1)
      .trimStart()
      .startsWith('Z');
  } catch {
    return false;
  }
}

/** Reads a JSON file of a ledger. @throws RUN_LEDGER_INVALID */
export function readLedgerJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new GristmillError('RUN_LEDGER_INVALID', { file, reason }, { cause });
  }
}

/**
 * Writes a file whole or not at all; it is on the disk when this returns. See pending-file.ts for links and devices.
 *
 * @param content text, bytes, or pieces of text one after the other
 */
export function writeDurably(file: string, content: string | Uint8Array | Iterable<string>): void {
  localPath(file, 'output');
  const pending = new PendingFile(file);
  try {
    const isWhole = typeof content === 'string' || content instanceof Uint8Array;
    for (const piece of isWhole ? [content] : content) pending.write(piece);
    pending.commit();
  } catch (error) {
    pending.discard();
    throw error;
  }
}

/**
 * The same for a result that somebody asked for: its folder is made where it is missing, a failure has the room's code.
 *
 * @throws `code`
 */
export function writeResultAs(
  code: 'MIXTURE_WRITE_FAILED' | 'CONTINUAL_WRITE_FAILED',
  path: string,
  content: string | Uint8Array | Iterable<string>,
): void {
  try {
    makeFolder(dirname(path));
    writeDurably(path, content);
  } catch (cause) {
    if (isGristmillError(cause)) throw cause;
    throw new GristmillError(code, { path, reason: (cause as Error).message }, { cause });
  }
}
