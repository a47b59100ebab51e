/**
 * Folders of results for whoever reads them afterwards, local or behind an address that has listings (`s3://`, `hf://`):
 * small files whole, and names. Nothing is kept of what was seen: a run under way goes on writing.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GristmillError } from '../../errors.ts';
import { localPath } from '../../local-path.ts';
import { remoteScheme, withoutSecrets } from './addresses.ts';
import { storageOf } from './storages.ts';
import type { StoredFile } from './types.ts';

/** Small files that are fetched at a time. */
const AT_ONCE = 32;
/** A ledger's file is far smaller; what is larger is none. */
const MAX_SMALL_BYTES = 1 << 28;

/**
 * A folder to be read, as it is named everywhere else.
 *
 * @param name what it is called to the person
 * @throws PATH_REMOTE for addresses without listings, and for schemes that nobody reads
 */
export function readableFolder(path: string, name: string): string {
  const scheme = remoteScheme(path);
  if (scheme !== 's3' && scheme !== 'hf') return localPath(path, 'input', name);
  return withoutSecrets(path).replace(/\/+$/, '');
}

/** A small file's text; null for what is not there. @throws STORAGE_*, CORPUS_READ_FAILED, ABORTED */
export async function readSmall(path: string, signal?: AbortSignal): Promise<string | null> {
  if (remoteScheme(path) === null) return readLocal(path);
  const found = await (await storageOf(path)).stat(path, signal);
  return found && readStored(found, signal);
}

/** A file that is right in a folder. */
export interface NamedText {
  readonly name: string;
  readonly text: string;
}

/**
 * Files right in a folder whose names are wanted, with their texts, in no order; null where there is no such folder (or, behind
 * an address, nothing in it).
 *
 * @throws as {@link readSmall}
 */
export async function readSmallFiles(
  folder: string,
  isWanted: (name: string) => boolean,
  signal?: AbortSignal,
): Promise<NamedText[] | null> {
  if (remoteScheme(folder) === null) return readLocalFiles(folder, isWanted);
  const prefix = `${folder}/`;
  const files: StoredFile[] = [];
  let isEmpty = true;
  for await (const file of (await storageOf(folder)).list!(prefix, signal)) {
    isEmpty = false;
    if (isWanted(file.path.slice(prefix.length))) files.push(file);
  }
  if (isEmpty) return null;
  const texts: NamedText[] = [];
  const next = files.values();
  const work = async (): Promise<void> => {
    for (const file of next) {
      const text = await readStored(file, signal);
      texts.push({ name: file.path.slice(prefix.length), text });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return texts;
}

/** At once: opening thousands of records one after the other through the thread pool costs more than reading them. */
function readLocalFiles(folder: string, isWanted: (name: string) => boolean): NamedText[] | null {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return null;
  }
  return names.filter(isWanted).flatMap((name) => {
    // Gone since: its unit is being done again.
    const text = readLocal(join(folder, name));
    return text === null ? [] : [{ name, text }];
  });
}

function readLocal(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code, message: reason } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw new GristmillError('CORPUS_READ_FAILED', { file: path, reason }, { cause });
  }
}

async function readStored(file: StoredFile, signal?: AbortSignal): Promise<string> {
  if (file.bytes > MAX_SMALL_BYTES) {
    const reason = `${file.bytes} bytes are more than a ledger's file has`;
    throw new GristmillError('CORPUS_READ_FAILED', { file: file.path, reason });
  }
  return (await readWhole(file, signal)).toString();
}

/** All bytes of a file that was found. @throws STORAGE_*, CORPUS_READ_FAILED, CORPUS_CHANGED, ABORTED */
export async function readWhole(file: StoredFile, signal?: AbortSignal): Promise<Buffer> {
  const opened = await (await storageOf(file.path)).open(file);
  try {
    const bytes = await opened.read(0, file.bytes, signal);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  } finally {
    await opened.close();
  }
}
