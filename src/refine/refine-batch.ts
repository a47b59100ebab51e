/**
 * One batch through the stages: document stage, chunk stage, execution.
 *
 * Rows that cannot be refined (null, not UTF-8, engine crashed) are `failed` with a reason and keep their text;
 * rows that the document stage drops never reach the chunk stage.
 */
import type { DocumentBatch } from '../batch/document-batch.ts';
import { PAGE_FATES } from '../native/lines.ts';
import { windowVerdicts } from '../program/line-verdict.ts';
import type { WindowVerdict } from '../program/verdict.ts';
import type { ScoreKeeper } from '../scores/keeper.ts';
import { type BatchPlace, type EngineGuard, UNGUARDED } from '../work/guard.ts';
import { BatchOutcome } from './batch-outcome.ts';
import type { ChunkPrograms } from './chunk-stage.ts';
import type { DocumentVerdicts } from './document-stage.ts';
import type { JudgedBatch, RefineCore, RemovedPages } from './judged-batch.ts';
import type { StageReason } from './reasons.ts';
import { ColumnRows } from './refined-rows.ts';

/** Of batches that belong to no run. */
const NOWHERE: BatchPlace = { unit: 0, firstRow: 0 };

/** Why a row cannot be refined, by its status on arrival (src/corpus/types.ts: 0 fine, 1 null, 2 not UTF-8). */
const ARRIVAL_REASONS: readonly (StageReason | null)[] = [null, 'null_text', 'invalid_utf8'];

/** Why rows cannot be refined; null for those that can. */
export function arrivalReasons(rowStatus: Uint8Array): (StageReason | null)[] {
  return Array.from(rowStatus, (status) => ARRIVAL_REASONS[status] ?? null);
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
  let programs: (readonly WindowVerdict[] | null)[] | null = null;
  const removed: { docs: Int32Array; pages: RemovedPages }[] = [];
  let promptTokens = 0;
  let newTokens = 0;
  let windows = 0;
  let windowsSkipped = 0;
  const lineScores: (Float32Array | null)[] | null = keeper && new Array(batch.nDocs).fill(null);
  const notFailed = (): Int32Array => rowsThat(batch.nDocs, (row) => failed[row] === null);
  const alive = (): Int32Array => notFailed().filter((row) => droppedByRefiner[row] === 0);

  const setAside = (docs: Int32Array): void => {
    for (const row of docs) failed[row] = 'engine_crashed';
  };

  const takeVerdicts = (docs: Int32Array, verdicts: DocumentVerdicts): void => {
    const { failed: reasons, keep, score: scores } = verdicts;
    for (let index = 0; index < docs.length; index++) {
      const row = docs[index]!;
      score[row] = scores[index]!;
      const reason = reasons?.[index] ?? null;
      if (reason !== null) failed[row] = reason;
      else if (keep[index] === 0) droppedByRefiner[row] = 1;
    }
    promptTokens += verdicts.promptTokens;
    newTokens += verdicts.newTokens;
  };
  const takePrograms = (docs: Int32Array, chunk: ChunkPrograms): void => {
    programs ??= new Array(batch.nDocs).fill(null);
    for (const [index, row] of docs.entries()) {
      if (failed[row] === null && !droppedByRefiner[row]) programs[row] = chunk.programs[index]!;
    }
    promptTokens += chunk.promptTokens;
    newTokens += chunk.newTokens;
    windows += chunk.windows;
    windowsSkipped += chunk.windowsSkipped;
  };
  /** Pages that C++ has judged; what it could not decide is the executor's. */
  const takeRemoved = (docs: Int32Array, pages: RemovedPages): void => {
    removed.push({ docs, pages });
    const { fates, nLines, stretchStarts, stretches } = pages.removals;
    for (let index = 0; index < docs.length; index++) {
      const fate = fates[index]!;
      promptTokens += nLines[index]!;
      if (fate !== FELL) windows++;
      if (fate !== UNDECIDED) continue;
      programs ??= new Array(batch.nDocs).fill(null);
      const own = stretches.subarray(stretchStarts[index]! * 2, stretchStarts[index + 1]! * 2);
      programs[docs[index]!] = windowVerdicts(own, nLines[index]!);
    }
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
  const { text, site } = batch;
  if (judge) await ask(document, (docs) => judge(text, docs, { signal }), takeVerdicts);
  if (scoring) {
    const stage = judge ? chunk : document;
    await ask(
      stage,
      (docs) => scoring(text, docs, { signal, site }),
      (docs, { verdicts, written, removed: pages, scores }) => {
        if (verdicts) takeVerdicts(docs, verdicts);
        if (written) takePrograms(docs, written);
        if (pages) takeRemoved(docs, pages);
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
  return { batch, failed, droppedByRefiner, score, programs, removed, scores, ...tokens };
}

/** Rows that something holds for. */
function rowsThat(nRows: number, holds: (row: number) => boolean): Int32Array {
  const rows = new Int32Array(nRows);
  let nFound = 0;
  for (let row = 0; row < nRows; row++) if (holds(row)) rows[nFound++] = row;
  return rows.subarray(0, nFound);
}

const FELL = PAGE_FATES.indexOf('fell');
const UNDECIDED = PAGE_FATES.indexOf('undecided');

/** Executes what is left of a judged batch and counts what became of its rows. */
export async function executeBatch(
  core: RefineCore,
  judged: JudgedBatch,
  signal?: AbortSignal,
): Promise<ColumnRows> {
  const { batch, programs, removed } = judged;
  const execution =
    programs && (await core.pool.execute(batch, programs, signal, removed.length > 0));
  const outcome = new BatchOutcome(core, judged, execution);
  return new ColumnRows(
    batch,
    outcome.columns,
    outcome.counts,
    judged.scores,
    () => outcome.ops(),
    () => {
      execution?.release();
      for (const { pages } of removed) pages.release();
    },
  );
}
