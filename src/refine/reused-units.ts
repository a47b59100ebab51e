/**
 * Batches judged by kept scores. Rows are found by their numbers in the input file, whatever the batches of the run that
 * kept them were; one or two blocks are in memory at a time.
 */
import type { UnitBatch } from '../corpus/types.ts';
import { GristmillError } from '../errors.ts';
import { lineVerdicts } from '../program/line-verdict.ts';
import type { WindowVerdict } from '../program/verdict.ts';
import { type BatchScores, ROW_STATES, type RowState } from '../scores/batch-scores.ts';
import type { ScoreBlock, ScoreFile } from '../scores/score-file.ts';
import { type CutThresholds, verdictAt } from '../scores/verdict.ts';
import type { JudgedBatch } from './judged-batch.ts';
import type { KeptScores } from './kept-scores.ts';
import type { StageReason } from './reasons.ts';
import { arrivalReasons } from './refine-batch.ts';

/** States of rows that failed in an engine. */
const FAILED_STATES: readonly RowState[] = ['doc_prompt_too_long', 'engine_crashed'];

/** See the file's header. */
export class ReusedUnits {
  readonly #scores: KeptScores;
  readonly #cut: CutThresholds;
  /** Files of units under way; those of units behind are closed. */
  readonly #open = new Map<number, Promise<ScoreFile>>();
  /** Blocks under way, by unit and index. */
  readonly #blocks = new Map<string, Promise<ScoreBlock>>();

  constructor(scores: KeptScores, cut: CutThresholds) {
    this.#scores = scores;
    this.#cut = cut;
  }

  /**
   * What a run with models would say of a batch, without its counts of tokens.
   *
   * @throws RUN_SCORES_ABSENT for a row that the earlier run has not seen; RUN_LEDGER_INVALID
   */
  async judge(unit: number, { batch, rowStatus, rowNumbers }: UnitBatch): Promise<JudgedBatch> {
    const { nDocs } = batch;
    const failed: (StageReason | null)[] = arrivalReasons(rowStatus);
    const droppedByRefiner = new Uint8Array(nDocs);
    const score = new Float64Array(nDocs).fill(Number.NaN);
    const programs: (readonly WindowVerdict[] | null)[] = new Array(nDocs).fill(null);
    const found: FoundRow[] = [];
    let windows = 0;
    const file = await this.#fileOf(unit);
    let block: ScoreBlock | null = null;
    let at = 0;
    for (let row = 0; row < nDocs; row++) {
      const number = Number(rowNumbers[row]);
      if (!block || number > block.rowNumbers.at(-1)!) {
        block = await this.#blockWith(unit, file, number);
        at = 0;
      }
      while (block && block.rowNumbers[at]! < number) at++;
      if (!block || block.rowNumbers[at] !== number) throw this.#missing(unit, `row ${number}`);
      found.push({ block, at });
      score[row] = block.document[at]!;
      if (failed[row] !== null) continue;
      const state = ROW_STATES[block.state[at]!]!;
      const verdict = verdictAt(block, at, this.#cut);
      if (verdict.falls) droppedByRefiner[row] = 1;
      else if (FAILED_STATES.includes(state)) failed[row] = state as StageReason;
      else if (verdict.codeBound === null) throw this.#missing(unit, `the lines of row ${number}`);
      else if (this.#cut.edge !== null) {
        windows++;
        const { codes, lineStarts } = block;
        const own = codes.subarray(lineStarts[at], lineStarts[at + 1]);
        programs[row] = lineVerdicts(own, verdict.codeBound);
      }
    }
    const tokens = { promptTokens: 0, newTokens: 0, windows, windowsSkipped: 0 };
    const scores = gathered(found);
    return { batch, failed, droppedByRefiner, score, programs, removed: [], scores, ...tokens };
  }

  async dispose(): Promise<void> {
    const files = await Promise.allSettled(this.#open.values());
    this.#open.clear();
    this.#blocks.clear();
    for (const file of files) if (file.status === 'fulfilled') await file.value.close();
  }

  async #fileOf(unit: number): Promise<ScoreFile> {
    for (const [other, file] of this.#open) {
      // Batches of the unit before may be under way still.
      if (other >= unit - 1) continue;
      this.#open.delete(other);
      await (await file).close();
    }
    const known = this.#open.get(unit);
    if (known) return known;
    const file = this.#scores.unit(unit);
    this.#open.set(unit, file);
    return file;
  }

  async #blockWith(unit: number, file: ScoreFile, row: number): Promise<ScoreBlock | null> {
    const { blocks } = file;
    let [low, high] = [0, blocks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (blocks[middle]!.lastRow < row) low = middle + 1;
      else high = middle;
    }
    const place = blocks[low];
    if (!place || place.firstRow > row) return null;
    const key = `${unit}/${low}`;
    const known = this.#blocks.get(key);
    if (known) return known;
    const block = file.read(place);
    this.#blocks.set(key, block);
    while (this.#blocks.size > MAX_BLOCKS) this.#blocks.delete(this.#blocks.keys().next().value!);
    return block;
  }

  #missing(unit: number, what: string): GristmillError {
    const reason = `unit ${unit} has none of ${what}`;
    return new GristmillError('RUN_SCORES_ABSENT', { out: this.#scores.out, reason });
  }
}

/** Blocks in memory: two batches are under way at a time, and one may lie in two blocks. */
const MAX_BLOCKS = 4;

interface FoundRow {
  readonly block: ScoreBlock;
  readonly at: number;
}

/** Scores of rows from their blocks, for a run that keeps them again. */
function gathered(rows: readonly FoundRow[]): BatchScores {
  const nRows = rows.length;
  const lineStarts = new Int32Array(nRows + 1);
  for (const [row, { block, at }] of rows.entries()) {
    const nLines = block.lineStarts[at + 1]! - block.lineStarts[at]!;
    lineStarts[row + 1] = lineStarts[row]! + nLines;
  }
  const codes = new Uint8Array(lineStarts[nRows]!);
  for (const [row, { block, at }] of rows.entries()) {
    codes.set(
      block.codes.subarray(block.lineStarts[at], block.lineStarts[at + 1]),
      lineStarts[row],
    );
  }
  return {
    nRows,
    state: Uint8Array.from(rows, ({ block, at }) => block.state[at]!),
    document: Float64Array.from(rows, ({ block, at }) => block.document[at]!),
    actsFrom: Uint8Array.from(rows, ({ block, at }) => block.actsFrom[at]!),
    lineStarts,
    codes,
  };
}
