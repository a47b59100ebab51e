/**
 * Ranges of a stored file on the local disk, at the places that they have in it: readers that want a file of the system
 * (native/codec) read a bucket so.
 *
 * The local file is as long as the stored one and has holes for what was not asked for. On Linux it has no name: whatever
 * becomes of this process, nothing is left behind. Elsewhere its folder goes with {@link StagedFile.release}.
 */
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GristmillError, isGristmillError } from '../../errors.ts';
import { PART_BYTES } from './read-ahead.ts';
import type { RangedFile } from './types.ts';

/** Requests under way at a time for one staged file. */
const PARTS_AT_ONCE = 8;
/** Ranges that are closer than this are asked for as one: a request costs more than so many bytes. */
const JOINED_GAP_BYTES = 2 ** 19;

/** Bytes `[start, end)`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** See the file's header. */
export interface StagedFile {
  /** Opened by its path as often as anybody likes, until it is released. */
  readonly path: string;
  release(): Promise<void>;
}

/** Joins ranges that touch or nearly do, in order; cuts what is long into parts. */
export function partsOf(ranges: readonly ByteRange[]): ByteRange[] {
  const sorted = ranges.filter(({ start, end }) => end > start).sort((a, b) => a.start - b.start);
  const joined: { start: number; end: number }[] = [];
  for (const { start, end } of sorted) {
    const last = joined.at(-1);
    if (last && start <= last.end + JOINED_GAP_BYTES) last.end = Math.max(last.end, end);
    else joined.push({ start, end });
  }
  return joined.flatMap(({ start, end }) => {
    const nParts = Math.ceil((end - start) / PART_BYTES);
    return Array.from({ length: nParts }, (_, part) => ({
      start: start + part * PART_BYTES,
      end: Math.min(end, start + (part + 1) * PART_BYTES),
    }));
  });
}

/**
 * Fetches ranges of a file.
 *
 * @throws as {@link RangedFile.read}; CORPUS_READ_FAILED when the disk does not take them
 */
export async function stageRanges(
  file: RangedFile,
  ranges: readonly ByteRange[],
  signal?: AbortSignal,
): Promise<StagedFile> {
  const local = await openNameless(file);
  const failing = new AbortController();
  const both = signal ? AbortSignal.any([signal, failing.signal]) : failing.signal;
  const queue = partsOf(ranges)[Symbol.iterator]();
  const fetchParts = async (): Promise<void> => {
    for (let next = queue.next(); !next.done; next = queue.next()) {
      const { start, end } = next.value;
      const bytes = await file.read(start, end - start, both);
      await writeAt(local.handle, bytes, start);
    }
  };
  const lanes = Array.from({ length: PARTS_AT_ONCE }, () =>
    fetchParts().catch((error: unknown) => {
      // The first failure is the one to tell of; the others only follow from it.
      failing.abort(failing.signal.aborted ? undefined : error);
      throw error;
    }),
  );
  const results = await Promise.allSettled(lanes);
  const failed = results.some(({ status }) => status === 'rejected');
  if (!failed) return { path: local.path, release: local.release };
  await local.release();
  throw codedFor(file, failing.signal.reason);
}

interface NamelessFile extends StagedFile {
  readonly handle: FileHandle;
}

async function openNameless({ bytes, path: file }: RangedFile): Promise<NamelessFile> {
  try {
    const folder = await mkdtemp(join(tmpdir(), 'gristmill-staged-'));
    const remove = (): Promise<void> => rm(folder, { recursive: true, force: true });
    const named = join(folder, 'ranges');
    let handle: FileHandle | null = null;
    try {
      handle = await open(named, 'wx+', 0o600);
      await handle.truncate(bytes);
    } catch (error) {
      await handle?.close();
      await remove();
      throw error;
    }
    const opened = handle;
    if (process.platform !== 'linux') {
      const release = async (): Promise<void> => {
        await opened.close();
        await remove();
      };
      return { path: named, handle: opened, release };
    }
    await remove();
    const path = `/proc/self/fd/${opened.fd}`;
    return { path, handle: opened, release: () => opened.close() };
  } catch (cause) {
    throw codedFor({ path: file }, cause);
  }
}

async function writeAt(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const left = bytes.byteLength - done;
    done += (await handle.write(bytes, done, left, at + done)).bytesWritten;
  }
}

function codedFor({ path }: { readonly path: string }, cause: unknown): unknown {
  if (isGristmillError(cause)) return cause;
  const reason = `its bytes cannot be kept in ${tmpdir()}: ${(cause as Error).message}; TMPDIR names another folder`;
  return new GristmillError('CORPUS_READ_FAILED', { file: path, reason }, { cause });
}
