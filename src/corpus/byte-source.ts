/**
 * The bytes of a file of lines, decompressed, chunk by chunk in bounded memory.
 *
 * An empty file is an empty file in every form: zero bytes of gzip or zstd are no damage. What follows the last gzip
 * member or zstd frame and is none itself is damage, except zeros (padding of tapes and blocks).
 */
import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { GristmillError, isGristmillError } from '../errors.ts';
import { fromNative, native, type StreamStep } from '../native/index.ts';
import type { CorpusFormat } from './types.ts';

/** What is read. */
export interface ByteSource {
  readonly path: string;
  readonly format: CorpusFormat;
  /** Largest window of a zstd frame, as a power of two; default {@link ZSTD_WINDOW_LOG}. */
  readonly zstdWindowLog?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** 2^27 is zstd's own limit: a damaged header cannot ask for more. Long windows (--long=31) need asking for. */
export const ZSTD_WINDOW_LOG = 27;

const READ_BYTES = 1 << 20;
const MIN_READ_BYTES = 1 << 16;
/** A frame header is at most this long. */
const ZSTD_HEADER_BYTES = 18;

/**
 * Chunks of a file from byte `start` (of the decompressed bytes only 0 is possible).
 *
 * @param wantedBytes about as much as the caller will take: small stretches need no large buffers
 * @throws CORPUS_READ_FAILED, CORPUS_FILE_INVALID (damaged compression), ABORTED
 */
export async function* bytesOf(
  source: ByteSource,
  start = 0,
  wantedBytes = READ_BYTES,
): AsyncGenerator<Buffer> {
  const { path, format, signal } = source;
  try {
    const chunks =
      format === 'jsonl.gz'
        ? gunzip(source)
        : format === 'jsonl.zst'
          ? unzstd(source)
          : plain(source, start, Math.min(READ_BYTES, Math.max(MIN_READ_BYTES, wantedBytes)));
    for await (const chunk of chunks) {
      if (signal?.aborted) throw new GristmillError('ABORTED', { what: 'reading' });
      yield chunk;
    }
  } catch (cause) {
    if (signal?.aborted) throw new GristmillError('ABORTED', { what: 'reading' });
    const error = fromNative(cause);
    if (isGristmillError(error) && error.code !== 'CORPUS_CODEC_FAILED') throw error;
    const code = (cause as NodeJS.ErrnoException).syscall
      ? 'CORPUS_READ_FAILED'
      : 'CORPUS_FILE_INVALID';
    throw new GristmillError(code, { file: path, reason: (error as Error).message }, { cause });
  }
}

async function* plain(
  { path, signal }: ByteSource,
  start: number,
  highWaterMark: number,
): AsyncGenerator<Buffer> {
  const options = { start, highWaterMark, ...(signal && { signal }) };
  yield* createReadStream(path, options) as AsyncIterable<Buffer>;
}

async function* gunzip({ path, signal }: ByteSource): AsyncGenerator<Buffer> {
  const handle = await open(path);
  const { size } = await handle.stat();
  if (size === 0) {
    await handle.close();
    return;
  }
  const options = { highWaterMark: READ_BYTES, autoClose: false, ...(signal && { signal }) };
  const file = handle.createReadStream({ start: 0, ...options });
  const inflate = createGunzip({ chunkSize: READ_BYTES });
  file.on('error', (error) => inflate.destroy(error));
  try {
    yield* file.pipe(inflate) as AsyncIterable<Buffer>;
    await checkRest(handle, inflate.bytesWritten, size);
  } finally {
    file.destroy();
    await handle.close();
  }
}

/** Node ends at the first byte that begins no member, whatever follows: a member that lost its header would be lost. */
async function checkRest(handle: FileHandle, from: number, size: number): Promise<void> {
  const buffer = Buffer.alloc(READ_BYTES);
  for (let at = from; at < size; ) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.byteLength, at);
    if (bytesRead === 0) return;
    if (buffer.subarray(0, bytesRead).some((byte) => byte !== 0)) {
      throw new Error(
        `${size - from} bytes after its last gzip member, at byte ${from}, are none themselves`,
      );
    }
    at += bytesRead;
  }
}

async function* unzstd(source: ByteSource): AsyncGenerator<Buffer> {
  const windowLog = source.zstdWindowLog ?? ZSTD_WINDOW_LOG;
  const decoder = new (native().ZstdDecoder)(windowLog);
  let ended = true;
  let isPadding = false;
  let position = 0;
  // The first bytes of the frame that is being read, for messages.
  let head = Buffer.alloc(0);
  for await (const chunk of plain(source, 0, READ_BYTES)) {
    let at = 0;
    for (;;) {
      // No frame begins with a zero byte.
      isPadding ||= ended && position + at > 0 && chunk[at] === 0;
      if (isPadding) {
        if (chunk.subarray(at).every((byte) => byte === 0)) break;
        throw new Error(`bytes after its last zstd frame, near byte ${position + at}, are none`);
      }
      if (ended) head = Buffer.alloc(0);
      const input = chunk.subarray(at);
      if (head.byteLength < ZSTD_HEADER_BYTES) {
        head = Buffer.concat([head, input.subarray(0, ZSTD_HEADER_BYTES - head.byteLength)]);
      }
      const output = Buffer.allocUnsafeSlow(READ_BYTES);
      let step: StreamStep;
      try {
        step = decoder.decode(input, output);
      } catch (cause) {
        throw new Error(frameFault(head, windowLog, position + at, fromNative(cause)), { cause });
      }
      at += step.read;
      ended = step.done;
      if (step.written > 0) yield output.subarray(0, step.written);
      // A full buffer may leave decoded bytes behind even when all input is taken.
      if (at >= chunk.byteLength && step.written < output.byteLength) break;
    }
    position += chunk.byteLength;
  }
  if (!ended) throw new Error('the zstd frame is cut off');
}

function frameFault(head: Buffer, windowLog: number, at: number, cause: unknown): string {
  const window = zstdWindowBytes(head);
  if (window === null || window <= 2 ** windowLog) {
    return `near byte ${at}: ${(cause as Error).message}`;
  }
  const needed = Math.ceil(Math.log2(window));
  const wish =
    needed <= 31
      ? `zstdWindowLog (--zstd-window-log) ${needed} reads it and takes as much memory`
      : 'no decoder takes one of more than 2^31';
  return `its zstd window is ${window} bytes, the bound is 2^${windowLog}; ${wish}`;
}

/** The window that a zstd frame's header asks for; null where it is no header (RFC 8878, 3.1.1.1). */
export function zstdWindowBytes(header: Buffer): number | null {
  if (header.byteLength < 6 || header.readUInt32LE(0) !== 0xfd2fb528) return null;
  const descriptor = header[4]!;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  if (!isSingleSegment) {
    const base = 2 ** (10 + (header[5]! >> 3));
    return base + (base / 8) * (header[5]! & 7);
  }
  // Without a window the content itself is one.
  const at = 5 + [0, 1, 2, 4][descriptor & 3]!;
  const width = [1, 2, 4, 8][descriptor >> 6]!;
  if (header.byteLength < at + width) return null;
  if (width === 8) return Number(header.readBigUInt64LE(at));
  return header.readUIntLE(at, width) + (width === 2 ? 256 : 0);
}
