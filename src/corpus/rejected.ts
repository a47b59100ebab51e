/**
 * Rows that cannot be rows: lines that are no JSON object, texts that are no strings, values that no column holds.
 * They are data, not failures of the run: each keeps its number, a reason and its raw bytes.
 */
import { GristmillError } from '../errors.ts';
import type { RowProblem } from './reject-reasons.ts';
import type { ExtraColumn, ExtraValues, RejectedRow } from './types.ts';
import type { RowPlace } from './unit-files.ts';

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
  placeOf: (row: bigint) => RowPlace,
  rows: readonly RejectedRow[],
): Record<string, ExtraValues> {
  const places = rows.map(({ row }) => placeOf(row));
  return {
    file: places.map(({ file }) => file),
    row: places.map(({ row }) => row),
    reason: rows.map(({ reason }) => reason),
    detail: rows.map(({ detail }) => detail),
    raw: rows.map(({ raw }) => raw),
  };
}
