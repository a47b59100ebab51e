/**
 * What `annotate documents` is asked for and what it says it did (label-documents.ts).
 */
import type { OnWork } from '../../work/activity.ts';
import type { ExpertOptions, ExpertStats } from '../expert/expert.ts';
import type { FailureCause } from '../failure-causes.ts';
import type { ParsedScore, ScoreName, ScoreProblem } from './scores.ts';

/** Options of annotateDocuments(). */
export interface AnnotateDocumentsOptions {
  /** Files, folders and globs of a corpus. */
  readonly inputs: readonly string[];
  /** Output folder. */
  readonly out: string;
  /** Who is asked. Answers are kept in `<out>/_annotate/answers` unless `cacheDir` says otherwise. */
  readonly expert: ExpertOptions;
  /** Default `text`. */
  readonly textColumn?: string;
  /** Default: `id` where there is one, else ids are `row:<number>`. */
  readonly idColumn?: string;
  /** Most rows to read. */
  readonly limit?: number;
  /** Characters of a text that the expert sees; longer ones are cut. Default 10 000. */
  readonly maxChars?: number;
  /** Longest answer in tokens. Default 512. */
  readonly answerTokens?: number;
  /** `prox` (default): educational ≥ 3, or 2 and format ≥ 4. `edu:N`: educational ≥ N; the format is not asked for. */
  readonly keepRule?: string;
  /** Folder of edited prompts. */
  readonly prompts?: string;
  /** How the refiner to be trained is asked: a profile with a document stage, built-in or a file. Default `prox`. */
  readonly profile?: string;
  /** Share of domains whose documents validate, 0..1. Default 0.1. */
  readonly validation?: number;
  /**
   * What the names of the columns `id`, `label` … of documents.parquet begin with, where the corpus has such columns: at
   * most 64 letters, digits and `_`. Default: nothing.
   */
  readonly statusPrefix?: string;
  /** Whether columns of the corpus that are called like added ones give way; otherwise they are refused. Default false. */
  readonly replaceStatus?: boolean;
  readonly signal?: AbortSignal;
  /** One line that a person should see: a wait for a lease, files that are passed over. */
  readonly onNotice?: (line: string) => void;
  readonly onProgress?: (progress: AnnotateProgress) => void;
  /** Told what the run does, for those who look at it from outside. */
  readonly onActivity?: OnWork;
}

/** Defaults of {@link AnnotateDocumentsOptions}. */
export const ANNOTATE_DOCUMENTS_DEFAULTS = Object.freeze({
  textColumn: 'text',
  maxChars: 10_000,
  answerTokens: 512,
  keepRule: 'prox',
  profile: 'prox',
  validation: 0.1,
});

/** How far a run is. */
export interface AnnotateProgress {
  readonly rows: number;
  /** Null where the corpus does not say. */
  readonly nRows: number | null;
  readonly labelled: number;
  readonly failed: number;
  readonly expert: ExpertStats;
}

/** Why a row failed: a problem of its text, or, behind `edu_` or `format_`, of an answer. */
export type DocumentFailure =
  | 'null_text'
  | 'invalid_utf8'
  | 'empty_text'
  | `${'edu' | 'format'}_${'expert_failed' | ScoreProblem}`;

/** What annotateDocuments() did; statistics.json. */
export interface AnnotateDocumentsStatistics {
  readonly out: string;
  /** `budget`, or the `quota` at the endpoint: the rest of the corpus is left for another run. */
  readonly stopped: 'budget' | 'quota' | null;
  /** What stopped it, in words. */
  readonly stoppedBy: string | null;
  /** Rows read. */
  readonly rowsIn: number;
  readonly labelled: number;
  readonly failed: number;
  /** Rows for which the budget or the quota did not suffice. */
  readonly unfinished: number;
  readonly keep: number;
  readonly drop: number;
  /** Rows of which the expert saw the beginning only. */
  readonly cut: number;
  /** Rows by score, 0 to 5. */
  readonly eduScores: readonly number[];
  readonly formatScores: readonly number[];
  readonly failures: Readonly<Record<string, number>>;
  /** Why rows failed, in words, commonest first; 21 at most. */
  readonly causes: readonly FailureCause[];
  readonly keepRule: string;
  readonly maxChars: number;
  readonly answerTokens: number;
  readonly expert: ExpertStats & { readonly name: string };
  readonly seconds: number;
}

/** A row that was judged; null: the budget or the quota did not suffice. */
export type Verdict = {
  readonly reason: DocumentFailure | null;
  /** The reason in words: what the server said of a request that failed. */
  readonly cause: string | null;
  readonly keep: boolean | null;
  readonly scores: Readonly<Partial<Record<ScoreName, ParsedScore>>>;
  readonly requests: string;
  readonly cut: boolean;
} | null;
