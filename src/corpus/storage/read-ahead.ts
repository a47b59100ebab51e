/**
 * The bytes of a stored file in order, asked for in parts that are under way side by side.
 *
 * A bucket answers late and each connection is slow; some of them together are as fast as a disk. What is read ahead is
 * bounded: `PARTS_AHEAD` parts of `PART_BYTES`. It begins small, as a look at the first lines needs no more.
 */
import type { RangedFile } from './types.ts';

/** Most bytes of one request. */
export const PART_BYTES = 8 * 2 ** 20;
/** Requests under way at a time, for one stream of bytes. */
export const PARTS_AHEAD = 6;
const FIRST_PART_BYTES = 2 ** 18;

/** Options of {@link readAhead}. */
export interface ReadAheadOptions {
  readonly start?: number;
  /** Default: the end of the file. */
  readonly end?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Chunks of a file, in order. @throws as {@link RangedFile.read} */
export async function* readAhead(
  file: RangedFile,
  { start = 0, end = file.bytes, signal }: ReadAheadOptions = {},
): AsyncGenerator<Buffer> {
  const stopped = new AbortController();
  const both = signal ? AbortSignal.any([signal, stopped.signal]) : stopped.signal;
  const stop = Math.min(end, file.bytes);
  const parts: Promise<Uint8Array>[] = [];
  let at = start;
  let partBytes = FIRST_PART_BYTES;
  let ahead = 1;
  const ask = (): void => {
    while (parts.length < ahead && at < stop) {
      const length = Math.min(partBytes, stop - at);
      const part = file.read(at, length, both);
      part.catch(() => undefined);
      parts.push(part);
      at += length;
      partBytes = Math.min(PART_BYTES, partBytes * 2);
    }
  };
  try {
    for (ask(); parts.length > 0; ) {
      const bytes = await parts.shift()!;
      ahead = Math.min(PARTS_AHEAD, ahead + 1);
      ask();
      yield Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
  } finally {
    stopped.abort();
  }
}

/**
 * The same file, for reading mostly in order in small pieces: parts are fetched whole and the next ones are under way
 * while one is taken from. Going elsewhere begins anew there.
 */
export function aheadOf(file: RangedFile): RangedFile {
  let parts: { readonly start: number; readonly bytes: Promise<Uint8Array> }[] = [];
  let partBytes = FIRST_PART_BYTES;
  const stopped = new AbortController();
  const fetchTo = (from: number, to: number): void => {
    let at = parts.at(-1) ? endOf(parts.at(-1)!) : from;
    while (at < to && at < file.bytes) {
      const length = Math.min(partBytes, file.bytes - at);
      const bytes = file.read(at, length, stopped.signal);
      bytes.catch(() => undefined);
      parts.push({ start: at, bytes });
      ends.set(bytes, at + length);
      at += length;
      partBytes = Math.min(PART_BYTES, partBytes * 2);
    }
  };
  const ends = new WeakMap<Promise<Uint8Array>, number>();
  const endOf = ({ bytes }: { readonly bytes: Promise<Uint8Array> }): number => ends.get(bytes)!;
  return {
    ...file,
    async read(start, length, signal) {
      const end = Math.min(start + length, file.bytes);
      if (end <= start) return new Uint8Array(0);
      const isBehind = parts[0] !== undefined && start < parts[0].start;
      const isFar = parts.at(-1) !== undefined && start > endOf(parts.at(-1)!);
      if (isBehind || isFar) {
        parts = [];
        partBytes = FIRST_PART_BYTES;
      }
      parts = parts.filter((part) => endOf(part) > start);
      // What is asked for and two parts more.
      fetchTo(start, end);
      fetchTo(start, end + 2 * partBytes);
      const bytes = new Uint8Array(end - start);
      for (const part of parts) {
        if (part.start >= end) break;
        const from = Math.max(start, part.start);
        const to = Math.min(end, endOf(part));
        const whole = await part.bytes;
        bytes.set(whole.subarray(from - part.start, to - part.start), from - start);
      }
      signal?.throwIfAborted();
      return bytes;
    },
    async close() {
      stopped.abort();
      parts = [];
      await file.close();
    },
  };
}
