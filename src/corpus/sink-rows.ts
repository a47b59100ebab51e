/** Shapes in which rows reach a sink, turned into byte columns. */
import { type ByteViews, isByteViews, NULL_VIEW, pickViews, viewAt } from '../batch/byte-views.ts';
import { type BytesColumn, bytesAt, isNullAt } from '../batch/document-batch.ts';
import { GristmillError } from '../errors.ts';
import type { LeafWriter } from '../native/index.ts';
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

/** The text of one row where it lies, or null. */
export function textAt(text: SinkRows['text'], row: number): Uint8Array | null {
  if (isByteViews(text)) return viewAt(text, row);
  if (!isColumn(text)) return text[row] ?? null;
  return isNullAt(text, row) ? null : bytesAt(text, row);
}

/** Hands texts to the writer of a leaf column from where they lie: nothing is copied on this thread. */
export function appendTexts(
  writer: LeafWriter,
  text: SinkRows['text'],
  part: Int32Array | null,
): Promise<void> {
  if (isColumn(text)) return writer.appendArrow(text.offsets, text.data, text.validity, part);
  if (isByteViews(text)) return appendViews(writer, text, part);
  const views = viewsOf(text, part);
  if (views) return writer.appendViews(views.buffers, views.bufferOf, views.starts, views.sizes);
  const { offsets, data, validity } = packBytes(text);
  return writer.appendArrow(offsets, data, validity, part);
}

/** Hands views to the writer of a leaf column. */
export function appendViews(
  writer: LeafWriter,
  views: ByteViews,
  part: Int32Array | null,
): Promise<void> {
  const { buffers, bufferOf, starts, sizes } = part ? pickViews(views, part) : views;
  return writer.appendViews(buffers, bufferOf, starts, sizes);
}

/** A value of an extra column; null for what is missing, and for no number. */
export function extraAt(
  values: ExtraValues | undefined,
  row: number,
): string | Uint8Array | number | bigint | null {
  if (values === undefined) return null;
  if (isByteViews(values)) return viewAt(values, row);
  const value = values[row] ?? null;
  return typeof value === 'number' && Number.isNaN(value) ? null : value;
}

/** Furthest start of a view that is handed over as one. */
const MAX_START = 2 ** 31 - 1;

/** Views by the memory that they lie in; null where they lie in too many places, or too far in. */
function viewsOf(text: readonly (Uint8Array | null)[], part: Int32Array | null) {
  const nRows = part?.length ?? text.length;
  const bufferOf = new Uint8Array(nRows).fill(NULL_VIEW);
  const starts = new Int32Array(nRows);
  const sizes = new Int32Array(nRows);
  const indices = new Map<ArrayBufferLike, number>();
  for (let at = 0; at < nRows; at++) {
    const view = text[part?.[at] ?? at] ?? null;
    if (view === null) continue;
    const { buffer, byteOffset, byteLength } = view;
    let index = indices.get(buffer);
    if (index === undefined) {
      index = indices.size;
      if (index === NULL_VIEW) return null;
      indices.set(buffer, index);
    }
    if (byteOffset > MAX_START) return null;
    bufferOf[at] = index;
    starts[at] = byteOffset;
    sizes[at] = byteLength;
  }
  const buffers = Array.from(indices.keys(), (buffer) => new Uint8Array(buffer));
  return { buffers, bufferOf, starts, sizes };
}

/** Values of an extra string column as bytes; missing values are null. */
export function extraBytes(
  values: Exclude<ExtraValues, ByteViews> | undefined,
  nRows: number,
): PlainColumn {
  const ascii = packAscii(values, nRows);
  if (ascii) return ascii;
  return packBytes(
    Array.from({ length: nRows }, (_, row) => {
      const value = values?.[row];
      if (value === null || value === undefined) return null;
      return typeof value === 'string' ? Buffer.from(value) : (value as Uint8Array);
    }),
  );
}

/** Strings whose characters are bytes, encoded together; null where some are not, or are no strings. */
function packAscii(
  values: Exclude<ExtraValues, ByteViews> | undefined,
  nRows: number,
): PlainColumn | null {
  const offsets = new Int32Array(nRows + 1);
  const strings: string[] = new Array(nRows);
  let validity: Uint8Array | null = null;
  let total = 0;
  for (let row = 0; row < nRows; row++) {
    const value = values?.[row] ?? null;
    if (value !== null && typeof value !== 'string') return null;
    strings[row] = value ?? '';
    if (value === null) validity ??= new Uint8Array(Math.ceil(nRows / 8)).fill(0xff);
    if (value === null) validity![row >> 3]! &= ~(1 << (row & 7));
    total += strings[row]!.length;
    if (total > MAX_START) return null;
    offsets[row + 1] = total;
  }
  const data = Buffer.from(strings.join(''));
  // One byte a character: every one of them is ASCII.
  return data.byteLength === total ? { offsets, data, validity } : null;
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
