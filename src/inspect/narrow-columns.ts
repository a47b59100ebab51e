/**
 * Columns of a Parquet file by themselves, as bytes: what the index is made of. Row groups are read one after the other, in
 * batches of bounded rows and bytes, and no string is made of a text.
 */
import type { FileMetaData } from 'hyparquet';
import { openLeaf, readFooter } from '../corpus/parquet-file.ts';
import { columnsOf, isTextColumn, type Leaf, leavesOf } from '../corpus/schema.ts';
import { callNative } from '../native/index.ts';

const BATCH = Object.freeze({ rows: 65_536, bytes: 4 * 2 ** 20 });
/** Buffers that are handed on from one column to the next: those that are not grow faster than they are collected. */
const idle: Buffer[] = [];
const MAX_IDLE = 2;

/** Byte strings of some rows: value `row` is `data[offsets[row] .. offsets[row + 1])`; valid until the next ones are asked for. */
export interface BytesBatch {
  readonly firstRow: number;
  readonly nRows: number;
  readonly offsets: Int32Array;
  readonly data: Buffer;
  isNull(row: number): boolean;
}

/** A file and where its columns are. */
export class NarrowColumns {
  readonly nRows: number;
  readonly #path: string;
  readonly #footer: FileMetaData;
  readonly #range: readonly [number, number];
  readonly #leaves = new Map<string, { readonly leaf: Leaf; readonly isText: boolean }>();

  private constructor(path: string, footer: FileMetaData, range: readonly [number, number]) {
    this.#path = path;
    this.#footer = footer;
    this.#range = range;
    const groups = footer.row_groups.slice(...range);
    this.nRows = groups.reduce((sum, { num_rows: rows }) => sum + Number(rows), 0);
    let leafStart = 0;
    for (const column of columnsOf(footer.schema)) {
      const leaves = leavesOf(column, leafStart);
      leafStart += leaves.length;
      const [leaf] = leaves;
      const isFlat = column.elements.length === 1 && leaf?.type.maxRepetition === 0;
      if (!leaf || !isFlat || this.#leaves.has(column.name)) continue;
      this.#leaves.set(column.name, { leaf, isText: isTextColumn(column) });
    }
  }

  /**
   * Opens a file.
   *
   * @param range row groups, the last excluded; default all
   * @throws CORPUS_READ_FAILED, CORPUS_FILE_INVALID, CORPUS_UNSUPPORTED
   */
  static async open(
    path: string,
    range: readonly [number, number] = [0, Number.MAX_SAFE_INTEGER],
  ): Promise<NarrowColumns> {
    return new NarrowColumns(path, await readFooter(path), range);
  }

  /** Whether it has a flat column of byte strings of this name. */
  hasText(name: string): boolean {
    return this.#leaves.get(name)?.isText === true;
  }

  /** Byte strings of a column; nothing where there is no such column. */
  async *texts(name: string): AsyncGenerator<BytesBatch> {
    const found = this.#leaves.get(name);
    if (!found?.isText) return;
    const reader = this.#reader(found.leaf);
    let scratch = idle.pop() ?? Buffer.allocUnsafeSlow(BATCH.bytes);
    try {
      for (let firstRow = 0; ; ) {
        const sizes = await callNative(reader.prepare(BATCH.rows, BATCH.bytes));
        const { nRows, dataBytes, nNulls } = sizes;
        if (nRows === 0) return;
        const offsets = new Int32Array(nRows + 1);
        // A text that is larger than a batch is one by itself.
        if (dataBytes > scratch.byteLength) scratch = Buffer.allocUnsafeSlow(dataBytes);
        const data = scratch.subarray(0, dataBytes);
        const validity = nNulls > 0 ? new Uint8Array(Math.ceil(nRows / 8)) : null;
        await callNative(reader.fill(offsets, data, validity, null));
        const isNull = (row: number): boolean =>
          validity !== null && (validity[row >> 3]! & (1 << (row & 7))) === 0;
        yield { firstRow, nRows, offsets, data, isNull };
        firstRow += nRows;
      }
    } finally {
      reader.close();
      if (idle.length < MAX_IDLE && scratch.byteLength <= BATCH.bytes) idle.push(scratch);
    }
  }

  /** Doubles or 64-bit integers of a column, NaN for null; null where there is no such column. */
  async numbers(name: string): Promise<Float64Array | null> {
    const found = this.#leaves.get(name);
    if (!found || this.nRows === 0) return null;
    const { type } = found.leaf.element;
    if (type !== 'DOUBLE' && type !== 'INT64') return null;
    const reader = this.#reader(found.leaf);
    const values = new Float64Array(this.nRows).fill(Number.NaN);
    try {
      for (let firstRow = 0; firstRow < this.nRows; firstRow += BATCH.rows) {
        const nRows = Math.min(BATCH.rows, this.nRows - firstRow);
        const { definition, data } = await callNative(reader.rows(firstRow, nRows));
        const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
        let at = 0;
        for (let row = 0; row < nRows; row++) {
          if (definition && definition[row] !== found.leaf.type.maxDefinition) continue;
          values[firstRow + row] =
            type === 'DOUBLE' ? view.getFloat64(at, true) : Number(view.getBigInt64(at, true));
          at += 8;
        }
      }
      return values;
    } finally {
      reader.close();
    }
  }

  #reader(leaf: Leaf) {
    const [start, end] = this.#range;
    return openLeaf(this.#path, this.#footer, leaf, start, end);
  }
}
