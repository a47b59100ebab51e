/**
 * The scoring engine as the stages see it: verdicts on lines and on documents, in this process or in one of its own.
 *
 * Texts are decoded, encoded into bags and scored where the model is: in the child process the run's main thread
 * stays free. In this process the event loop gets its turns between pages and between the steps of one.
 */
import { throwIfAborted } from '../errors.ts';
import type { RetentionThreshold } from '../lines/calibration.ts';
import { openPageScorer, type PageScorerOptions } from '../lines/page-scorer.ts';
import type { DocumentViews, EngineCallOptions } from '../native/engine.ts';
import {
  compact,
  FLAG_CRASHED,
  openEngineHost,
  type ProcessEngineOptions,
  requestedDocs,
} from './engine-host.ts';

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
  /** One entry a document: {@link FLAG_CRASHED} or 0; a crashed document has no lines. */
  readonly flags: Uint8Array;
}

/** Scores of documents; one entry per requested document. */
export interface DocumentScores {
  /** Probability of "keep", 0..1; NaN where the document killed the engine. */
  readonly scores: Float32Array;
  readonly flags: Uint8Array;
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
    return Array.from(requestedDocs(request), (document) =>
      decoder.decode(data.subarray(offsets[document], offsets[document + 1])),
    );
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
      const merged = mergeLines(found, new Uint8Array(found.length));
      documents += found.length;
      lines += merged.scores.length;
      return merged;
    },
    scoreDocuments: async (request, options) => {
      const scores = await scorer.scoreDocuments(texts(request), options);
      documents += scores.length;
      return { scores, flags: new Uint8Array(scores.length) };
    },
    stats: async () => ({ documents, lines }),
    dispose: async () => scorer.dispose(),
  };
}

/** Opens a scoring engine in a child process that is restarted when it dies. */
export async function openProcessScoring(
  options: Required<PageScorerOptions>,
  processOptions: ProcessEngineOptions = {},
): Promise<ScoringEngine> {
  let last: ScoringStats = { documents: 0, lines: 0 };
  let lost: ScoringStats = last;
  const host = await openEngineHost(
    { engine: 'scoring', options },
    {
      ...processOptions,
      onDeath: () => {
        lost = addStats(lost, last);
        last = { documents: 0, lines: 0 };
      },
    },
  );
  const parts = <T>(
    method: 'scoreLines' | 'scoreDocuments',
    request: ScoringRequest,
    options: EngineCallOptions | undefined,
    crashed: () => T,
  ): Promise<T[]> =>
    host.isolated(
      requestedDocs(request),
      (some) => host.call(method, compact(request, some), options) as Promise<T>,
      crashed,
    );
  return {
    info: host.info as ScoringInfo,
    scoreLines: async (request, options) => {
      const all = await parts<LineScores>('scoreLines', request, options, () =>
        mergeLines([new Float32Array(0)], Uint8Array.of(FLAG_CRASHED)),
      );
      if (all.length === 1) return all[0]!;
      const pages = all.flatMap(({ lineStarts, scores }) =>
        Array.from(lineStarts.subarray(1), (end, page) => scores.subarray(lineStarts[page]!, end)),
      );
      return mergeLines(pages, Uint8Array.from(all.flatMap(({ flags }) => [...flags])));
    },
    scoreDocuments: async (request, options) => {
      const all = await parts<DocumentScores>('scoreDocuments', request, options, () => ({
        scores: Float32Array.of(Number.NaN),
        flags: Uint8Array.of(FLAG_CRASHED),
      }));
      return {
        scores: Float32Array.from(all.flatMap(({ scores }) => [...scores])),
        flags: Uint8Array.from(all.flatMap(({ flags }) => [...flags])),
      };
    },
    stats: async () => {
      last = (await host.call('stats', null)) as ScoringStats;
      return addStats(lost, last);
    },
    dispose: () => host.dispose(),
  };
}

function mergeLines(pages: readonly Float32Array[], flags: Uint8Array): LineScores {
  const lineStarts = new Int32Array(pages.length + 1);
  pages.forEach((page, index) => {
    lineStarts[index + 1] = lineStarts[index]! + page.length;
  });
  const scores = new Float32Array(lineStarts[pages.length]!);
  pages.forEach((page, index) => {
    scores.set(page, lineStarts[index]);
  });
  return { lineStarts, scores, flags };
}

function addStats(first: ScoringStats, second: ScoringStats): ScoringStats {
  return { documents: first.documents + second.documents, lines: first.lines + second.lines };
}
