/**
 * What a run is asked, and how it says how far it is.
 */
import type { PlanOptions } from '../corpus/plan.ts';
import type { Status } from '../program/types.ts';
import type { WorkerShare } from '../work/worker-share.ts';
import type { RunActivity } from './activity.ts';
import type { RefineOptions } from './refine-options.ts';

/** Options of {@link refineCorpus}. */
export interface RefineCorpusOptions extends RefineOptions {
  /** Files, folders and globs, or one of them; `-` is an Arrow IPC stream on standard input. */
  readonly inputs: string | readonly string[];
  /** Output folder; `-` writes an Arrow IPC stream to standard output, without a ledger. */
  readonly out: string;
  /** Column with the text; default `text`, or where no file has that the only one of `content`, `body`, `raw_content`. */
  readonly textColumn?: string;
  /** What a document of plain text (.txt) is. Default a file. */
  readonly textPer?: 'file' | 'line';
  /** Column that names documents in dropped/. */
  readonly idColumn?: string;
  /**
   * What sites repeat on their pages is evidence against lines, by the only column of URLs, hosts or domains. Counted of the
   * inputs first, into `_gristmill/sites.counts`. For refiners that score lines. Default: no, unless the output's run has
   * begun with it or `siteColumn` or `sites` is given.
   */
  readonly site?: boolean;
  /** The same by the column of this name, which `sites` may go with. */
  readonly siteColumn?: string;
  /** File that `countSites` has made, in place of a count of the inputs; the column is `siteColumn` or the only one that goes by its name. */
  readonly sites?: string;
  /** Add `gristmill_original`, the text as it came; default false. */
  readonly keepOriginal?: boolean;
  /** Keep the texts of dropped documents, in dropped/ or, with `keepDropped`, in their rows; default false. */
  readonly droppedText?: boolean;
  /** With `out: '-'`: leave dropped rows in the stream, without their texts; default false. */
  readonly keepDropped?: boolean;
  /**
   * What the names of added columns begin with; default `gristmill_`. One that is given comes before the names of the
   * columns of dropped/ as well, for corpora whose own columns are called like ours.
   */
  readonly statusPrefix?: string;
  /** Let added columns take the place of ones of the input with their names; default false. */
  readonly replaceStatus?: boolean;
  /** Default: that of the input, `jsonl.zst` for JSON lines, else `parquet`. */
  readonly format?: 'parquet' | 'jsonl.zst';
  /**
   * Lines of a JSONL file that are looked at to find its columns, or `all`: what first appears later is a rejected row
   * where it fits no column. Default: all where the output has typed columns, 10,000 (16 MiB) for `jsonl.zst`.
   */
  readonly inferLines?: number | 'all';
  /** Longest line of a JSONL file, in bytes; longer ones are rejected rows. Default 256 MiB. */
  readonly maxLineBytes?: number;
  /** Largest window of zstd-compressed JSONL, as a power of two, 10..31; 31 takes 2 GiB. Default 27. */
  readonly zstdWindowLog?: number;
  /** With `out: '-'`: file for rejected rows (.parquet, .jsonl.zst or .arrow); without it the first one ends the run. */
  readonly rejected?: string;
  /**
   * Keep the scores of documents and lines beside the output (src/scores/), for `reuse` and for looking at thresholds;
   * `all`: those of lines of dropped documents too, which costs scoring them. Default false. For refiners that score.
   */
  readonly keepScores?: boolean | 'all';
  /**
   * A run that has kept its scores: the corpus is cut anew from them, by the thresholds given beside it, and no model is
   * asked. Options that decide scores come from that run and are refused here.
   */
  readonly reuse?: string;
  /** Rows of an output row group; default 10,000. */
  readonly rowGroupRows?: number;
  /** Bytes of text of an output row group; default 64 MB. */
  readonly rowGroupBytes?: number;
  /** Compression of the output, 1..19; default 3. */
  readonly zstdLevel?: number;
  /** Rows of a unit, about; default 10,000. A unit is at least one row group. */
  readonly unitRows?: number;
  /**
   * One worker of several on one output folder: the units of its share only, beside the others. Any of them may die and be
   * started again; `gristmill cluster finish` ends the run. Not with `limit`.
   */
  readonly worker?: WorkerShare;
  /** Stop after this many rows, in the order of the plan. */
  readonly limit?: number;
  /** Stop at the first bad file or unit; default false. */
  readonly failFast?: boolean;
  /**
   * Run in a worker process of its own, which reads, judges, executes and writes, and is started again where it dies;
   * default true. False runs in this process, which a crash of llama.cpp takes along.
   */
  readonly isolate?: boolean;
  /** Seconds without any progress after which the worker is killed and started again; 0: never. Default 600. */
  readonly watchdog?: number;
  /**
   * Seconds without a sign of life after which another process may take over the output, where it cannot see whether this one
   * has ended; 10..3600. Each process keeps its own, and others go by what it says. Default: the environment's
   * `GRISTMILL_LEASE_SECONDS`, else 30.
   */
  readonly lease?: number;
  /** Bytes of one shared-memory slab, and their number per lane; default 64 MiB, 3. */
  readonly slabBytes?: number;
  readonly nSlabs?: number;
  /** Return after planning: the summary then counts nothing. */
  readonly planOnly?: boolean;
  /**
   * Aborted: the run rejects with an `AbortError` as soon as its folder is in order. Units in flight are dropped, with what
   * the engine computes for them; the same call again does them, and what is left.
   */
  readonly signal?: AbortSignal;
  /**
   * Aborted: units in flight are finished, then the run returns with `interrupted`. A worker that dies at that, or does not
   * move, is not waited for: the run rejects with an `AbortError` then.
   */
  readonly stop?: AbortSignal;
  /**
   * Told of every document that was written; for looking at a few, not for collecting a corpus: each one is copied from the
   * worker to this process.
   */
  readonly onDocument?: (document: RefinedRow) => void;
  /** Documents of each status that `onDocument` is told of, at most; default all. */
  readonly documentLimit?: number;
  readonly onProgress?: (progress: RefineProgress) => void;
  /** Told of units and batches, for metrics and logs. */
  readonly onActivity?: (activity: RunActivity) => void;
  /** With `out: '-'`: told when the stream has begun, and of each answer once it is on its way to its reader. */
  readonly onStreamed?: (event: StreamEvent) => void;
  /** One line that a person should see: random models, restarts, the plan. */
  readonly onNotice?: (line: string) => void;
}

/** {@link RefineCorpusOptions} with the inputs as a list. */
export type ListedInputs = RefineCorpusOptions & { readonly inputs: readonly string[] };

/**
 * How JSON lines are planned for an output.
 *
 * @param isTyped whether the output has columns of its own; one of JSON lines takes every field as it is
 */
export function jsonOptionsOf(
  { inferLines, maxLineBytes, zstdWindowLog }: RefineCorpusOptions,
  isTyped: boolean,
): Pick<PlanOptions, 'inferLines' | 'maxLineBytes' | 'zstdWindowLog'> {
  const lines = inferLines ?? (isTyped ? 'all' : undefined);
  return {
    ...(lines !== undefined && { inferLines: lines }),
    ...(maxLineBytes !== undefined && { maxLineBytes }),
    ...(zstdWindowLog !== undefined && { zstdWindowLog }),
  };
}

/** What became of a document; its texts are decoded on demand and only during the call. */
export interface RefinedRow {
  /** Value of the id column; null without one. */
  readonly id: string | null;
  /** Row of the input file, from 0. */
  readonly row: number;
  readonly status: Status;
  readonly reason: string;
  /** The text as it came. */
  before(): string;
  /** The text that is written; null when the document was dropped or had none. */
  after(): string | null;
}

/** How far a run is. */
export interface RefineProgress {
  readonly rows: number;
  /** Rows of the plan, where all formats tell. */
  readonly nRows: number | null;
  readonly rowsResumed: number;
  readonly bytes: number;
  readonly nBytes: number;
  readonly bytesResumed: number;
  readonly kept: number;
  readonly edited: number;
  readonly dropped: number;
  readonly failed: number;
  readonly seconds: number;
  /** Tokens that models wrote; 0 for models that score. */
  readonly newTokens: number;
  readonly docsPerSecond: number;
  readonly tokensPerSecond: number;
  readonly done: boolean;
}

/** How a run to standard output goes on. */
export type StreamEvent =
  | {
      readonly kind: 'begin';
      /** Whether each record batch of standard input is answered by one. */
      readonly answers: boolean;
      readonly textColumn: string;
    }
  | {
      readonly kind: 'batch';
      /** Number of the record batch, from 0; `gristmill.sequence` in the metadata of its answer. */
      readonly sequence: number;
      readonly rowsIn: number;
      readonly kept: number;
      readonly edited: number;
      readonly dropped: number;
      readonly failed: number;
    };

/** Defaults of {@link RefineCorpusOptions}. */
export const REFINE_DEFAULTS = Object.freeze({
  textColumn: 'text',
  keepOriginal: false,
  droppedText: false,
  unitRows: 10_000,
  zstdLevel: 3,
  rowGroupRows: 10_000,
  rowGroupBytes: 64_000_000,
  watchdog: 600,
});
