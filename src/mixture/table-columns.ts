/** What readers of tables share: the choice of columns, ids, numbers, and how a table is refused. */

import type { CsvRecords } from '../csv.ts';
import { GristmillError } from '../errors.ts';

const INFINITE = /^[+-]?inf(?:inity)?$/i;
const NUMBER = /^[+-]?(?:\d{1,400}\.?\d{0,400}|\.\d{1,400})(?:[eE][+-]?\d{1,5})?$/;

/** Names of columns of size, tokens and repetition: scale-columns.ts reads them. */
export const SCALE_COLUMNS = Object.freeze({
  params: 'params',
  tokens: 'tokens',
  epochs: 'epochs_',
});

/** True for a name that one of these columns has. */
function isScaleColumn(name: string): boolean {
  const { params, tokens, epochs } = SCALE_COLUMNS;
  return name === params || name === tokens || name.startsWith(epochs);
}

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

/** Options of {@link chooseColumns}. */
export interface ChooseColumnsOptions {
  /** Column of the index; an empty name is that of a first column without one. Default: `index`, else such a column. */
  readonly indexColumn: string | undefined;
  /** Names of the columns to take, whole or as `shortName` has them. Default: by their form. */
  readonly named?: readonly string[] | undefined;
  /** Names of columns to leave out. */
  readonly ignore?: readonly string[] | undefined;
  readonly shortName: (column: string) => string;
  readonly asked: ColumnForm | null;
  readonly form: ColumnForm;
  readonly other: ColumnForm;
}

/** What a column without a name is called: pandas writes its index so. */
const UNNAMED = '(column without a name)';
const DEFAULT_INDEX = 'index';

/**
 * The index and the columns that are meant: those that are named; else those of the asked form, of the published form, or
 * all that are not of the other form, say no scale (scale-columns.ts) and hold numbers. What is left is named in `ignored`.
 */
export function chooseColumns(
  file: string,
  { header, rows }: CsvRecords,
  options: ChooseColumnsOptions,
): ChosenColumns {
  const { asked, form, other, named, ignore = [], shortName } = options;
  const seen = new Set<string>();
  for (const name of header) {
    const place = { file, row: 0, column: name };
    if (seen.has(name) && name.trim() !== '') {
      refuse(place, 'distinct column names', `${name} twice`);
    }
    seen.add(name);
  }
  const index = indexOf(file, header, options.indexColumn);
  const others = header.map((_, column) => column).filter((column) => column !== index);
  const open = others.filter(
    (column) => header[column]!.trim() !== '' && !ignore.includes(header[column]!),
  );
  const ofForm = (wanted: ColumnForm): number[] =>
    open.filter((column) => hasForm(header[column]!, wanted));
  let indices: number[];
  if (named) {
    indices = named.map((name) => {
      const whole = open.find((column) => header[column] === name);
      const column = whole ?? open.find((each) => shortName(header[each]!) === name);
      if (column !== undefined) return column;
      return refuse({ file, row: 0, column: name }, 'this column', header.join(', '));
    });
  } else {
    indices = ofForm(asked ?? form);
    if (indices.length === 0 && asked === null) {
      const taken = new Set(ofForm(other));
      indices = open.filter(
        (column) => !taken.has(column) && !isScaleColumn(header[column]!) && !isText(rows, column),
      );
    }
  }
  if (indices.length === 0) {
    const { prefix, suffix } = asked ?? form;
    refuse(
      { file, row: 0, column: `${prefix}…${suffix}` },
      'columns of this form, or of numbers',
      header.join(', '),
    );
  }
  const names = indices.map((column) => header[column]!);
  checkDistinct(file, names, shortName);
  const chosen = new Set(indices);
  return {
    index,
    indices,
    names,
    ignored: others
      .filter((column) => !chosen.has(column))
      .map((column) => (header[column]!.trim() === '' ? UNNAMED : header[column]!)),
  };
}

function indexOf(file: string, header: readonly string[], asked: string | undefined): number {
  const unnamed = header.length > 1 && header[0]!.trim() === '' ? 0 : -1;
  const index =
    asked === undefined
      ? header.indexOf(DEFAULT_INDEX)
      : asked.trim() === ''
        ? unnamed
        : header.indexOf(asked);
  if (index >= 0) return index;
  if (asked === undefined && unnamed >= 0) return unnamed;
  const found = header.length === 0 ? 'an empty file' : header.join(', ');
  return refuse({ file, row: 0, column: asked ?? DEFAULT_INDEX }, 'this column', found);
}

/** A column of words: something is in it, and nothing that is meant as a number. */
export function isText(rows: CsvRecords['rows'], column: number): boolean {
  const cells = rows.map((record) => record[column]!).filter((text) => !isBlank(text));
  return (
    cells.length > 0 &&
    cells.every((text) => Number.isNaN(Number(text)) && !INFINITE.test(text.trim()))
  );
}

/**
 * Refuses names that are one without what is published around them.
 *
 * @throws MIXTURE_TABLE_INVALID
 */
export function checkDistinct(
  file: string,
  names: readonly string[],
  shortName: (name: string) => string,
): void {
  const seen = new Map<string, string>();
  for (const name of names) {
    const other = seen.get(shortName(name));
    if (other !== undefined) {
      const received = other === name ? `${name} twice` : `${other} and ${name}`;
      refuse({ file, row: 0, column: name }, `one column for ${shortName(name)}`, received);
    }
    seen.set(shortName(name), name);
  }
}

/**
 * An index that was a number on the way: `1.0` and `001` are `1`; null for what is none.
 */
export function numericId(id: string): string | null {
  const match = /^0*(\d{1,300})(?:\.0*)?$/.exec(id);
  return match ? match[1]! : null;
}

/** Row of an id, also as another spelling of its number, where that is the only one; -1 for none. */
export function rowOf(ids: readonly string[], id: string): number {
  const row = ids.indexOf(id);
  const number = row < 0 ? numericId(id) : null;
  if (number === null) return row;
  const rows = ids.flatMap((other, at) => (numericId(other) === number ? [at] : []));
  return rows.length === 1 ? rows[0]! : -1;
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

/** True for a field without a finite number that still says how a run went: nothing, NaN, or an infinite loss. */
export function isUnmeasured(text: string): boolean {
  const trimmed = text.trim();
  return (
    isBlank(text) ||
    INFINITE.test(trimmed) ||
    (NUMBER.test(trimmed) && !Number.isFinite(Number(trimmed)))
  );
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
