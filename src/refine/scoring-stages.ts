/**
 * The stages over scoring models: a verdict instead of a program, the same ops and the same execution.
 *
 * Chunk stage: lines whose probability of "keep" is below the threshold are removed, run by run, as by `remove_lines`
 * ops of the run's dialect. Document stage: a document below the threshold is dropped.
 * Counts: a scored line (or document) is one position of the model and counts as one prompt token.
 */
import type { BytesColumn } from '../batch/document-batch.ts';
import { GristmillError } from '../errors.ts';
import { type RetentionThreshold, thresholdFor } from '../lines/calibration.ts';
import type { PageSites, RemovalRules } from '../native/lines.ts';
import { DIALECTS } from '../program/dialects.ts';
import { lineVerdicts, OPS_PER_WINDOW } from '../program/line-verdict.ts';
import type { ResolvedOptions } from '../program/options.ts';
import type { ExecutionPool } from '../program/pool.ts';
import { evidenceAgainst, LEAST_EVIDENCE } from '../scores/evidence.ts';
import type { DocumentVerdicts } from './document-stage.ts';
import type { RefineCore } from './judged-batch.ts';
import type { ScoringEngine, ScoringInfo } from './scoring-engine.ts';

/** How sharply lines are judged; at most one of the two. */
export interface LineThreshold {
  /** Lines below this probability are removed, 0..1. */
  readonly lineThreshold?: number | undefined;
  /** Share of content characters to keep, as measured on validation pages; default 0.99. */
  readonly retention?: number | undefined;
}

/** Share of content characters that the default threshold keeps. */
export const DEFAULT_RETENTION = 0.99;

/** Checks a {@link LineThreshold} before anything is loaded. @throws OPTION_INVALID */
export function checkLineThreshold({ lineThreshold, retention }: LineThreshold): void {
  for (const [option, value] of Object.entries({ lineThreshold, retention })) {
    if (value !== undefined && !(value >= 0 && value <= 1)) {
      throw new GristmillError('OPTION_INVALID', {
        option,
        expected: 'a number in 0..1',
        received: value,
      });
    }
  }
  if (lineThreshold !== undefined && retention !== undefined) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'retention',
      expected: 'nothing beside lineThreshold: each of them sets the threshold',
      received: retention,
    });
  }
}

/** The threshold that was asked for, or a model's own. @throws OPTION_INVALID for a retention that it has none for */
export function lineThresholdOf(
  { lineThreshold, retention = DEFAULT_RETENTION }: LineThreshold,
  thresholds: readonly RetentionThreshold[],
): number {
  return lineThreshold ?? thresholdFor(retention, thresholds);
}

/** How the models of a scoring engine are asked. */
export interface ScoringStageOptions {
  /** Documents below this probability are dropped; null for the model's default. */
  readonly documentThreshold: number | null;
  readonly lines: LineThreshold;
  /** Score the lines of documents that fall as well; default false. */
  readonly all?: boolean | undefined;
  /** What the sites of documents repeat, by the column of their URLs; default: nothing is known. */
  readonly sitesOf?: ((site: BytesColumn) => PageSites) | null;
  /** Give the scores of lines, whoever acts on them; default false. */
  readonly keepLines?: boolean;
  /**
   * Executes the ops; where it may leave that to C++, pages are judged and cut in the call that scores them. Null: the scores
   * of lines are wanted themselves.
   */
  readonly pool: Pick<ExecutionPool, 'options' | 'reserve'> | null;
}

/** Most characters of a removal with its line feed, in any dialect. */
const MOST_CHARS_OF_A_REMOVAL = 48;

/**
 * The rules by which C++ acts on scores as the strict executor does on their verdicts; null where it does not do the same:
 * under the published executor, and where a program of {@link OPS_PER_WINDOW} removals could be refused.
 */
export function removalRules(
  options: ResolvedOptions,
  threshold: number,
  leastEvidence: number,
): RemovalRules | null {
  const { executor, dialect, maxOps, maxProgramChars, minKeptRatio, minWords } = options;
  const isNeverRefused =
    maxOps >= OPS_PER_WINDOW && maxProgramChars >= OPS_PER_WINDOW * MOST_CHARS_OF_A_REMOVAL;
  if (executor !== 'strict' || !isNeverRefused) return null;
  const spelling = DIALECTS[dialect].removal;
  return { threshold, leastEvidence, minKeptRatio, minWords, spelling };
}

/**
 * The stages over a scoring engine: those that it has models for, in one call. Where the threshold of lines is one of the
 * model's own, pages with next to no evidence against any of their lines are left as they are; one that was asked for is
 * taken at its word.
 *
 * @throws OPTION_INVALID for a retention that the model has no threshold for
 */
export function scoringStages(
  engine: ScoringEngine,
  {
    documentThreshold,
    lines: { lineThreshold, retention },
    all = false,
    keepLines = false,
    sitesOf = null,
    pool,
  }: ScoringStageOptions,
): NonNullable<RefineCore['score']> {
  const infoOf = (kind: ScoringInfo['kind']): ScoringInfo | null =>
    engine.infos.find((info) => info.kind === kind) ?? null;
  const documentInfo = infoOf('document-score');
  const lineInfo = infoOf('line-score');
  const forDocuments =
    documentInfo && (documentThreshold ?? ownDocumentThreshold(documentInfo.thresholds).threshold);
  const forLines = lineInfo && lineThresholdOf({ lineThreshold, retention }, lineInfo.thresholds);
  const leastEvidence = lineThreshold === undefined ? LEAST_EVIDENCE : 0;
  const rules =
    forLines === null || pool === null ? null : removalRules(pool.options, forLines, leastEvidence);
  return async ({ data, offsets }, docs, { site = null, ...options } = {}) => {
    const request = {
      ...{ data, offsets, docs, documentThreshold: all ? 0 : (forDocuments ?? 0) },
      ...(site && sitesOf && { sites: sitesOf(site) }),
    };
    const nBytes = offsets[offsets.length - 1]! - offsets[0]!;
    const room = rules && pool ? pool.reserve(nBytes) : null;
    try {
      const removal = rules && room && { rules, output: room.bytes, keepLines };
      const scores = await engine.score({ ...request, removal }, options);
      const { documents, removals, lineStarts, lines } = scores;
      const verdicts = forDocuments === null ? null : documentVerdicts(documents, forDocuments);
      if (removals && room) {
        const removed = { removals, output: room.bytes, release: room.release };
        return {
          verdicts,
          written: null,
          removed,
          scores: keepLines ? { lineStarts, lines } : null,
        };
      }
      room?.release();
      if (forLines === null) return { verdicts, written: null, removed: null, scores: null };
      let windows = 0;
      const programs = Array.from(docs, (_, index) => {
        if (verdicts?.keep[index] === 0) return [];
        windows++;
        const own = lines.subarray(lineStarts[index], lineStarts[index + 1]);
        const isActedOn = leastEvidence === 0 || evidenceAgainst(own, forLines) >= leastEvidence;
        return lineVerdicts(own, isActedOn ? forLines : 0);
      });
      const tokens = { windowsSkipped: 0, promptTokens: lines.length, newTokens: 0 };
      const written = { programs, windows, ...tokens };
      return { verdicts, written, removed: null, scores: { lineStarts, lines } };
    } catch (error) {
      room?.release();
      throw error;
    }
  };
}

function documentVerdicts(scores: Float32Array, threshold: number): DocumentVerdicts {
  const nDocs = scores.length;
  return {
    keep: Uint8Array.from(scores, (score) => (score >= threshold ? 1 : 0)),
    score: Float64Array.from(scores),
    failed: null,
    promptTokens: nDocs,
    newTokens: 0,
  };
}

/**
 * Share of the documents to keep that the default threshold of a document-score model keeps; of the package's model as a
 * mean over kinds of documents. Dropping a good document is the dear error: a default must do no harm first.
 */
export const DEFAULT_DOCUMENT_RETENTION = 0.995;

/**
 * A model's own threshold of documents: that of {@link DEFAULT_DOCUMENT_RETENTION}, or of the highest retention it has one
 * for.
 */
export function ownDocumentThreshold(
  thresholds: readonly RetentionThreshold[],
): Pick<RetentionThreshold, 'retention' | 'threshold'> {
  const highest = Math.max(...thresholds.map(({ retention }) => retention));
  const retention = Math.min(DEFAULT_DOCUMENT_RETENTION, highest);
  return { retention, threshold: thresholdFor(retention, thresholds) };
}
