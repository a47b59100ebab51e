/**
 * Reading a unit of a Parquet file: the text goes from the pages into shared memory without becoming a JS string;
 * the other columns stay in the file until a sink asks for them, so a row group is never in memory whole.
 */
import { type FileMetaData, parquetReadObjects } from 'hyparquet';
import { DocumentBatch, reserveBatch } from '../batch/document-batch.ts';
import type { SlabPool } from '../batch/slab-pool.ts';
import { GristmillError, isGristmillError, throwIfAborted } from '../errors.ts';
import { callNative, type LeafReader, type LeafWriter } from '../native.ts';
import { COMPRESSORS, openLeaf, readFooter, withFile } from './parquet-file.ts';
import { displayText, plainSchema } from './plain.ts';
import { columnsOf, type Leaf, leavesOf } from './schema.ts';
import type {
  CarriedColumns,
  CarriedRows,
  CorpusColumn,
  CorpusPlan,
  CorpusUnit,
  PlainValue,
  UnitBatch,
} from './types.ts';

/** Rows that are decoded at once where values are needed as JS values. */
const PLAIN_SLICE_ROWS = 8192;
/** Any size: the number of rows is the bound. */
const NO_BYTE_BOUND = Number.MAX_SAFE_INTEGER;

/** Bounds of a batch and the caller's signal. */
export interface BatchOptions {
  readonly batchRows: number;
  readonly batchBytes: number;
  readonly signal?: AbortSignal | undefined;
}

/** @see openUnit */
export async function* openParquetUnit(
  plan: CorpusPlan,
  unit: CorpusUnit,
  pool: SlabPool,
  options: BatchOptions,
): AsyncGenerator<UnitBatch> {
  const file = plan.files[unit.fileIndex]!;
  const footer = await readFooter(file.path, file.fingerprint);
  const source = new UnitColumns(file.path, footer, unit);
  const carried = plan.columns.filter((column) => column.name !== plan.textColumn);
  const text = source.open(leafOf(source, plan.textColumn));
  const id = plan.idColumn === null ? null : idReader(source, plan.idColumn, footer);
  try {
    for (let firstRow = 0; ; ) {
      throwIfAborted(options.signal, 'reading');
      const sizes = await callNative(text.prepare(options.batchRows, options.batchBytes));
      if (sizes.nRows === 0) return;
      const nRows = sizes.nRows;
      const ids = id && (await id.prepare(firstRow, nRows));
      const columns = [
        { name: 'text' as const, dataBytes: sizes.dataBytes, nullCount: sizes.nNulls },
      ];
      if (ids)
        columns.push({ name: 'id' as never, dataBytes: ids.dataBytes, nullCount: ids.nNulls });
      const open = await reserveBatch(pool, nRows, columns, 'input', options.signal);
      const batch = new DocumentBatch(open.descriptor);
      const rowStatus = new Uint8Array(nRows);
      try {
        const [textInto, idInto] = open.columns;
        await callNative(
          text.fill(textInto!.offsets, textInto!.data, textInto!.validity, rowStatus),
        );
        if (ids && idInto) await ids.fill(idInto.offsets, idInto.data, idInto.validity);
      } catch (error) {
        batch.release();
        throw error;
      }
      yield {
        batch,
        firstRow,
        rowStatus,
        carry: new ParquetCarry(source, carried, firstRow, nRows),
      };
      firstRow += nRows;
    }
  } finally {
    text.close();
    id?.close();
    source.release();
  }
}

function leafOf(source: UnitColumns, name: string): Leaf {
  const column = source.columns.find((c) => c.name === name);
  if (column) return leavesOf(column)[0]!;
  const reason = `its column ${name} is gone since the plan was made`;
  throw new GristmillError('CORPUS_FILE_INVALID', { file: source.path, reason });
}

interface PreparedIds {
  readonly dataBytes: number;
  readonly nNulls: number;
  fill(offsets: Int32Array, data: Uint8Array, validity: Uint8Array | null): Promise<void>;
}

/** Ids as bytes: byte strings as they are, other types rendered. */
function idReader(source: UnitColumns, name: string, footer: FileMetaData) {
  const leaf = leafOf(source, name);
  const column = columnsOf(footer.schema).find((c) => c.name === name)!;
  if (leaf.element.type === 'BYTE_ARRAY' && !leaf.element.converted_type?.startsWith('DECIMAL')) {
    const reader = source.open(leaf);
    return {
      async prepare(_firstRow: number, nRows: number): Promise<PreparedIds> {
        const sizes = await callNative(reader.prepare(nRows, NO_BYTE_BOUND));
        if (sizes.nRows !== nRows) {
          const reason = `column ${name} ends before the text column`;
          throw new GristmillError('CORPUS_FILE_INVALID', { file: source.path, reason });
        }
        return {
          ...sizes,
          fill: (offsets, data, validity) => callNative(reader.fill(offsets, data, validity, null)),
        };
      },
      close: () => reader.close(),
    };
  }
  return {
    async prepare(firstRow: number, nRows: number): Promise<PreparedIds> {
      const values = (await source.plain([column], firstRow, nRows)).get(name)!;
      const encoded = values.map((value) => {
        return value === null || value === undefined
          ? null
          : Buffer.from(displayText(column, value));
      });
      return {
        dataBytes: encoded.reduce((sum, bytes) => sum + (bytes?.byteLength ?? 0), 0),
        nNulls: encoded.filter((bytes) => bytes === null).length,
        async fill(offsets, data, validity) {
          validity?.fill(0);
          let end = 0;
          offsets[0] = 0;
          for (const [row, bytes] of encoded.entries()) {
            if (bytes) {
              data.set(bytes, end);
              end += bytes.byteLength;
              if (validity) validity[row >> 3]! |= 1 << (row & 7);
            }
            offsets[row + 1] = end;
          }
        },
      };
    },
    close: () => undefined,
  };
}

/**
 * The columns of one unit, read on demand by row range. Shared by the unit's batches; its files are closed with the
 * last reference (the generator's, or a batch's carry).
 */
class UnitColumns {
  readonly path: string;
  readonly columns: readonly CorpusColumn[];
  readonly #footer: FileMetaData;
  readonly #unit: CorpusUnit;
  readonly #readers = new Map<string, { reader: LeafReader; nextRow: number; lastRow: number }>();
  #references = 1;
  #slice: {
    key: string;
    start: number;
    end: number;
    rows: readonly Record<string, PlainValue>[];
  } | null = null;

  constructor(path: string, footer: FileMetaData, unit: CorpusUnit) {
    this.path = path;
    this.#footer = footer;
    this.#unit = unit;
    this.columns = columnsOf(footer.schema);
  }

  open(leaf: Leaf): LeafReader {
    return openLeaf(
      this.path,
      this.#footer,
      leaf,
      this.#unit.rowGroupStart!,
      this.#unit.rowGroupEnd!,
    );
  }

  retain(): void {
    this.#references++;
  }

  release(): void {
    this.#references--;
    if (this.#references > 0) return;
    for (const { reader } of this.#readers.values()) reader.close();
    this.#readers.clear();
    this.#slice = null;
  }

  /** A reader that can still deliver `firstRow`: the open one, or a new one when a sink goes back. */
  readerAt(path: readonly string[], firstRow: number, nRows: number): LeafReader {
    const key = path.join('.');
    const open = this.#readers.get(key);
    const again = open?.lastRow === firstRow && open.nextRow === firstRow + nRows;
    if (open && (again || firstRow >= open.nextRow)) {
      open.lastRow = firstRow;
      open.nextRow = firstRow + nRows;
      return open.reader;
    }
    open?.reader.close();
    const column = this.columns.find((c) => c.name === path[0]);
    const leaf = column && leavesOf(column).find((l) => l.path.join('.') === key);
    if (!leaf) {
      const reason = `its column ${key} is gone since the plan was made`;
      throw new GristmillError('CORPUS_FILE_INVALID', { file: this.path, reason });
    }
    const reader = this.open(leaf);
    this.#readers.set(key, { reader, nextRow: firstRow + nRows, lastRow: firstRow });
    return reader;
  }

  /** Values of the rows `[firstRow, firstRow + nRows)` of the unit. */
  async plain(
    columns: readonly CorpusColumn[],
    firstRow: number,
    nRows: number,
  ): Promise<Map<string, PlainValue[]>> {
    const values = new Map<string, PlainValue[]>(columns.map((column) => [column.name, []]));
    let row = firstRow;
    while (row < firstRow + nRows) {
      const slice = await this.#load(columns, row);
      const end = Math.min(slice.end, firstRow + nRows);
      for (; row < end; row++) {
        const source = slice.rows[row - slice.start]!;
        for (const [name, into] of values) into.push(source[name]);
      }
    }
    return values;
  }

  async #load(columns: readonly CorpusColumn[], row: number) {
    const names = columns.map((column) => column.name);
    const key = names.join('\n');
    const known = this.#slice;
    if (known && known.key === key && row >= known.start && row < known.end) return known;
    let fileRow = 0;
    let groupStart = 0;
    let rowGroup = 0;
    for (const [index, group] of this.#footer.row_groups.entries()) {
      const rows = Number(group.num_rows);
      if (index < this.#unit.rowGroupStart!) fileRow += rows;
      else if (row < groupStart + rows) {
        rowGroup = index;
        break;
      } else groupStart += rows;
    }
    const groupRows = Number(this.#footer.row_groups[rowGroup]!.num_rows);
    const offset = Math.floor((row - groupStart) / PLAIN_SLICE_ROWS) * PLAIN_SLICE_ROWS;
    const start = groupStart + offset;
    const end = Math.min(groupStart + groupRows, start + PLAIN_SLICE_ROWS);
    try {
      const rows = await withFile(this.path, (file) =>
        parquetReadObjects({
          file,
          metadata: { ...this.#footer, schema: plainSchema(this.#footer.schema) },
          columns: names,
          rowStart: fileRow + start,
          rowEnd: fileRow + end,
          compressors: COMPRESSORS,
          utf8: false,
          geoparquet: false,
        }),
      );
      this.#slice = { key, start, end, rows: rows as Record<string, PlainValue>[] };
      return this.#slice;
    } catch (cause) {
      if (isGristmillError(cause)) throw cause;
      throw new GristmillError(
        'CORPUS_CORRUPT',
        {
          file: this.path,
          rowGroup,
          column: names.join(', '),
          offset: '?',
          reason: (cause as Error).message,
        },
        { cause },
      );
    }
  }
}

/** Carried columns of a Parquet batch: a row range of its unit. */
class ParquetCarry implements CarriedColumns {
  readonly columns: readonly CorpusColumn[];
  readonly nRows: number;
  readonly #source: UnitColumns;
  readonly #firstRow: number;
  #released = false;

  constructor(
    source: UnitColumns,
    columns: readonly CorpusColumn[],
    firstRow: number,
    nRows: number,
  ) {
    source.retain();
    this.#source = source;
    this.columns = columns;
    this.#firstRow = firstRow;
    this.nRows = nRows;
  }

  select(rows: Int32Array | null): CarriedRows {
    const source = this.#source;
    const [firstRow, nRows, columns] = [this.#firstRow, this.nRows, this.columns];
    return {
      nRows: rows?.length ?? nRows,
      json: null,
      async plain() {
        const values = await source.plain(columns, firstRow, nRows);
        if (!rows) return values;
        return new Map(
          [...values].map(([name, all]) => [name, Array.from(rows, (row) => all[row])]),
        );
      },
      leaves: {
        appendTo: (writer: LeafWriter, path) =>
          callNative(
            writer.appendLeaf(source.readerAt(path, firstRow, nRows), firstRow, nRows, rows),
          ),
      },
    };
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#source.release();
  }
}
