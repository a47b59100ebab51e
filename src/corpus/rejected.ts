/**
 * Rows that cannot be rows: lines that are no JSON object, texts that are no strings, values that no column holds.
 * They are data, not failures of the run: each keeps its number, a reason and its raw bytes.
 */
import { GristmillError } from '../errors.ts';
import type { ExtraColumn, ExtraValues, RejectedRow } from './types.ts';

/** Reason codes of rejected rows, one line each; `invalid_utf8` stands with the reasons of texts. */
export const REJECT_REASONS = Object.freeze({
  line_invalid: 'the line is not a JSON object (failed, in rejected/)',
  line_too_long:
    'the line is longer than --max-line-bytes (failed, in rejected/ with its first 64 KiB)',
  text_type: 'the text is not a string (failed, in rejected/)',
  field_utf8:
    'a field other than the text has no form in UTF-8: broken bytes, half a surrogate pair (failed, in rejected/)',
  field_type: 'a value that its column cannot hold unchanged (failed, in rejected/)',
  field_unknown: 'a field that no column of the output holds (failed, in rejected/)',
  field_reserved: 'a field that is called like a column that the run adds (failed, in rejected/)',
  field_repeated: 'a field that is there again with another value (failed, in rejected/)',
} as const);

/** A code of a rejected row. */
export type RejectReason = keyof typeof REJECT_REASONS | 'invalid_utf8';

/** What is wrong with a row: with its line as a whole, or with one of its fields. */
export type RowProblem =
  | { readonly reason: RejectReason; readonly column: null; readonly detail: string }
  | {
      readonly reason: RejectReason;
      readonly column: string;
      readonly expected: string;
      readonly received: string;
    };

/** A problem in words, behind the number of its line. */
export function problemText(problem: RowProblem, line: number): string {
  if (problem.column === null) return `line ${line}: ${problem.detail}`;
  const { column, expected, received } = problem;
  return `line ${line}, column ${column}: expected ${expected}, found ${received}`;
}

/** The error in place of a rejected row, for readers that take none. */
export function problemError(
  file: string,
  place: { readonly line: number; readonly row: number },
  problem: RowProblem,
): GristmillError {
  if (problem.column === null) {
    return new GristmillError('CORPUS_LINE_INVALID', {
      file,
      line: place.line,
      reason: problem.detail,
    });
  }
  const { column, expected, received } = problem;
  const details = { file, row: place.row, column, expected, received };
  return new GristmillError('CORPUS_VALUE_INVALID', details);
}

/** Columns of the files of rejected rows. */
export const REJECTED_COLUMNS: readonly ExtraColumn[] = Object.freeze([
  { name: 'file', type: 'string' },
  { name: 'row', type: 'int64' },
  { name: 'reason', type: 'string' },
  { name: 'detail', type: 'string' },
  { name: 'raw', type: 'bytes' },
] as const);

/** Values of {@link REJECTED_COLUMNS}. */
export function rejectedValues(
  file: string,
  rows: readonly RejectedRow[],
): Record<string, ExtraValues> {
  return {
    file: rows.map(() => file),
    row: rows.map(({ row }) => row),
    reason: rows.map(({ reason }) => reason),
    detail: rows.map(({ detail }) => detail),
    raw: rows.map(({ raw }) => raw),
  };
}
