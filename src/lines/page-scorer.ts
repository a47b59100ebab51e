/**
 * Scores of the lines of pages, or of documents, by a scoring model. All of it happens in native/pages, on the bytes of
 * the texts and off the event loop; here models are opened and checked.
 */
import { GristmillError } from '../errors.ts';
import { native } from '../native/index.ts';
import type {
  LineScorerInfo,
  NativeEncoder,
  NativeLineScorer,
  PageScores,
  PageSites,
  RemovalRules,
} from '../native/lines.ts';
import { nativeBins } from './bins.ts';
import type { RetentionThreshold } from './calibration.ts';
import { type ScoringEncoder, unpackEncoder } from './encoder-file.ts';
import { tableRows } from './line-encoder.ts';

/** Options of {@link openPageScorer}. */
export interface PageScorerOptions {
  /** GGUF file of kind line-score or document-score. */
  readonly modelPath: string;
  /** `cpu` (default) or `cuda:<index>`. */
  readonly device?: string;
  /** CPU threads, 1..512; each takes a page at a time. Default 1. */
  readonly nThreads?: number;
}

/** Options of one call. */
export interface ScoreCallOptions {
  /** Ends the call with ABORTED. */
  readonly signal?: AbortSignal | undefined;
}

/** Documents as they lie in memory. */
export interface PageViews {
  /** UTF-8; what is not is read as U+FFFD. It must not change before the call has ended. */
  readonly data: Uint8Array;
  /** Where each document begins in `data`, and the end. */
  readonly offsets: Int32Array;
  /** Which documents are asked for. */
  readonly docs: Int32Array;
  /** What to make of the scores of lines, and where edited pages are written; see PagesRequest. */
  readonly removal?: {
    readonly rules: RemovalRules;
    readonly output: Uint8Array;
    /** Give the scores of lines as well. */
    readonly keepLines?: boolean;
  } | null;
  /** What the sites of the documents repeat; default: nothing is known. */
  readonly sites?: PageSites | null;
}

/** Models that look at a page together. */
export interface PageScorers {
  readonly documents: PageScorer | null;
  readonly lines: PageScorer | null;
  /** The lines of documents that score below it are not scored. */
  readonly documentThreshold: number;
  /** Default 1. */
  readonly nThreads?: number;
}

/**
 * Scores documents and their lines; a page is scanned once for both.
 *
 * @throws OPTION_INVALID naming the offset, ABORTED, DISPOSED, ENGINE_DECODE_FAILED
 */
export function scorePages(
  { documents, lines, documentThreshold, nThreads = 1 }: PageScorers,
  { data, offsets, docs, removal, sites = null }: PageViews,
  { signal }: ScoreCallOptions = {},
): Promise<PageScores> {
  return native().scorePages(
    {
      documentScorer: documents?.inner ?? null,
      lineScorer: lines?.inner ?? null,
      data,
      offsets,
      docs,
      documentThreshold,
      nThreads,
      sites,
      ...removal,
    },
    signal,
  );
}

/** An open scoring model; see {@link openPageScorer}. */
export class PageScorer {
  readonly info: LineScorerInfo;
  /** Thresholds by share of content characters (for documents: of the documents to keep) that stays. */
  readonly thresholds: readonly RetentionThreshold[];
  /** @internal */
  readonly inner: NativeLineScorer;
  readonly #nThreads: number;

  /** Use {@link openPageScorer}. */
  constructor(inner: NativeLineScorer, thresholds: readonly RetentionThreshold[], nThreads = 1) {
    this.info = inner.info;
    this.thresholds = thresholds;
    this.inner = inner;
    this.#nThreads = nThreads;
  }

  get kind(): 'line-score' | 'document-score' {
    return this.info.kind;
  }

  /**
   * Probability of "keep" for every line of a page.
   *
   * @param lines the text split at LF, empty lines included
   * @returns one number in 0..1 a line
   * @throws ABORTED when `signal` fires, OPTION_INVALID for a line that holds a LF
   */
  async scoreLines(
    lines: readonly string[],
    options: ScoreCallOptions = {},
  ): Promise<Float32Array> {
    const broken = lines.findIndex((line) => line.includes('\n'));
    if (broken >= 0) {
      throw new GristmillError('OPTION_INVALID', {
        option: `lines[${broken}]`,
        expected: 'a line without a line feed',
        received: lines[broken],
      });
    }
    if (lines.length === 0) return new Float32Array(0);
    const scores = await this.#score([lines.join('\n')], options);
    return scores.lines!;
  }

  /** Probability of "keep" for every document. @throws ABORTED when `signal` fires */
  async scoreDocuments(
    texts: readonly string[],
    options: ScoreCallOptions = {},
  ): Promise<Float32Array> {
    return (await this.#score(texts, options)).documents!;
  }

  #score(texts: readonly string[], options: ScoreCallOptions): Promise<PageScores> {
    const isLines = this.kind === 'line-score';
    const scorers = {
      documents: isLines ? null : this,
      lines: isLines ? this : null,
      documentThreshold: 0,
      nThreads: this.#nThreads,
    };
    return scorePages(scorers, viewsOf(texts), options);
  }

  /** Frees the model; again: does nothing. */
  dispose(): void {
    this.inner.dispose();
  }
}

function viewsOf(texts: readonly string[]): PageViews {
  const encoder = new TextEncoder();
  const parts = texts.map((text) => encoder.encode(text));
  const offsets = new Int32Array(parts.length + 1);
  parts.forEach((part, index) => {
    offsets[index + 1] = offsets[index]! + part.length;
  });
  const data = new Uint8Array(offsets[parts.length]!);
  parts.forEach((part, index) => {
    data.set(part, offsets[index]);
  });
  return { data, offsets, docs: Int32Array.from(parts, (_, index) => index) };
}

/**
 * Opens a scoring model.
 *
 * @throws ENGINE_MODEL_MISSING, ENGINE_MODEL_INVALID, ENGINE_ARCHITECTURE_UNSUPPORTED, ENGINE_DEVICE_MISSING,
 *   ENGINE_OUT_OF_MEMORY, OPTION_INVALID
 */
export async function openPageScorer({
  modelPath,
  device = 'cpu',
  nThreads = 1,
}: PageScorerOptions): Promise<PageScorer> {
  const inner = await native().openLineScorer({ modelPath, device, nThreads });
  try {
    const scoring = unpackEncoder(inner.info.encoder, modelPath);
    const nRows = scoring.head === 'stack' ? 0 : tableRows(scoring.encoder);
    if (scoring.kind !== inner.info.kind || nRows !== inner.info.nRows) {
      throw new GristmillError('ENGINE_MODEL_INVALID', {
        file: modelPath,
        reason: `its encoder is for ${scoring.kind} with ${nRows} rows, the model for ${inner.info.kind} with ${inner.info.nRows}`,
      });
    }
    setEncoder(inner, scoring, modelPath);
    return new PageScorer(inner, scoring.thresholds, nThreads);
  } catch (error) {
    inner.dispose();
    throw error;
  }
}

/** What the addon refuses of an encoder is the file's fault. */
function setEncoder(inner: NativeLineScorer, scoring: ScoringEncoder, file: string): void {
  try {
    inner.setEncoder(nativeEncoder(scoring));
  } catch (cause) {
    const reason = `its encoder: ${(cause as Error).message}`;
    throw new GristmillError('ENGINE_MODEL_INVALID', { file, reason }, { cause });
  }
}

function nativeEncoder({
  kind,
  head,
  treeShare,
  calibration,
  encoder: { bins, hashBits, stack },
}: ScoringEncoder): NativeEncoder {
  return {
    kind,
    head,
    treeShare,
    calibration,
    hashBits,
    bins: nativeBins(bins),
    stack: stack && {
      logistic: { ...stack.logistic, bins: nativeBins(stack.logistic.bins) },
      bins: nativeBins(stack.bins),
      trees: stack.trees,
    },
  };
}
