/**
 * Files that change under a run. What was planned is what is read: a file is looked at again when a unit of it is opened
 * and when it was read, and a unit of a file that is another one fails by name.
 */
import { stat } from 'node:fs/promises';
import { GristmillError, isGristmillError } from '../errors.ts';
import { STDIN } from './formats.ts';
import { fingerprintOf } from './inputs.ts';
import { remoteScheme } from './storage/addresses.ts';
import { knownFile, lookAt } from './storage/storages.ts';
import type { StoredFile } from './storage/types.ts';
import type { SourceFile } from './types.ts';

/** Files that were found to be what the plan says, by what the file system says of them. */
const verified = new Map<string, string>();
const MAX_VERIFIED = 1024;

/**
 * Makes sure that a file is still the one that was planned.
 *
 * @param isAhead whether it is only going to be read
 * @throws CORPUS_CHANGED saying what is different
 */
export async function checkUnchanged(file: SourceFile, isAhead = false): Promise<void> {
  if (file.path === STDIN) return;
  if (remoteScheme(file.path) !== null) return checkRemote(file, isAhead);
  const fail = (reason: string, cause?: unknown): never => {
    throw new GristmillError('CORPUS_CHANGED', { file: file.path, reason }, { cause });
  };
  const found = await stat(file.path, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    return fail(error.code === 'ENOENT' ? 'it is gone' : error.message, error);
  });
  const { size, mtimeNs, ino, dev } = found;
  if (size !== BigInt(file.bytes)) fail(`it has ${size} bytes, ${file.bytes} were planned`);
  const key = `${file.path}\n${file.fingerprint}`;
  const state = `${dev} ${ino} ${mtimeNs}`;
  if (verified.get(key) === state) return;
  // A plan with whole hashes may come from another machine, where times and inodes mean nothing.
  const isWhole = file.fingerprint.startsWith('sha256:');
  const isFirst = !verified.has(key);
  if (!(isWhole && isFirst)) {
    const now = await fingerprintOf(file.path, isWhole);
    if (now !== file.fingerprint) fail('it was written or replaced since');
  }
  verified.set(key, state);
  const oldest = verified.keys().next().value;
  if (verified.size > MAX_VERIFIED && oldest !== undefined) verified.delete(oldest);
}

/** Size and version, or the hash that the storage has. */
async function checkRemote(file: SourceFile, isAhead: boolean): Promise<void> {
  const { path, bytes, fingerprint } = file;
  const fail = (reason: string, cause?: unknown): never => {
    throw new GristmillError('CORPUS_CHANGED', { file: path, reason }, { cause });
  };
  const look = async (): Promise<StoredFile> => {
    // A bucket answers ranges of the version that was last seen or not at all (If-Match): before a read it is enough that
    // this is the version that was planned.
    const known = isAhead && remoteScheme(path) === 's3' ? await knownFile(path) : null;
    return known !== null && known.version !== '' ? known : lookAt(path);
  };
  const found = await look().catch((error: unknown) => {
    if (isGristmillError(error, 'CORPUS_READ_FAILED')) return fail('it is gone', error);
    throw error;
  });
  if (found.bytes !== bytes) fail(`it has ${found.bytes} bytes, ${bytes} were planned`);
  // A whole hash that the storage does not have was made by reading all of it; what was read since is of one version.
  const isHashed = fingerprint.startsWith('sha256:');
  const now = found.sha256 !== null ? `sha256:${found.sha256}` : `${found.bytes}-${found.version}`;
  if (isHashed && found.sha256 === null) {
    const key = `${path}\n${fingerprint}`;
    const known = verified.get(key);
    if (known !== undefined && known !== now) fail('it was written or replaced since');
    verified.set(key, now);
  } else if (now !== fingerprint) fail('it was written or replaced since');
}
