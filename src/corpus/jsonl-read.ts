/**
 * Reading a unit of a JSONL file. The text field goes into shared memory; the other fields stay as the JSON text they
 * were written in.
 */
import { isUtf8 } from 'node:buffer';
import { buildBatch } from '../batch/document-batch.ts';
import type { SlabPool } from '../batch/slab-pool.ts';
import { GristmillError } from '../errors.ts';
import { type LineSource, readLines } from './byte-lines.ts';
import type { JsonFields } from './json-line.ts';
import { fieldsOf, kindOf } from './jsonl-infer.ts';
import type { BatchOptions } from './parquet-read.ts';
import {
  type CarriedColumns,
  type CarriedRows,
  type CorpusColumn,
  type CorpusPlan,
  type CorpusUnit,
  type PlainValue,
  ROW_INVALID_UTF8,
  ROW_NULL,
  ROW_OK,
  type UnitBatch,
} from './types.ts';

/** Half a surrogate pair, which has no UTF-8 form. */
export const LONE_SURROGATE = /\p{Surrogate}/u;

interface Pending {
  texts: (Uint8Array | null)[];
  ids: (Uint8Array | null)[];
  status: number[];
  fields: JsonFields[];
  bytes: number;
}

/** @see openUnit */
export async function* openJsonlUnit(
  plan: CorpusPlan,
  unit: CorpusUnit,
  pool: SlabPool,
  options: BatchOptions,
): AsyncGenerator<UnitBatch> {
  const file = plan.files[unit.fileIndex]!;
  const source: LineSource = {
    path: file.path,
    format: file.format,
    byteStart: unit.byteStart,
    byteEnd: unit.byteEnd,
    maxLineBytes: plan.maxLineBytes,
    signal: options.signal,
  };
  const columns = plan.columns.filter((column) => column.name !== plan.textColumn);
  let pending = emptyPending();
  let firstRow = 0;
  const flush = async (): Promise<UnitBatch> => {
    const { texts, ids, status, fields } = pending;
    const start = firstRow;
    firstRow += texts.length;
    pending = emptyPending();
    const values = plan.idColumn === null ? { text: texts } : { text: texts, id: ids };
    const batch = await buildBatch(pool, values, 'input', options.signal);
    const carry = new JsonCarry(file.path, columns, fields, start);
    return { batch, firstRow: start, rowStatus: Uint8Array.from(status), carry };
  };
  for await (const group of readLines(source)) {
    for (const { bytes, line } of group) {
      const fields = await fieldsOf(bytes.toString(), source, line);
      const row = firstRow + pending.texts.length;
      const { text, status } = textOf(fields, plan.textColumn, bytes, file.path, row);
      const size = text?.byteLength ?? 0;
      if (pending.texts.length > 0 && pending.bytes + size > options.batchBytes)
        yield await flush();
      pending.texts.push(text);
      pending.ids.push(plan.idColumn === null ? null : idOf(fields.get(plan.idColumn)));
      pending.status.push(status);
      pending.fields.push(fields);
      pending.bytes += size;
      // The text lives in the batch now; as a field it would be held twice. Its place in the order is kept.
      if (fields.has(plan.textColumn)) fields.set(plan.textColumn, '');
      if (pending.texts.length >= options.batchRows) yield await flush();
    }
  }
  if (pending.texts.length > 0) yield await flush();
}

function emptyPending(): Pending {
  return { texts: [], ids: [], status: [], fields: [], bytes: 0 };
}

function textOf(
  fields: JsonFields,
  name: string,
  line: Buffer,
  file: string,
  row: number,
): { text: Uint8Array | null; status: number } {
  const raw = fields.get(name);
  const kind = raw === undefined ? null : kindOf(raw);
  if (raw === undefined || kind === null) return { text: null, status: ROW_NULL };
  if (kind !== 'string') {
    throw new GristmillError('CORPUS_VALUE_INVALID', {
      file,
      row,
      column: name,
      expected: 'a string',
      received: kind === 'other' ? 'an object or array' : `a ${kind}`,
    });
  }
  const text = JSON.parse(raw) as string;
  // Lone surrogates, written as escapes, have no UTF-8 form either.
  const valid = !LONE_SURROGATE.test(text) && isUtf8(line);
  return { text: Buffer.from(text), status: valid ? ROW_OK : ROW_INVALID_UTF8 };
}

function idOf(raw: string | undefined): Uint8Array | null {
  if (raw === undefined || kindOf(raw) === null) return null;
  return Buffer.from(raw[0] === '"' ? (JSON.parse(raw) as string) : raw);
}

/** Carried fields of JSON rows. */
export class JsonCarry implements CarriedColumns {
  readonly columns: readonly CorpusColumn[];
  readonly nRows: number;
  readonly #file: string;
  readonly #fields: readonly JsonFields[];
  readonly #firstRow: number;

  constructor(
    file: string,
    columns: readonly CorpusColumn[],
    fields: readonly JsonFields[],
    firstRow: number,
  ) {
    this.#file = file;
    this.columns = columns;
    this.#fields = fields;
    this.#firstRow = firstRow;
    this.nRows = fields.length;
  }

  select(rows: Int32Array | null): CarriedRows {
    const picked = rows ? Array.from(rows, (row) => this.#fields[row]!) : this.#fields;
    return {
      nRows: picked.length,
      json: picked,
      leaves: null,
      plain: async () => {
        this.#checkNames(rows);
        return this.columns.map((column) =>
          picked.map((fields, at) =>
            this.#value(column, fields.get(column.name), rows?.[at] ?? at),
          ),
        );
      },
    };
  }

  release(): void {}

  /** A field that no column holds would be lost: refused, never dropped in silence. */
  #checkNames(rows: Int32Array | null): void {
    const known = new Set(this.columns.map((column) => column.name));
    for (let at = 0; at < (rows?.length ?? this.nRows); at++) {
      const row = rows?.[at] ?? at;
      for (const [name, raw] of this.#fields[row]!) {
        // The text field was emptied on reading.
        if (raw === '' || known.has(name) || kindOf(raw) === null) continue;
        throw this.#invalid(
          name,
          row,
          'no such field (the sampled lines have none)',
          'one; raise inferLines',
        );
      }
    }
  }

  #value(column: CorpusColumn, raw: string | undefined, row: number): PlainValue {
    if (raw === undefined) return null;
    const kind = kindOf(raw);
    const type = column.elements[0]!.type;
    if (column.type === 'json') return raw;
    if (kind === null) return null;
    if (column.type === 'string' && kind === 'string') return JSON.parse(raw) as string;
    if (type === 'INT64' && kind === 'integer') return BigInt(raw);
    if (type === 'DOUBLE' && (kind === 'integer' || kind === 'number')) return Number(raw);
    if (type === 'BOOLEAN' && kind === 'boolean') return raw === 'true';
    throw this.#invalid(column.name, row, column.type, `${kind}; raise inferLines`);
  }

  #invalid(column: string, row: number, expected: string, received: string): GristmillError {
    const details = { file: this.#file, row: this.#firstRow + row, column, expected, received };
    return new GristmillError('CORPUS_VALUE_INVALID', details);
  }
}
