/**
 * A file that appears under its name whole, or not at all.
 *
 *     .<name>.<pid>-<mark>.<16 hex digits>.tmp     beside its place while it is written; synced, then renamed
 *
 * Invariants:
 *  - The pending file is made by us: a new one (O_EXCL), never one that somebody laid there, nor what a link points to.
 *  - A name that is a link stays one: what it points to is replaced. What is no regular file (a device, a pipe, a socket)
 *    is written to, never replaced.
 *  - Every byte is written, or the call throws: a disk that is nearly full takes a part of a write without an error.
 *  - A failure leaves no pending file. Those of processes that were killed are removed when a file is next written beside
 *    them, and by whoever takes over their lease of the folder. Whose they are then is told by the mark, which stands for
 *    boot, namespace and start time (process-identity.ts): numbers come again, and every container has a process 1. Files
 *    of C++ (native/output_file.cc) have it too; those of earlier versions have none, and go when nobody has written to
 *    them for a while.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { markOf, ownIdentity, type ProcessIdentity } from './process-identity.ts';

const { O_RDWR, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_TRUNC } = constants;
const MAX_LINKS = 40;
/** Names may have 255 bytes; a character has at most three of them. */
const MAX_NAME_CHARS = 60;
const PENDING = /^\..*\.(\d+)(?:-([0-9a-f]{8}))?\.[0-9a-f]{16}\.tmp$/s;
/** A pending file that was not written to for this long, of a process that is gone, is a leftover. */
const LEFTOVER_MS = 10_000;
/** `stages/<stage>/step-…` is the deepest. */
const RUN_FOLDER_DEPTH = 3;
const WAIT_MS = 5;
const swept = new Set<string>();

/** Where a result goes. */
export interface OutputTarget {
  /** Links followed. */
  readonly path: string;
  /** A device or a pipe: written to as it is. */
  readonly isStream: boolean;
}

/** Follows the links of a name; the last file need not be there. @throws errors of the file system; a folder is one */
export function outputTarget(path: string): OutputTarget {
  const found = statIfThere(path);
  if (found?.isDirectory())
    throw Object.assign(new Error(`${path} is a folder`), { code: 'EISDIR' });
  // The names of our own streams: a file behind one is open elsewhere too, and must stay the file that it is.
  const isOpenFile = /^\/(dev|proc)\//.test(resolve(path));
  if (found && (!found.isFile() || isOpenFile)) return { path, isStream: true };
  if (found) return { path: realpathSync(path), isStream: false };
  let end = path;
  for (let link = 0; link < MAX_LINKS; link++) {
    const next = linkOf(end);
    if (next === null) return { path: end, isStream: false };
    end = resolve(dirname(end), next);
  }
  throw Object.assign(new Error(`${path} is a loop of links`), { code: 'ELOOP' });
}

/** A name that no other file has. */
export function pendingName(path: string): string {
  const name = basename(path).slice(0, MAX_NAME_CHARS);
  const id = randomBytes(8).toString('hex');
  ownMark ??= markOf(ownIdentity());
  return join(dirname(path), `.${name}.${process.pid}-${ownMark}.${id}.tmp`);
}

/** Of this process. */
let ownMark: string | null = null;

/** Flags with which a pending file is opened. */
export const PENDING_FLAGS = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;

/** The same, and read back. */
const FRESH_FLAGS = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;

/** Flags with which what is no regular file is opened. */
export const STREAM_FLAGS = O_WRONLY | O_TRUNC;

/** An output that is open. */
export class PendingFile {
  readonly #target: OutputTarget;
  readonly #pending: string | null;
  #handle: number | null;

  /** @throws errors of the file system */
  constructor(path: string) {
    this.#target = outputTarget(path);
    if (this.#target.isStream) {
      this.#pending = null;
      this.#handle = openSync(this.#target.path, STREAM_FLAGS);
      return;
    }
    sweepOnce(dirname(this.#target.path));
    this.#pending = pendingName(this.#target.path);
    this.#handle = openSync(this.#pending, PENDING_FLAGS, 0o666);
  }

  /** Writes all of it. @throws errors of the file system */
  write(content: string | Uint8Array): void {
    if (this.#handle === null) throw new Error('the file was closed');
    writeWholly(this.#handle, typeof content === 'string' ? Buffer.from(content) : content);
  }

  /** The file has its name, on the disk, when this returns. @throws errors of the file system; nothing is left then */
  commit(): void {
    if (this.#handle === null) throw new Error('the file was closed');
    try {
      if (this.#pending !== null) fsyncSync(this.#handle);
      this.#close();
      if (this.#pending === null) return;
      renameSync(this.#pending, this.#target.path);
    } catch (error) {
      this.discard();
      throw error;
    }
    syncFolder(dirname(this.#target.path));
  }

  /** Gives up; again, or after {@link commit}: does nothing. */
  discard(): void {
    try {
      this.#close();
    } finally {
      if (this.#pending !== null) rmSync(this.#pending, { force: true });
    }
  }

  #close(): void {
    const handle = this.#handle;
    this.#handle = null;
    if (handle !== null) closeSync(handle);
  }
}

/** Opens a file of our own folders anew: what lay under its name is removed, never written through. @throws errors of the file system */
export function createFresh(path: string): number {
  rmSync(path, { force: true });
  return openSync(path, FRESH_FLAGS, 0o666);
}

/** Writes all bytes to an open file. @throws errors of the file system */
export function writeWholly(handle: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    try {
      done += writeSync(handle, bytes, done, bytes.length - done);
    } catch (error) {
      // A pipe that somebody made non-blocking, and whose reader is slow.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, WAIT_MS);
    }
  }
}

/** Puts the names of a folder on the disk. */
export function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    if (fstatSync(handle).isDirectory()) fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Removes what killed processes left in a folder, when the first file is written there. */
export function sweepOnce(folder: string): void {
  const key = resolve(folder);
  if (swept.has(key)) return;
  swept.add(key);
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return; // Writing there will say what is wrong.
  }
  for (const name of names) {
    const pid = Number(PENDING.exec(name)?.[1] ?? 0);
    if (pid === 0 || pid === process.pid || isAlive(pid)) continue;
    removePending(join(folder, name), LEFTOVER_MS);
  }
}

/** Removes what one process left in a folder of a run and the folders in it; it has ended, or lost its lease of them. */
export function sweepAfter(gone: ProcessIdentity, folder: string, depth = RUN_FOLDER_DEPTH): void {
  let entries: Dirent[];
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    return; // Writing there will say what is wrong.
  }
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && depth > 0) {
      sweepAfter(gone, path, depth - 1);
      continue;
    }
    const [, pid, mark] = PENDING.exec(entry.name) ?? [];
    if (pid === undefined || Number(pid) !== gone.pid) continue;
    if (mark === undefined) removePending(path, LEFTOVER_MS);
    else if (mark === markOf(gone)) removePending(path, 0);
  }
}

function removePending(path: string, olderThanMs: number): void {
  const found = lstatIfThere(path);
  if (found?.isFile() && Date.now() - found.mtimeMs >= olderThanMs) rmSync(path, { force: true });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function statIfThere(path: string): Stats | null {
  try {
    return statSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function lstatIfThere(path: string): Stats | null {
  try {
    return lstatSync(path);
  } catch {
    return null;
  }
}

function linkOf(path: string): string | null {
  return lstatIfThere(path)?.isSymbolicLink() ? readlinkSync(path) : null;
}
