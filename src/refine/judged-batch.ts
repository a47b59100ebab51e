/**
 * What the stages are, and what they say of a batch, before anything is made of it.
 */
import type { DocumentBatch } from '../batch/document-batch.ts';
import type { EngineCallOptions } from '../native/engine.ts';
import type { PageRemovals } from '../native/lines.ts';
import type { ExecutionPool } from '../program/pool.ts';
import type { DialectName } from '../program/types.ts';
import type { WindowVerdict } from '../program/verdict.ts';
import type { BatchScores as PackedScores } from '../scores/batch-scores.ts';
import type { ChunkPrograms } from './chunk-stage.ts';
import type { DocumentVerdicts } from './document-stage.ts';
import type { StageReason } from './reasons.ts';
import type { BatchScores } from './scoring-engine.ts';

/** Pages that were cut where they were scored. */
export interface RemovedPages {
  readonly removals: PageRemovals;
  /** Edited pages, each where it lies in the batch behind the first offset. */
  readonly output: Uint8Array;
  /** Gives the output's memory back. */
  release(): void;
}

/** What the scoring stages say of documents; at most one of `written` and `removed`. */
export interface ScoredDocuments {
  readonly verdicts: DocumentVerdicts | null;
  readonly written: ChunkPrograms | null;
  readonly removed: RemovedPages | null;
  /** Scores of lines, of those documents whose lines were scored; null without a model for lines, and where pages were cut. */
  readonly scores: LineScores | null;
}

/** Probability of "keep" of lines, by requested document. */
export type LineScores = Pick<BatchScores, 'lineStarts' | 'lines'>;

/** Options of one call of the scoring stages. */
export interface ScoreCallOptions extends EngineCallOptions {
  /** Where the documents are from, by row. */
  readonly site?: DocumentBatch['site'];
}

/** What the stages need, set up once per run. */
export interface RefineCore {
  /** The stages that score, asked between the two below, which do not: verdicts on documents, programs of those that stay. */
  readonly score:
    | ((
        text: DocumentBatch['text'],
        docs: Int32Array,
        options?: ScoreCallOptions,
      ) => Promise<ScoredDocuments>)
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

/** What the engine said of a batch, before execution. */
export interface JudgedBatch {
  readonly batch: DocumentBatch;
  readonly failed: readonly (StageReason | null)[];
  readonly droppedByRefiner: Uint8Array;
  readonly score: Float64Array;
  /** What is left to execute; null where nothing is. */
  readonly programs: readonly (readonly WindowVerdict[] | null)[] | null;
  /** Documents that were cut where they were scored. */
  readonly removed: readonly { readonly docs: Int32Array; readonly pages: RemovedPages }[];
  readonly promptTokens: number;
  readonly newTokens: number;
  readonly windows: number;
  readonly windowsSkipped: number;
  /** As they are kept; null where nobody wants them. */
  readonly scores: PackedScores | null;
}
