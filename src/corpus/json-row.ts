/**
 * One line as a row: its text, its id and its other fields, or what is wrong with it.
 *
 * Nothing is changed on the way: a value without a form in UTF-8 (broken bytes, half a surrogate pair), and with
 * `values` one that its column does not hold exactly, makes a problem and never a replacement character.
 */
import { isUtf8 } from 'node:buffer';
import { jsonFault } from './json-fault.ts';
import { type JsonFields, jsonFields, type KeyNames, NoObject } from './json-line.ts';
import { isWellFormedString, misfitOf } from './json-plain.ts';
import { kindOf } from './json-values.ts';
import type { RowProblem } from './reject-reasons.ts';
import type { CorpusColumn } from './types.ts';

/** What a reader looks for in every line. */
export interface RowShape {
  readonly textColumn: string;
  readonly idColumn: string | null;
  readonly siteColumn?: string | null;
  /** Columns that values must fit; null where fields are passed on as they are. */
  readonly columns: ReadonlyMap<string, CorpusColumn> | null;
  /** Names that no field may have. */
  readonly reserved: ReadonlySet<string>;
}

/** A row as it was read. */
export interface JsonRow {
  readonly text: Uint8Array | null;
  readonly id: Uint8Array | null;
  /** Of the site column; null for what is no text. */
  readonly site?: Uint8Array | null;
  /** The text's place is kept, its value is emptied: it is held once. */
  readonly fields: JsonFields;
}

/** Characters of a value that a message shows. */
const SHOWN_CHARS = 60;

/** A line as a row, or what is wrong with it. */
export function rowOf(
  bytes: Buffer,
  shape: RowShape,
  names: KeyNames,
): { row: JsonRow } | { problem: RowProblem } {
  if (!isUtf8(bytes)) return { problem: brokenBytes(bytes, shape) };
  const line = bytes.toString();
  let fields: JsonFields;
  try {
    fields = jsonFields(line, names);
  } catch (error) {
    const what = error instanceof NoObject ? error.message : jsonFault(line);
    return { problem: { reason: 'line_invalid', column: null, detail: `no JSON object: ${what}` } };
  }
  const problem =
    textProblem(fields, shape) ??
    idProblem(fields, shape) ??
    nameProblem(fields, shape) ??
    valuesProblem(fields, shape);
  if (problem) return { problem };
  const rawText = fields.get(shape.textColumn);
  const rawId = shape.idColumn === null ? undefined : fields.get(shape.idColumn);
  const text = rawText === undefined ? null : bytesOfValue(rawText);
  fields.set(shape.textColumn, '');
  const id = rawId === undefined ? null : bytesOfValue(rawId);
  if (!shape.siteColumn) return { row: { text, id, fields } };
  const rawSite = fields.get(shape.siteColumn);
  const site = rawSite !== undefined && kindOf(rawSite) === 'string' ? bytesOfValue(rawSite) : null;
  return { row: { text, id, site, fields } };
}

/** A string as its bytes, another value as its JSON text, null as null. */
function bytesOfValue(raw: string): Uint8Array | null {
  const kind = kindOf(raw);
  if (kind === null) return null;
  return Buffer.from(kind === 'string' ? (JSON.parse(raw) as string) : raw);
}

/** A value as a message shows it. */
export function shownValue(raw: string): string {
  return raw.length <= SHOWN_CHARS
    ? raw
    : `${raw.slice(0, SHOWN_CHARS)}… (${raw.length} characters)`;
}

function textProblem(fields: JsonFields, { textColumn }: RowShape): RowProblem | null {
  const raw = fields.get(textColumn);
  const kind = raw === undefined ? null : kindOf(raw);
  if (raw === undefined || kind === null) return null;
  if (kind !== 'string') {
    const received = shownValue(raw);
    return { reason: 'text_type', column: textColumn, expected: 'a string', received };
  }
  return isWellFormedString(raw) ? null : halfPair('invalid_utf8', textColumn);
}

function idProblem(fields: JsonFields, { idColumn }: RowShape): RowProblem | null {
  const raw = idColumn === null ? undefined : fields.get(idColumn);
  if (raw === undefined || idColumn === null || kindOf(raw) !== 'string') return null;
  return isWellFormedString(raw) ? null : halfPair('field_utf8', idColumn);
}

function halfPair(reason: 'invalid_utf8' | 'field_utf8', column: string): RowProblem {
  const received = 'half a surrogate pair, which has no UTF-8';
  return { reason, column, expected: 'Unicode text', received };
}

/** A field that is called like an added column, and was not there when the run could still be refused. */
function nameProblem(fields: JsonFields, { reserved }: RowShape): RowProblem | null {
  if (reserved.size === 0) return null;
  for (let index = 0; index < fields.length; index++) {
    const column = fields.nameAt(index);
    if (!reserved.has(column)) continue;
    const expected =
      'no field of that name, which the run adds (--status-prefix, --replace-status)';
    return {
      reason: 'field_reserved',
      column,
      expected,
      received: shownValue(fields.valueAt(index)),
    };
  }
  return null;
}

function valuesProblem(fields: JsonFields, { textColumn, columns }: RowShape): RowProblem | null {
  if (columns === null) return null;
  for (let index = 0; index < fields.length; index++) {
    const name = fields.nameAt(index);
    const raw = fields.valueAt(index);
    if (fields.indexOf(name) !== index) {
      if (fields.get(name) === raw) continue;
      const expected = 'one value';
      const received = `${shownValue(raw)} and ${shownValue(fields.get(name)!)}`;
      return { reason: 'field_repeated', column: name, expected, received };
    }
    if (name === textColumn) continue;
    const column = columns.get(name);
    if (!column) {
      if (kindOf(raw) === null) continue;
      const expected = 'a field of the lines that were looked at for columns (--infer-lines)';
      const received = `a new one, ${shownValue(raw)}`;
      return { reason: 'field_unknown', column: shownValue(name), expected, received };
    }
    const expected = misfitOf(column, raw);
    if (expected === null) continue;
    if (expected === 'UTF-8') return halfPair('field_utf8', name);
    return { reason: 'field_type', column: name, expected, received: shownValue(raw) };
  }
  return null;
}

/** Which field holds bytes that are not UTF-8: brackets and quotes are ASCII, whatever lies between them. */
function brokenBytes(bytes: Buffer, { textColumn }: RowShape): RowProblem {
  let fields: JsonFields;
  try {
    fields = jsonFields(bytes.toString('latin1'));
  } catch {
    const at = firstBrokenByte(bytes);
    const detail = `no JSON object, and byte ${at + 1} of it is not UTF-8`;
    return { reason: 'line_invalid', column: null, detail };
  }
  const isBroken = (text: string): boolean => !isUtf8(Buffer.from(text, 'latin1'));
  const textName = Buffer.from(textColumn).toString('latin1');
  const text = fields.get(textName);
  const received = 'bytes that are not UTF-8';
  if (text !== undefined && isBroken(text)) {
    return { reason: 'invalid_utf8', column: textColumn, expected: 'UTF-8', received };
  }
  for (let index = 0; index < fields.length; index++) {
    const name = Buffer.from(fields.nameAt(index), 'latin1').toString();
    if (isBroken(fields.keyAt(index))) {
      return { reason: 'field_utf8', column: name, expected: 'a name in UTF-8', received };
    }
    if (isBroken(fields.valueAt(index))) {
      return { reason: 'field_utf8', column: name, expected: 'UTF-8', received };
    }
  }
  const detail = `byte ${firstBrokenByte(bytes) + 1} of it is not UTF-8`;
  return { reason: 'line_invalid', column: null, detail };
}

/** Index of the first byte that decoding does not give back. */
function firstBrokenByte(bytes: Buffer): number {
  const again = Buffer.from(bytes.toString());
  let at = 0;
  while (at < bytes.byteLength && again[at] === bytes[at]) at++;
  return at;
}
