/** What readers of tables share: the choice of columns, ids, numbers, and how a table is refused. */

import type { CsvRecords } from '../csv.ts';
import { GristmillError } from '../errors.ts';

const NUMBER = /^[+-]?(?:\d{1,400}\.?\d{0,400}|\.\d{1,400})(?:[eE][+-]?\d{1,5})?$/;

/** Names of columns that begin and end like this. */
export interface ColumnForm {
  readonly prefix: string;
  readonly suffix: string;
}

/** Columns by their place in the header. */
export interface ChosenColumns {
  readonly index: number;
  readonly indices: readonly number[];
  readonly names: readonly string[];
  readonly ignored: readonly string[];
}

/** True for a name of the form with something between its ends. */
function hasForm(name: string, { prefix, suffix }: ColumnForm): boolean {
  return (
    name.length > prefix.length + suffix.length && name.startsWith(prefix) && name.endsWith(suffix)
  );
}

/** The index and the columns of the asked form, of the published form, or all that are not of the other form. */
export function chooseColumns(
  file: string,
  { header }: CsvRecords,
  options: {
    readonly indexColumn: string;
    readonly asked: ColumnForm | null;
    readonly form: ColumnForm;
    readonly other: ColumnForm;
  },
): ChosenColumns {
  const { indexColumn, asked, form, other } = options;
  const seen = new Set<string>();
  for (const [column, name] of header.entries()) {
    const place = { file, row: 0, column: name };
    if (name.trim() === '') refuse({ ...place, column: column + 1 }, 'a column name', name);
    if (seen.has(name)) refuse(place, 'distinct column names', `${name} twice`);
    seen.add(name);
  }
  const index = header.indexOf(indexColumn);
  if (index < 0) {
    const found = header.length === 0 ? 'an empty file' : header.join(', ');
    refuse({ file, row: 0, column: indexColumn }, 'this column', found);
  }
  const others = header.map((_, column) => column).filter((column) => column !== index);
  const ofForm = (wanted: ColumnForm): number[] =>
    others.filter((column) => hasForm(header[column]!, wanted));
  let indices = ofForm(asked ?? form);
  if (indices.length === 0 && asked === null) {
    const taken = new Set(ofForm(other));
    indices = others.filter((column) => !taken.has(column));
  }
  if (indices.length === 0) {
    const { prefix, suffix } = asked ?? form;
    refuse(
      { file, row: 0, column: `${prefix}…${suffix}` },
      'columns of this form',
      header.join(', '),
    );
  }
  const chosen = new Set(indices);
  return {
    index,
    indices,
    names: indices.map((column) => header[column]!),
    ignored: others.filter((column) => !chosen.has(column)).map((column) => header[column]!),
  };
}

/** The names of the rows, distinct and not empty. @throws MIXTURE_TABLE_INVALID */
export function readIds(file: string, { header, rows }: CsvRecords, index: number): string[] {
  const column = header[index]!;
  const seen = new Map<string, number>();
  const ids = rows.map((record, rowIndex) => {
    const id = record[index]!.trim();
    const place = { file, row: rowIndex + 1, column };
    if (id === '') refuse(place, 'an index', 'nothing');
    const first = seen.get(id);
    if (first !== undefined) refuse(place, `an index that row ${first} does not have`, id);
    seen.set(id, rowIndex + 1);
    return id;
  });
  if (ids.length === 0) refuse({ file, row: 1, column }, 'at least one row', 'none');
  return ids;
}

/** Where a value is, for messages. */
export interface Place {
  readonly file: string;
  readonly row: number;
  readonly column: string | number;
}

const MISSING = new Set(['', 'nan', 'null', 'none', 'na', 'n/a']);

/** True for a field that says that nothing was measured. */
export function isBlank(text: string): boolean {
  return MISSING.has(text.trim().toLowerCase());
}

/** A decimal number. @throws MIXTURE_TABLE_INVALID for anything else, NaN and infinities too */
export function numberOf(text: string, place: Place): number {
  const trimmed = text.trim();
  const value = NUMBER.test(trimmed) ? Number(trimmed) : Number.NaN;
  if (!Number.isFinite(value)) refuse(place, 'a finite number', trimmed === '' ? 'nothing' : text);
  return value;
}

/** Raises MIXTURE_TABLE_INVALID. */
export function refuse(place: Place, expected: string, received: unknown): never {
  throw new GristmillError('MIXTURE_TABLE_INVALID', { ...place, expected, received });
}
