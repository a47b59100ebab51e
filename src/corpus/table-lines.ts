/**
 * Tables and plain text as JSON lines, so that everything behind knows one form: a CSV or TSV file has a line for every record, the
 * header's names as keys and strings as values; a text file is one line, `{"id": its name, "text": all of it}`, or
 * `{"text": …}` for each of its lines that is not blank.
 *
 * CSV is read as RFC 4180 has it; where the header has no comma, semicolons or tabs separate. A record with more or fewer fields than
 * the header is a line that holds an array of its fields, which the reader of lines rejects as no object: the row is lost to nobody.
 * Quotes that never close, or close in the middle of a field, leave no way to find the next record and fail the file. Bytes that
 * are not UTF-8 go on as they are.
 */
import { isUtf8 } from 'node:buffer';
import { basename } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { separatorOf } from '../csv.ts';
import { GristmillError } from '../errors.ts';
import type { CorpusFormat } from './types.ts';

/** Bytes of a record; also what is kept in memory of one. */
const MAX_RECORD_BYTES = 2 ** 28;
const YIELD_BYTES = 1 << 18;
/** Longer headers have their separators in front of it. */
const MAX_HEADER_BYTES = 1 << 16;
const BOM = '\ufeff';

/** Whether a format is one of tables or of text, whatever its compression. */
export function isTableFormat(format: CorpusFormat): boolean {
  return /^(?:csv|tsv|txt|lines)\b/.test(format);
}

/** JSON lines of a decompressed file. @throws CORPUS_FILE_INVALID */
export async function* linesOfTable(
  chunks: AsyncIterable<Buffer>,
  { path, format }: { readonly path: string; readonly format: CorpusFormat },
): AsyncGenerator<Buffer> {
  if (format.startsWith('txt')) yield* lineOfText(chunks, path);
  else if (format.startsWith('lines')) yield* linesOfText(chunks);
  else yield* linesOfRecords(chunks, path, format.startsWith('tsv'));
}

async function* lineOfText(chunks: AsyncIterable<Buffer>, path: string): AsyncGenerator<Buffer> {
  yield Buffer.from(`{"id":${JSON.stringify(basename(path))},"text":"`);
  const iterator = chunks[Symbol.asyncIterator]();
  for await (const bytes of joined(await startOf(iterator), iterator)) yield escapedBytes(bytes);
  yield TEXT_END;
}

/** Whole lines are not waited for: a line may be as long as it likes, its reader bounds it. */
async function* linesOfText(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const iterator = chunks[Symbol.asyncIterator]();
  const start = await startOf(iterator);
  let isOpen = false;
  // Of a line of which nothing was given yet its blanks, of others a CR that may end it.
  let held: Buffer = Buffer.alloc(0);
  let out: Buffer[] = [];
  const take = (piece: Buffer): void => {
    let bytes = held.byteLength > 0 ? Buffer.concat([held, piece]) : piece;
    held = Buffer.alloc(0);
    if (!isOpen && isBlank(bytes) && bytes.byteLength < MAX_BLANK_BYTES) {
      held = bytes;
      return;
    }
    if (!isOpen) out.push(TEXT_START);
    isOpen = true;
    if (bytes.at(-1) === CR) {
      held = Buffer.from([CR]);
      bytes = bytes.subarray(0, -1);
    }
    out.push(escapedBytes(bytes));
  };
  const end = (): void => {
    if (isOpen) out.push(TEXT_END);
    isOpen = false;
    held = Buffer.alloc(0);
  };
  for await (const bytes of joined(start, iterator)) {
    for (let at = 0; at < bytes.byteLength; ) {
      const found = bytes.indexOf(LF, at);
      take(bytes.subarray(at, found < 0 ? undefined : found));
      if (found < 0) break;
      end();
      at = found + 1;
    }
    yield Buffer.concat(out);
    out = [];
  }
  end();
  yield Buffer.concat(out);
}

/** Spaces, tabs and CR only, as blank lines of JSON lines are. */
function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 32 || byte === 9 || byte === CR);
}

const CR = 13;
const LF = 10;
/** Of blanks that begin a line: more of them are a text. */
const MAX_BLANK_BYTES = 1 << 16;
const TEXT_START = Buffer.from('{"text":"');
const TEXT_END = Buffer.from('"}\n');

async function* linesOfRecords(
  chunks: AsyncIterable<Buffer>,
  path: string,
  isTabs: boolean,
): AsyncGenerator<Buffer> {
  const iterator = chunks[Symbol.asyncIterator]();
  const start = await startOf(iterator);
  if (start.byteLength === 0) return;
  const { parse } = await import('csv-parse');
  const parser = parse({
    encoding: null,
    delimiter: isTabs ? '\t' : separatorOf(start.toString()),
    relax_column_count: true,
    // Tables by tabs mostly have no quoting, and quotes as text.
    relax_quotes: isTabs,
    skip_empty_lines: true,
    max_record_size: MAX_RECORD_BYTES,
  });
  const fed = pipeline(Readable.from(joined(start, iterator), { objectMode: false }), parser);
  // It reaches the reader below too.
  fed.catch(() => undefined);
  let keys: Buffer[] | null = null;
  let waiting: Buffer[] = [];
  let nBytes = 0;
  for await (const record of parser as AsyncIterable<Buffer[]>) {
    if (keys === null) {
      keys = keysOf(record, path);
      continue;
    }
    const line = lineOf(record, keys);
    waiting.push(line);
    nBytes += line.byteLength;
    if (nBytes < YIELD_BYTES) continue;
    yield Buffer.concat(waiting);
    waiting = [];
    nBytes = 0;
  }
  if (waiting.length > 0) yield Buffer.concat(waiting);
}

/** Enough of a file to see its mark and its header; the mark is left out, as the parser would read text behind it, not bytes. */
async function startOf(chunks: AsyncIterator<Buffer>): Promise<Buffer> {
  let start: Buffer = Buffer.alloc(0);
  while (start.byteLength < 3 || (!start.includes(10) && start.byteLength < MAX_HEADER_BYTES)) {
    const next = await chunks.next();
    if (next.done) break;
    start = Buffer.concat([start, next.value]);
  }
  return start.toString('utf8', 0, 3) === BOM ? start.subarray(3) : start;
}

async function* joined(
  first: Buffer,
  rest: AsyncIterator<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  yield first;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

/** Names as the beginnings of members; a column without a name, as pandas writes its index, is called by its place. */
function keysOf(header: readonly Buffer[], path: string): Buffer[] {
  const names = header.map((name, at) => name.toString() || `column_${at + 1}`);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) {
    const reason = `its header has the column ${twice} twice`;
    throw new GristmillError('CORPUS_FILE_INVALID', { file: path, reason });
  }
  return names.map((name, at) => Buffer.from(`${at === 0 ? '{' : ','}${JSON.stringify(name)}:"`));
}

const QUOTE = Buffer.from('"');
const OBJECT_END = Buffer.from('}\n');

function lineOf(record: readonly Buffer[], keys: readonly Buffer[]): Buffer {
  if (record.length !== keys.length) {
    const fields = record.map((field) => Buffer.concat([QUOTE, escapedBytes(field), QUOTE]));
    const parts = fields.flatMap((field, at) => (at === 0 ? [field] : [Buffer.from(','), field]));
    return Buffer.concat([Buffer.from('['), ...parts, Buffer.from(']\n')]);
  }
  return Buffer.concat([
    ...record.flatMap((field, at) => [keys[at]!, escapedBytes(field), QUOTE]),
    OBJECT_END,
  ]);
}

/** Bytes as they stand in a JSON string. Escapes are of single bytes below 0x80, which are no part of another character. */
function escapedBytes(bytes: Buffer): Buffer {
  if (isUtf8(bytes)) {
    const json = JSON.stringify(bytes.toString());
    return Buffer.from(json.slice(1, -1));
  }
  const parts: number[] = [];
  for (const byte of bytes) {
    if (byte === 0x22 || byte === 0x5c) parts.push(0x5c, byte);
    else if (byte < 0x20) parts.push(...Buffer.from(`\\u00${byte.toString(16).padStart(2, '0')}`));
    else parts.push(byte);
  }
  return Buffer.from(parts);
}
