/**
 * Inputs that lie behind addresses: a file, a prefix (a folder), or a glob. `http(s)` addresses are one file each.
 *
 * Listings are all that a bucket has of folders: what lies below `NAME/` lies in the folder NAME.
 */
import { GristmillError } from '../../errors.ts';
import { hubAddress, remoteScheme, s3Address, shownAddress } from './addresses.ts';
import { lookAt, rememberFile, storageOf } from './storages.ts';
import type { StoredFile } from './types.ts';

/** What an address turns out to name. */
export type RemoteInput =
  | { readonly kind: 'file'; readonly path: string }
  | {
      readonly kind: 'listing';
      /** Address of the folder that the names below are relative to, with its slash. */
      readonly folder: string;
      /** Null for everything below the folder. */
      readonly glob: string | null;
      readonly files: readonly StoredFile[];
    };

/** A listing is held in memory while it is planned. */
const MAX_LISTED = 5_000_000;

/**
 * Looks what an address names.
 *
 * @throws CORPUS_READ_FAILED for what is not there; STORAGE_*, ABORTED
 */
export async function expandRemote(address: string, signal?: AbortSignal): Promise<RemoteInput> {
  const path = shownAddress(address);
  const scheme = remoteScheme(path);
  if (scheme === 'http' || scheme === 'https') {
    await lookAt(path, signal);
    return { kind: 'file', path };
  }
  const { base, key } = takenApart(path);
  const storage = await storageOf(path);
  const { default: picomatch } = await import('picomatch');
  const { base: globBase, glob, isGlob } = picomatch.scan(key);
  if (!isGlob && key !== '' && !key.endsWith('/')) {
    const found = await storage.stat(path, signal);
    if (found) {
      rememberFile(found);
      return { kind: 'file', path };
    }
  }
  const below = (isGlob ? globBase : key).replace(/\/+$/, '');
  const folder = below === '' ? base : `${base}${below}/`;
  const files: StoredFile[] = [];
  for await (const file of storage.list!(folder, signal)) {
    // Some tools make a folder by an empty object of its name.
    if (file.path.endsWith('/')) continue;
    if (files.length >= MAX_LISTED) {
      const reason = `more than ${MAX_LISTED} files; name a folder or glob of fewer`;
      throw new GristmillError('CORPUS_READ_FAILED', { file: path, reason });
    }
    files.push(file);
  }
  if (files.length === 0 && !isGlob) {
    const reason = 'neither a file nor a folder has this name';
    throw new GristmillError('CORPUS_READ_FAILED', { file: path, reason });
  }
  for (const file of files) rememberFile(file);
  return { kind: 'listing', folder, glob: isGlob ? glob : null, files };
}

/** A bucket or data set with its slash, and what follows. */
function takenApart(path: string): { readonly base: string; readonly key: string } {
  const key = s3Address(path)?.key ?? hubAddress(path)?.path;
  if (key !== undefined) {
    const root = path.slice(0, path.length - key.length);
    return { base: root.endsWith('/') ? root : `${root}/`, key };
  }
  const expected = path.startsWith('hf:')
    ? 'hf://datasets/OWNER/NAME[@REVISION]/PATH'
    : 's3://BUCKET/KEY';
  throw new GristmillError('STORAGE_ADDRESS_INVALID', { path, expected });
}
