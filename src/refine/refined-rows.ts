/**
 * What became of a batch, as columns: sinks take them as they are, so that a row costs no object; the arrays of
 * {@link RefinedRows}, an entry a row, are made of them when somebody asks.
 */
import { type ByteViews, codedViews, NULL_VIEW, viewAt } from '../batch/byte-views.ts';
import type { DocumentBatch } from '../batch/document-batch.ts';
import { native } from '../native/index.ts';
import { type OpRecord, STATUSES, type Status } from '../program/types.ts';
import type { BatchScores as PackedScores } from '../scores/batch-scores.ts';
import { ALL_REASONS } from './reasons.ts';
import type { RefineCounts } from './statistics.ts';

/** What became of a batch; every array has one entry per row. */
export interface RefinedRows {
  readonly batch: DocumentBatch;
  readonly status: readonly Status[];
  readonly reason: readonly string[];
  readonly program: readonly (string | null)[];
  /** Probability of keeping; NaN where the document stage did not run or failed. */
  readonly score: Float64Array;
  readonly ops: readonly (readonly OpRecord[])[];
  /** The text to write, a view that is valid until {@link release}; null for null texts. */
  readonly texts: readonly (Uint8Array | null)[];
  readonly counts: RefineCounts;
  /** As they are kept; null where nobody wants them. */
  readonly scores: PackedScores | null;
  /** Gives the memory of the outputs back; the batch itself stays the caller's. */
  release(): void;
}

/** Reason codes of rows, by number. */
export const ROW_REASONS: readonly string[] = Object.freeze(Object.keys(ALL_REASONS));

/** Numbers of {@link ROW_REASONS}. */
export const REASON_NUMBERS: ReadonlyMap<string, number> = new Map(
  ROW_REASONS.map((code, number) => [code, number]),
);

/** Numbers of statuses. */
export const STATUS_NUMBERS = Object.freeze({
  kept: STATUSES.indexOf('kept'),
  edited: STATUSES.indexOf('edited'),
  dropped: STATUSES.indexOf('dropped'),
  failed: STATUSES.indexOf('failed'),
} satisfies Record<Status, number>);

/** The columns of {@link RefinedRows}; entries by row. */
export interface RowColumns {
  /** Indices into STATUSES. */
  readonly status: Uint8Array;
  /** Indices into {@link ROW_REASONS}. */
  readonly reason: Uint8Array;
  readonly program: ByteViews;
  readonly text: ByteViews;
  /** The text as it came; of one that is no UTF-8 what is written of it. */
  readonly original: ByteViews;
  readonly score: Float64Array;
}

/** @see RefinedRows */
export class ColumnRows implements RefinedRows {
  readonly batch: DocumentBatch;
  readonly columns: RowColumns;
  readonly counts: RefineCounts;
  readonly scores: PackedScores | null;
  readonly #makeOps: () => readonly (readonly OpRecord[])[];
  readonly #release: () => void;
  #status: readonly Status[] | null = null;
  #reason: readonly string[] | null = null;
  #program: readonly (string | null)[] | null = null;
  #texts: readonly (Uint8Array | null)[] | null = null;
  #ops: readonly (readonly OpRecord[])[] | null = null;

  constructor(
    batch: DocumentBatch,
    columns: RowColumns,
    counts: RefineCounts,
    scores: PackedScores | null,
    makeOps: () => readonly (readonly OpRecord[])[],
    release: () => void,
  ) {
    this.batch = batch;
    this.columns = columns;
    this.counts = counts;
    this.scores = scores;
    this.#makeOps = makeOps;
    this.#release = release;
  }

  get score(): Float64Array {
    return this.columns.score;
  }

  get status(): readonly Status[] {
    this.#status ??= Array.from(this.columns.status, (number) => STATUSES[number]!);
    return this.#status;
  }

  get reason(): readonly string[] {
    this.#reason ??= Array.from(this.columns.reason, (number) => ROW_REASONS[number]!);
    return this.#reason;
  }

  get program(): readonly (string | null)[] {
    this.#program ??= Array.from(this.columns.status, (_, row) => {
      const bytes = viewAt(this.columns.program, row);
      return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
    });
    return this.#program;
  }

  get texts(): readonly (Uint8Array | null)[] {
    this.#texts ??= Array.from(this.columns.status, (_, row) => viewAt(this.columns.text, row));
    return this.#texts;
  }

  get ops(): readonly (readonly OpRecord[])[] {
    this.#ops ??= this.#makeOps();
    return this.#ops;
  }

  /** The same with other columns and counts. */
  with(columns: RowColumns, counts: RefineCounts): ColumnRows {
    return new ColumnRows(this.batch, columns, counts, this.scores, this.#makeOps, this.#release);
  }

  release(): void {
    this.#release();
  }
}

/** Statuses as a sink takes them. */
export function statusViews({ status }: RowColumns): ByteViews {
  return codedViews(status, STATUSES);
}

/** Reasons as a sink takes them. */
export function reasonViews({ reason }: RowColumns): ByteViews {
  return codedViews(reason, ROW_REASONS);
}

/** Rows of a batch that were dropped, or those that were not. */
export function rowsWhere({ status }: RowColumns, isDropped: boolean): Int32Array {
  const rows = new Int32Array(status.length);
  let nRows = 0;
  for (let row = 0; row < status.length; row++) {
    if ((status[row] === STATUS_NUMBERS.dropped) === isDropped) rows[nRows++] = row;
  }
  return rows.subarray(0, nRows);
}

/** The rows when an output had no form for some of them, by their reasons: failed ones, without a text. */
export function withRefused(
  rows: ColumnRows,
  refused: ReadonlyMap<number, { readonly reason: string }>,
): ColumnRows {
  if (refused.size === 0) return rows;
  const { counts, columns } = rows;
  const status = columns.status.slice();
  const reason = columns.reason.slice();
  const text = { ...columns.text, bufferOf: columns.text.bufferOf.slice() };
  const { kept, edited, dropped, failed } = counts;
  const became = { kept, edited, dropped, failed };
  const reasons = new Map(Object.entries(counts.reasons));
  const count = (code: string, nRows: number): void => {
    reasons.set(code, (reasons.get(code) ?? 0) + nRows);
  };
  let { charsOut } = counts;
  for (const [row, problem] of refused) {
    const own = viewAt(columns.text, row);
    if (own && status[row] !== STATUS_NUMBERS.dropped) charsOut -= codePointsOf(own);
    became[STATUSES[status[row]!]!]--;
    became.failed++;
    count(ROW_REASONS[reason[row]!]!, -1);
    count(problem.reason, 1);
    status[row] = STATUS_NUMBERS.failed;
    reason[row] = REASON_NUMBERS.get(problem.reason)!;
    text.bufferOf[row] = NULL_VIEW;
  }
  const left = [...reasons].filter(([, nRows]) => nRows > 0);
  const counted = { ...counts, ...became, charsOut, reasons: Object.fromEntries(left) };
  return rows.with({ ...columns, status, reason, text }, counted);
}

/** Unicode code points of UTF-8. */
export function codePointsOf(text: Uint8Array): number {
  const count = new Int32Array(1);
  native().countCodePoints(text, Int32Array.of(0, text.byteLength), count);
  return count[0]!;
}
