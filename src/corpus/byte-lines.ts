/**
 * Lines of a byte stream in bounded memory: split at LF; a CR before it, a byte order mark at the start and blank
 * lines are dropped. Lines come in groups, one group per chunk read, so that a line costs no promise.
 *
 * A line beyond the bound is read past, not kept: its first bytes and its length come in its place.
 */
import { type ByteSource, bytesOf } from './byte-source.ts';

/** A line and where it is. */
export interface ByteLine {
  /** The line; of one that is too long the first {@link OVERLONG_KEPT_BYTES}. */
  readonly bytes: Buffer;
  /** Its length in bytes; more than `bytes` has when it is too long. */
  readonly byteLength: number;
  /** Its number in the stretch that was read, from 1, blank lines included. */
  readonly line: number;
  /** Its number among the stretch's lines that are not blank, from 0. */
  readonly row: number;
  /** Where it begins in the (decompressed) file. */
  readonly byteOffset: number;
}

/** What is read of a file. */
export interface LineSource extends ByteSource {
  /** Plain files: the lines that begin inside `[byteStart, byteEnd)`. */
  readonly byteStart: number | null;
  readonly byteEnd: number | null;
  readonly maxLineBytes: number;
}

/** Lines and rows (lines that are not blank) of a stretch; complete when reading it has ended. */
export interface LineCounts {
  lines: number;
  rows: number;
}

/** Bytes that are kept of a line that is too long. */
export const OVERLONG_KEPT_BYTES = 1 << 16;

const LF = 10;
const CR = 13;

/**
 * Groups of lines.
 *
 * @param counts counted up while lines are read
 * @throws CORPUS_READ_FAILED, CORPUS_FILE_INVALID (damaged compression), ABORTED
 */
export async function* readLines(
  source: LineSource,
  counts: LineCounts = { lines: 0, rows: 0 },
): AsyncGenerator<ByteLine[]> {
  const { byteStart, maxLineBytes } = source;
  const byteEnd = source.byteEnd ?? Number.POSITIVE_INFINITY;
  const start = byteStart ?? 0;
  // The byte before the range tells whether a line begins at its first byte.
  let skipping = start > 0;
  let position = start > 0 ? start - 1 : 0;
  let lineStart = position;
  const line = new PendingLine(maxLineBytes);
  const take = (group: ByteLine[]): void => {
    counts.lines++;
    const bytes = line.take(lineStart === 0);
    if (!bytes) return;
    const { byteLength } = line;
    group.push({ bytes, byteLength, line: counts.lines, row: counts.rows, byteOffset: lineStart });
    counts.rows++;
  };
  for await (const chunk of bytesOf(source, position, byteEnd - position)) {
    const group: ByteLine[] = [];
    let at = 0;
    while (at < chunk.byteLength) {
      if (!skipping && lineStart >= byteEnd) {
        if (group.length > 0) yield group;
        return;
      }
      const found = chunk.indexOf(LF, at);
      if (!skipping) line.add(chunk.subarray(at, found < 0 ? chunk.byteLength : found));
      if (found < 0) break;
      if (!skipping) take(group);
      skipping = false;
      lineStart = position + found + 1;
      at = found + 1;
    }
    position += chunk.byteLength;
    if (group.length > 0) yield group;
  }
  if (!skipping && position > lineStart && lineStart < byteEnd) {
    const group: ByteLine[] = [];
    take(group);
    if (group.length > 0) yield group;
  }
}

/** The line that is being read, over any number of chunks. */
class PendingLine {
  /** Length of the line that was taken last. */
  byteLength = 0;
  readonly #maxBytes: number;
  readonly #parts: Buffer[] = [];
  #pendingBytes = 0;
  #isBlank = true;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(bytes: Buffer): void {
    const isOverlong = this.#pendingBytes > this.#maxBytes;
    this.#pendingBytes += bytes.length;
    if (this.#isBlank && !isBlank(bytes)) this.#isBlank = false;
    if (isOverlong) return;
    this.#parts.push(bytes);
    // What has just become too long gives its memory back; a copy, so that the chunks can go.
    if (this.#pendingBytes > this.#maxBytes) {
      const first = firstBytes(this.#parts);
      this.#parts.length = 0;
      this.#parts.push(first);
    }
  }

  /** The whole line, or null when it is blank. */
  take(isFirst: boolean): Buffer | null {
    const isOverlong = this.#pendingBytes > this.#maxBytes;
    let bytes = this.#parts.length === 1 ? this.#parts[0]! : Buffer.concat(this.#parts);
    let blank = this.#isBlank;
    this.byteLength = this.#pendingBytes;
    this.#parts.length = 0;
    this.#pendingBytes = 0;
    this.#isBlank = true;
    if (isFirst && hasByteOrderMark(bytes)) {
      bytes = bytes.subarray(3);
      this.byteLength -= 3;
      blank = !isOverlong && isBlank(bytes);
    }
    if (blank) return null;
    if (isOverlong) return bytes;
    if (bytes[bytes.length - 1] === CR) bytes = bytes.subarray(0, -1);
    this.byteLength = bytes.length;
    return bytes;
  }
}

function firstBytes(parts: readonly Buffer[]): Buffer {
  return Buffer.concat(
    parts,
    Math.min(
      OVERLONG_KEPT_BYTES,
      parts.reduce((n, p) => n + p.length, 0),
    ),
  );
}

/** True for spaces, tabs and CR only. */
function isBlank(bytes: Buffer): boolean {
  for (const byte of bytes) if (byte !== 32 && byte !== 9 && byte !== CR) return false;
  return true;
}

function hasByteOrderMark(bytes: Buffer): boolean {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
}
