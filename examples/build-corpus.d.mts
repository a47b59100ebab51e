/** Types of `build-corpus.mjs`, for the test that rebuilds the corpus. */

export interface CorpusRow {
  readonly id: string;
  readonly url: string;
  readonly domain: string;
  readonly language: string;
  readonly kind: string;
  readonly text: string | null;
  readonly n_words: number;
  readonly tags: readonly string[] | null;
  readonly meta: { readonly crawl_ts: Date; readonly quality: number | null } | null;
}

/** What a perfect refiner would do: drop the document, or remove these lines (0-based, both ends included). */
export interface CorpusLabel {
  readonly id: string;
  readonly drop: boolean;
  readonly remove: readonly (readonly [number, number])[];
}

export interface BuiltCorpus {
  readonly rows: readonly CorpusRow[];
  readonly parquet: Uint8Array;
  /** JSON lines of {@link CorpusLabel}, in the order of the rows. */
  readonly labels: string;
}

export declare const ROW_GROUP_ROWS: number;
export declare function buildCorpus(): BuiltCorpus;
