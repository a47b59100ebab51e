/**
 * Rows of one file that a run has written, by range: of Parquet only the row groups that the range touches are read, and of
 * those only the columns that are asked for.
 */
import { isNullAt } from '../batch/document-batch.ts';
import { onlyColumns } from '../corpus/columns.ts';
import { planCorpus } from '../corpus/plan.ts';
import type { CarriedColumns, PlainValue } from '../corpus/types.ts';
import { BATCH_DEFAULTS, openUnit } from '../corpus/unit.ts';
import { borrowSlabs } from './borrowed-slabs.ts';

/** What is read. */
export interface PartRange {
  /** First row of the file, and the one behind the last. */
  readonly from: number;
  readonly to: number;
  /** A column of strings whose bytes bound the batches. */
  readonly bounding: string;
  /** Columns to read; those that the file does not have are left out. */
  readonly columns: readonly string[];
  /** Most rows of a batch. Default 2048. */
  readonly batchRows?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Values of one row by column; bytes that are no UTF-8 are read with U+FFFD. */
export type PartValues = (column: string) => unknown;

/** Some rows of a part. */
export interface PartBatch {
  readonly nRows: number;
  valueAt(column: string, row: number): unknown;
}

const lossy = new TextDecoder('utf-8', { ignoreBOM: true });

/** Reads a range. @throws CORPUS_*, ABORTED */
export async function* partRows(path: string, range: PartRange): AsyncGenerator<PartBatch> {
  const { from, to, bounding, columns, batchRows = BATCH_DEFAULTS.batchRows, signal } = range;
  const options = { batchRows, ...(signal && { signal }) };
  // A unit for every row group: those in front of the range are passed over by their numbers of rows.
  const whole = await planCorpus({
    ...{ inputs: [path], textColumn: bounding, idColumn: null, unitRows: 1, failFast: true },
    ...(signal && { signal }),
  });
  const plan = onlyColumns(whole, new Set([bounding, ...columns]));
  using borrowed = borrowSlabs();
  const { slabs } = borrowed;
  let before = 0;
  for (const unit of plan.units) {
    if (before >= to) return;
    if (unit.nRows !== null && before + unit.nRows <= from) {
      before += unit.nRows;
      continue;
    }
    for await (const { batch, carry } of openUnit(plan, unit, slabs, options)) {
      try {
        const first = Math.max(0, from - before);
        const end = Math.min(batch.nDocs, to - before);
        before += batch.nDocs;
        if (first >= end) continue;
        const rows = Int32Array.from({ length: end - first }, (_, at) => first + at);
        const isAll = rows.length === batch.nDocs;
        const values = await valuesOf(carry, isAll ? null : rows);
        const { text } = batch;
        const texts = Array.from(rows, (row) => {
          if (isNullAt(text, row)) return null;
          return lossy.decode(text.data.subarray(text.offsets[row], text.offsets[row + 1]));
        });
        yield {
          nRows: rows.length,
          valueAt: (column, row) => {
            const value = column === bounding ? texts[row] : values(column, row);
            return value instanceof Uint8Array ? lossy.decode(value) : value;
          },
        };
        if (before >= to) return;
      } finally {
        batch.release();
        carry.release();
      }
    }
  }
}

/** Values of selected rows by column. Of JSON lines every field, whatever the lines in front have: an inferred column is one that those had. */
export async function valuesOf(
  carry: CarriedColumns,
  rows: Int32Array | null,
): Promise<(column: string, row: number) => unknown> {
  const selected = carry.select(rows);
  const { json } = selected;
  if (json) {
    return (column, row) => {
      const raw = json[row]!.get(column);
      return raw === undefined || raw === '' ? undefined : JSON.parse(raw);
    };
  }
  const plain = await selected.plain();
  const byName = new Map<string, readonly PlainValue[]>();
  for (const [at, { name }] of carry.columns.entries()) {
    if (!byName.has(name)) byName.set(name, plain[at]!);
  }
  return (column, row) => byName.get(column)?.[row];
}
