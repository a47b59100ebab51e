/**
 * Reading a unit of a Parquet file: the text goes from the pages into shared memory without becoming a JS string;
 * the other columns stay in the file until a sink asks for them, so a row group is never in memory whole.
 */
import type { FileMetaData } from 'hyparquet';
import { type ColumnSize, DocumentBatch, reserveBatch } from '../batch/document-batch.ts';
import type { SlabPool } from '../batch/slab-pool.ts';
import { GristmillError, throwIfAborted } from '../errors.ts';
import { callNative, type LeafReader, type LeafWriter } from '../native/index.ts';
import { assembleRows, LevelError } from './dremel.ts';
import { type DecodedChunks, openLeaf, readFooter } from './parquet-file.ts';
import { displayText } from './plain.ts';
import { rowNumbers } from './row-numbers.ts';
import { carriedColumns, columnsOf, type Leaf, leavesOf, matchColumns } from './schema.ts';
import { shapeOf } from './shape.ts';
import { remoteScheme } from './storage/addresses.ts';
import type { StagedFile } from './storage/staged-file.ts';
import type {
  CarriedColumns,
  CarriedRows,
  CorpusColumn,
  CorpusPlan,
  CorpusUnit,
  PlainValue,
  RejectMode,
  SourceFile,
  UnitBatch,
} from './types.ts';

/** Any size: the number of rows is the bound. */
const NO_BYTE_BOUND = Number.MAX_SAFE_INTEGER;

/** Bounds of a batch and the caller's signal. */
export interface BatchOptions {
  readonly batchRows: number;
  readonly batchBytes: number;
  /** JSON lines: see `UnitOptions.reject`. */
  readonly reject?: RejectMode | undefined;
  /** JSON lines: see `UnitOptions.reserved`. */
  readonly reserved?: ReadonlySet<string> | undefined;
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
  const source = await UnitColumns.open(
    file.path,
    footer,
    unit,
    plan.columns,
    options.signal,
    file,
  );
  const carried = source.find(carriedColumns(plan.columns, plan.textColumn), plan.textColumn);
  const rowsBefore = footer.row_groups
    .slice(0, unit.rowGroupStart ?? 0)
    .reduce((sum, group) => sum + BigInt(group.num_rows), 0n);
  const text = source.open(source.named(plan.textColumn).leaves[0]!);
  // Beside the text: what names documents, and what says where they are from.
  const beside = (['id', 'site'] as const).flatMap((name) => {
    const column = name === 'id' ? plan.idColumn : plan.siteColumn;
    return column ? [{ name, reader: idReader(source, column) }] : [];
  });
  // Pages of the next batch are decoded while the caller has this one: the decoder waits for nobody.
  const prepareText = () => {
    const preparing = callNative(text.prepare(options.batchRows, options.batchBytes));
    preparing.catch(() => undefined);
    return preparing;
  };
  let upcoming = prepareText();
  try {
    for (let firstRow = 0; ; ) {
      throwIfAborted(options.signal, 'reading');
      const sizes = await upcoming;
      if (sizes.nRows === 0) return;
      const nRows = sizes.nRows;
      const prepared: PreparedIds[] = [];
      const columns: ColumnSize[] = [
        { name: 'text', dataBytes: sizes.dataBytes, nullCount: sizes.nNulls },
      ];
      for (const { name, reader } of beside) {
        const values = await reader.prepare(firstRow, nRows);
        prepared.push(values);
        columns.push({ name, dataBytes: values.dataBytes, nullCount: values.nNulls });
      }
      const open = await reserveBatch(pool, nRows, columns, 'input', options.signal);
      const batch = new DocumentBatch(open.descriptor);
      const rowStatus = new Uint8Array(nRows);
      try {
        const [textInto, ...besideInto] = open.columns;
        await callNative(
          text.fill(textInto!.offsets, textInto!.data, textInto!.validity, rowStatus),
        );
        for (const [at, values] of prepared.entries()) {
          const into = besideInto[at]!;
          await values.fill(into.offsets, into.data, into.validity);
        }
      } catch (error) {
        batch.release();
        throw error;
      }
      upcoming = prepareText();
      yield {
        batch,
        firstRow,
        rowStatus,
        rowNumbers: rowNumbers(rowsBefore + BigInt(firstRow), nRows),
        rejected: [],
        carry: new ParquetCarry(source, carried, firstRow, nRows),
      };
      firstRow += nRows;
    }
  } finally {
    await upcoming.catch(() => undefined);
    text.close();
    for (const { reader } of beside) reader.close();
    source.release();
  }
}

/** The columns of a unit without its text, for checks of what has none; each is released by the caller. */
export async function* readCarried(
  plan: CorpusPlan,
  unit: CorpusUnit,
  batchRows: number,
): AsyncGenerator<CarriedColumns> {
  const file = plan.files[unit.fileIndex]!;
  const footer = await readFooter(file.path, file.fingerprint);
  const source = await UnitColumns.open(file.path, footer, unit, plan.columns);
  try {
    const own = source.find(plan.columns, null);
    const { nRows } = source;
    for (let row = 0; row < nRows; row += batchRows) {
      yield new ParquetCarry(source, own, row, Math.min(batchRows, nRows - row));
    }
  } finally {
    source.release();
  }
}

interface PreparedIds {
  readonly dataBytes: number;
  readonly nNulls: number;
  fill(offsets: Int32Array, data: Uint8Array, validity: Uint8Array | null): Promise<void>;
}

/** Ids as bytes: byte strings as they are, other types rendered. */
function idReader(source: UnitColumns, name: string) {
  const { column, leaves } = source.named(name);
  const reader = source.open(leaves[0]!);
  const close = (): void => reader.close();
  const { element } = leaves[0]!;
  if (element.type === 'BYTE_ARRAY' && element.converted_type !== 'DECIMAL') {
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
      close,
    };
  }
  const shape = shapeOf(column);
  return {
    async prepare(firstRow: number, nRows: number): Promise<PreparedIds> {
      const values = assembleRows(shape, [await callNative(reader.rows(firstRow, nRows))], nRows);
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
    close,
  };
}

/** A column of the file and its leaves. */
interface FileColumn {
  readonly column: CorpusColumn;
  readonly leaves: readonly Leaf[];
}

/**
 * The columns of one unit, read on demand by row range. Shared by the unit's batches; its files are closed with the
 * last reference (the generator's, or a batch's carry).
 */
class UnitColumns {
  readonly path: string;
  readonly #columns: readonly FileColumn[];
  readonly #footer: FileMetaData;
  readonly #unit: CorpusUnit;
  readonly #readers = new Map<Leaf, { reader: LeafReader; nextRow: number; lastRow: number }>();
  #references = 1;

  #staged: StagedFile | null = null;
  #decoded: DecodedChunks | null = null;

  private constructor(path: string, footer: FileMetaData, unit: CorpusUnit) {
    this.path = path;
    this.#footer = footer;
    this.#unit = unit;
    let leafStart = 0;
    this.#columns = columnsOf(footer.schema).map((column) => {
      const leaves = leavesOf(column, leafStart);
      leafStart += leaves.length;
      return { column, leaves };
    });
  }

  /**
   * @param wanted columns that will be read
   * @param file the same file as the plan has it, where what was fetched ahead of it is wanted
   */
  static async open(
    path: string,
    footer: FileMetaData,
    unit: CorpusUnit,
    wanted: readonly CorpusColumn[],
    signal?: AbortSignal,
    file?: SourceFile,
  ): Promise<UnitColumns> {
    const source = new UnitColumns(path, footer, unit);
    const names = new Set(wanted.map(({ name }) => name));
    const leaves = source.#columns
      .filter(({ column }) => names.has(column.name))
      .flatMap(({ leaves: own }) => own.map(({ index }) => index));
    if (remoteScheme(path) !== null) {
      const { stagedChunks, takeAhead } = await import('./staged-chunks.ts');
      source.#staged =
        (file && (await takeAhead(file, unit))) ??
        (await stagedChunks(path, footer, unit, leaves, signal));
    }
    try {
      const at = source.#staged?.path ?? path;
      if (hasBrotli(footer)) {
        // Loaded with the first file of its kind: hardly any run reads one.
        const { decodeBrotli } = await import('./brotli-chunks.ts');
        source.#decoded = await decodeBrotli(path, footer, unit, leaves, at);
      }
    } catch (error) {
      await source.#staged?.release();
      throw error;
    }
    return source;
  }

  /** Rows of the unit. */
  get nRows(): number {
    const groups = this.#footer.row_groups.slice(
      this.#unit.rowGroupStart!,
      this.#unit.rowGroupEnd!,
    );
    return groups.reduce((sum, { num_rows }) => sum + Number(num_rows), 0);
  }

  /** The (first) column of a name. */
  named(name: string): FileColumn {
    const found = this.#columns.find(({ column }) => column.name === name);
    if (found) return found;
    const reason = `its column ${name} is gone since the plan was made`;
    throw new GristmillError('CORPUS_FILE_INVALID', { file: this.path, reason });
  }

  /** The file's own form of carried columns. */
  find(carried: readonly CorpusColumn[], textColumn: string | null): FileColumn[] {
    const own = this.#columns.map(({ column }) => column);
    const kept = carriedColumns(own, textColumn);
    return matchColumns(carried, kept).map((at, wanted) => {
      const column = kept[at];
      return column
        ? this.#columns.find((c) => c.column === column)!
        : this.named(carried[wanted]!.name);
    });
  }

  open(leaf: Leaf): LeafReader {
    return openLeaf(
      this.path,
      this.#footer,
      leaf,
      this.#unit.rowGroupStart!,
      this.#unit.rowGroupEnd!,
      this.#decoded,
      this.#staged?.path,
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
    // Files that are open stay readable; what cannot be removed is the system's to clean.
    this.#decoded?.remove().catch(() => undefined);
    this.#staged?.release().catch(() => undefined);
  }

  /** A reader that can still deliver `firstRow`: the open one, or a new one when a sink goes back. */
  readerAt(leaf: Leaf, firstRow: number, nRows: number): LeafReader {
    const open = this.#readers.get(leaf);
    const again = open?.lastRow === firstRow && open.nextRow === firstRow + nRows;
    if (open && (again || firstRow >= open.nextRow)) {
      open.lastRow = firstRow;
      open.nextRow = firstRow + nRows;
      return open.reader;
    }
    open?.reader.close();
    const reader = this.open(leaf);
    this.#readers.set(leaf, { reader, nextRow: firstRow + nRows, lastRow: firstRow });
    return reader;
  }

  /** Values of a column in the rows `[firstRow, firstRow + nRows)` of the unit. */
  async plain(
    { column, leaves }: FileColumn,
    firstRow: number,
    nRows: number,
  ): Promise<PlainValue[]> {
    const rows = await settled(
      leaves.map((leaf) => callNative(this.readerAt(leaf, firstRow, nRows).rows(firstRow, nRows))),
    );
    try {
      return assembleRows(shapeOf(column), rows, nRows);
    } catch (cause) {
      if (!(cause instanceof LevelError)) throw cause;
      throw new GristmillError(
        'CORPUS_CORRUPT',
        {
          file: this.path,
          rowGroup: this.#rowGroupOf(firstRow),
          column: column.name,
          offset: '?',
          reason: cause.message,
        },
        { cause },
      );
    }
  }

  #rowGroupOf(row: number): number {
    let end = 0;
    for (let index = this.#unit.rowGroupStart!; index < this.#unit.rowGroupEnd!; index++) {
      end += Number(this.#footer.row_groups[index]!.num_rows);
      if (row < end) return index;
    }
    return this.#unit.rowGroupEnd! - 1;
  }
}

/** All results, once every call has settled: none goes on with memory that its caller gives up. */
async function settled<T>(calls: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(calls);
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

/** Carried columns of a Parquet batch: a row range of its unit. */
class ParquetCarry implements CarriedColumns {
  readonly columns: readonly CorpusColumn[];
  readonly nRows: number;
  readonly #source: UnitColumns;
  readonly #own: readonly FileColumn[];
  readonly #firstRow: number;
  /** Values once somebody has asked for them: the sinks of kept and of dropped rows ask for the same batch. */
  #plain: Promise<readonly PlainValue[][]> | null = null;
  #released = false;

  constructor(source: UnitColumns, own: readonly FileColumn[], firstRow: number, nRows: number) {
    source.retain();
    this.#source = source;
    this.#own = own;
    this.columns = own.map(({ column }) => column);
    this.#firstRow = firstRow;
    this.nRows = nRows;
  }

  select(rows: Int32Array | null): CarriedRows {
    const source = this.#source;
    const [firstRow, nRows, own] = [this.#firstRow, this.nRows, this.#own];
    return {
      nRows: rows?.length ?? nRows,
      json: null,
      plain: async () => {
        this.#plain ??= settled(own.map((column) => source.plain(column, firstRow, nRows)));
        const columns = await this.#plain;
        if (!rows) return columns;
        return columns.map((all) => Array.from(rows, (row) => all[row]));
      },
      leaves: {
        appendTo: (writer: LeafWriter, column, leaf) => {
          const reader = source.readerAt(own[column]!.leaves[leaf]!, firstRow, nRows);
          return callNative(writer.appendLeaf(reader, firstRow, nRows, rows));
        },
      },
    };
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#plain = null;
    this.#source.release();
  }
}

function hasBrotli({ row_groups: rowGroups }: FileMetaData): boolean {
  return rowGroups.some(({ columns }) =>
    columns.some((each) => each.meta_data?.codec === 'BROTLI'),
  );
}
