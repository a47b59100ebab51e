/**
 * What became of the rows of a judged batch, whoever executed their ops: columns and counts.
 *
 * A row is one of: failed on arrival or by an engine; dropped by the document stage; cut (or not) where it was scored;
 * executed by the pool; left as it is, as nobody had a program for it.
 */
import {
  type ByteViews,
  NULL_VIEW,
  nullViews,
  viewAt,
  viewsOfColumn,
} from '../batch/byte-views.ts';
import { bytesAt } from '../batch/document-batch.ts';
import { native } from '../native/index.ts';
import { PAGE_FATES } from '../native/lines.ts';
import { programOf } from '../program/line-verdict.ts';
import type { BatchExecution } from '../program/pool.ts';
import { REASON_CODES, type Reason } from '../program/reasons.ts';
import { type DialectName, type OpRecord, STATUSES, type Status } from '../program/types.ts';
import type { WindowVerdict } from '../program/verdict.ts';
import type { JudgedBatch, RefineCore } from './judged-batch.ts';
import {
  codePointsOf,
  REASON_NUMBERS,
  ROW_REASONS,
  type RowColumns,
  STATUS_NUMBERS,
} from './refined-rows.ts';
import { removalOps } from './removal-ops.ts';
import { type RefineCounts, ZERO_COUNTS } from './statistics.ts';

const UNDECIDED = PAGE_FATES.indexOf('undecided');
const FELL = PAGE_FATES.indexOf('fell');
const EDITED = PAGE_FATES.indexOf('edited');

const numberOf = (reason: string): number => REASON_NUMBERS.get(reason)!;
const EXECUTION_REASONS = Uint8Array.from(REASON_CODES, numberOf);
const EXECUTION_STATUSES = Uint8Array.from(STATUSES, (status) => STATUS_NUMBERS[status]);

/** @see ColumnRows */
export class BatchOutcome {
  readonly columns: RowColumns;
  readonly counts: RefineCounts;
  readonly #core: RefineCore;
  readonly #judged: JudgedBatch;
  readonly #execution: BatchExecution | null;
  /** Code points of what is written of each row that is not its input. */
  readonly #charsLeft: Int32Array;
  /** Code points of each row's input. */
  readonly #chars: Int32Array;

  constructor(core: RefineCore, judged: JudgedBatch, execution: BatchExecution | null) {
    this.#core = core;
    this.#judged = judged;
    this.#execution = execution;
    const { batch, removed, score } = judged;
    const { nDocs, text } = batch;
    this.#chars = new Int32Array(nDocs).fill(-1);
    this.#charsLeft = new Int32Array(nDocs).fill(-1);
    const stretches = execution?.written() ?? [];
    const outputs = [
      ...removed.map(({ pages }) => pages.output),
      ...stretches.map(({ data }) => data),
    ];
    const own: Uint8Array[] = [];
    const texts = viewsOfColumn(text, outputs);
    const programs = nullViews(nDocs, own);
    const status = new Uint8Array(nDocs);
    const reason = new Uint8Array(nDocs).fill(numberOf('no_program'));
    this.columns = { status, reason, text: texts, program: programs, original: texts, score };
    own.push(...removed.map(({ pages }) => pages.removals.programs));
    this.#takeRemoved();
    if (execution) this.#takeExecuted(execution, removed.length + 1);
    this.#takeDropped();
    const original = this.#takeFailed();
    this.columns = { ...this.columns, text: original.text, original: original.original };
    this.counts = this.#count();
  }

  /** What every op of every row did. */
  ops(): (readonly OpRecord[])[] {
    const { batch, removed, failed, droppedByRefiner, programs } = this.#judged;
    const ops: (readonly OpRecord[])[] = Array.from({ length: batch.nDocs }, () => []);
    const execution = this.#execution;
    for (let row = 0; row < batch.nDocs && execution; row++) {
      const wasExecuted = failed[row] === null && !droppedByRefiner[row];
      if (wasExecuted && programs?.[row]) ops[row] = execution.opsAt(row);
    }
    const { options } = this.#core.pool;
    for (const { docs, pages } of removed) {
      const { fates } = pages.removals;
      for (const [index, row] of docs.entries()) {
        const fate = fates[index]!;
        if (failed[row] !== null || fate === UNDECIDED || fate === FELL) continue;
        ops[row] = removalOps(pages.removals, index, options);
      }
    }
    return ops;
  }

  #takeRemoved(): void {
    const { batch, removed } = this.#judged;
    const { status, reason, text, program } = this.columns;
    const { offsets } = batch.text;
    const first = offsets[0]!;
    const isKept = this.#core.pool.options.onOverRemoval === 'keep';
    const outcomes = PAGE_FATES.map((fate) => outcomeOf(fate, isKept));
    const statusOf = Uint8Array.from(outcomes, ([became]) => STATUS_NUMBERS[became]);
    const reasonOf = Uint8Array.from(outcomes, ([, why]) => numberOf(why));
    for (const [part, { docs, pages }] of removed.entries()) {
      const { fates, bytesLeft, programStarts, nChars, charsLeft, bySite } = pages.removals;
      for (let index = 0; index < docs.length; index++) {
        const row = docs[index]!;
        const fate = fates[index]!;
        this.#chars[row] = nChars[index]!;
        if (fate === FELL) continue;
        program.bufferOf[row] = part;
        program.starts[row] = programStarts[index]!;
        program.sizes[row] = programStarts[index + 1]! - programStarts[index]!;
        status[row] = statusOf[fate]!;
        reason[row] = reasonOf[fate]!;
        if (fate === EDITED) {
          text.bufferOf[row] = part + 1;
          text.starts[row] = offsets[row]! - first;
          text.sizes[row] = bytesLeft[index]!;
          this.#charsLeft[row] = charsLeft[index]!;
          if (bySite[index]! > 0) reason[row] = numberOf('edited_by_site');
        } else if (status[row] === STATUS_NUMBERS.dropped) {
          text.sizes[row] = 0;
        }
      }
    }
  }

  #takeExecuted(execution: BatchExecution, firstBuffer: number): void {
    const { batch, programs: all } = this.#judged;
    const { status, reason, text, program } = this.columns;
    const spelt: Buffer[] = [];
    const spellsIn = program.buffers.length;
    let end = 0;
    for (let row = 0; row < batch.nDocs; row++) {
      const own = all?.[row] ?? null;
      if (own === null) continue;
      status[row] = EXECUTION_STATUSES[execution.status[row]!]!;
      reason[row] = EXECUTION_REASONS[execution.reason[row]!]!;
      const joined = joinPrograms(own, this.#core.dialect);
      if (joined === null || program.bufferOf[row] !== NULL_VIEW) continue;
      const bytes = Buffer.from(joined);
      spelt.push(bytes);
      program.bufferOf[row] = spellsIn;
      program.starts[row] = end;
      program.sizes[row] = bytes.byteLength;
      end += bytes.byteLength;
    }
    (program.buffers as Uint8Array[]).push(Buffer.concat(spelt));
    for (const [stretch, { docs, offsets, data }] of execution.written().entries()) {
      const counts = new Int32Array(docs.length);
      native().countCodePoints(data, offsets, counts);
      for (const [index, row] of docs.entries()) {
        text.bufferOf[row] = firstBuffer + stretch;
        text.starts[row] = offsets[index]!;
        text.sizes[row] = offsets[index + 1]! - offsets[index]!;
        this.#charsLeft[row] = counts[index]!;
      }
    }
  }

  /** Rows that the document stage dropped have its answer for a program, and their text. */
  #takeDropped(): void {
    const { droppedByRefiner, failed } = this.#judged;
    const { status, reason, program } = this.columns;
    const why = numberOf('doc_refiner');
    const answerIn = program.buffers.length;
    const answer = Buffer.from(this.#core.dropAnswer);
    (program.buffers as Uint8Array[]).push(answer);
    for (let row = 0; row < status.length; row++) {
      if (droppedByRefiner[row] === 0 || failed[row] !== null) continue;
      status[row] = STATUS_NUMBERS.dropped;
      reason[row] = why;
      program.bufferOf[row] = answerIn;
      program.starts[row] = 0;
      program.sizes[row] = answer.byteLength;
    }
  }

  /** Rows that could not be refined keep their text; of one that is no UTF-8 what readers can open. */
  #takeFailed(): { text: ByteViews; original: ByteViews } {
    const { batch, failed } = this.#judged;
    const { status, reason, text, program } = this.columns;
    const original = viewsOfColumn(batch.text);
    const repaired: Buffer[] = [];
    const repairedIn = text.buffers.length;
    let end = 0;
    for (let row = 0; row < status.length; row++) {
      const why = failed[row]!;
      if (why === null) continue;
      status[row] = STATUS_NUMBERS.failed;
      reason[row] = numberOf(why);
      program.bufferOf[row] = NULL_VIEW;
      text.bufferOf[row] = why === 'null_text' ? NULL_VIEW : 0;
      text.starts[row] = batch.text.offsets[row]!;
      text.sizes[row] = batch.text.offsets[row + 1]! - text.starts[row]!;
      if (why !== 'invalid_utf8') continue;
      const bytes = Buffer.from(decoder.decode(bytesAt(batch.text, row)));
      repaired.push(bytes);
      text.bufferOf[row] = repairedIn;
      text.starts[row] = end;
      text.sizes[row] = bytes.byteLength;
      if (original.bufferOf[row] !== NULL_VIEW) original.bufferOf[row] = 1;
      original.starts[row] = end;
      original.sizes[row] = bytes.byteLength;
      end += bytes.byteLength;
    }
    const last = Buffer.concat(repaired);
    return {
      text: { ...text, buffers: [...text.buffers, last] },
      original: { ...original, buffers: [...original.buffers, last] },
    };
  }

  #count(): RefineCounts {
    const { batch, promptTokens, newTokens, windows, windowsSkipped } = this.#judged;
    const { status, reason, text } = this.columns;
    const chars = this.#charsIn();
    const nByStatus = new Int32Array(STATUSES.length);
    const nByReason = new Int32Array(ROW_REASONS.length);
    let charsIn = 0;
    let charsOut = 0;
    for (let row = 0; row < batch.nDocs; row++) {
      const became = status[row]!;
      nByStatus[became]!++;
      nByReason[reason[row]!]!++;
      charsIn += chars[row]!;
      if (became === STATUS_NUMBERS.dropped) continue;
      if (text.bufferOf[row] === 0) charsOut += chars[row]!;
      else if (this.#charsLeft[row]! >= 0) charsOut += this.#charsLeft[row]!;
      else charsOut += codePointsOf(viewAt(text, row) ?? new Uint8Array(0));
    }
    const reasons = ROW_REASONS.flatMap((code, number): [string, number][] =>
      nByReason[number]! > 0 ? [[code, nByReason[number]!]] : [],
    );
    return {
      ...ZERO_COUNTS,
      rowsIn: batch.nDocs,
      kept: nByStatus[STATUS_NUMBERS.kept]!,
      edited: nByStatus[STATUS_NUMBERS.edited]!,
      dropped: nByStatus[STATUS_NUMBERS.dropped]!,
      failed: nByStatus[STATUS_NUMBERS.failed]!,
      reasons: Object.fromEntries(reasons),
      charsIn,
      charsOut,
      promptTokens,
      newTokens,
      windows,
      windowsSkipped,
    };
  }

  /** Code points of every row's input: known of pages that were cut, counted where they are not. */
  #charsIn(): Int32Array {
    const { text, nDocs } = this.#judged.batch;
    const chars = this.#chars;
    if (this.#judged.removed.length === 0) {
      native().countCodePoints(text.data, text.offsets, chars);
      return chars;
    }
    for (let row = 0; row < nDocs; row++) {
      if (chars[row]! < 0) chars[row] = codePointsOf(bytesAt(text, row));
    }
    return chars;
  }
}

/** Status and reason of a page that was judged where it was scored. */
function outcomeOf(
  fate: (typeof PAGE_FATES)[number],
  isKept: boolean,
): readonly [status: Status, reason: Reason | 'doc_refiner'] {
  switch (fate) {
    case 'kept':
      return ['kept', 'keep'];
    case 'edited':
      return ['edited', 'edited'];
    case 'all_removed':
      return ['dropped', 'all_removed'];
    case 'too_much_removed':
    case 'too_few_words':
      return isKept ? ['failed', 'over_removal'] : ['dropped', fate];
    case 'fell':
      return ['dropped', 'doc_refiner'];
    default:
      return ['kept', 'no_program'];
  }
}

/** The programs of a document's windows as one text, as the published scripts join them. */
function joinPrograms(
  windows: readonly WindowVerdict[] | null,
  dialect: DialectName,
): string | null {
  if (windows === null || windows.length === 0) return null;
  return windows.map((window) => programOf(window, dialect)).join('\n');
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
