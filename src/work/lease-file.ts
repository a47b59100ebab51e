/**
 * A lease kept as a file, on one machine or on a folder that many share.
 *
 *     lock          content of the holder; its time of change is the heartbeat, a counter that no clock is read for
 *     lock.next     content of whoever replaces or removes `lock`: one at a time
 *     lock.*.tmp    content before it is linked
 *
 * Rules
 *  1. `lock` appears by an exclusive link, whole. Only the creator of `lock.next` (an exclusive link too) may replace or
 *     remove it, and looks at its content again before: what was read earlier may be another's by now.
 *  2. Replacing is a rename of `lock.next` to `lock`: it ends the right to do so in the same moment.
 *  3. A `lock.next` that a killed process left is removed once it is stale. Two may remove and make it at once; so who
 *     has renamed, or found nothing to rename, holds the lease exactly when `lock` has its content.
 */
import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { native } from '../native/index.ts';
import { createExclusively } from './exclusive-file.ts';
import type { LeaseStore, LeaseView } from './lease-store.ts';

/** Who gives a lease back waits for one that looks at it, so long at most. */
const REMOVE_TRIES = 20;
const REMOVE_WAIT_MS = 5;

/** A store over the file `file`; its folder must be there. */
export function leaseFile(file: string): LeaseStore {
  const next = `${file}.next`;
  return {
    read: () => viewOf(file),
    held: () => viewOf(file),
    create(content) {
      if (!createExclusively(file, content)) return false;
      removeLeftovers(file);
      return true;
    },
    replace(seen, content, isStale) {
      if (!createExclusively(next, content)) {
        const other = viewOf(next);
        if (other && isStale(other)) rmSync(next, { force: true });
        return false;
      }
      if (viewOf(file)?.content !== seen) {
        removeOwn(next, content);
        return false;
      }
      try {
        renameSync(next, file);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
      if (viewOf(file)?.content !== content) return false;
      removeLeftovers(file);
      return true;
    },
    remove(content) {
      for (let attempt = 0; !createExclusively(next, content); attempt++) {
        if (attempt === REMOVE_TRIES) return;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, REMOVE_WAIT_MS);
      }
      removeOwn(file, content);
      removeOwn(next, content);
    },
    beat(periodMs) {
      const heartbeat = new (native().Heartbeat)(file, Math.floor(Date.now() / 1000), periodMs);
      return () => heartbeat.stop();
    },
  };
}

function viewOf(file: string): LeaseView | null {
  let handle: number;
  try {
    handle = openSync(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    const { mtimeNs } = fstatSync(handle, { bigint: true });
    return { content: readFileSync(handle, 'utf8'), beat: String(mtimeNs) };
  } finally {
    closeSync(handle);
  }
}

function removeOwn(file: string, content: string): void {
  if (viewOf(file)?.content === content) rmSync(file, { force: true });
}

/** Files of processes that were killed between writing and linking. */
function removeLeftovers(file: string): void {
  const prefix = `${basename(file)}.`;
  for (const name of readdirSync(dirname(file))) {
    if (name.startsWith(prefix) && name.endsWith('.tmp')) {
      rmSync(join(dirname(file), name), { force: true });
    }
  }
}
