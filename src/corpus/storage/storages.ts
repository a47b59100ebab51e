/**
 * The storage of an address. Each is loaded with the first address that needs it; what was found of remote files is kept
 * for a while, so that planning asks once for each.
 */
import { GristmillError } from '../../errors.ts';
import { remoteScheme } from './addresses.ts';
import { localStorage, openLocal } from './local.ts';
import type { RangedFile, ReadStorage, StoredFile } from './types.ts';

const opened = new Map<string, Promise<ReadStorage>>();

/** The storage that holds a path. */
export function storageOf(path: string): Promise<ReadStorage> {
  const scheme = remoteScheme(path);
  const kind = scheme === 'https' ? 'http' : (scheme ?? 'local');
  let storage = opened.get(kind);
  if (!storage) {
    storage = load(kind);
    opened.set(kind, storage);
  }
  return storage;
}

async function load(kind: string): Promise<ReadStorage> {
  if (kind === 's3') return (await import('./s3.ts')).s3Storage();
  if (kind === 'http') return (await import('./http.ts')).httpStorage();
  if (kind === 'hf') return (await import('./hub.ts')).hubStorage();
  return localStorage;
}

/** Remote files as they were last seen. */
const seen = new Map<string, StoredFile>();
const MAX_SEEN = 200_000;

/** Keeps what a listing or a look has found. */
export function rememberFile(file: StoredFile): void {
  seen.delete(file.path);
  seen.set(file.path, file);
  if (seen.size > MAX_SEEN) seen.delete(seen.keys().next().value!);
}

/**
 * A file as it is now.
 *
 * @throws CORPUS_READ_FAILED for what is not there; STORAGE_*, ABORTED
 */
export async function lookAt(path: string, signal?: AbortSignal): Promise<StoredFile> {
  const found = await (await storageOf(path)).stat(path, signal);
  if (!found) {
    throw new GristmillError('CORPUS_READ_FAILED', { file: path, reason: 'it does not exist' });
  }
  if (remoteScheme(path) !== null) rememberFile(found);
  return found;
}

/** A file as it was last seen; local ones are looked at each time. @throws as {@link lookAt} */
export async function knownFile(path: string, signal?: AbortSignal): Promise<StoredFile> {
  return seen.get(path) ?? lookAt(path, signal);
}

/** Opens a file, of the version that was last seen. @throws CORPUS_READ_FAILED, CORPUS_CHANGED, STORAGE_*, ABORTED */
export async function openFile(path: string, signal?: AbortSignal): Promise<RangedFile> {
  if (remoteScheme(path) === null) return openLocal(path);
  const storage = await storageOf(path);
  return storage.open(await knownFile(path, signal));
}
