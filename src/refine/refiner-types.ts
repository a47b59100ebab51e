/** The refiner as a library: what a caller gives and gets (see refiner.ts). */
import type { DocumentBatch } from '../batch/document-batch.ts';
import type { EngineInfo, EngineStats } from '../native/engine.ts';
import type { Outcome } from '../program/types.ts';
import type { RefineOptions } from './refine-options.ts';
import type { RefinedRows } from './refined-rows.ts';
import type { ScoringInfo, ScoringStats } from './scoring-engine.ts';

/** Options of {@link openRefiner}. */
export interface OpenRefinerOptions extends RefineOptions {
  /**
   * Only false, which is the default: a refiner lives in this process, and a crash of llama.cpp takes the process along.
   * `refineCorpus` has a worker process for its runs.
   */
  readonly isolate?: false;
  /**
   * File that `countSites` has made: what a site repeats on its pages is evidence against lines of texts whose URLs are given
   * (`urls` of `refine`, `url` of `refineRows`, the column `site` of batches). For refiners that score lines.
   */
  readonly sites?: string;
  /** Bytes of one shared-memory slab, default 64 MiB, and their number, default 3. */
  readonly slabBytes?: number;
  readonly nSlabs?: number;
}

/** Options of a call on a {@link Refiner}. */
export interface RefineCallOptions {
  /**
   * Ends the call at once with an `AbortError` (code ABORTED, `cause` the signal's reason), whatever the engine
   * computes; its result is dropped when it comes. The refiner stays usable.
   */
  readonly signal?: AbortSignal;
}

/** Options of {@link Refiner.refine}. */
export interface RefineTextsOptions extends RefineCallOptions {
  /** Where each text is from: a URL, host or domain; with `sites`. */
  readonly urls?: readonly (string | null | undefined)[];
}

/** A text as callers have it; null and undefined are rows without a text. */
export type RefinerText = string | null | undefined;

/** The outcome of one document with what the refiner said of it. */
export interface RefinedDocument extends Outcome {
  /** Programs of the document's windows joined by line breaks; null when none was written. */
  readonly program: string | null;
  /** Probability of keeping by the document stage, 0..1; null where it did not run. */
  readonly score: number | null;
}

/** A row with the outcome of its text. */
export interface RefinedRowOf<Row> extends RefinedDocument {
  /** The row as it came. */
  readonly row: Row;
}

/** Options of {@link Refiner.refineRows}. */
export interface RefineRowsOptions<Row> extends RefineCallOptions {
  /**
   * The text of a row: a function, or the name of a property. Default: rows that are strings are texts, other ones
   * have a property `text`. Called once a row, in order.
   */
  readonly text?: ((row: Row) => RefinerText) | (keyof Row & string);
  /** Where a row's text is from, URL, host or domain: a function, or the name of a property; with `sites`. Default: not known. */
  readonly url?: ((row: Row) => string | null | undefined) | (keyof Row & string);
}

/** A batch that came out of {@link Refiner.stream}. Its memory is part of the refiner's slab pool. */
export interface StreamedRows extends RefinedRows {
  /** Holds the result until {@link release} is called, however many others are asked for. */
  keep(): void;
}

/** A refiner in memory. Owns native memory: call {@link Refiner.dispose}, or use `await using`. */
export interface Refiner {
  /** What the loaded models say of themselves, document stage first. */
  readonly models: readonly (EngineInfo | ScoringInfo)[];
  /**
   * Refines texts, in order. A null or undefined text is `failed` for `null_text`, one with half a surrogate pair for
   * `invalid_utf8`; the text of kept and failed documents is the one that came, that of dropped ones is empty.
   *
   * @throws ABORTED when `signal` fires, OPTION_INVALID for what is no text, DISPOSED
   * @example
   * ```js
   * const refiner = await openRefiner();
   * const [document] = await refiner.refine([page], { signal: AbortSignal.timeout(5_000) });
   * console.log(document.status, document.text);
   * ```
   */
  refine(texts: readonly RefinerText[], options?: RefineTextsOptions): Promise<RefinedDocument[]>;
  /**
   * Refines rows, in order, each with its outcome beside it. Rows are taken as they are needed, at most some hundred
   * ahead, and put into batches; who stops early closes the source. What the source or `text` throws comes out as it
   * is, behind the rows before it.
   *
   * @param rows any iterable: an array, a generator, a database cursor, a stream of objects
   * @throws ABORTED when `signal` fires, OPTION_INVALID for a row whose text is no text, DISPOSED
   * @example
   * ```js
   * for await (const { row, text, status } of refiner.refineRows(cursor, { text: (row) => row.body })) {
   *   if (status !== 'dropped') await insert({ ...row, body: text });
   * }
   * ```
   */
  refineRows<Row>(
    rows: AsyncIterable<Row> | Iterable<Row>,
    options?: RefineRowsOptions<Row>,
  ): AsyncGenerator<RefinedRowOf<Row>, void, undefined>;
  /**
   * Refines a stream of batches (or of arrays of texts), in order, reading ahead by two, without copying: texts are
   * views on shared memory. `release()` gives a result's memory back; at the latest it is used again when the third
   * next result is asked for, unless `keep()` was called. Input batches stay the caller's; those made of texts are
   * released with their result.
   *
   * @throws ABORTED when `signal` fires, OPTION_INVALID, DISPOSED
   * @example
   * ```js
   * for await (const rows of refiner.stream(batches)) {
   *   for (const [row, status] of rows.status.entries()) write(rows.texts[row], status, rows.reason[row]);
   *   rows.release();
   * }
   * ```
   */
  stream(
    batches:
      | AsyncIterable<DocumentBatch | readonly RefinerText[]>
      | Iterable<DocumentBatch | readonly RefinerText[]>,
    options?: RefineCallOptions,
  ): AsyncGenerator<StreamedRows, void, undefined>;
  /** Counters of the engines, by model. */
  stats(): Promise<(EngineStats | ScoringStats)[]>;
  /** Ends what is under way (its calls reject with DISPOSED) and frees the models; again: does nothing. */
  dispose(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
