/**
 * Lines of a byte stream in bounded memory: split at LF; a CR before it, a byte order mark at the start and blank
 * lines are dropped. Lines come in groups, one group per chunk read, so that a line costs no promise.
 */
import { createReadStream } from 'node:fs';
import { createGunzip } from 'node:zlib';
import { GristmillError, isGristmillError, throwIfAborted } from '../errors.ts';
import { fromNative, native } from '../native.ts';
import type { CorpusFormat } from './types.ts';

/** A line and its number in the stretch that was read, from 1. */
export interface ByteLine {
  readonly bytes: Buffer;
  readonly line: number;
}

/** What is read of a file. */
export interface LineSource {
  readonly path: string;
  readonly format: CorpusFormat;
  /** Plain files: the lines that begin inside `[byteStart, byteEnd)`. */
  readonly byteStart: number | null;
  readonly byteEnd: number | null;
  readonly maxLineBytes: number;
  readonly signal?: AbortSignal | undefined;
}

const READ_BYTES = 1 << 20;
const LF = 10;
const CR = 13;

/**
 * Groups of lines.
 *
 * @throws CORPUS_READ_FAILED, CORPUS_FILE_INVALID (damaged compression), CORPUS_LINE_TOO_LONG
 */
export async function* readLines(source: LineSource): AsyncGenerator<ByteLine[]> {
  const { byteStart, byteEnd, maxLineBytes } = source;
  const start = byteStart ?? 0;
  // The byte before the range tells whether a line begins at its first byte.
  let skipping = start > 0;
  let position = start > 0 ? start - 1 : 0;
  let lineStart = position;
  let line = 0;
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  const take = (bytes: Buffer, group: ByteLine[]): void => {
    line++;
    let whole = pending.length > 0 ? Buffer.concat([...pending, bytes]) : bytes;
    pending = [];
    pendingBytes = 0;
    if (lineStart === 0 && whole[0] === 0xef && whole[1] === 0xbb && whole[2] === 0xbf) {
      whole = whole.subarray(3);
    }
    if (whole.at(-1) === CR) whole = whole.subarray(0, -1);
    if (!isBlank(whole)) group.push({ bytes: whole, line });
  };
  for await (const chunk of bytesOf(source, position)) {
    const group: ByteLine[] = [];
    let at = 0;
    while (at < chunk.byteLength) {
      if (!skipping && lineStart >= (byteEnd ?? Number.POSITIVE_INFINITY)) {
        if (group.length > 0) yield group;
        return;
      }
      const found = chunk.indexOf(LF, at);
      const end = found < 0 ? chunk.byteLength : found;
      if (!skipping && pendingBytes + end - at > maxLineBytes) {
        const number = await absoluteLine(source, line + 1);
        throw new GristmillError('CORPUS_LINE_TOO_LONG', {
          file: source.path,
          line: number,
          bound: maxLineBytes,
        });
      }
      if (found < 0) {
        if (!skipping) {
          pending.push(chunk.subarray(at));
          pendingBytes += chunk.byteLength - at;
        }
      } else {
        if (!skipping) take(chunk.subarray(at, found), group);
        skipping = false;
        lineStart = position + found + 1;
      }
      at = end + 1;
    }
    position += chunk.byteLength;
    if (group.length > 0) yield group;
  }
  if (pending.length > 0 && lineStart < (byteEnd ?? Number.POSITIVE_INFINITY)) {
    const group: ByteLine[] = [];
    take(Buffer.alloc(0), group);
    if (group.length > 0) yield group;
  }
}

function isBlank(bytes: Buffer): boolean {
  for (const byte of bytes) if (byte !== 32 && byte !== 9 && byte !== CR) return false;
  return true;
}

/** The number of a line in its file, counted from the start of the file: only errors pay for it. */
export async function absoluteLine(source: LineSource, line: number): Promise<number> {
  if (!source.byteStart) return line;
  let before = 0;
  let position = 0;
  for await (const chunk of bytesOf({ ...source, byteEnd: source.byteStart }, 0)) {
    for (let at = chunk.indexOf(LF); at >= 0; at = chunk.indexOf(LF, at + 1)) {
      if (position + at < source.byteStart - 1) before++;
    }
    position += chunk.byteLength;
    if (position >= source.byteStart) break;
  }
  return before + 1 + line;
}

async function* bytesOf(source: LineSource, start: number): AsyncGenerator<Buffer> {
  const { path, format, signal } = source;
  const file = createReadStream(path, { start, highWaterMark: READ_BYTES });
  try {
    const stream =
      format === 'jsonl.gz' ? gunzip(file) : format === 'jsonl.zst' ? unzstd(file) : file;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      throwIfAborted(signal, 'reading');
      yield chunk;
    }
  } catch (cause) {
    const error = fromNative(cause);
    if (isGristmillError(error) && error.code !== 'CORPUS_CODEC_FAILED') throw error;
    const code = (cause as NodeJS.ErrnoException).syscall
      ? 'CORPUS_READ_FAILED'
      : 'CORPUS_FILE_INVALID';
    throw new GristmillError(code, { file: path, reason: (error as Error).message }, { cause });
  } finally {
    file.destroy();
  }
}

function gunzip(file: ReturnType<typeof createReadStream>): NodeJS.ReadableStream {
  const inflate = createGunzip({ chunkSize: READ_BYTES });
  file.on('error', (error) => inflate.destroy(error));
  return file.pipe(inflate);
}

async function* unzstd(file: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const decoder = new (native().ZstdDecoder)();
  let ended = true;
  for await (const chunk of file) {
    let at = 0;
    for (;;) {
      const output = Buffer.allocUnsafeSlow(READ_BYTES);
      const step = decoder.decode(chunk.subarray(at), output);
      at += step.read;
      ended = step.done;
      if (step.written > 0) yield output.subarray(0, step.written);
      // A full buffer may leave decoded bytes behind even when all input is taken.
      if (at >= chunk.byteLength && step.written < output.byteLength) break;
    }
  }
  if (!ended) throw new Error('the zstd frame is cut off');
}
