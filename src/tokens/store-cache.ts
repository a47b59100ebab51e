/**
 * Token stores that lie behind an address, on the local disk: proxies read tokens by position, which no bucket answers in the
 * time of a step.
 *
 *     <cache>/stores/claim.lock               who takes a store, or makes room, at this moment
 *     <cache>/stores/<key>/store.json         comes last: with it the store is whole
 *     <cache>/stores/<key>/<domain>/….tokens
 *     <cache>/stores/<key>/bytes              what it takes, and when it was used last
 *     <cache>/stores/<key>/fetching.lock      the process that fetches it; the others wait for it
 *     <cache>/stores/<key>/users/….lock       a lease for every process that reads it
 *
 * Invariants
 *  1. `key` is the SHA-256 of `store.json`, which has the SHA-256 of every file: what is there is the store that was asked for,
 *     whatever its address, and what comes from an address is held against it. A store that changes is another key.
 *  2. Stores together take no more than the bound. Those that nobody reads go first, the longest unused one before others;
 *     one that is read is never removed. A fetch that was interrupted goes on with the file that it was at.
 *  3. An index from elsewhere is not trusted: its files lie below its folder, or it is refused.
 */
import { createHash, randomUUID } from 'node:crypto';
import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { OutputFile } from '../corpus/output-file.ts';
import { below, remoteScheme, shownAddress } from '../corpus/storage/addresses.ts';
import { readSmall } from '../corpus/storage/folders.ts';
import { readAhead } from '../corpus/storage/read-ahead.ts';
import { lookAt, storageOf } from '../corpus/storage/storages.ts';
import { writeDurably } from '../durable-files.ts';
import { GristmillError, isGristmillError, throwIfAborted } from '../errors.ts';
import { count } from '../figures.ts';
import { localPath, makeFolder } from '../local-path.ts';
import { cacheFolder } from '../paths.ts';
import { pendingName } from '../pending-file.ts';
import type { OnProgress } from '../progress.ts';
import { clearLease, type Lease, type TakeLeaseOptions, takeLease } from '../work/lease.ts';
import { leaseFile } from '../work/lease-file.ts';
import {
  checkSize,
  filesOf,
  indexedStore,
  openTokenStore,
  parseStoreIndex,
  STORE_INDEX,
  type StoreIndex,
  type TokenFile,
  type TokenStore,
} from './token-store.ts';

/** Bytes of fetched stores that are kept, unless somebody says otherwise. */
export const STORE_CACHE_BYTES = 64 * 2 ** 30;

/** Options of {@link localTokenStore}. */
export interface StoreCacheOptions extends TakeLeaseOptions {
  /** Most bytes of all stores that are kept. Default {@link STORE_CACHE_BYTES}. */
  readonly maxBytes?: number | undefined;
  readonly onProgress?: OnProgress | undefined;
}

/** A store that can be opened here as long as it is not released. */
export interface LocalTokenStore extends AsyncDisposable {
  readonly path: string;
  release(): Promise<void>;
}

const BYTES = 'bytes';
const USERS = 'users';
const KEY = /^[0-9a-f]{32}$/;
const CLAIM_TRIES = 1200;
const CLAIM_WAIT_MS = 50;
const FETCH_WAIT_MS = 250;

/** An index with the address that it came from. */
interface RemoteStore {
  readonly address: string;
  readonly text: string;
  readonly index: StoreIndex;
}

/**
 * A store as a local folder: itself, or the copy of one behind an address.
 *
 * @throws TRAIN_STORE_INVALID, TRAIN_STORE_CACHE_FAILED, STORAGE_*, CORPUS_CHANGED, PATH_REMOTE, ABORTED
 */
export async function localTokenStore(
  path: string,
  options: StoreCacheOptions = {},
): Promise<LocalTokenStore> {
  if (remoteScheme(path) === null) {
    localPath(path, 'input', '--store');
    return { path, release: async () => undefined, [Symbol.asyncDispose]: async () => undefined };
  }
  const store = await remoteStore(path, options.signal);
  const root = join(cacheFolder(), 'stores');
  try {
    return await kept(store, root, options);
  } catch (cause) {
    if (isGristmillError(cause)) throw cause;
    throw unkept(store.address, root, (cause as Error).message, cause);
  }
}

/** What is known of a store without its tokens, wherever it lies. @throws as {@link localTokenStore} */
export async function describeTokenStore(path: string, signal?: AbortSignal): Promise<TokenStore> {
  if (remoteScheme(path) === null) return openTokenStore(localPath(path, 'input', '--store'));
  const { address, index } = await remoteStore(path, signal);
  for (const { name, bytes } of filesOf(index)) {
    const file = fileAt(address, name);
    checkSize(file, bytes, (await (await storageOf(file)).stat(file, signal))?.bytes ?? 0);
  }
  return indexedStore(address, index);
}

/** The store at an address. @throws TRAIN_STORE_INVALID, STORAGE_*, ABORTED */
async function remoteStore(path: string, signal: AbortSignal | undefined): Promise<RemoteStore> {
  const address = path.replace(/\/+$/, '');
  const shown = shownAddress(address);
  if (/[?#]/.test(address) && /^https?:/i.test(address)) {
    const expected = 'an address of a folder, without a query';
    throw new GristmillError('STORAGE_ADDRESS_INVALID', { path: shown, expected });
  }
  const text = await readSmall(fileAt(address, STORE_INDEX), signal);
  if (text === null) {
    throw new GristmillError('TRAIN_STORE_INVALID', { path: shown, reason: 'no index is there' });
  }
  const index = parseStoreIndex(shown, text);
  checkIndex(shown, index);
  return { address, text, index };
}

/** The shown form of a file's address; who gets in is kept for whoever asks. */
function fileAt(address: string, name: string): string {
  return shownAddress(below(address, name));
}

/** @throws TRAIN_STORE_INVALID */
function checkIndex(path: string, index: StoreIndex): void {
  const refuse = (reason: string): never => {
    throw new GristmillError('TRAIN_STORE_INVALID', { path, reason });
  };
  if (index.idBytes !== 2 && index.idBytes !== 4) refuse(`ids of ${String(index.idBytes)} bytes`);
  for (const domain of index.domains) {
    const { folder } = domain;
    const parts = typeof folder === 'string' ? folder.split('/') : [];
    const isBelow =
      parts.length > 0 && parts.every((part) => /^[^\\\0:]+$/.test(part) && !/^\.+$/.test(part));
    if (!isBelow) refuse(`a domain lies in no folder of the store: ${JSON.stringify(folder)}`);
    for (const part of [domain.train, domain.validation]) {
      const isPart =
        Number.isSafeInteger(part?.nTokens) &&
        part.nTokens >= 0 &&
        /^[0-9a-f]{64}$/.test(part.sha256);
      if (!isPart) refuse(`a part of ${JSON.stringify(folder)} has no size or no hash`);
    }
  }
}

async function kept(
  store: RemoteStore,
  root: string,
  options: StoreCacheOptions,
): Promise<LocalTokenStore> {
  const key = createHash('sha256').update(store.text).digest('hex').slice(0, 32);
  const folder = join(root, key);
  const { signal, onNotice } = options;
  const nBytes = filesOf(store.index).reduce((sum, { bytes }) => sum + bytes, 0);
  const isWhole = (): boolean => existsSync(join(folder, STORE_INDEX));
  const using = await inTurn(root, signal, async () => {
    if (!isWhole()) await makeRoom(store.address, root, key, nBytes, options);
    makeFolder(join(folder, USERS));
    if (!existsSync(join(folder, BYTES))) writeDurably(join(folder, BYTES), `${nBytes}\n`);
    touch(folder);
    return takeLease(folder, join(folder, USERS, `${randomUUID()}.lock`), { signal });
  });
  const release = async (): Promise<void> => {
    touch(folder);
    await using.release();
  };
  try {
    const shown = shownAddress(store.address);
    const said = `token store ${shown}: ${count(nBytes)} bytes in ${filesOf(store.index).length} files`;
    onNotice?.(`${said}, ${isWhole() ? 'kept' : 'fetched'} in ${folder}`);
    if (!isWhole()) await fetchOnce(store, folder, nBytes, options);
    return { path: folder, release, [Symbol.asyncDispose]: release };
  } catch (error) {
    await release();
    throw error;
  }
}

/** One process fetches, the others wait for it. */
async function fetchOnce(
  store: RemoteStore,
  folder: string,
  nBytes: number,
  { signal, onNotice, onProgress }: StoreCacheOptions,
): Promise<void> {
  let isTold = false;
  for (;;) {
    throwIfAborted(signal, 'fetching the token store');
    let lease: Lease;
    try {
      lease = await takeLease(folder, join(folder, 'fetching.lock'), { signal });
    } catch (error) {
      if (!isGristmillError(error, 'RUN_OUTPUT_IN_USE')) throw error;
      if (!isTold) onNotice?.(`another process fetches ${shownAddress(store.address)}: waiting`);
      isTold = true;
      await sleep(FETCH_WAIT_MS, undefined, signal && { signal }).catch(() => undefined);
      continue;
    }
    try {
      if (existsSync(join(folder, STORE_INDEX))) return;
      let done = 0;
      const tell = (more: number): void => {
        done += more;
        onProgress?.({ phase: 'fetching the token store', unit: 'bytes', done, total: nBytes });
      };
      for (const file of filesOf(store.index)) {
        await fetchFile(store.address, file, folder, { signal, tell });
        lease.check();
      }
      writeDurably(join(folder, STORE_INDEX), store.text);
      return;
    } finally {
      await lease.release();
    }
  }
}

/** @throws TRAIN_STORE_INVALID for a file that is not what the index says */
async function fetchFile(
  address: string,
  { name, bytes, sha256 }: TokenFile,
  folder: string,
  {
    signal,
    tell,
  }: { readonly signal: AbortSignal | undefined; readonly tell: (more: number) => void },
): Promise<void> {
  const target = join(folder, ...name.split('/'));
  // It gets its name when it is whole.
  if (statSync(target, { throwIfNoEntry: false })?.size === bytes) {
    tell(bytes);
    return;
  }
  const from = fileAt(address, name);
  const found = await lookAt(from, signal);
  checkSize(from, bytes, found.bytes);
  makeFolder(dirname(target));
  const pending = pendingName(target);
  const output = await OutputFile.create({ path: pending });
  try {
    const opened = await (await storageOf(from)).open(found);
    try {
      for await (const chunk of readAhead(opened, { signal })) {
        throwIfAborted(signal, 'fetching the token store');
        await output.write(chunk);
        tell(chunk.byteLength);
      }
    } finally {
      await opened.close();
    }
    const written = await output.close();
    if (written.sha256 !== sha256) {
      const reason = `its tokens have the SHA-256 ${written.sha256}, the index says ${sha256}`;
      throw new GristmillError('TRAIN_STORE_INVALID', { path: from, reason });
    }
    renameSync(pending, target);
  } catch (error) {
    await output.abort();
    throw error;
  }
}

/**
 * Removes stores that nobody reads until `nBytes` fit.
 *
 * @throws TRAIN_STORE_CACHE_FAILED when they do not
 */
async function makeRoom(
  address: string,
  root: string,
  key: string,
  nBytes: number,
  { maxBytes = STORE_CACHE_BYTES, signal }: StoreCacheOptions,
): Promise<void> {
  const others = storesIn(root).filter((each) => each.key !== key);
  let used = others.reduce((sum, each) => sum + each.bytes, 0);
  const free = (): number => {
    const { bavail, bsize } = statfsSync(root);
    return bavail * bsize + bytesBelow(join(root, key));
  };
  for (const other of others.sort((one, two) => one.usedMs - two.usedMs)) {
    if (used + nBytes <= maxBytes && nBytes <= free()) return;
    if (await isRead(join(root, other.key), signal)) continue;
    // Renamed first: what is left of a removal that was cut is no store.
    const gone = join(root, `.gone.${other.key}.${randomUUID()}`);
    renameSync(join(root, other.key), gone);
    rmSync(gone, { recursive: true, force: true });
    used -= other.bytes;
  }
  const shown = shownAddress(address);
  if (used + nBytes > maxBytes) {
    const read = used > 0 ? `, others that are read take ${count(used)}` : '';
    const reason = `it takes ${count(nBytes)} bytes${read}; at most ${count(maxBytes)} are kept`;
    throw unkept(shown, root, reason);
  }
  if (nBytes > free()) {
    throw unkept(shown, root, `it takes ${count(nBytes)} bytes, ${count(free())} are free`);
  }
}

interface KeptStore {
  readonly key: string;
  readonly bytes: number;
  readonly usedMs: number;
}

/** Stores in the cache; what removals that were cut have left goes. */
function storesIn(root: string): KeptStore[] {
  return readdirSync(root).flatMap((key) => {
    if (key.startsWith('.gone.')) rmSync(join(root, key), { recursive: true, force: true });
    if (!KEY.test(key)) return [];
    const note = join(root, key, BYTES);
    const noted = statSync(note, { throwIfNoEntry: false });
    if (!noted) return [{ key, bytes: bytesBelow(join(root, key)), usedMs: 0 }];
    return [{ key, bytes: Number(readFileSync(note, 'utf8')) || 0, usedMs: noted.mtimeMs }];
  });
}

async function isRead(folder: string, signal: AbortSignal | undefined): Promise<boolean> {
  const users = join(folder, USERS);
  if (!existsSync(users)) return false;
  for (const name of readdirSync(users)) {
    if (!name.endsWith('.lock')) continue;
    const file = join(users, name);
    try {
      await clearLease(folder, file, leaseFile(file), { signal });
    } catch (error) {
      if (isGristmillError(error, 'RUN_OUTPUT_IN_USE')) return true;
      throw error;
    }
  }
  return false;
}

/** One at a time takes a store or makes room. */
async function inTurn<T>(
  root: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    let turn: Lease;
    try {
      turn = await takeLease(root, join(root, 'claim.lock'), { signal });
    } catch (error) {
      if (!isGristmillError(error, 'RUN_OUTPUT_IN_USE') || attempt === CLAIM_TRIES) throw error;
      await sleep(CLAIM_WAIT_MS * (1 + Math.random()));
      continue;
    }
    try {
      return await work();
    } finally {
      await turn.release();
    }
  }
}

function bytesBelow(folder: string): number {
  if (!existsSync(folder)) return 0;
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .reduce((sum, file) => sum + (statSync(file, { throwIfNoEntry: false })?.size ?? 0), 0);
}

function touch(folder: string): void {
  const now = new Date();
  if (existsSync(join(folder, BYTES))) utimesSync(join(folder, BYTES), now, now);
}

function unkept(path: string, folder: string, reason: string, cause?: unknown): GristmillError {
  return new GristmillError(
    'TRAIN_STORE_CACHE_FAILED',
    { path, folder, reason },
    cause === undefined ? undefined : { cause },
  );
}
