/**
 * The scoring engine as the stages see it: verdicts on lines and on documents.
 *
 * The event loop gets its turns between pages and between the steps of one.
 */
import { throwIfAborted } from '../errors.ts';
import type { RetentionThreshold } from '../lines/calibration.ts';
import { openPageScorer, type PageScorerOptions } from '../lines/page-scorer.ts';
import type { DocumentViews, EngineCallOptions } from '../native/engine.ts';
import { native } from '../native/index.ts';

/** What a scoring model says of itself. */
export interface ScoringInfo {
  readonly kind: 'line-score' | 'document-score';
  /** Name of the device it runs on. */
  readonly device: string;
  readonly nEmbd: number;
  /** Lines of a window, at most. */
  readonly nCtx: number;
  /** Thresholds by share of content characters (for documents: of the documents to keep) that stays. */
  readonly thresholds: readonly RetentionThreshold[];
}

/** Documents to score. */
export interface ScoringRequest extends DocumentViews {
  /** Indices of the documents, ascending; null for all. */
  readonly docs: Int32Array | null;
}

/** Scores of the lines of documents. */
export interface LineScores {
  /** First line of each requested document, and the end. */
  readonly lineStarts: Int32Array;
  /** Probability of "keep" of every line (LF), 0..1. */
  readonly scores: Float32Array;
}

/** Scores of documents; one entry per requested document. */
export interface DocumentScores {
  /** Probability of "keep", 0..1. */
  readonly scores: Float32Array;
}

/** Counters since the engine was opened. */
export interface ScoringStats {
  readonly documents: number;
  readonly lines: number;
}

/** What the stages need of a scoring engine. Every method may be called while others are pending. */
export interface ScoringEngine {
  readonly info: ScoringInfo;
  scoreLines(request: ScoringRequest, options?: EngineCallOptions): Promise<LineScores>;
  scoreDocuments(request: ScoringRequest, options?: EngineCallOptions): Promise<DocumentScores>;
  stats(): Promise<ScoringStats>;
  dispose(): Promise<void>;
}

/**
 * Opens a scoring engine inside this process.
 *
 * @throws ENGINE_MODEL_MISSING, ENGINE_MODEL_INVALID, ENGINE_ARCHITECTURE_UNSUPPORTED, ENGINE_DEVICE_MISSING
 */
export async function openLocalScoring(options: PageScorerOptions): Promise<ScoringEngine> {
  const scorer = await openPageScorer(options);
  const { kind, device, nEmbd, nCtx } = scorer.info;
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let documents = 0;
  let lines = 0;
  const texts = (request: ScoringRequest): string[] => {
    const { data, offsets } = request;
    return Array.from(requestedDocs(request), (document) => {
      const bytes = data.subarray(offsets[document], offsets[document + 1]);
      native().traceView('scorer', bytes);
      return decoder.decode(bytes);
    });
  };
  return {
    info: { kind, device, nEmbd, nCtx, thresholds: scorer.thresholds },
    scoreLines: async (request, options) => {
      const found: Float32Array[] = [];
      // One page after another: the model computes one window at a time anyway.
      for (const text of texts(request)) {
        throwIfAborted(options?.signal, 'scoring');
        found.push(await scorer.scoreLines(text.split('\n'), options));
      }
      const merged = mergeLines(found);
      documents += found.length;
      lines += merged.scores.length;
      return merged;
    },
    scoreDocuments: async (request, options) => {
      const scores = await scorer.scoreDocuments(texts(request), options);
      documents += scores.length;
      return { scores };
    },
    stats: async () => ({ documents, lines }),
    dispose: async () => scorer.dispose(),
  };
}

/** Indices of the requested documents; all of them for null. */
function requestedDocs({ offsets, docs }: ScoringRequest): Int32Array {
  return docs ?? Int32Array.from({ length: offsets.length - 1 }, (_, document) => document);
}

function mergeLines(pages: readonly Float32Array[]): LineScores {
  const lineStarts = new Int32Array(pages.length + 1);
  pages.forEach((page, index) => {
    lineStarts[index + 1] = lineStarts[index]! + page.length;
  });
  const scores = new Float32Array(lineStarts[pages.length]!);
  pages.forEach((page, index) => {
    scores.set(page, lineStarts[index]);
  });
  return { lineStarts, scores };
}
