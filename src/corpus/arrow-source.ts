/**
 * Bytes in order, from a regular file or from whatever delivers them in pieces.
 *
 * Invariant: nothing is allocated for bytes that are not there. A file says how many are left; of a pipe a long stretch
 * is put together only from pieces that have arrived.
 */
import { open } from 'node:fs/promises';
import { ArrowFault } from './arrow-flatbuffer.ts';
import { remoteScheme } from './storage/addresses.ts';
import { aheadOf } from './storage/read-ahead.ts';
import { openFile } from './storage/storages.ts';
import type { RangedFile } from './storage/types.ts';

/** Bytes in order. */
export interface ByteSource {
  /** Bytes taken so far. */
  readonly position: number;
  /** Bytes left; null where nobody knows. */
  readonly left: number | null;
  /** The next bytes, left in place; fewer than `length` only at the end. */
  peek(length: number): Promise<Uint8Array>;
  /** The next bytes, at the start of a buffer of their own; fewer than `length` only at the end. */
  take(length: number): Promise<Uint8Array>;
  /** Regular files only. */
  readonly seek: ((position: number) => void) | null;
  close(): Promise<void>;
}

/** Opens a path: regular files can be sought in, pipes cannot. */
export async function openSource(path: string): Promise<ByteSource> {
  if (remoteScheme(path) !== null) return fileSource(aheadOf(await openFile(path)));
  const handle = await open(path, 'r');
  try {
    const status = await handle.stat();
    if (status.isFile()) {
      await handle.close();
      return fileSource(await openFile(path));
    }
    return pieceSource(handle.createReadStream({ highWaterMark: 1 << 20 }), () => handle.close());
  } catch (error) {
    await handle.close();
    throw error;
  }
}

function fileSource(file: RangedFile): ByteSource {
  const { bytes: size } = file;
  let position = 0;
  const read = (length: number): Promise<Uint8Array> =>
    file.read(position, Math.max(0, Math.min(length, size - position)));
  return {
    get position() {
      return position;
    },
    get left() {
      return size - position;
    },
    peek: read,
    async take(length) {
      const bytes = await read(length);
      position += bytes.byteLength;
      return bytes;
    },
    seek(to) {
      if (to > size) throw new ArrowFault(`byte ${to} lies behind the end of the file, ${size}`);
      position = to;
    },
    close: () => file.close(),
  };
}

/** Bytes that come in pieces of any size. */
export function pieceSource(
  pieces: AsyncIterable<Uint8Array>,
  close: () => Promise<void> = async () => undefined,
): ByteSource {
  const iterator = pieces[Symbol.asyncIterator]();
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let position = 0;
  const gather = async (length: number): Promise<number> => {
    while (waitingBytes < length) {
      const { done, value } = await iterator.next();
      if (done) break;
      if (value.byteLength === 0) continue;
      waiting.push(value);
      waitingBytes += value.byteLength;
    }
    return Math.min(length, waitingBytes);
  };
  const join = (length: number): Uint8Array => {
    const bytes = new Uint8Array(length);
    let done = 0;
    for (const piece of waiting) {
      if (done === length) break;
      const part = piece.subarray(0, length - done);
      bytes.set(part, done);
      done += part.byteLength;
    }
    return bytes;
  };
  return {
    get position() {
      return position;
    },
    left: null,
    async peek(length) {
      return join(await gather(length));
    },
    async take(length) {
      const bytes = join(await gather(length));
      let dropped = 0;
      let whole = 0;
      while (whole < waiting.length && dropped + waiting[whole]!.byteLength <= bytes.byteLength) {
        dropped += waiting[whole]!.byteLength;
        whole++;
      }
      waiting = waiting.slice(whole);
      if (dropped < bytes.byteLength) {
        waiting[0] = waiting[0]!.subarray(bytes.byteLength - dropped);
      }
      waitingBytes -= bytes.byteLength;
      position += bytes.byteLength;
      return bytes;
    },
    seek: null,
    close,
  };
}
