/**
 * Byte strings where they lie: a column of values in a few buffers, without an object for any of them. A sink's native
 * writers take them as they are.
 *
 *     value k   sizes[k] bytes from starts[k] of buffers[bufferOf[k]]; null where bufferOf[k] is 255
 */
import type { BytesColumn } from './document-batch.ts';

/** Mark of a null among {@link ByteViews.bufferOf}: so many buffers are one too many. */
export const NULL_VIEW = 255;

/** Values where they lie; they must be read before their buffers' memory is given back. */
export interface ByteViews {
  readonly length: number;
  readonly buffers: readonly Uint8Array[];
  readonly bufferOf: Uint8Array;
  readonly starts: Int32Array;
  readonly sizes: Int32Array;
}

/** Views that are nulls until they are set. */
export function nullViews(length: number, buffers: readonly Uint8Array[]): ByteViews {
  return {
    length,
    buffers,
    bufferOf: new Uint8Array(length).fill(NULL_VIEW),
    starts: new Int32Array(length),
    sizes: new Int32Array(length),
  };
}

/** The values of a column, nulls among them; the column's bytes are the first buffer. */
export function viewsOfColumn(
  { length, offsets, data, validity }: BytesColumn,
  others: readonly Uint8Array[] = [],
): ByteViews {
  const starts = offsets.slice(0, length);
  const sizes = new Int32Array(length);
  for (let row = 0; row < length; row++) sizes[row] = offsets[row + 1]! - starts[row]!;
  const bufferOf = new Uint8Array(length);
  for (let row = 0; validity !== null && row < length; row++) {
    if (((validity[row >> 3]! >> (row & 7)) & 1) === 0) bufferOf[row] = NULL_VIEW;
  }
  return { length, buffers: [data, ...others], bufferOf, starts, sizes };
}

/** Names by their codes. */
export function codedViews(codes: Uint8Array, names: readonly string[]): ByteViews {
  const encoded = names.map((name) => Buffer.from(name));
  const nameSizes = Int32Array.from(encoded, ({ byteLength }) => byteLength);
  const nameStarts = new Int32Array(names.length);
  for (let name = 1; name < names.length; name++) {
    nameStarts[name] = nameStarts[name - 1]! + nameSizes[name - 1]!;
  }
  return {
    length: codes.length,
    buffers: [Buffer.concat(encoded)],
    bufferOf: new Uint8Array(codes.length),
    starts: Int32Array.from(codes, (code) => nameStarts[code]!),
    sizes: Int32Array.from(codes, (code) => nameSizes[code]!),
  };
}

/** True for views, as opposed to values of another form. */
export function isByteViews(values: object): values is ByteViews {
  return 'bufferOf' in values;
}

/** A value where it lies, or null. */
export function viewAt(
  { buffers, bufferOf, starts, sizes }: ByteViews,
  row: number,
): Uint8Array | null {
  const buffer = buffers[bufferOf[row]!];
  return buffer?.subarray(starts[row]!, starts[row]! + sizes[row]!) ?? null;
}

/** The views of some rows. */
export function pickViews(views: ByteViews, rows: Int32Array): ByteViews {
  const length = rows.length;
  const picked = nullViews(length, views.buffers);
  for (let at = 0; at < length; at++) {
    const row = rows[at]!;
    picked.bufferOf[at] = views.bufferOf[row]!;
    picked.starts[at] = views.starts[row]!;
    picked.sizes[at] = views.sizes[row]!;
  }
  return picked;
}
