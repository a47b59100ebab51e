/**
 * Typed face of scoring models (native/binding/line_scorer.cc): the bytes of pages in, scores out; or, below that, whole
 * windows of bags in, log-odds out.
 */
import { throwIfAborted } from '../errors.ts';
import { codedCall, fromNative } from './error.ts';
import type { NativeBins, NativeRegression, NativeTrees } from './pages.ts';
import type { SiteTableHandle } from './sites.ts';

/** Options of {@link openLineScorerWith}. */
export interface LineScorerOptions {
  /** GGUF file of kind line-score or document-score. */
  readonly modelPath: string;
  /** `cpu` or `cuda:<index>`. */
  readonly device: string;
  /** 1..512. */
  readonly nThreads: number;
}

/** What the model says of itself. */
export interface LineScorerInfo {
  readonly kind: 'line-score' | 'document-score';
  /** Name of the device it runs on. */
  readonly device: string;
  readonly nEmbd: number;
  /** Rows of the bag table. */
  readonly nRows: number;
  /** Bags of a window, at most. */
  readonly nCtx: number;
  /** What turns lines into bags; read by lines/encoder-file.ts. */
  readonly encoder: Uint8Array;
}

/** Windows of bags; see `BagWriter`. */
export interface BagWindows {
  /** `[nWindows + 1]`, first bag of each window, and the end. */
  readonly windowStarts: Int32Array;
  /** `[nBags + 1]` */
  readonly bagStarts: Int32Array;
  readonly bagIds: Int32Array;
  readonly bagWeights: Float32Array;
}

/** What turns pages into bags and verdicts; see ScoringEncoder of lines/encoder-file.ts. */
export interface NativeEncoder {
  readonly kind: 'line-score' | 'document-score';
  readonly head: 'network' | 'stack';
  readonly treeShare: number;
  readonly hashBits: number;
  /** Of a network's bags. */
  readonly bins: NativeBins;
  readonly stack: {
    readonly logistic: NativeRegression;
    readonly bins: NativeBins;
    readonly trees: NativeTrees;
  } | null;
  readonly calibration: {
    readonly slope: number;
    readonly intercept: number;
    readonly byDoubt?: { readonly slope: number; readonly intercept: number } | undefined;
  };
}

/** Pages to score; none of their bytes is copied. */
export interface PagesRequest {
  /** A model that scores documents. */
  readonly documentScorer: NativeLineScorer | null;
  /** A model that scores lines. */
  readonly lineScorer: NativeLineScorer | null;
  /** The text of all documents. It must not change before the promise settles. */
  readonly data: Uint8Array;
  /** Where each document begins in `data`, and the end. */
  readonly offsets: Int32Array;
  /** Which documents are asked for. */
  readonly docs: Int32Array;
  /** The lines of documents that score below it are not scored. */
  readonly documentThreshold: number;
  /** Threads that take pages, 1..512. Scores do not depend on it. */
  readonly nThreads: number;
  /** What to make of the scores of lines, which are not given then unless `keepLines` says so. */
  readonly rules?: RemovalRules | null;
  readonly keepLines?: boolean;
  /** With rules: room for the text of all documents, where edited ones are written. */
  readonly output?: Uint8Array;
  /** What sites repeat, as evidence against lines. */
  readonly sites?: PageSites | null;
}

/** The sites of pages, and what is known of them. */
export interface PageSites {
  readonly table: SiteTableHandle;
  /** By document of the batch, an index among the names; -1: none. */
  readonly siteOf: Int32Array;
  readonly names: Uint8Array;
  readonly nameStarts: Int32Array;
}

/** What becomes of pages by the scores of their lines; see native/pages/line_removal.h. */
export interface RemovalRules {
  /** Lines of lower probability go, */
  readonly threshold: number;
  /** where their log-odds of "remove", as far as above 0, have at least this sum; 0: always. */
  readonly leastEvidence: number;
  /** What is left must have more than this share of the words, and at least so many. */
  readonly minKeptRatio: number;
  readonly minWords: number;
  /** How removals are spelt: RemovalSpelling of program/dialect.ts. */
  readonly spelling: {
    readonly keep: string;
    readonly before: string;
    readonly between: string;
    readonly after: string;
    readonly startShift: number;
    readonly endShift: number;
  };
}

/** What can become of a page, in the order of their codes: `undecided` ones hang on words that only a segmenter finds. */
export const PAGE_FATES = Object.freeze([
  'kept',
  'edited',
  'fell',
  'all_removed',
  'too_much_removed',
  'too_few_words',
  'undecided',
] as const);

/** What became of pages; entries by document asked for. */
export interface PageRemovals {
  /** Indices into {@link PAGE_FATES}. */
  readonly fates: Uint8Array;
  /** Bytes of what is left of an edited page. It lies in the output where the page lies behind the first offset. */
  readonly bytesLeft: Int32Array;
  /** First stretch of lines that goes of each page, and the end. */
  readonly stretchStarts: Int32Array;
  /** First line and one past the last of each stretch. */
  readonly stretches: Int32Array;
  /** Bytes of each stretch. */
  readonly stretchBytes: Int32Array;
  /** Where the program of each page begins in {@link programs}, and the end; those that fell have none. */
  readonly programStarts: Int32Array;
  readonly programs: Uint8Array;
  /** Lines that were scored. */
  readonly nLines: Int32Array;
  /** Code points of each page, and of what is left of an edited one. */
  readonly nChars: Int32Array;
  readonly charsLeft: Int32Array;
  /** Lines of each edited page that go, and that the page alone would have kept. */
  readonly bySite: Int32Array;
}

/** Their scores. */
export interface PageScores {
  /** Probability of "keep" of each document asked for; null without a model for them. */
  readonly documents: Float32Array | null;
  /** First line of each document asked for, and the end; one that fell has none. Null without a model for lines. */
  readonly lineStarts: Int32Array | null;
  /** Probability of "keep" of every line (LF). */
  readonly lines: Float32Array | null;
  /** With rules what became of the pages; null without. */
  readonly removals: PageRemovals | null;
}

/** A scoring model. */
export interface NativeLineScorer {
  readonly info: LineScorerInfo;
  /** The addon's own object. */
  readonly handle: LineScorerHandle;
  /** Before pages are scored. @throws OPTION_INVALID when parts of it do not fit each other */
  setEncoder(encoder: NativeEncoder): void;
  /**
   * Keep log-odds of every bag; those of a window depend on that window alone.
   *
   * @throws OPTION_INVALID naming the element, ENGINE_DECODE_FAILED, ENGINE_OUT_OF_MEMORY, DISPOSED
   */
  score(windows: BagWindows): Promise<Float32Array>;
  /** Frees the model when the pending calls are done; again: does nothing. */
  dispose(): void;
}

interface LineScorerHandle {
  open(): Promise<LineScorerInfo>;
  setEncoder(encoder: NativeEncoder): void;
  score(windows: BagWindows): Promise<Float32Array>;
  dispose(): void;
}

/** What the addon exports for line scorers. */
export interface LineScorerAddon {
  readonly LineScorer: new (options: LineScorerOptions) => LineScorerHandle;
  scorePages(
    request: Omit<PagesRequest, 'documentScorer' | 'lineScorer'> & {
      readonly documentScorer: LineScorerHandle | null;
      readonly lineScorer: LineScorerHandle | null;
      readonly cancel: Int32Array;
    },
  ): Promise<Partial<PageScores>>;
}

/**
 * Opens a scoring model.
 *
 * @throws ENGINE_MODEL_MISSING, ENGINE_MODEL_INVALID, ENGINE_ARCHITECTURE_UNSUPPORTED, ENGINE_DEVICE_MISSING,
 *   ENGINE_OUT_OF_MEMORY, OPTION_INVALID
 */
export async function openLineScorerWith(
  addon: LineScorerAddon,
  options: LineScorerOptions,
): Promise<NativeLineScorer> {
  const handle = new addon.LineScorer(options);
  const info = await codedCall(() => handle.open());
  return {
    info,
    handle,
    setEncoder: (encoder) => {
      try {
        handle.setEncoder(encoder);
      } catch (error) {
        throw fromNative(error);
      }
    },
    score: (windows) => codedCall(() => handle.score(windows)),
    dispose: () => handle.dispose(),
  };
}

/**
 * Scores pages off the event loop.
 *
 * @throws OPTION_INVALID naming the offset, ABORTED, DISPOSED, ENGINE_DECODE_FAILED
 */
export async function scorePagesWith(
  addon: LineScorerAddon,
  request: PagesRequest,
  signal?: AbortSignal,
): Promise<PageScores> {
  throwIfAborted(signal, 'scoring');
  const cancel = new Int32Array(new SharedArrayBuffer(4));
  const onAbort = (): void => {
    Atomics.store(cancel, 0, 1);
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  const { documentScorer, lineScorer } = request;
  const handles = {
    documentScorer: documentScorer?.handle ?? null,
    lineScorer: lineScorer?.handle ?? null,
  };
  try {
    const scores = await codedCall(
      () => addon.scorePages({ ...request, ...handles, cancel }),
      signal,
    );
    const { documents = null, lineStarts = null, lines = null, removals = null } = scores;
    return { documents, lineStarts, lines, removals };
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}
