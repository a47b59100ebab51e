/** Documents of the caller as a unit: arrays and async iterables of strings or of objects with a text and an id. */
import { buildBatch } from '../batch/document-batch.ts';
import type { SlabPool } from '../batch/slab-pool.ts';
import { GristmillError } from '../errors.ts';
import { columnOfKinds, type JsonKind, kindOf } from './jsonl-infer.ts';
import { LONE_SURROGATE } from './jsonl-read.ts';
import {
  type CarriedColumns,
  type CarriedRows,
  type CorpusColumn,
  type PlainValue,
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
    status.push(text === null ? ROW_NULL : LONE_SURROGATE.test(text) ? ROW_INVALID_UTF8 : ROW_OK);
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
  readonly #json: readonly Map<string, string>[];
  #columns: readonly CorpusColumn[] | null = null;

  constructor(rows: readonly MemoryDocument[]) {
    this.#rows = rows;
    this.nRows = rows.length;
    this.#json = rows.map(fieldsOf);
  }

  get columns(): readonly CorpusColumn[] {
    if (this.#columns) return this.#columns;
    const kinds = new Map<string, Set<JsonKind>>();
    for (const fields of this.#json) {
      for (const [name, raw] of fields) {
        if (name === 'text') continue;
        const seen = kinds.get(name) ?? new Set();
        kinds.set(name, seen);
        const kind = kindOf(raw);
        if (kind) seen.add(kind);
      }
    }
    this.#columns = [...kinds].map(([name, seen]) => columnOfKinds(name, seen));
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

function fieldsOf(document: MemoryDocument): Map<string, string> {
  if (typeof document === 'string') return new Map([['text', '']]);
  const entries = Object.entries(document).map(([name, value]): [string, string] => {
    if (name === 'text') return [name, ''];
    if (typeof value === 'bigint') return [name, value.toString()];
    return [name, JSON.stringify(value) ?? 'null'];
  });
  return new Map(entries);
}

function plainOf(column: CorpusColumn, raw: string | undefined): PlainValue {
  if (raw === undefined || kindOf(raw) === null) return null;
  const type = column.elements[0]!.type;
  if (column.type === 'json') return raw;
  return type === 'INT64' ? BigInt(raw) : (JSON.parse(raw) as PlainValue);
}
