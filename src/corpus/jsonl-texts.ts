/**
 * The texts of a unit of JSON lines, and where they are from, without a string of any of it: bytes are gathered until there
 * are enough whole lines, and C++ takes the two fields out of them (native/text/json_texts.h). What is a row here is one for
 * {@link openJsonlUnit} with `reject: 'lines'`.
 *
 *     | whole lines … | the begin of a line |  room ► |      one buffer, which grows with the longest line
 *
 * A plain file on a disk is read into that buffer; what is fetched or decompressed is copied.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { GristmillError, throwIfAborted } from '../errors.ts';
import { callNative, native } from '../native/index.ts';
import { type ByteSource, bytesOf } from './byte-source.ts';
import { remoteScheme } from './storage/addresses.ts';
import type { CorpusPlan, CorpusUnit, TextsAndSites } from './types.ts';

/** Bounds and the caller's signal. */
export interface TextsOptions {
  /** Bytes that are gathered, about. */
  readonly batchBytes: number;
  readonly nThreads: number;
  readonly signal?: AbortSignal | undefined;
}

const LF = 10;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
/** Read at once; behind the end of a range, where only the rest of a line is wanted, the second. */
const READ_BYTES = 2 ** 21;
const REST_BYTES = 2 ** 16;

/** @see openTextsAndSites */
export async function* openJsonlTexts(
  plan: CorpusPlan,
  unit: CorpusUnit,
  { batchBytes, nThreads, signal }: TextsOptions,
): AsyncGenerator<TextsAndSites> {
  const { path, format } = plan.files[unit.fileIndex]!;
  const { maxLineBytes, zstdWindowLog, textColumn, siteColumn = null } = plan;
  const byteStart = unit.byteStart ?? 0;
  const byteEnd = unit.byteEnd ?? Number.POSITIVE_INFINITY;
  const lines = new Lines(batchBytes, byteStart > 0 ? byteStart - 1 : 0, byteEnd);
  // The byte before the range tells whether a line begins at its first byte.
  if (byteStart > 0) lines.skip();
  const take = async (isEnd: boolean): Promise<TextsAndSites> => {
    const { bytes, begin, limit } = lines;
    const request = { bytes, begin, limit, isEnd, maxLineBytes, textColumn, siteColumn, nThreads };
    const { consumed, offsets, site } = await callNative(native().jsonTexts(request));
    lines.consumed = consumed;
    const text = { data: bytes, offsets };
    const own = siteColumn === null ? null : site;
    return { nDocs: offsets.length - 1, text, site: own, rowStatus: null };
  };
  for await (const _ of filling(lines, { path, format, zstdWindowLog, signal })) {
    throwIfAborted(signal, 'reading');
    if (lines.isReady) {
      yield await take(false);
      lines.giveBack(maxLineBytes);
    }
    if (lines.isDone) return;
  }
  if (lines.bytes.length > lines.begin && !lines.isDone) yield await take(true);
}

/** Comes back each time that bytes have come. @throws CORPUS_READ_FAILED, CORPUS_FILE_INVALID, ABORTED */
async function* filling(lines: Lines, source: ByteSource): AsyncGenerator<void> {
  const file = await regularFile(source);
  if (file === null) {
    const wanted = lines.limit;
    for await (const chunk of bytesOf(source, lines.position, wanted)) {
      for (let at = 0; at < chunk.length; ) {
        const n = chunk.copy(lines.room, 0, at);
        lines.grow(n);
        at += n;
        yield;
      }
    }
    return;
  }
  try {
    for (;;) {
      const { room, position, limit, bytes } = lines;
      const wanted = Math.max(REST_BYTES, Math.min(READ_BYTES, limit - bytes.length));
      const { bytesRead } = await file.read(
        room,
        0,
        Math.min(room.length, wanted),
        position + bytes.length,
      );
      if (bytesRead === 0) return;
      lines.grow(bytesRead);
      yield;
    }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).syscall === undefined) throw cause;
    const reason = (cause as Error).message;
    throw new GristmillError('CORPUS_READ_FAILED', { file: source.path, reason }, { cause });
  } finally {
    await file.close();
  }
}

/** An open file, where the lines lie in one as they are. */
async function regularFile({ path, format }: ByteSource): Promise<FileHandle | null> {
  if (format !== 'jsonl' || remoteScheme(path) !== null) return null;
  const file = await open(path).catch(() => null);
  if (file === null) return null;
  if ((await file.stat()).isFile()) return file;
  await file.close();
  return null;
}

/** Bytes of a file from somewhere on, of which whole lines are taken. */
class Lines {
  /** Bytes that were taken, from the front. */
  consumed = 0;
  /** Where the first byte is in the file. */
  position: number;
  /** Where the first line begins that is not taken yet. */
  begin = 0;
  readonly #byteEnd: number;
  #buffer: Buffer;
  #filled = 0;
  /** Whether a line feed has come behind the range since lines were taken. */
  #hasLine = false;
  #isSkipping = false;

  constructor(size: number, position: number, byteEnd: number) {
    this.#buffer = Buffer.allocUnsafeSlow(size);
    this.position = position;
    this.#byteEnd = byteEnd;
  }

  /** What is there. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#filled);
  }

  /** Where more goes. */
  get room(): Buffer {
    return this.#buffer.subarray(this.#filled);
  }

  /** Where lines of the range end to begin, among the bytes. */
  get limit(): number {
    return Math.max(0, this.#byteEnd - this.position);
  }

  /** Whether the next line begins behind the range. */
  get isDone(): boolean {
    return !this.#isSkipping && this.begin >= this.limit;
  }

  /** Whether lines are to be taken now: nothing more goes in, or the last line of the range may be there. */
  get isReady(): boolean {
    return this.#filled === this.#buffer.length || this.#hasLine;
  }

  /** Leaves out what comes up to the next line feed. */
  skip(): void {
    this.#isSkipping = true;
  }

  /** Says that so many bytes more are there. */
  grow(n: number): void {
    const fresh = this.#buffer.subarray(this.#filled, this.#filled + n);
    if (this.#isSkipping) {
      // Nothing lies in front of them.
      const found = fresh.indexOf(LF);
      this.#isSkipping = found < 0;
      const skipped = found < 0 ? n : found + 1;
      this.position += skipped;
      this.#filled = fresh.copy(this.#buffer, 0, skipped);
      this.#hasLine = this.#filled >= this.limit;
      return;
    }
    const isFirst = this.position === 0 && this.#filled < BYTE_ORDER_MARK.length;
    this.#filled += n;
    const { bytes } = this;
    if (isFirst && BYTE_ORDER_MARK.equals(bytes.subarray(0, 3))) this.begin = 3;
    // A full buffer is what lines are taken of before that.
    this.#hasLine ||= this.#filled >= this.limit && fresh.includes(LF);
  }

  /** What was taken makes room; a line that fills all of it gets more, or is left out where it is too long. */
  giveBack(maxLineBytes: number): void {
    const { consumed, bytes } = this;
    const left = this.#filled - consumed;
    this.#hasLine = false;
    this.#filled = left;
    if (consumed > 0) {
      bytes.copy(this.#buffer, 0, consumed);
      this.position += consumed;
      this.consumed = 0;
      this.begin = 0;
    } else if (left > maxLineBytes) {
      this.position += left;
      this.#filled = 0;
      this.begin = 0;
      this.skip();
    } else if (left === this.#buffer.length) {
      this.#buffer = Buffer.allocUnsafeSlow(2 * left);
      bytes.copy(this.#buffer);
    }
  }
}
