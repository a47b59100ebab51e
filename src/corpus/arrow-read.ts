/** Reading Arrow IPC, from a file or standard input: batches are copied into slabs and cut to size. */
import { buildBatch } from '../batch/document-batch.ts';
import type { SlabPool } from '../batch/slab-pool.ts';
import { GristmillError, throwIfAborted } from '../errors.ts';
import { native } from '../native/index.ts';
import type { ArrowArray, ArrowBatch } from './arrow-arrays.ts';
import { columnOfField } from './arrow-columns.ts';
import type { ArrowMetadata } from './arrow-schema.ts';
import { type ArrowStream, arrowError, openArrowStream } from './arrow-stream.ts';
import { bytesReader, ValueBudget, valueReader } from './arrow-values.ts';
import { STDIN } from './formats.ts';
import type { BatchOptions } from './parquet-read.ts';
import { displayText } from './plain.ts';
import { rowNumbers } from './row-numbers.ts';
import {
  type CarriedColumns,
  type CarriedRows,
  type CorpusColumn,
  type CorpusPlan,
  type CorpusUnit,
  ROW_INVALID_UTF8,
  ROW_NULL,
  type UnitBatch,
} from './types.ts';

/** Standard input, once its schema was read: it can be opened only once, by the plan, and read by its unit. */
let standardInput: Promise<ArrowStream> | null = null;

function openArrow(path: string): Promise<ArrowStream> {
  if (path !== STDIN) return openArrowStream(path);
  standardInput ??= openArrowStream(path);
  return standardInput;
}

/** Columns of an Arrow stream or file. @throws CORPUS_FILE_INVALID, CORPUS_UNSUPPORTED, CORPUS_READ_FAILED */
export async function arrowColumns(path: string): Promise<readonly CorpusColumn[]> {
  const stream = await openArrow(path);
  try {
    return columnsOfStream(stream);
  } finally {
    if (path !== STDIN) await stream.close();
  }
}

/** Metadata of an Arrow stream's schema. @throws CORPUS_FILE_INVALID, CORPUS_UNSUPPORTED, CORPUS_READ_FAILED */
export async function arrowMetadata(path: string): Promise<ArrowMetadata> {
  const stream = await openArrow(path);
  if (path !== STDIN) await stream.close();
  return stream.schema.metadata;
}

function columnsOfStream({ path, schema }: ArrowStream): CorpusColumn[] {
  try {
    return schema.fields.map(columnOfField);
  } catch (error) {
    throw arrowError(path, error);
  }
}

/** @see openUnit */
export async function* openArrowUnit(
  plan: CorpusPlan,
  unit: CorpusUnit,
  pool: SlabPool,
  options: BatchOptions,
): AsyncGenerator<UnitBatch> {
  const file = plan.files[unit.fileIndex]!;
  const stream = await openArrow(file.path);
  try {
    yield* arrowBatches(stream, plan, pool, options);
  } finally {
    await stream.close();
  }
}

/** A column of the stream and where it lies. */
interface PlacedColumn {
  readonly column: CorpusColumn;
  readonly at: number;
}

async function* arrowBatches(
  stream: ArrowStream,
  plan: CorpusPlan,
  pool: SlabPool,
  options: BatchOptions,
): AsyncGenerator<UnitBatch> {
  const { path } = stream;
  const columns = columnsOfStream(stream);
  const textAt = columns.findIndex((c) => c.name === plan.textColumn);
  const idAt = columns.findIndex((c) => c.name === plan.idColumn);
  const siteAt = columns.findIndex((c) => c.name === plan.siteColumn);
  if (textAt < 0) {
    throw new GristmillError('CORPUS_COLUMN_MISSING', {
      file: path,
      column: plan.textColumn,
      suggestion: '',
      columns: columns.map((c) => c.name).join(', '),
    });
  }
  const wanted = new Set(plan.columns.map(({ name }) => name));
  const carried = columns
    .map((column, at): PlacedColumn => ({ column, at }))
    .filter(({ column, at }) => at !== textAt && wanted.has(column.name));
  let firstRow = 0;
  for await (const arrow of stream.batches()) {
    const textOf = bytesReader(arrow.columns[textAt]!);
    // A batch without rows is one: somebody may wait for an answer to it.
    let start = 0;
    do {
      throwIfAborted(options.signal, 'reading');
      const values = coded(path, () => {
        const text = takeTexts(textOf, start, arrow.length, options);
        const valuesAt = (at: number) =>
          idsOf(arrow.columns[at]!, columns[at]!, start, text.length);
        return {
          text,
          ...(idAt >= 0 && { id: valuesAt(idAt) }),
          ...(siteAt >= 0 && { site: valuesAt(siteAt) }),
        };
      });
      const nRows = values.text.length;
      const batch = await buildBatch(pool, values, 'input', options.signal);
      const carry = new ArrowCarry(path, carried, arrow, start, nRows);
      const rowStatus = statusOf(batch.text, values.text);
      const numbers = rowNumbers(BigInt(firstRow), nRows);
      const endsRecordBatch = start + nRows === arrow.length;
      const rows = { batch, firstRow, rowStatus, rowNumbers: numbers, rejected: [], carry };
      yield { ...rows, endsRecordBatch };
      firstRow += nRows;
      start += nRows;
    } while (start < arrow.length);
  }
}

function coded<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw arrowError(path, error);
  }
}

/** As many texts as a batch takes, at least one. */
function takeTexts(
  textOf: (row: number) => Uint8Array | null,
  start: number,
  end: number,
  { batchRows, batchBytes }: BatchOptions,
): (Uint8Array | null)[] {
  const texts: (Uint8Array | null)[] = [];
  let bytes = 0;
  while (start + texts.length < end && texts.length < batchRows) {
    const value = textOf(start + texts.length);
    bytes += value?.byteLength ?? 0;
    if (texts.length > 0 && bytes > batchBytes) break;
    texts.push(value);
  }
  return texts;
}

function idsOf(
  array: ArrowArray,
  column: CorpusColumn,
  start: number,
  nRows: number,
): (Uint8Array | null)[] {
  const read = valueReader(array, new ValueBudget());
  return Array.from({ length: nRows }, (_, row) => {
    const value = read(start + row);
    if (value === null || value === undefined) return null;
    // What is no UTF-8 names a document as well as other bytes do.
    return value instanceof Uint8Array && column.elements[0]?.type === 'BYTE_ARRAY'
      ? value
      : Buffer.from(displayText(column, value));
  });
}

function statusOf(
  column: { readonly data: Uint8Array; readonly offsets: Int32Array },
  texts: readonly (Uint8Array | null)[],
): Uint8Array {
  const valid = new Uint8Array(texts.length);
  native().validateUtf8(column.data, column.offsets, valid);
  return valid.map((ok, row) => (texts[row] === null ? ROW_NULL : ok === 1 ? 0 : ROW_INVALID_UTF8));
}

/** Carried columns of Arrow rows: views on the record batch. */
class ArrowCarry implements CarriedColumns {
  readonly columns: readonly CorpusColumn[];
  readonly nRows: number;
  readonly #path: string;
  readonly #placed: readonly PlacedColumn[];
  readonly #start: number;
  #arrow: ArrowBatch | null;

  constructor(
    path: string,
    placed: readonly PlacedColumn[],
    arrow: ArrowBatch,
    start: number,
    nRows: number,
  ) {
    this.#path = path;
    this.#placed = placed;
    this.columns = placed.map(({ column }) => column);
    this.#arrow = arrow;
    this.#start = start;
    this.nRows = nRows;
  }

  select(rows: Int32Array | null): CarriedRows {
    const arrow = this.#arrow;
    if (!arrow) throw new GristmillError('DISPOSED', { object: 'CarriedColumns' });
    const nRows = rows?.length ?? this.nRows;
    return {
      nRows,
      json: null,
      leaves: null,
      plain: async () =>
        coded(this.#path, () => {
          const budget = new ValueBudget();
          return this.#placed.map(({ at }) => {
            const read = valueReader(arrow.columns[at]!, budget);
            return Array.from({ length: nRows }, (_, row) => {
              return read(this.#start + (rows?.[row] ?? row));
            });
          });
        }),
    };
  }

  release(): void {
    this.#arrow = null;
  }
}
