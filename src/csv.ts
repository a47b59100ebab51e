/**
 * CSV as RFC 4180 has it, read strictly: commas, CR LF or LF, fields in double quotes with quotes doubled, a BOM. Where the
 * header has no comma outside of quotes, semicolons or tabs separate instead; beside semicolons `0,5` is 0.5.
 *
 * Every record has as many fields as the header; a quote inside a bare field, or text after a closing quote, is an
 * error, because a lenient reading would put numbers into other columns. Rows are counted from 1, the header is row 0.
 */
import { GristmillError } from './errors.ts';

/** Records of a file. */
export interface CsvRecords {
  readonly header: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

const QUOTE = 0x22;
const SEMICOLON = 0x3b;
const LF = 0x0a;
const CR = 0x0d;

/**
 * Parses a whole file. Empty lines at the end are no records.
 *
 * @param file for messages
 * @param code of its error
 * @throws MIXTURE_TABLE_INVALID, or `code`, naming the row and the column
 */
export function parseCsv(
  text: string,
  file: string,
  code: 'MIXTURE_TABLE_INVALID' | 'CONTINUAL_PILOTS_INVALID' = 'MIXTURE_TABLE_INVALID',
): CsvRecords {
  const records: string[][] = [];
  let record: string[] = [];
  const refuse = (expected: string, received: string): never => {
    throw new GristmillError(code, {
      file,
      row: records.length,
      column: records[0]?.[record.length] ?? record.length + 1,
      expected,
      received,
    });
  };
  const endRecord = (): void => {
    const nFields = records[0]?.length ?? record.length;
    if (record.length !== nFields) {
      refuse(`${nFields} fields, as the header has`, String(record.length));
    }
    records.push(record);
    record = [];
  };
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  const separator = separatorOf(text, at).charCodeAt(0);
  while (at < text.length) {
    if (record.length === 0 && isBlank(text, at)) break;
    let end: number;
    if (text.charCodeAt(at) === QUOTE) {
      const pieces: string[] = [];
      let from = at + 1;
      for (;;) {
        end = text.indexOf('"', from);
        if (end < 0) refuse('a closing quote', 'the end of the file');
        pieces.push(text.slice(from, end));
        if (text.charCodeAt(end + 1) !== QUOTE) break;
        from = end + 2;
      }
      record.push(pieces.join('"'));
      end++;
    } else {
      end = at;
      for (; end < text.length; end++) {
        const code = text.charCodeAt(end);
        if (code === separator || code === LF || code === CR) break;
        if (code === QUOTE) refuse('no quote inside a bare field', text.slice(at, end + 1));
      }
      const field = text.slice(at, end);
      const isDecimal = separator === SEMICOLON && DECIMAL_COMMA.test(field);
      record.push(isDecimal ? field.replace(',', '.') : field);
    }
    const code = text.charCodeAt(end);
    if (end >= text.length) {
      at = end;
    } else if (code === separator) {
      at = end + 1;
      // A separator at the very end opens one more field, an empty one.
      if (at === text.length) record.push('');
    } else if (code === LF || (code === CR && text.charCodeAt(end + 1) === LF)) {
      endRecord();
      at = end + (code === LF ? 1 : 2);
    } else {
      refuse('a comma or the end of the line after a field', text.slice(end, end + 20));
    }
  }
  if (record.length > 0) endRecord();
  const [header = [], ...rows] = records;
  return { header, rows };
}

const DECIMAL_COMMA = /^\s*[+-]?\d{0,400},\d{1,400}(?:[eE][+-]?\d{1,5})?\s*$/;

/** What separates the fields of a header, by its marks outside of quotes: a comma where there is one, else semicolons or tabs, whatever there is more of. */
export function separatorOf(text: string, start = 0): ',' | ';' | '\t' {
  const counts = { ',': 0, ';': 0, '\t': 0 };
  let isQuoted = false;
  for (let at = start; at < text.length; at++) {
    const mark = text[at]!;
    if (mark === '"') isQuoted = !isQuoted;
    if (isQuoted) continue;
    if (mark === '\n' || mark === '\r') break;
    if (mark === ',' || mark === ';' || mark === '\t') counts[mark]++;
  }
  if (counts[','] > 0) return ',';
  if (counts[';'] > counts['\t']) return ';';
  return counts['\t'] > 0 ? '\t' : ',';
}

/** True when nothing but line ends is left. */
function isBlank(text: string, at: number): boolean {
  for (let place = at; place < text.length; place++) {
    const code = text.charCodeAt(place);
    if (code !== LF && code !== CR) return false;
  }
  return true;
}

/** Records as CSV with LF; fields are quoted where they must be. */
export function csvText(records: Iterable<readonly string[]>): string {
  const lines: string[] = [];
  for (const record of records) lines.push(`${record.map(csvField).join(',')}\n`);
  return lines.join('');
}

function csvField(field: string): string {
  return /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}
