/**
 * Scores of the lines of pages, or of documents, by a scoring model: encoder, windows, one forward pass each.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { GristmillError, throwIfAborted } from '../errors.ts';
import { native } from '../native/index.ts';
import type { LineScorerInfo, NativeLineScorer } from '../native/lines.ts';
import { calibrated, type RetentionThreshold } from './calibration.ts';
import { encodeDocument, measureDocument } from './document-encoder.ts';
import { type ScoringEncoder, unpackEncoder } from './encoder-file.ts';
import { lineFeatures } from './features.ts';
import { hashLines } from './hashed-words.ts';
import { BagWriter, type EncodedPage, encodeSteps, tableRows } from './line-encoder.ts';
import { scanPage, spreadScores } from './page-scan.ts';
import { pageVerdict } from './page-verdict.ts';
import { blendLogits, documentStackLogits, stackHashBits } from './stack.ts';
import { planLineWindows } from './windows.ts';

/** Options of {@link openPageScorer}. */
export interface PageScorerOptions {
  /** GGUF file of kind line-score or document-score. */
  readonly modelPath: string;
  /** `cpu` (default) or `cuda:<index>`. */
  readonly device?: string;
  /** CPU threads. Default 1. */
  readonly nThreads?: number;
}

/** Longest stretch of encoding, about, before the event loop gets a turn. */
const STRETCH_MS = 10;

/** Turns of the event loop between stretches of work, and the place where an abort ends it. */
class Turns {
  #since = performance.now();
  readonly #signal: AbortSignal | undefined;

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  async take(): Promise<void> {
    if (performance.now() - this.#since < STRETCH_MS) return;
    await nextTurn();
    throwIfAborted(this.#signal, 'scoring');
    this.#since = performance.now();
  }
}

/** Options of one call. */
export interface ScoreCallOptions {
  /** Ends the call between two stretches of work, with ABORTED. */
  readonly signal?: AbortSignal | undefined;
}

/** An open scoring model; see {@link openPageScorer}. */
export class PageScorer {
  readonly info: LineScorerInfo;
  readonly #inner: NativeLineScorer;
  readonly #scoring: ScoringEncoder;

  /** Use {@link openPageScorer}. */
  constructor(inner: NativeLineScorer, scoring: ScoringEncoder) {
    this.info = inner.info;
    this.#inner = inner;
    this.#scoring = scoring;
  }

  get kind(): 'line-score' | 'document-score' {
    return this.info.kind;
  }

  /** Thresholds by share of content characters (for documents: of the documents to keep) that stays. */
  get thresholds(): readonly RetentionThreshold[] {
    return this.#scoring.thresholds;
  }

  /**
   * Probability of "keep" for every line of a page. Encoding runs on this thread, in stretches with turns of the event
   * loop between them; a step of a page of many thousand lines is one stretch.
   *
   * @param lines the text split at LF, empty lines included
   * @returns one number in 0..1 a line
   * @throws ABORTED when `signal` fires
   */
  async scoreLines(
    lines: readonly string[],
    { signal }: ScoreCallOptions = {},
  ): Promise<Float32Array> {
    const { encoder, calibration } = this.#scoring;
    const turns = new Turns(signal);
    if (this.#scoring.head === 'stack') return this.#stackLines(lines, turns);
    const steps = encodeSteps(lines, encoder);
    let step = steps.next();
    for (; !step.done; step = steps.next()) await turns.take();
    const page = step.value;
    const { nLines } = page.scan;
    const windows = planLineWindows(nLines, this.info.nCtx);
    const nSeen = windows.reduce((sum, { from, to }) => sum + to - from, 0);
    const bags = new BagWriter(nSeen);
    const windowStarts = new Int32Array(windows.length + 1);
    for (const [window, { from, to }] of windows.entries()) {
      await turns.take();
      for (let line = from; line < to; line++) bags.add(page, line, encoder);
      windowStarts[window + 1] = windowStarts[window]! + to - from;
    }
    const { starts: bagStarts, ids: bagIds, weights: bagWeights } = bags.finish();
    const logits = await this.#inner.score({ windowStarts, bagStarts, bagIds, bagWeights });
    const scores = new Float32Array(nLines);
    windows.forEach(({ from, first, last }, window) => {
      for (let line = first; line < last; line++) {
        scores[line] = calibrated(logits[windowStarts[window]! + line - from]!, calibration);
      }
    });
    return spreadScores(page.scan, scores, lines.length);
  }

  /** Probability of "keep" for every document. @throws ABORTED when `signal` fires */
  async scoreDocuments(
    texts: readonly string[],
    { signal }: ScoreCallOptions = {},
  ): Promise<Float32Array> {
    const { encoder, calibration } = this.#scoring;
    const turns = new Turns(signal);
    if (this.#scoring.head === 'stack') return this.#stackDocuments(texts, turns);
    const bags = new BagWriter(texts.length);
    for (const text of texts) {
      await turns.take();
      const page: EncodedPage = encodeDocument(text, encoder);
      bags.add(page, 0, encoder);
    }
    const { starts: bagStarts, ids: bagIds, weights: bagWeights } = bags.finish();
    const windowStarts = Int32Array.from({ length: texts.length + 1 }, (_, window) => window);
    const logits = await this.#inner.score({ windowStarts, bagStarts, bagIds, bagWeights });
    return logits.map((logit) => calibrated(logit, calibration));
  }

  async #stackLines(lines: readonly string[], turns: Turns): Promise<Float32Array> {
    const { encoder, calibration, treeShare } = this.#scoring;
    const stack = encoder.stack!;
    const scan = scanPage(lines);
    await turns.take();
    const features = lineFeatures(scan);
    await turns.take();
    const words = hashLines(scan, stackHashBits(stack));
    await turns.take();
    const { logits, doubt } = pageVerdict(stack, { features, words }, treeShare);
    const scores = logits.map((logit) => calibrated(logit, calibration, doubt));
    return spreadScores(scan, scores, lines.length);
  }

  async #stackDocuments(texts: readonly string[], turns: Turns): Promise<Float32Array> {
    const { encoder, calibration, treeShare } = this.#scoring;
    const stack = encoder.stack!;
    const scores = new Float32Array(texts.length);
    for (const [index, text] of texts.entries()) {
      await turns.take();
      const logits = documentStackLogits(stack, measureDocument(text, stackHashBits(stack)));
      scores[index] = calibrated(blendLogits(logits, treeShare)[0]!, calibration);
    }
    return scores;
  }

  /** Frees the model; again: does nothing. */
  dispose(): void {
    this.#inner.dispose();
  }
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
    return new PageScorer(inner, scoring);
  } catch (error) {
    inner.dispose();
    throw error;
  }
}
