/**
 * One batch through the stages: document stage, chunk stage, execution.
 *
 * Rows that cannot be refined (null, not UTF-8, engine crashed) are `failed` with a reason and keep their text;
 * rows that the document stage drops never reach the chunk stage.
 */
import { bytesAt, type DocumentBatch } from '../batch/document-batch.ts';
import type { EngineCallOptions } from '../native/engine.ts';
import { native } from '../native/index.ts';
import { programOf } from '../program/line-verdict.ts';
import type { BatchExecution, ExecutionPool } from '../program/pool.ts';
import { type DialectName, type OpRecord, STATUSES, type Status } from '../program/types.ts';
import type { WindowVerdict } from '../program/verdict.ts';
import type { BatchScores as PackedScores } from '../scores/batch-scores.ts';
import type { ScoreKeeper } from '../scores/keeper.ts';
import { type BatchPlace, type EngineGuard, UNGUARDED } from '../work/guard.ts';
import type { ChunkPrograms } from './chunk-stage.ts';
import type { DocumentVerdicts } from './document-stage.ts';
import type { StageReason } from './reasons.ts';
import type { BatchScores } from './scoring-engine.ts';
import { type RefineCounts, ZERO_COUNTS } from './statistics.ts';

/** Of batches that belong to no run. */
const NOWHERE: BatchPlace = { unit: 0, firstRow: 0 };

/** Why a row cannot be refined, by its status on arrival (src/corpus/types.ts: 0 fine, 1 null, 2 not UTF-8). */
const ARRIVAL_REASONS: readonly (StageReason | null)[] = [null, 'null_text', 'invalid_utf8'];

/** Why rows cannot be refined; null for those that can. */
export function arrivalReasons(rowStatus: Uint8Array): (StageReason | null)[] {
  return Array.from(rowStatus, (status) => ARRIVAL_REASONS[status] ?? null);
}

/** What the stages need, set up once per run. */
export interface RefineCore {
  /** The stages that score, asked between the two below, which do not: verdicts on documents, programs of those that stay. */
  readonly score:
    | ((
        text: DocumentBatch['text'],
        docs: Int32Array,
        options?: EngineCallOptions,
      ) => Promise<{
        readonly verdicts: DocumentVerdicts | null;
        readonly written: ChunkPrograms | null;
        /** Scores of lines, of those documents whose lines were scored; null without a model for lines. */
        readonly scores: LineScores | null;
      }>)
    | null;
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
  /** How programs are spelt. */
  readonly dialect: DialectName;
  readonly pool: ExecutionPool;
}

/** Probability of "keep" of lines, by requested document. */
export type LineScores = Pick<BatchScores, 'lineStarts' | 'lines'>;

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

/** What the engine said of a batch, before execution. */
export interface JudgedBatch {
  readonly batch: DocumentBatch;
  readonly failed: readonly (StageReason | null)[];
  readonly droppedByRefiner: Uint8Array;
  readonly score: Float64Array;
  readonly programs: readonly (readonly WindowVerdict[] | null)[];
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly windows: number;
  readonly windowsSkipped: number;
  readonly scores: PackedScores | null;
}

/** How a batch is judged. */
export interface JudgeOptions {
  /** Keeps engine calls apart that may kill the process; default: none is. */
  readonly guard?: EngineGuard;
  /** Where the batch lies in its run, as the guard knows it. */
  readonly place?: BatchPlace;
  /** Keeps the scores. */
  readonly keeper?: ScoreKeeper | null;
  readonly signal?: AbortSignal | undefined;
}

/** Numbers of the stages for the guard. */
export const STAGE_NUMBERS = Object.freeze({ document: 0, chunk: 1 });

/** Runs the engine's stages over one batch. @throws ABORTED when `signal` fires */
export async function judgeBatch(
  core: RefineCore,
  batch: DocumentBatch,
  rowStatus: Uint8Array,
  { guard = UNGUARDED, place = NOWHERE, keeper = null, signal }: JudgeOptions = {},
): Promise<JudgedBatch> {
  const failed = arrivalReasons(rowStatus);
  const droppedByRefiner = new Uint8Array(batch.nDocs);
  const score = new Float64Array(batch.nDocs).fill(Number.NaN);
  const programs: (readonly WindowVerdict[] | null)[] = new Array(batch.nDocs).fill(null);
  let promptTokens = 0;
  let newTokens = 0;
  let windows = 0;
  let windowsSkipped = 0;
  const lineScores: (Float32Array | null)[] | null = keeper && new Array(batch.nDocs).fill(null);
  const notFailed = (): Int32Array =>
    Int32Array.from(failed.keys()).filter((row) => failed[row] === null);
  const alive = (): Int32Array => notFailed().filter((row) => !droppedByRefiner[row]);

  const setAside = (docs: Int32Array): void => {
    for (const row of docs) failed[row] = 'engine_crashed';
  };

  const takeVerdicts = (docs: Int32Array, verdicts: DocumentVerdicts): void => {
    for (const [index, row] of docs.entries()) {
      score[row] = verdicts.score[index]!;
      failed[row] = verdicts.failed[index]!;
      droppedByRefiner[row] = failed[row] === null && verdicts.keep[index] === 0 ? 1 : 0;
    }
    promptTokens += verdicts.promptTokens;
    newTokens += verdicts.newTokens;
  };
  const takePrograms = (docs: Int32Array, chunk: ChunkPrograms): void => {
    for (const [index, row] of docs.entries()) {
      if (failed[row] === null && !droppedByRefiner[row]) programs[row] = chunk.programs[index]!;
    }
    promptTokens += chunk.promptTokens;
    newTokens += chunk.newTokens;
    windows += chunk.windows;
    windowsSkipped += chunk.windowsSkipped;
  };
  /** Asks a stage about the documents that are left; those that kill it are set aside. */
  const ask = async <T>(
    stage: number,
    run: (docs: Int32Array) => Promise<T>,
    take: (docs: Int32Array, value: T) => void,
    asked = alive(),
  ): Promise<void> => {
    for (const { docs, value } of await guard.over(place, stage, asked, run)) {
      if (value === null) setAside(docs);
      else take(docs, value);
    }
  };

  const { judge, score: scoring, write } = core;
  const { document, chunk } = STAGE_NUMBERS;
  const { text } = batch;
  if (judge) await ask(document, (docs) => judge(text, docs, { signal }), takeVerdicts);
  if (scoring) {
    const stage = judge ? chunk : document;
    await ask(
      stage,
      (docs) => scoring(text, docs, { signal }),
      (docs, { verdicts, written, scores }) => {
        if (verdicts) takeVerdicts(docs, verdicts);
        if (written) takePrograms(docs, written);
        if (!lineScores || !scores) return;
        for (const [index, row] of docs.entries()) {
          const own = scores.lines.subarray(scores.lineStarts[index], scores.lineStarts[index + 1]);
          const fell = verdicts?.keep[index] === 0 && own.length === 0;
          lineScores[row] = fell ? null : own;
        }
      },
      keeper?.all ? notFailed() : alive(),
    );
  }
  if (write) await ask(chunk, (docs) => write(text, docs, { signal }), takePrograms);
  const tokens = { promptTokens, newTokens, windows, windowsSkipped };
  const scores =
    keeper && lineScores && keeper.packer.pack({ failed, document: score, lines: lineScores });
  return { batch, failed, droppedByRefiner, score, programs, scores, ...tokens };
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
  const wasExecuted = new Uint8Array(nRows);
  const codePoints = new Int32Array(nRows);
  native().countCodePoints(batch.text.data, batch.text.offsets, codePoints);
  const editedCodePoints = countEdited(execution, nRows);
  const tally = { kept: 0, edited: 0, dropped: 0, failed: 0 };
  const reasons = new Map<string, number>();
  let charsIn = 0;
  let charsOut = 0;

  for (let row = 0; row < nRows; row++) {
    const arrival = failed[row]!;
    const input = bytesAt(batch.text, row);
    texts[row] = input;
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
      program[row] = joinPrograms(programs[row] ?? null, core.dialect);
      wasExecuted[row] = 1;
      texts[row] = execution.textAt(row) ?? input;
    }
    const became = status[row]!;
    tally[became]++;
    reasons.set(reason[row]!, (reasons.get(reason[row]!) ?? 0) + 1);
    charsIn += codePoints[row]!;
    if (became === 'dropped') continue;
    const text = texts[row];
    if (text === input) charsOut += codePoints[row]!;
    else if (became === 'edited') charsOut += editedCodePoints[row]!;
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
  let ops: (readonly OpRecord[])[] | null = null;
  return {
    ...{
      batch,
      status,
      reason,
      program,
      score: judged.score,
      texts,
      counts,
      scores: judged.scores,
    },
    // Runs have no use for them.
    get ops() {
      ops ??= Array.from(wasExecuted, (was, row) => (was ? execution.opsAt(row) : []));
      return ops;
    },
    release: () => execution.release(),
  };
}

/** Code points of the edited texts, by row. */
function countEdited(execution: BatchExecution, nRows: number): Int32Array {
  const counts = new Int32Array(nRows);
  for (const { docs, offsets, data } of execution.written()) {
    const own = new Int32Array(docs.length);
    native().countCodePoints(data, offsets, own);
    for (const [index, row] of docs.entries()) counts[row] = own[index]!;
  }
  return counts;
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
export function joinPrograms(
  windows: readonly WindowVerdict[] | null,
  dialect: DialectName,
): string | null {
  if (windows === null || windows.length === 0) return null;
  return windows.map((window) => programOf(window, dialect)).join('\n');
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const encoder = new TextEncoder();

/** Text with U+FFFD in place of what is not UTF-8 (WHATWG), so that every reader can open the output. */
function repairUtf8(bytes: Uint8Array): Uint8Array {
  return encoder.encode(decoder.decode(bytes));
}
