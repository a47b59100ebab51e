/** Documents of the caller as a unit: arrays and async iterables of strings or of objects with a text and an id. */
import { buildBatch } from '../batch/document-batch.ts';
import type { SlabPool } from '../batch/slab-pool.ts';
import { GristmillError } from '../errors.ts';
import { JsonFields } from './json-line.ts';
import { isWellFormed, plainOf } from './json-plain.ts';
import { columnOfValues, NO_VALUES, withValue } from './json-values.ts';
import { rowNumbers } from './row-numbers.ts';
import {
  type CarriedColumns,
  type CarriedRows,
  type CorpusColumn,
  type JsonValues,
  ROW_INVALID_UTF8,
  ROW_NULL,
  ROW_OK,
  type UnitBatch,
} from './types.ts';
import { BATCH_DEFAULTS, type UnitOptions } from './unit.ts';

/** A document: its text, or an object whose `text` (and `id`) fields are read; other fields are carried. */
export type MemoryDocument =
  | string
  | {
      readonly text: string | null;
      readonly id?: string | number | bigint | null;
      readonly [field: string]: unknown;
    };

/**
 * Batches of the caller's documents.
 *
 * @throws CORPUS_VALUE_INVALID when a document is neither a string nor an object with a text
 */
export async function* memoryUnit(
  documents: Iterable<MemoryDocument> | AsyncIterable<MemoryDocument>,
  pool: SlabPool,
  options: UnitOptions = {},
): AsyncGenerator<UnitBatch> {
  const { batchRows, batchBytes } = { ...BATCH_DEFAULTS, ...options };
  let rows: MemoryDocument[] = [];
  let texts: (Uint8Array | null)[] = [];
  let status: number[] = [];
  let bytes = 0;
  let firstRow = 0;
  const flush = async (): Promise<UnitBatch> => {
    const ids = rows.map(idOf);
    const hasIds = ids.some((id) => id !== null);
    const values = hasIds ? { text: texts, id: ids } : { text: texts };
    const batch = await buildBatch(pool, values, 'input', options.signal);
    const unit = {
      batch,
      firstRow,
      rowStatus: Uint8Array.from(status),
      rowNumbers: rowNumbers(BigInt(firstRow), rows.length),
      rejected: [],
      carry: new MemoryCarry(rows),
    };
    firstRow += rows.length;
    rows = [];
    texts = [];
    status = [];
    bytes = 0;
    return unit;
  };
  for await (const document of documents) {
    const text = textOf(document, firstRow + rows.length);
    const encoded = text === null ? null : Buffer.from(text);
    const size = encoded?.byteLength ?? 0;
    if (rows.length > 0 && bytes + size > batchBytes) yield await flush();
    rows.push(document);
    texts.push(encoded);
    status.push(text === null ? ROW_NULL : isWellFormed(text) ? ROW_OK : ROW_INVALID_UTF8);
    bytes += size;
    if (rows.length >= batchRows) yield await flush();
  }
  if (rows.length > 0) yield await flush();
}

function textOf(document: MemoryDocument, row: number): string | null {
  if (typeof document === 'string') return document;
  const text: unknown = document?.text;
  if (typeof text === 'string') return text;
  if (document && typeof document === 'object' && (text === null || text === undefined))
    return null;
  throw new GristmillError('CORPUS_VALUE_INVALID', {
    file: '(memory)',
    row,
    column: 'text',
    expected: 'a string, or an object with a text',
    received: typeof document === 'object' ? typeof text : typeof document,
  });
}

function idOf(document: MemoryDocument): Uint8Array | null {
  if (typeof document === 'string' || document.id === null || document.id === undefined)
    return null;
  return Buffer.from(String(document.id));
}

/** Fields of the caller's objects besides the text; what JSON cannot hold is null. */
class MemoryCarry implements CarriedColumns {
  readonly nRows: number;
  readonly #rows: readonly MemoryDocument[];
  readonly #json: readonly JsonFields[];
  #columns: readonly CorpusColumn[] | null = null;

  constructor(rows: readonly MemoryDocument[]) {
    this.#rows = rows;
    this.nRows = rows.length;
    this.#json = rows.map(fieldsOf);
  }

  get columns(): readonly CorpusColumn[] {
    if (this.#columns) return this.#columns;
    const seen = new Map<string, JsonValues>();
    for (const fields of this.#json) {
      for (const [name, raw] of fields) {
        if (name !== 'text') seen.set(name, withValue(seen.get(name) ?? NO_VALUES, raw));
      }
    }
    this.#columns = [...seen].map(([name, values]) => columnOfValues(name, values));
    return this.#columns;
  }

  /** The caller's own documents, as they were given. */
  document(row: number): MemoryDocument {
    return this.#rows[row]!;
  }

  select(rows: Int32Array | null): CarriedRows {
    const picked = rows ? Array.from(rows, (row) => this.#json[row]!) : this.#json;
    return {
      nRows: picked.length,
      json: picked,
      leaves: null,
      plain: async () =>
        this.columns.map((c) => picked.map((fields) => plainOf(c, fields.get(c.name)))),
    };
  }

  release(): void {}
}

function fieldsOf(document: MemoryDocument): JsonFields {
  const fields = new JsonFields();
  const add = (name: string, value: string): void => fields.add(name, JSON.stringify(name), value);
  if (typeof document === 'string') {
    add('text', '');
    return fields;
  }
  for (const [name, value] of Object.entries(document)) {
    if (name === 'text') add(name, '');
    else if (typeof value === 'bigint') add(name, value.toString());
    else add(name, JSON.stringify(value) ?? 'null');
  }
  return fields;
}
