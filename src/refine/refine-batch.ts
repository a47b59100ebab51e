/**
 * One batch through the stages: document stage, chunk stage, execution.
 *
 * Rows that cannot be refined (null, not UTF-8, engine crashed) are `failed` with a reason and keep their text;
 * rows that the document stage drops never reach the chunk stage.
 */
import { bytesAt, type DocumentBatch } from '../batch/document-batch.ts';
import type { EngineCallOptions } from '../native/engine.ts';
import { native } from '../native/index.ts';
import type { BatchExecution, ExecutionPool } from '../program/pool.ts';
import { type OpRecord, STATUSES, type Status, type WindowProgram } from '../program/types.ts';
import type { ChunkPrograms } from './chunk-stage.ts';
import type { DocumentVerdicts } from './document-stage.ts';
import type { StageReason } from './reasons.ts';
import { type RefineCounts, ZERO_COUNTS } from './statistics.ts';

/** Why a row cannot be refined, by its status on arrival (src/corpus/types.ts: 0 fine, 1 null, 2 not UTF-8). */
const ARRIVAL_REASONS: readonly (StageReason | null)[] = [null, 'null_text', 'invalid_utf8'];

/** What the stages need, set up once per run. */
export interface RefineCore {
  readonly judge:
    | ((
        text: DocumentBatch['text'],
        docs: Int32Array,
        options?: EngineCallOptions,
      ) => Promise<DocumentVerdicts>)
    | null;
  readonly write:
    | ((
        text: DocumentBatch['text'],
        docs: Int32Array,
        options?: EngineCallOptions,
      ) => Promise<ChunkPrograms>)
    | null;
  /** Program text of a dropped document, as the document refiner answers it. */
  readonly dropAnswer: string;
  readonly pool: ExecutionPool;
}

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
  /** Gives the memory of the outputs back; the batch itself stays the caller's. */
  release(): void;
}

/** What the engine said of a batch, before execution. */
export interface JudgedBatch {
  readonly batch: DocumentBatch;
  readonly failed: readonly (StageReason | null)[];
  readonly droppedByRefiner: Uint8Array;
  readonly score: Float64Array;
  readonly programs: readonly (readonly WindowProgram[] | null)[];
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly windows: number;
  readonly windowsSkipped: number;
}

/** Runs the engine's stages over one batch. @throws ABORTED when `signal` fires */
export async function judgeBatch(
  core: RefineCore,
  batch: DocumentBatch,
  rowStatus: Uint8Array,
  signal?: AbortSignal,
): Promise<JudgedBatch> {
  const failed = Array.from(rowStatus, (status) => ARRIVAL_REASONS[status] ?? null);
  const droppedByRefiner = new Uint8Array(batch.nDocs);
  const score = new Float64Array(batch.nDocs).fill(Number.NaN);
  const programs: (readonly WindowProgram[] | null)[] = new Array(batch.nDocs).fill(null);
  let promptTokens = 0;
  let newTokens = 0;
  let windows = 0;
  let windowsSkipped = 0;
  const alive = (): Int32Array =>
    Int32Array.from(failed.keys()).filter((row) => failed[row] === null && !droppedByRefiner[row]);

  if (core.judge) {
    const docs = alive();
    const verdicts = await core.judge(batch.text, docs, { signal });
    for (const [index, row] of docs.entries()) {
      score[row] = verdicts.score[index]!;
      failed[row] = verdicts.failed[index]!;
      droppedByRefiner[row] = failed[row] === null && verdicts.keep[index] === 0 ? 1 : 0;
    }
    promptTokens += verdicts.promptTokens;
    newTokens += verdicts.newTokens;
  }
  if (core.write) {
    const docs = alive();
    const chunk = await core.write(batch.text, docs, { signal });
    for (const [index, row] of docs.entries()) {
      const written = chunk.programs[index]!;
      if (written === null) failed[row] = 'engine_crashed';
      programs[row] = written;
    }
    promptTokens += chunk.promptTokens;
    newTokens += chunk.newTokens;
    windows += chunk.windows;
    windowsSkipped += chunk.windowsSkipped;
  }
  const tokens = { promptTokens, newTokens, windows, windowsSkipped };
  return { batch, failed, droppedByRefiner, score, programs, ...tokens };
}

/** Executes the programs of a judged batch and counts what became of its rows. */
export async function executeBatch(
  core: RefineCore,
  judged: JudgedBatch,
  signal?: AbortSignal,
): Promise<RefinedRows> {
  const { batch, failed, droppedByRefiner, programs } = judged;
  const execution: BatchExecution = await core.pool.execute(batch, programs, signal);
  const nRows = batch.nDocs;
  const status: Status[] = new Array(nRows);
  const reason: string[] = new Array(nRows);
  const program: (string | null)[] = new Array(nRows);
  const texts: (Uint8Array | null)[] = new Array(nRows);
  const ops: (readonly OpRecord[])[] = new Array(nRows);
  const codePoints = new Int32Array(nRows);
  native().countCodePoints(batch.text.data, batch.text.offsets, codePoints);
  const tally = { kept: 0, edited: 0, dropped: 0, failed: 0 };
  const reasons = new Map<string, number>();
  let charsIn = 0;
  let charsOut = 0;

  for (let row = 0; row < nRows; row++) {
    const arrival = failed[row]!;
    const input = bytesAt(batch.text, row);
    texts[row] = input;
    ops[row] = [];
    if (arrival !== null) {
      status[row] = 'failed';
      reason[row] = arrival;
      program[row] = null;
      if (arrival === 'null_text') texts[row] = null;
      if (arrival === 'invalid_utf8') texts[row] = repairUtf8(input);
    } else if (droppedByRefiner[row]) {
      status[row] = 'dropped';
      reason[row] = 'doc_refiner';
      program[row] = core.dropAnswer;
    } else {
      status[row] = STATUSES[execution.status[row]!]!;
      reason[row] = execution.reasonAt(row);
      program[row] = joinPrograms(programs[row] ?? null);
      ops[row] = execution.opsAt(row);
      texts[row] = execution.textAt(row) ?? input;
    }
    const became = status[row]!;
    tally[became]++;
    reasons.set(reason[row]!, (reasons.get(reason[row]!) ?? 0) + 1);
    charsIn += codePoints[row]!;
    if (became === 'dropped') continue;
    const text = texts[row];
    if (text === input) charsOut += codePoints[row]!;
    else if (text) charsOut += codePointsOf(text);
  }
  const counts: RefineCounts = {
    ...ZERO_COUNTS,
    rowsIn: nRows,
    ...tally,
    reasons: Object.fromEntries(reasons),
    charsIn,
    charsOut,
    promptTokens: judged.promptTokens,
    newTokens: judged.newTokens,
    windows: judged.windows,
    windowsSkipped: judged.windowsSkipped,
  };
  const release = (): void => execution.release();
  return { batch, status, reason, program, score: judged.score, ops, texts, counts, release };
}

/** The rows when an output had no form for some of them, by their reasons: failed ones, without a text. */
export function withRefused(
  rows: RefinedRows,
  refused: ReadonlyMap<number, { readonly reason: string }>,
): RefinedRows {
  if (refused.size === 0) return rows;
  const { counts } = rows;
  const status = [...rows.status];
  const reason = [...rows.reason];
  const texts = [...rows.texts];
  const { kept, edited, dropped, failed } = counts;
  const became = { kept, edited, dropped, failed };
  const reasons = new Map(Object.entries(counts.reasons));
  const count = (code: string, rows: number): void => {
    reasons.set(code, (reasons.get(code) ?? 0) + rows);
  };
  let { charsOut } = counts;
  for (const [row, problem] of refused) {
    const text = texts[row];
    if (text && status[row] !== 'dropped') charsOut -= codePointsOf(text);
    became[status[row]!]--;
    became.failed++;
    count(reason[row]!, -1);
    count(problem.reason, 1);
    status[row] = 'failed';
    reason[row] = problem.reason;
    texts[row] = null;
  }
  const left = [...reasons].filter(([, nRows]) => nRows > 0);
  const counted = { ...counts, ...became, charsOut, reasons: Object.fromEntries(left) };
  return { ...rows, status, reason, texts, counts: counted };
}

function codePointsOf(text: Uint8Array): number {
  const count = new Int32Array(1);
  native().countCodePoints(text, Int32Array.of(0, text.byteLength), count);
  return count[0]!;
}

/** The programs of a document's windows as one text, as the published scripts join them. */
export function joinPrograms(windows: readonly WindowProgram[] | null): string | null {
  if (windows === null || windows.length === 0) return null;
  return windows.map((window) => window.program).join('\n');
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const encoder = new TextEncoder();

/** Text with U+FFFD in place of what is not UTF-8 (WHATWG), so that every reader can open the output. */
function repairUtf8(bytes: Uint8Array): Uint8Array {
  return encoder.encode(decoder.decode(bytes));
}
