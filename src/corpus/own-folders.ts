/**
 * Folders that commands of ours have written: inside a folder of inputs they are results, not documents, and are passed
 * over. Each is told by a file that only its command writes.
 */
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { below, remoteScheme, shownAddress } from './storage/addresses.ts';
import { storageOf } from './storage/storages.ts';
import type { StoredFile } from './storage/types.ts';

interface Mark {
  /** Name in the folder; only folders that have it are looked at further. */
  readonly name: string;
  /** File below `name` that must be there. */
  readonly below?: string;
  /** What the file must begin with, where its name alone is too common. */
  readonly head?: RegExp;
  readonly command: string;
}

/** Our own JSON files are written with this as their first key. */
const OURS = /^\{\s*"format": 1,/;
const HEAD_BYTES = 64;

const MARKS: readonly Mark[] = [
  { name: '_gristmill', below: 'run.json', command: 'refine' },
  { name: '_annotate', below: 'kind', command: 'annotate' },
  { name: '_mixture.json', head: OURS, command: 'mix apply' },
  { name: 'sweep.json', head: OURS, command: 'mix train' },
  { name: 'store.json', head: OURS, command: 'mix tokenize' },
  { name: 'building.json', head: OURS, command: 'mix tokenize' },
  { name: 'lineage.json', head: /^[[{]/, command: 'continue run' },
  { name: 'run.json', head: OURS, command: 'train' },
  { name: 'export.json', head: /^\{\s*"gristmill": "export"/, command: 'an export' },
];

/**
 * The command that wrote a folder, or null.
 *
 * @param names of what lies in the folder
 */
export async function commandOf(
  folder: string,
  names: ReadonlySet<string>,
): Promise<string | null> {
  for (const { name, below, head, command } of MARKS) {
    if (!names.has(name)) continue;
    if (command === 'continue run' && !names.has('run.json')) continue;
    const file = join(folder, name, below ?? '');
    if (head ? await beginsWith(file, head) : await isFile(file)) return command;
  }
  return null;
}

/**
 * The command that wrote what lies in a folder or below an address; null for none that writes there.
 *
 * @throws STORAGE_*
 */
export async function commandAt(out: string): Promise<string | null> {
  if (remoteScheme(out) === null) {
    const names = await readdir(out).catch(() => []);
    return commandOf(out, new Set(names));
  }
  for (const { name, below: inner, head, command } of MARKS) {
    if (!WRITES_BUCKETS.has(command)) continue;
    const path = below(shownAddress(out), inner === undefined ? name : `${name}/${inner}`);
    const found = await (await storageOf(path)).stat(path);
    if (found && (!head || (await headOf(found, head)))) return command;
  }
  return null;
}

/** Commands whose outputs may lie in a bucket. */
const WRITES_BUCKETS: ReadonlySet<string> = new Set(['refine', 'annotate', 'mix train']);

async function headOf(file: StoredFile, head: RegExp): Promise<boolean> {
  const opened = await (await storageOf(file.path)).open(file);
  try {
    const bytes = await opened.read(0, Math.min(HEAD_BYTES, file.bytes));
    return head.test(Buffer.from(bytes).toString('latin1'));
  } finally {
    await opened.close();
  }
}

/** Folders of a refined corpus that hold what was taken out of it. */
export const TAKEN_OUT: ReadonlySet<string> = new Set(['dropped', 'rejected']);

async function isFile(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  return found?.isFile() ?? false;
}

async function beginsWith(path: string, head: RegExp): Promise<boolean> {
  if (!(await isFile(path))) return false;
  const handle = await open(path, 'r').catch(() => null);
  if (!handle) return false;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return head.test(buffer.toString('latin1', 0, bytesRead));
  } catch {
    return false;
  } finally {
    await handle.close();
  }
}
