/**
 * Scoring models as the stages see them: one or two models that look at a batch together, so that a page is scanned once
 * for both. The addon reads the batch's own bytes, off the event loop.
 */
import type { RetentionThreshold } from '../lines/calibration.ts';
import {
  openPageScorer,
  type PageScorer,
  type PageViews,
  scorePages,
} from '../lines/page-scorer.ts';
import type { DocumentViews, EngineCallOptions } from '../native/engine.ts';
import type { PageRemovals } from '../native/lines.ts';

/** Options of {@link openLocalScoring}; at least one model. */
export interface ScoringOptions {
  /** GGUF file of kind document-score. */
  readonly documentModel: string | null;
  /** GGUF file of kind line-score. */
  readonly lineModel: string | null;
  /** `cpu` or `cuda:<index>`. */
  readonly device: string;
  /** Threads that take pages, 1..512. */
  readonly nThreads: number;
}

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
  /** The lines of documents that score below it are not scored; 0 for all. */
  readonly documentThreshold: number;
  /** What to make of the scores of lines, and where; null: nothing. */
  readonly removal?: PageViews['removal'];
  /** What the sites of the documents repeat. */
  readonly sites?: PageViews['sites'];
}

/** Scores of documents and of their lines; entries by requested document. */
export interface BatchScores {
  /** Probability of "keep" of each document. Empty without a model for documents. */
  readonly documents: Float32Array;
  /** First line of each document, and the end; those that fell have no lines. */
  readonly lineStarts: Int32Array;
  /** Probability of "keep" of every line (LF), 0..1. Empty without a model for lines, and where they were acted on and not to be kept. */
  readonly lines: Float32Array;
  /** What became of the pages, where that was asked for. */
  readonly removals: PageRemovals | null;
}

/** Counters of one model since the engine was opened. */
export interface ScoringStats {
  readonly documents: number;
  readonly lines: number;
}

/** What the stages need of a scoring engine. Every method may be called while others are pending. */
export interface ScoringEngine {
  /** Of its models, that of documents first. */
  readonly infos: readonly ScoringInfo[];
  score(request: ScoringRequest, options?: EngineCallOptions): Promise<BatchScores>;
  /** By model. */
  stats(): Promise<readonly ScoringStats[]>;
  dispose(): Promise<void>;
}

/**
 * Opens a scoring engine inside this process.
 *
 * @throws ENGINE_MODEL_MISSING, ENGINE_MODEL_INVALID, ENGINE_ARCHITECTURE_UNSUPPORTED, ENGINE_DEVICE_MISSING
 */
export async function openLocalScoring({
  documentModel,
  lineModel,
  device,
  nThreads,
}: ScoringOptions): Promise<ScoringEngine> {
  const open = (modelPath: string | null): Promise<PageScorer | null> =>
    modelPath === null ? Promise.resolve(null) : openPageScorer({ modelPath, device, nThreads });
  const documents = await open(documentModel);
  const lines = await open(lineModel).catch((error: unknown) => {
    documents?.dispose();
    throw error;
  });
  const scorers = [documents, lines].filter((scorer) => scorer !== null);
  const counted = { documents: 0, stayed: 0, lines: 0 };
  return {
    infos: scorers.map(({ info: { kind, device: name, nEmbd, nCtx }, thresholds }) => ({
      kind,
      device: name,
      nEmbd,
      nCtx,
      thresholds,
    })),
    score: async (request, options) => {
      const { data, offsets, documentThreshold, removal = null, sites = null } = request;
      const docs = requestedDocs(request);
      const scores = await scorePages(
        { documents, lines, documentThreshold, nThreads },
        { data, offsets, docs, removal, sites },
        options,
      );
      const { removals } = scores;
      const lineStarts = scores.lineStarts ?? new Int32Array(docs.length + 1);
      counted.documents += docs.length;
      for (let at = 0; at < docs.length; at++) {
        const nLines = removals?.nLines[at] ?? lineStarts[at + 1]! - lineStarts[at]!;
        if (nLines > 0) counted.stayed++;
        counted.lines += nLines;
      }
      return {
        removals,
        documents: scores.documents ?? new Float32Array(0),
        lineStarts,
        lines: scores.lines ?? new Float32Array(0),
      };
    },
    stats: async () =>
      scorers.map((scorer) =>
        scorer === lines
          ? { documents: counted.stayed, lines: counted.lines }
          : { documents: counted.documents, lines: 0 },
      ),
    dispose: async () => {
      for (const scorer of scorers) scorer.dispose();
    },
  };
}

/** Indices of the requested documents; all of them for null. */
function requestedDocs({ offsets, docs }: ScoringRequest): Int32Array {
  return docs ?? Int32Array.from({ length: offsets.length - 1 }, (_, document) => document);
}
