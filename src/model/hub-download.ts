/**
 * One file from the hub: resumed where it stopped, checked, then given its name.
 *
 *     <file>.partial     what has come so far; its bytes are hashed again when a download goes on
 *
 * A file that is there is whole and has the digest that the listing named. One whose digest differs is removed.
 */
import { createHash, type Hash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GristmillError, throwIfAborted } from '../errors.ts';
import { type HubAccess, type HubFile, hubError, networkReason, openFile } from './hub-client.ts';
import { HUB_LIMITS, StreamWatch } from './hub-limits.ts';

/** Options of {@link downloadFile}. */
export interface DownloadOptions {
  readonly access: HubAccess;
  readonly commit: string;
  readonly file: HubFile;
  /** Where to put it. */
  readonly path: string;
  /** Bytes of the file that are there, whenever more have come. */
  readonly onBytes?: (bytes: number) => void;
}

const ATTEMPTS = 5;
const FIRST_WAIT_MS = 250;
/** What an attempt has to add to count as one that brought something; less where the file is small. */
const MIN_PROGRESS_BYTES = 2 ** 20;

/**
 * Downloads a file unless it is there.
 *
 * @returns bytes that came over the network
 * @throws MODEL_HUB_FAILED after five attempts that brought nothing new, MODEL_HUB_CHECKSUM, MODEL_WRITE_FAILED, ABORTED
 */
export async function downloadFile(options: DownloadOptions): Promise<number> {
  const { path, file, access } = options;
  if ((await sizeOf(path)) === file.bytes) {
    options.onBytes?.(file.bytes);
    return 0;
  }
  await checkRoom(options);
  let received = 0;
  let furthest = (await sizeOf(`${path}.partial`)) ?? 0;
  for (let failures = 0; ; ) {
    throwIfAborted(access.signal, 'the download');
    try {
      received += await attempt(options);
      break;
    } catch (error) {
      throwIfAborted(access.signal, 'the download');
      if (error instanceof GristmillError) throw error;
      const { brought, cause } = error as Interrupted;
      received += brought;
      // Bytes that came before and were thrown away since are no progress: a hub that cuts its answers and knows no ranges
      // would be asked for ever.
      const have = (await sizeOf(`${path}.partial`)) ?? 0;
      const enough = Math.min(MIN_PROGRESS_BYTES, Math.ceil(file.bytes / 100));
      failures = have >= furthest + enough ? 1 : failures + 1;
      furthest = Math.max(furthest, have);
      if (failures >= ATTEMPTS) {
        throw hubError(access.repo, `${file.name}: ${networkReason(cause, access)}`, cause);
      }
      await sleep(FIRST_WAIT_MS * 2 ** (failures - 1), undefined, abortable(access.signal)).catch(
        () => {},
      );
    }
  }
  return received;
}

/** A connection that broke; what came is kept. */
class Interrupted extends Error {
  readonly brought: number;
  constructor(cause: unknown, brought: number) {
    super('interrupted', { cause });
    this.brought = brought;
  }
}

async function attempt(options: DownloadOptions): Promise<number> {
  const { path, file, access, commit, onBytes } = options;
  const partial = `${path}.partial`;
  let have = (await sizeOf(partial)) ?? 0;
  if (have > file.bytes) have = 0;
  const hash = hashOf(file);
  if (have > 0) for await (const bytes of createReadStream(partial)) hash.update(bytes as Buffer);
  let brought = 0;
  let digest = hash;
  if (have < file.bytes || file.bytes === 0) {
    const response = await interrupting(0, () => openFile(access, commit, file.name, have));
    const goesOn = response.status === 206 && startOf(response) === have;
    if (response.status !== 200 && !goesOn) {
      // The answer does not fit what is here: from the start again.
      await response.body?.cancel();
      await rm(partial, { force: true });
      throw new Interrupted(new Error(`unexpected status ${response.status}`), 0);
    }
    if (!goesOn) {
      have = 0;
      digest = hashOf(file);
    }
    brought = await receive(response, { ...options, partial, have, hash: digest, onBytes });
  }
  const received = digest.digest('hex');
  if (received !== file.digest.hex) {
    await rm(partial, { force: true });
    throw new GristmillError('MODEL_HUB_CHECKSUM', {
      repo: access.repo,
      file: file.name,
      expected: `${file.digest.kind} ${file.digest.hex}`,
      received,
    });
  }
  await writing(path, () => rename(partial, path));
  return brought;
}

interface Receiving extends Omit<DownloadOptions, 'onBytes'> {
  readonly partial: string;
  readonly have: number;
  readonly hash: Hash;
  readonly onBytes: ((bytes: number) => void) | undefined;
}

async function receive(response: Response, options: Receiving): Promise<number> {
  const { partial, have, hash, file, access, path } = options;
  const out = await writing(path, () => openPartial(partial, have));
  const watch = new StreamWatch(access.limits ?? HUB_LIMITS);
  let brought = 0;
  try {
    const reader = response.body?.getReader();
    for (;;) {
      if (!reader) break;
      const step = await interrupting(brought, () => watch.next(() => reader.read())).catch(
        (error: unknown) => {
          reader.cancel().catch(() => {});
          throw error;
        },
      );
      if (step.done) break;
      brought += step.value.length;
      if (have + brought > file.bytes) {
        await reader.cancel().catch(() => {});
        await rm(partial, { force: true });
        const reason = `${file.name}: longer than the ${file.bytes} bytes of the listing`;
        throw hubError(access.repo, reason);
      }
      hash.update(step.value);
      await writing(path, () => writeAll(out, step.value));
      options.onBytes?.(have + brought);
    }
    await writing(path, () => out.sync());
  } finally {
    await out.close();
  }
  if (have + brought < file.bytes) {
    throw new Interrupted(new Error(`${have + brought} of ${file.bytes} bytes came`), brought);
  }
  return brought;
}

/** A file of our own: a link that lies there is removed, never followed. */
function openPartial(partial: string, have: number): Promise<FileHandle> {
  const { O_WRONLY, O_APPEND, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
  const way = have > 0 ? O_APPEND : O_CREAT | O_TRUNC;
  return open(partial, O_WRONLY | O_NOFOLLOW | way, 0o666);
}

/** What the listing says is believed only as far as it can be kept. @throws MODEL_WRITE_FAILED */
async function checkRoom({ path, file }: DownloadOptions): Promise<void> {
  const found = await statfs(dirname(path)).catch(() => null);
  const have = (await sizeOf(`${path}.partial`)) ?? 0;
  const room = found === null ? Number.POSITIVE_INFINITY : found.bavail * found.bsize;
  if (file.bytes - have <= room) return;
  const reason = `${file.name} has ${file.bytes} bytes, ${room} are free on the disk`;
  throw new GristmillError('MODEL_WRITE_FAILED', { path, reason });
}

async function writeAll(out: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += (await out.write(bytes, at, bytes.length - at)).bytesWritten;
  }
}

function hashOf({ digest, bytes }: HubFile): Hash {
  if (digest.kind === 'sha256') return createHash('sha256');
  return createHash('sha1').update(`blob ${bytes}\0`);
}

function startOf(response: Response): number {
  return Number(/^bytes (\d+)-/.exec(response.headers.get('content-range') ?? '')?.[1] ?? -1);
}

async function sizeOf(path: string): Promise<number | null> {
  return (await stat(path).catch(() => null))?.size ?? null;
}

async function interrupting<T>(brought: number, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof GristmillError) throw error;
    throw new Interrupted(error, brought);
  }
}

/** A step whose failure is one of the disk. @throws MODEL_WRITE_FAILED */
export async function writing<T>(path: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (cause instanceof GristmillError) throw cause;
    const reason = (cause as Error).message;
    throw new GristmillError('MODEL_WRITE_FAILED', { path, reason }, { cause });
  }
}

function abortable(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}
