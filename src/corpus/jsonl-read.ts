/**
 * Reading a unit of a JSONL file. The text field goes into shared memory; the other fields stay as the JSON text they
 * were written in. A line that cannot be a row is rejected where the caller takes such rows, and ends the unit by an
 * error that names it otherwise.
 */
import { buildBatch } from '../batch/document-batch.ts';
import type { SlabPool } from '../batch/slab-pool.ts';
import { GristmillError } from '../errors.ts';
import { type ByteLine, type LineSource, readLines } from './byte-lines.ts';
import { type JsonFields, jsonFields, type KeyNames } from './json-line.ts';
import { misfitOf, plainOf } from './json-plain.ts';
import { type JsonRow, type RowShape, rowOf, shownValue } from './json-row.ts';
import { kindOf } from './json-values.ts';
import { countsBefore, rememberCounts } from './line-counts.ts';
import type { BatchOptions } from './parquet-read.ts';
import type { RowProblem } from './reject-reasons.ts';
import { problemError, problemText } from './rejected.ts';
import {
  type CarriedColumns,
  type CarriedRows,
  type CorpusColumn,
  type CorpusPlan,
  type CorpusUnit,
  type PlainValue,
  type RejectedRow,
  ROW_INVALID_UTF8,
  ROW_NULL,
  ROW_OK,
  type SourceFile,
  type UnitBatch,
} from './types.ts';
import { eachFile, filesOfUnit, placesOf, type RowPlace } from './unit-files.ts';

type RowResult = { row: JsonRow; status?: number } | { problem: RowProblem };

/** @see openUnit */
export async function* openJsonlUnit(
  plan: CorpusPlan,
  unit: CorpusUnit,
  pool: SlabPool,
  options: BatchOptions,
): AsyncGenerator<UnitBatch> {
  const placeOf = placesOf(plan, unit);
  const columns = plan.columns.filter((column) => column.name !== plan.textColumn);
  const byName = new Map(columns.map((column) => [column.name, column]));
  const { textColumn, idColumn, siteColumn = null } = plan;
  const isTyped = options.reject === 'values';
  const reserved = options.reserved ?? new Set<string>();
  const shape: RowShape = {
    ...{ textColumn, idColumn, siteColumn, reserved },
    columns: isTyped ? byName : null,
  };
  const names: KeyNames = new Map();
  let pending = new PendingBatch();
  let firstRow = 0;
  const flush = async (): Promise<UnitBatch> => {
    const { texts, ids, sites, status, rows, fields, rejected } = pending;
    const start = firstRow;
    firstRow += texts.length;
    pending = new PendingBatch();
    const values = {
      text: texts,
      ...(idColumn !== null && { id: ids }),
      ...(siteColumn !== null && { site: sites }),
    };
    const batch = await buildBatch(pool, values, 'input', options.signal);
    const rowNumbers = BigInt64Array.from(rows, BigInt);
    const carry = new JsonCarry(placeOf, columns, fields, rows, plan.isPart ?? false);
    const rowStatus = Uint8Array.from(status);
    return { batch, firstRow: start, rowStatus, rowNumbers, rejected, carry };
  };
  for await (const { lines, lineBase, rowBase } of linesOf(plan, unit, options)) {
    for (const line of lines) {
      const place = { line: lineBase + line.line, row: rowBase + line.row };
      const result: RowResult = tooLong(line, plan) ?? rowOf(line.bytes, shape, names);
      const taken: RowResult =
        'problem' in result ? withoutRejects(result.problem, line, shape, options) : result;
      if ('problem' in taken) {
        if (!options.reject) {
          const { file, row } = placeOf(BigInt(place.row));
          throw problemError(file, { line: place.line, row: Number(row) }, taken.problem);
        }
        pending.reject(place, taken.problem, line.bytes);
      } else {
        const size = taken.row.text?.byteLength ?? 0;
        if (pending.texts.length > 0 && pending.bytes + size > options.batchBytes) {
          yield await flush();
        }
        pending.add(taken.row, place.row, taken.status ?? statusOf(taken.row));
      }
      if (pending.isFull(options)) yield await flush();
    }
  }
  if (pending.texts.length > 0 || pending.rejected.length > 0) yield await flush();
}

/** Lines, what is added to their numbers, and to their rows' for the numbers in the unit. */
interface PlacedLines {
  readonly lines: readonly ByteLine[];
  readonly lineBase: number;
  readonly rowBase: number;
}

async function* linesOf(
  plan: CorpusPlan,
  unit: CorpusUnit,
  { signal }: BatchOptions,
): AsyncGenerator<PlacedLines> {
  const { maxLineBytes, zstdWindowLog } = plan;
  const sourceOf = ({ path, format }: SourceFile): LineSource => {
    const { byteStart, byteEnd } = unit;
    return { path, format, byteStart, byteEnd, maxLineBytes, zstdWindowLog, signal };
  };
  if (unit.nFiles !== undefined) {
    let rowBase = 0;
    for await (const lines of eachFile(filesOfUnit(plan, unit), sourceOf)) {
      yield { lines, lineBase: 0, rowBase };
      rowBase++;
    }
    return;
  }
  const file = plan.files[unit.fileIndex]!;
  const source = sourceOf(file);
  const before = await countsBefore(source, file.fingerprint);
  const counts = { lines: 0, rows: 0 };
  for await (const lines of readLines(source, counts)) {
    yield { lines, lineBase: before.lines, rowBase: before.rows };
  }
  rememberCounts(source, file.fingerprint, before, counts);
}

/** Rows and rejected rows of the batch that is being put together. */
class PendingBatch {
  readonly texts: (Uint8Array | null)[] = [];
  readonly ids: (Uint8Array | null)[] = [];
  readonly sites: (Uint8Array | null)[] = [];
  readonly status: number[] = [];
  readonly rows: number[] = [];
  readonly fields: JsonFields[] = [];
  readonly rejected: RejectedRow[] = [];
  bytes = 0;
  #rejectedBytes = 0;

  add({ text, id, site = null, fields }: JsonRow, row: number, status: number): void {
    this.texts.push(text);
    this.ids.push(id);
    this.sites.push(site);
    this.status.push(status);
    this.rows.push(row);
    this.fields.push(fields);
    this.bytes += text?.byteLength ?? 0;
  }

  reject(place: { line: number; row: number }, problem: RowProblem, bytes: Buffer): void {
    const detail = problemText(problem, place.line);
    // A copy: the chunk that was read would be held for one line of it.
    const raw = Uint8Array.from(bytes);
    this.rejected.push({ row: BigInt(place.row), reason: problem.reason, detail, raw });
    this.#rejectedBytes += raw.byteLength;
  }

  isFull({ batchRows, batchBytes }: BatchOptions): boolean {
    return (
      this.texts.length >= batchRows ||
      this.rejected.length >= batchRows ||
      this.#rejectedBytes >= batchBytes
    );
  }
}

function statusOf({ text }: JsonRow): number {
  return text === null ? ROW_NULL : ROW_OK;
}

function tooLong(
  { bytes, byteLength, byteOffset }: ByteLine,
  { maxLineBytes }: Pick<CorpusPlan, 'maxLineBytes'>,
): { problem: RowProblem } | null {
  if (byteLength <= bytes.length) return null;
  const detail = `${byteLength} bytes from byte ${byteOffset}, the bound is ${maxLineBytes} (maxLineBytes, --max-line-bytes)`;
  return { problem: { reason: 'line_too_long', column: null, detail } };
}

/** For callers that take no rejected rows: one without a form in UTF-8 is a row that says so, with U+FFFD. */
function withoutRejects(
  problem: RowProblem,
  { bytes }: ByteLine,
  { textColumn }: RowShape,
  { reject }: BatchOptions,
): { row: JsonRow; status: number } | { problem: RowProblem } {
  const isEncoding = problem.reason === 'invalid_utf8' || problem.reason === 'field_utf8';
  if (reject || !isEncoding) return { problem };
  const fields = jsonFields(bytes.toString());
  const raw = fields.get(textColumn) ?? 'null';
  const text = kindOf(raw) === 'string' ? Buffer.from(JSON.parse(raw) as string) : null;
  fields.set(textColumn, '');
  return { row: { text, id: null, fields }, status: ROW_INVALID_UTF8 };
}

/** Carried fields of JSON rows. */
export class JsonCarry implements CarriedColumns {
  readonly columns: readonly CorpusColumn[];
  readonly nRows: number;
  readonly #placeOf: (row: bigint) => RowPlace;
  readonly #fields: readonly JsonFields[];
  /** Numbers of the rows as the batch has them. */
  readonly #rows: readonly number[];
  readonly #isPart: boolean;

  /** @param isPart whether the columns are chosen ones, and other fields not missed */
  constructor(
    placeOf: (row: bigint) => RowPlace,
    columns: readonly CorpusColumn[],
    fields: readonly JsonFields[],
    rows: readonly number[],
    isPart: boolean,
  ) {
    this.#isPart = isPart;
    this.#placeOf = placeOf;
    this.columns = columns;
    this.#fields = fields;
    this.#rows = rows;
    this.nRows = fields.length;
  }

  select(rows: Int32Array | null): CarriedRows {
    const picked = rows ? Array.from(rows, (row) => this.#fields[row]!) : this.#fields;
    return {
      nRows: picked.length,
      json: picked,
      leaves: null,
      plain: async () => {
        if (!this.#isPart) this.#checkNames(rows);
        return this.columns.map((column) =>
          picked.map((fields, at) =>
            this.#value(column, fields.get(column.name), rows?.[at] ?? at),
          ),
        );
      },
    };
  }

  release(): void {}

  /** A field that no column holds, or a second value, would be lost: refused, never dropped in silence. */
  #checkNames(rows: Int32Array | null): void {
    const known = new Set(this.columns.map((column) => column.name));
    for (let at = 0; at < (rows?.length ?? this.nRows); at++) {
      const row = rows?.[at] ?? at;
      const fields = this.#fields[row]!;
      for (const [name, raw] of fields) {
        // The text field was emptied on reading.
        if (raw === '' || kindOf(raw) === null) continue;
        const counts = fields.get(name);
        if (!known.has(name) && counts !== '') {
          throw this.#invalid(shownValue(name), row, 'no such field', UNKNOWN_FIELD);
        }
        if (raw === counts || counts === '') continue;
        throw this.#invalid(
          name,
          row,
          'one value',
          `${shownValue(raw)} and ${shownValue(counts!)}`,
        );
      }
    }
  }

  #value(column: CorpusColumn, raw: string | undefined, row: number): PlainValue {
    if (raw === undefined) return null;
    const expected = misfitOf(column, raw);
    if (expected !== null) throw this.#invalid(column.name, row, expected, shownValue(raw));
    return plainOf(column, raw);
  }

  #invalid(column: string, row: number, expected: string, received: string): GristmillError {
    const { file, row: number } = this.#placeOf(BigInt(this.#rows[row]!));
    const details = { file, row: Number(number), column, expected, received };
    return new GristmillError('CORPUS_VALUE_INVALID', details);
  }
}

const UNKNOWN_FIELD = 'one that the lines that were looked at do not have (inferLines)';
