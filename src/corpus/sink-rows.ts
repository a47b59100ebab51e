/** Shapes in which rows reach a sink, turned into byte columns. */
import type { BytesColumn } from '../batch/document-batch.ts';
import { GristmillError } from '../errors.ts';
import { matchColumns } from './schema.ts';
import type { SinkColumn } from './sink-types.ts';
import type { CarriedColumns, ExtraValues, PlainValue, SinkRows } from './types.ts';

/** Byte column without the batch around it. */
export type PlainColumn = Pick<BytesColumn, 'offsets' | 'data' | 'validity'>;

/** Rows that will be written. */
export function rowCount({ text, rows }: SinkRows): number {
  return rows?.length ?? text.length;
}

function isColumn(text: SinkRows['text']): text is BytesColumn {
  return 'offsets' in text;
}

/** For each column of the output the carried values that go there; null for other columns and where there are none. */
export function carriedValues(
  columns: readonly SinkColumn[],
  carry: CarriedColumns | null,
  plain: readonly (readonly PlainValue[])[],
): (readonly PlainValue[] | null)[] {
  return carriedIndices(columns, carry).map((index) => plain[index] ?? null);
}

/** For each column of the output the index of its carried column; -1 for other columns and where there is none. */
export function carriedIndices(
  columns: readonly SinkColumn[],
  carry: CarriedColumns | null,
): number[] {
  const carried = columns.filter(({ role }) => role === 'carry').map(({ column }) => column);
  const indices = matchColumns(carried, carry?.columns ?? []);
  let next = 0;
  return columns.map(({ role }) => (role === 'carry' ? indices[next++]! : -1));
}

/** The texts as one column; views are copied together. */
export function textColumnOf(text: SinkRows['text']): PlainColumn {
  return isColumn(text) ? text : packBytes(text);
}

/** The text of one row, or null. */
export function textAt(column: PlainColumn, row: number): Uint8Array | null {
  if (column.validity && ((column.validity[row >> 3]! >> (row & 7)) & 1) === 0) return null;
  return column.data.subarray(column.offsets[row], column.offsets[row + 1]);
}

/** Values of an extra string column as bytes; missing values are null. */
export function extraBytes(values: ExtraValues | undefined, nRows: number): PlainColumn {
  return packBytes(
    Array.from({ length: nRows }, (_, row) => {
      const value = values?.[row];
      if (value === null || value === undefined) return null;
      return typeof value === 'string' ? Buffer.from(value) : (value as Uint8Array);
    }),
  );
}

/** Views copied into one column. */
export function packBytes(values: readonly (Uint8Array | null)[]): PlainColumn {
  const offsets = new Int32Array(values.length + 1);
  let total = 0;
  let nNulls = 0;
  for (const [row, value] of values.entries()) {
    total += value?.byteLength ?? 0;
    if (value === null) nNulls++;
    offsets[row + 1] = total;
  }
  if (total > 2 ** 31 - 1) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'text',
      expected: 'at most 2 GiB of text in one call',
      received: total,
    });
  }
  const data = new Uint8Array(total);
  const validity = nNulls > 0 ? new Uint8Array(Math.ceil(values.length / 8)) : null;
  for (const [row, value] of values.entries()) {
    if (value === null) continue;
    data.set(value, offsets[row]);
    if (validity) validity[row >> 3]! |= 1 << (row & 7);
  }
  return { offsets, data, validity };
}
