/** Reading Arrow IPC streams, from a file or standard input: batches are copied into slabs and cut to size. */
import { createReadStream } from 'node:fs';
import { type RecordBatch, RecordBatchReader } from 'apache-arrow';
import { buildBatch } from '../batch/document-batch.ts';
import type { SlabPool } from '../batch/slab-pool.ts';
import { GristmillError, isGristmillError, throwIfAborted } from '../errors.ts';
import { native } from '../native.ts';
import { bytesOfArrow, columnOfField, plainOfArrow } from './arrow-types.ts';
import { STDIN } from './formats.ts';
import type { BatchOptions } from './parquet-read.ts';
import { displayText } from './plain.ts';
import {
  type CarriedColumns,
  type CarriedRows,
  type CorpusColumn,
  type CorpusPlan,
  type CorpusUnit,
  type PlainValue,
  ROW_INVALID_UTF8,
  ROW_NULL,
  type UnitBatch,
} from './types.ts';

/** An open Arrow stream. */
export interface ArrowStream {
  readonly columns: readonly CorpusColumn[];
  readonly batches: AsyncIterable<RecordBatch>;
  close(): void;
}

/** Standard input, once its schema was read: it can be opened only once, by the plan, and read by its unit. */
let standardInput: Promise<ArrowStream> | null = null;

/** Opens a stream and reads its schema. @throws CORPUS_FILE_INVALID, CORPUS_COLUMN_TYPE */
export function openArrow(path: string): Promise<ArrowStream> {
  if (path !== STDIN) return openStream(path, createReadStream(path, { highWaterMark: 1 << 20 }));
  standardInput ??= openStream(path, process.stdin);
  return standardInput;
}

async function openStream(path: string, stream: NodeJS.ReadableStream): Promise<ArrowStream> {
  try {
    const reader = await RecordBatchReader.from(stream as AsyncIterable<Uint8Array>);
    await reader.open({ autoDestroy: false });
    if (!reader.schema) throw new Error('it holds no schema');
    const columns = reader.schema.fields.map((field) => columnOfField(field, path));
    const close = (): void => {
      if ('destroy' in stream && path !== STDIN) (stream as { destroy(): void }).destroy();
    };
    return { columns, batches: guarded(path, reader as AsyncIterable<RecordBatch>), close };
  } catch (error) {
    throw invalid(path, error);
  }
}

async function* guarded(
  path: string,
  batches: AsyncIterable<RecordBatch>,
): AsyncGenerator<RecordBatch> {
  try {
    yield* batches;
  } catch (error) {
    throw invalid(path, error);
  }
}

function invalid(file: string, cause: unknown): GristmillError {
  if (isGristmillError(cause)) return cause;
  const error = cause as NodeJS.ErrnoException;
  const reason = `not a readable Arrow IPC stream: ${error.message}`;
  return new GristmillError('CORPUS_FILE_INVALID', { file, reason }, { cause });
}

/** Columns of an Arrow stream file. */
export async function arrowColumns(path: string): Promise<readonly CorpusColumn[]> {
  const { columns, close } = await openArrow(path);
  if (path !== STDIN) close();
  return columns;
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
    yield* arrowBatches(stream, file.path, plan, pool, options);
  } finally {
    stream.close();
  }
}

async function* arrowBatches(
  stream: ArrowStream,
  path: string,
  plan: CorpusPlan,
  pool: SlabPool,
  options: BatchOptions,
): AsyncGenerator<UnitBatch> {
  const textAt = stream.columns.findIndex((c) => c.name === plan.textColumn);
  const idAt = stream.columns.findIndex((c) => c.name === plan.idColumn);
  if (textAt < 0) {
    throw new GristmillError('CORPUS_COLUMN_MISSING', {
      file: path,
      column: plan.textColumn,
      suggestion: '',
      columns: stream.columns.map((c) => c.name).join(', '),
    });
  }
  let firstRow = 0;
  for await (const arrow of stream.batches) {
    const text = arrow.data.children[textAt]!;
    for (let start = 0; start < arrow.numRows; ) {
      throwIfAborted(options.signal, 'reading');
      const texts: (Uint8Array | null)[] = [];
      let bytes = 0;
      while (start + texts.length < arrow.numRows && texts.length < options.batchRows) {
        const value = bytesOfArrow(text, start + texts.length);
        bytes += value?.byteLength ?? 0;
        if (texts.length > 0 && bytes > options.batchBytes) break;
        texts.push(value);
      }
      const rows = [start, start + texts.length] as const;
      const values =
        idAt < 0
          ? { text: texts }
          : { text: texts, id: idsOf(arrow, stream.columns[idAt]!, idAt, rows) };
      const batch = await buildBatch(pool, values, 'input', options.signal);
      const carry = new ArrowCarry(stream.columns, textAt, arrow, rows[0], texts.length);
      yield { batch, firstRow, rowStatus: statusOf(batch.text, texts), carry };
      firstRow += texts.length;
      start += texts.length;
    }
  }
}

function idsOf(
  arrow: RecordBatch,
  column: CorpusColumn,
  at: number,
  [start, end]: readonly [number, number],
): (Uint8Array | null)[] {
  const data = arrow.data.children[at]!;
  return Array.from({ length: end - start }, (_, row) => {
    const value = plainOfArrow(data, start + row);
    return value === null || value === undefined ? null : Buffer.from(displayText(column, value));
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
  readonly #all: readonly CorpusColumn[];
  readonly #start: number;
  #arrow: RecordBatch | null;

  constructor(
    all: readonly CorpusColumn[],
    textAt: number,
    arrow: RecordBatch,
    start: number,
    nRows: number,
  ) {
    this.#all = all;
    this.columns = all.filter((_, at) => at !== textAt);
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
      plain: async () => {
        const columns: PlainValue[][] = [];
        for (const [at, column] of this.#all.entries()) {
          if (!this.columns.includes(column)) continue;
          const data = arrow.data.children[at]!;
          const pick = (_: unknown, row: number) =>
            plainOfArrow(data, this.#start + (rows?.[row] ?? row));
          columns.push(Array.from({ length: nRows }, pick));
        }
        return columns;
      },
    };
  }

  release(): void {
    this.#arrow = null;
  }
}
