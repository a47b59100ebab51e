/**
 * The bytes of a file of lines, decompressed, chunk by chunk in bounded memory.
 *
 * An empty file is an empty file in every form: zero bytes of gzip or zstd are no damage. What follows the last gzip
 * member or zstd frame and is none itself is damage, except zeros (padding of tapes and blocks).
 */
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { GristmillError, isGristmillError } from '../errors.ts';
import { fromNative, native, type StreamStep } from '../native/index.ts';
import { remoteScheme } from './storage/addresses.ts';
import { readAhead } from './storage/read-ahead.ts';
import { openFile } from './storage/storages.ts';
import type { RangedFile } from './storage/types.ts';
import { isTableFormat, linesOfTable } from './table-lines.ts';
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
    const bytes = format.endsWith('.gz')
      ? gunzip(source)
      : format.endsWith('.zst')
        ? unzstd(source)
        : plain(source, start, wantedBytes, bufferBytes(wantedBytes));
    const chunks = isTableFormat(format) ? linesOfTable(bytes, source) : bytes;
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

function bufferBytes(wantedBytes: number): number {
  return Math.min(READ_BYTES, Math.max(MIN_READ_BYTES, wantedBytes));
}

async function* plain(
  { path, signal }: ByteSource,
  start: number,
  wantedBytes: number,
  highWaterMark: number,
): AsyncGenerator<Buffer> {
  if (remoteScheme(path) !== null) {
    const file = await openFile(path, signal);
    // A line that begins in the stretch ends behind it, somewhere: the rest is asked for when it is needed.
    const end = Math.min(file.bytes, start + wantedBytes);
    yield* readAhead(file, { start, end, signal });
    yield* readAhead(file, { start: end, signal });
    return;
  }
  // Not by ranges: what is no regular file (a pipe, a FIFO) is read here too.
  const options = { start, highWaterMark, ...(signal && { signal }) };
  yield* createReadStream(path, options) as AsyncIterable<Buffer>;
}

async function* gunzip({ path, signal }: ByteSource): AsyncGenerator<Buffer> {
  const file = await openFile(path, signal);
  if (file.bytes === 0) {
    await file.close();
    return;
  }
  const packed = Readable.from(readAhead(file, { signal }), { objectMode: false });
  const inflate = createGunzip({ chunkSize: READ_BYTES });
  packed.on('error', (error) => inflate.destroy(error));
  try {
    yield* packed.pipe(inflate) as AsyncIterable<Buffer>;
    await checkRest(file, inflate.bytesWritten);
  } finally {
    packed.destroy();
    await file.close();
  }
}

/** Node ends at the first byte that begins no member, whatever follows: a member that lost its header would be lost. */
async function checkRest(file: RangedFile, from: number): Promise<void> {
  for (let at = from; at < file.bytes; ) {
    const bytes = await file.read(at, Math.min(READ_BYTES, file.bytes - at));
    if (bytes.byteLength === 0) return;
    if (bytes.some((byte) => byte !== 0)) {
      throw new Error(
        `${file.bytes - from} bytes after its last gzip member, at byte ${from}, are none themselves`,
      );
    }
    at += bytes.byteLength;
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
  for await (const chunk of plain(source, 0, Number.POSITIVE_INFINITY, READ_BYTES)) {
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
