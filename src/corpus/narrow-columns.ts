/**
 * Columns of a Parquet file by themselves, as bytes or numbers: what an index of a run and the places of its dropped rows are
 * read from. Row groups are read one after the other, in batches of bounded rows and bytes, and no string is made of a text.
 *
 * Of a file behind an address the chunks of the columns that were named at opening are fetched together, before the first of
 * them is read, and kept until the file is closed.
 */
import type { FileMetaData } from 'hyparquet';
import { callNative } from '../native/index.ts';
import { openLeaf, readFooter } from './parquet-file.ts';
import { columnsOf, isTextColumn, type Leaf, leavesOf } from './schema.ts';
import { stagedChunks } from './staged-chunks.ts';
import { remoteScheme } from './storage/addresses.ts';
import type { StagedFile } from './storage/staged-file.ts';

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

/** Options of {@link NarrowColumns.open}. */
export interface NarrowOptions {
  /** Row groups, the last excluded. Default: all. */
  readonly range?: readonly [start: number, end: number];
  /** Of the content, where it is known: the footer is read once. */
  readonly fingerprint?: string;
  readonly signal?: AbortSignal | undefined;
}

/** A file and where its columns are. */
export class NarrowColumns implements AsyncDisposable {
  readonly nRows: number;
  readonly #path: string;
  readonly #footer: FileMetaData;
  readonly #range: readonly [number, number];
  readonly #leaves: ReadonlyMap<string, { readonly leaf: Leaf; readonly isText: boolean }>;
  /** What was fetched of a file behind an address. */
  #staged: StagedFile | null = null;

  private constructor(path: string, footer: FileMetaData, range: readonly [number, number]) {
    this.#path = path;
    this.#footer = footer;
    this.#range = range;
    const groups = footer.row_groups.slice(...range);
    this.nRows = groups.reduce((sum, { num_rows: rows }) => sum + Number(rows), 0);
    this.#leaves = flatLeaves(footer);
  }

  /**
   * Opens a file.
   *
   * @param columns those that will be read; of files behind an address no others can be
   * @throws CORPUS_READ_FAILED, CORPUS_FILE_INVALID, CORPUS_UNSUPPORTED, STORAGE_*, ABORTED
   */
  static async open(
    path: string,
    columns: readonly string[],
    { range = [0, Number.MAX_SAFE_INTEGER], fingerprint, signal }: NarrowOptions = {},
  ): Promise<NarrowColumns> {
    const footer = await readFooter(path, fingerprint);
    const [start, last] = range;
    const end = Math.min(last, footer.row_groups.length);
    const opened = new NarrowColumns(path, footer, [start, end]);
    if (remoteScheme(path) === null) return opened;
    const leaves = columns.flatMap((name) => opened.#leaves.get(name)?.leaf.index ?? []);
    const groups = { rowGroupStart: start, rowGroupEnd: end };
    opened.#staged = await stagedChunks(path, footer, groups, leaves, signal);
    return opened;
  }

  /** Gives back what was fetched. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#staged?.release();
    this.#staged = null;
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
    const { maxDefinition } = found.leaf.type;
    const reader = this.#reader(found.leaf);
    const values = new Float64Array(this.nRows).fill(Number.NaN);
    try {
      for (let firstRow = 0; firstRow < this.nRows; firstRow += BATCH.rows) {
        const nRows = Math.min(BATCH.rows, this.nRows - firstRow);
        const { definition, data } = await callNative(reader.rows(firstRow, nRows));
        const present = presentNumbers(data, type);
        let at = 0;
        for (let row = 0; row < nRows; row++) {
          if (definition && definition[row] !== maxDefinition) continue;
          values[firstRow + row] = Number(present[at++]);
        }
      }
      return values;
    } finally {
      reader.close();
    }
  }

  #reader(leaf: Leaf) {
    const [start, end] = this.#range;
    return openLeaf(this.#path, this.#footer, leaf, start, end, null, this.#staged?.path);
  }
}

/** Columns of one leaf without repetition; the first of a name counts. */
function flatLeaves(footer: FileMetaData) {
  const found = new Map<string, { readonly leaf: Leaf; readonly isText: boolean }>();
  let leafStart = 0;
  for (const column of columnsOf(footer.schema)) {
    const leaves = leavesOf(column, leafStart);
    leafStart += leaves.length;
    const [leaf] = leaves;
    const isFlat = column.elements.length === 1 && leaf?.type.maxRepetition === 0;
    if (!leaf || !isFlat || found.has(column.name)) continue;
    found.set(column.name, { leaf, isText: isTextColumn(column) });
  }
  return found;
}

/** Values of eight bytes, copied where they do not lie as arrays want them. */
function presentNumbers(data: Uint8Array, type: 'DOUBLE' | 'INT64'): Float64Array | BigInt64Array {
  const { buffer, byteOffset, byteLength } = byteOffsetOf(data);
  return type === 'DOUBLE'
    ? new Float64Array(buffer, byteOffset, byteLength / 8)
    : new BigInt64Array(buffer, byteOffset, byteLength / 8);
}

function byteOffsetOf(data: Uint8Array): Uint8Array {
  return data.byteOffset % 8 === 0 ? data : Uint8Array.from(data);
}
