/**
 * Columns of JSONL files: inferred from their lines, since the format declares none. Lines that cannot be rows say
 * nothing and are passed over here; reading rejects them one by one. A file that is no JSON lines at all is refused
 * by name.
 */
import { isUtf8 } from 'node:buffer';
import { GristmillError } from '../errors.ts';
import { type ByteLine, type LineSource, readLines } from './byte-lines.ts';
import { jsonFault } from './json-fault.ts';
import { type JsonFields, jsonFields, type KeyNames } from './json-line.ts';
import { isWellFormed } from './json-plain.ts';
import { columnOfValues, NO_VALUES, withValue } from './json-values.ts';
import { stringColumn } from './schema.ts';
import type { CorpusColumn, CorpusFormat, JsonValues } from './types.ts';

/** Lines that are looked at where nobody says how many, and their bytes. */
const SAMPLE_LINES = 10_000;
const SAMPLE_BYTES = 16 * 2 ** 20;

/** How a file is looked at. */
export interface InferOptions {
  /** Lines that are looked at, or all; default 10 000, at most 16 MiB of them. */
  readonly inferLines?: number | 'all' | undefined;
  readonly maxLineBytes: number;
  readonly zstdWindowLog: number;
  readonly textColumn: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Columns of a JSONL file, in order of first appearance.
 *
 * @throws CORPUS_READ_FAILED, CORPUS_FILE_INVALID
 */
export async function inferColumns(
  path: string,
  format: CorpusFormat,
  options: InferOptions,
): Promise<CorpusColumn[]> {
  const { maxLineBytes, zstdWindowLog, signal, inferLines } = options;
  const bounds = { byteStart: null, byteEnd: null, maxLineBytes, zstdWindowLog, signal };
  const source: LineSource = { ...bounds, path, format };
  const maxLines = inferLines === 'all' ? Number.POSITIVE_INFINITY : (inferLines ?? SAMPLE_LINES);
  const maxBytes = inferLines === undefined ? SAMPLE_BYTES : Number.POSITIVE_INFINITY;
  const seen = new Map<string, JsonValues>();
  const names: KeyNames = new Map();
  let nLines = 0;
  let nBytes = 0;
  let first: ByteLine | null = null;
  let nObjects = 0;
  reading: for await (const group of readLines(source)) {
    for (const line of group) {
      if (nLines === 0) checkEncoding(path, line.bytes);
      first ??= line;
      const fields = fieldsOf(line, names);
      if (fields) {
        nObjects++;
        addFields(seen, fields, options.textColumn);
      }
      nLines++;
      nBytes += line.byteLength;
      if (nLines >= maxLines || nBytes >= maxBytes) break reading;
    }
  }
  if (first && nObjects <= 1) checkDocument(path, first.bytes, nLines, nObjects);
  return columnsOfSeen(seen, options.textColumn);
}

/** Columns of text that is a document a file, which need not be read to tell: see table-lines.ts. */
export function columnsOfText(textColumn: string): CorpusColumn[] {
  const seen = new Map<string, JsonValues>();
  addFields(seen, jsonFields('{"id":"","text":""}'), textColumn);
  return columnsOfSeen(seen, textColumn);
}

function columnsOfSeen(seen: ReadonlyMap<string, JsonValues>, textColumn: string): CorpusColumn[] {
  return [...seen].map(([name, values]) => {
    // The text is a string column where one text is a string: other rows are rejected, not the file. A text column
    // that shows nothing but nulls is one too; anything else there is a planning error.
    const isText = name === textColumn && (values.string || values === NO_VALUES);
    return isText ? stringColumn(name) : columnOfValues(name, values);
  });
}

function addFields(seen: Map<string, JsonValues>, fields: JsonFields, textColumn: string): void {
  for (let index = 0; index < fields.length; index++) {
    const name = fields.nameAt(index);
    // No column can have a name without a form in UTF-8.
    if (!isWellFormed(name)) continue;
    const before = seen.get(name);
    const after =
      name === textColumn && before?.string
        ? before
        : withValue(before ?? NO_VALUES, fields.valueAt(index));
    if (after !== before) seen.set(name, after);
  }
}

function fieldsOf({ bytes, byteLength }: ByteLine, names: KeyNames): JsonFields | null {
  if (byteLength > bytes.byteLength || !isUtf8(bytes)) return null;
  try {
    return jsonFields(bytes.toString(), names);
  } catch {
    return null;
  }
}

/** @throws CORPUS_FILE_INVALID for other encodings of Unicode and for compressed files under a plain name */
function checkEncoding(path: string, bytes: Buffer): void {
  const refuse = (what: string, hint: string): never => {
    const reason = `it looks like ${what}, not like JSON lines in UTF-8: ${hint}`;
    throw new GristmillError('CORPUS_FILE_INVALID', { file: path, reason });
  };
  const [first, second, third] = bytes;
  const isUtf16 =
    (first === 0xff && second === 0xfe) ||
    (first === 0xfe && second === 0xff) ||
    (first === 0 && second !== undefined && second !== 0) ||
    (first !== 0 && second === 0);
  if (isUtf16) refuse('UTF-16 or UTF-32', 'convert it first (iconv -f UTF-16 -t UTF-8)');
  if (first === 0x1f && second === 0x8b) refuse('gzip', 'a name that ends in .gz says so');
  if (bytes.length >= 4 && bytes.readUInt32LE(0) === 0xfd2fb528) {
    refuse('zstd', 'a name that ends in .zst says so');
  }
  if (first === 0x42 && second === 0x5a && third === 0x68) {
    refuse('bzip2', 'decompress it first, or compress it with zstd');
  }
}

/**
 * Where no line, or but one, is an object: whether the file is a JSON document of another kind, one array or one object over
 * several lines.
 *
 * @throws CORPUS_FILE_INVALID
 */
function checkDocument(path: string, firstLine: Buffer, nLines: number, nObjects: number): void {
  const line = firstLine.toString().trim();
  const isArray = line.startsWith('[');
  const isOpen = (isArray || line.startsWith('{')) && !isWhole(line) && isCutOff(jsonFault(line));
  // Of an array with an object a line only the last one has no comma behind it.
  const isDocument = nLines > 1 ? isOpen && (isArray || nObjects === 0) : isArray && isWhole(line);
  if (!isDocument) return;
  const what = isArray ? 'a JSON array' : 'JSON over several lines';
  const reason = `it holds ${what}, not one object a line; jq -c "${isArray ? '.[]' : '.'}" makes lines of it`;
  throw new GristmillError('CORPUS_FILE_INVALID', { file: path, reason });
}

/** Ends between two values: a line of a printed document, not one that was cut off anywhere. */
function isCutOff(fault: string): boolean {
  return /^it ends at .*, (?:inside an|where a)/.test(fault);
}

function isWhole(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}
