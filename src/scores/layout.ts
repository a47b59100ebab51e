/**
 * What the scores of a run mean, once for all of its sidecars; stands as `scores` in its run.json.
 */
import type { RetentionThreshold } from '../lines/calibration.ts';
import { scoreEdges } from './edges.ts';

/** What the scores of a run mean. */
export interface ScoreLayout {
  readonly format: 1;
  /** Null where no document was scored. */
  readonly documents: {
    /** The model's table: thresholds by share of the documents to keep; empty for language models. */
    readonly thresholds: readonly RetentionThreshold[];
  } | null;
  /** Null where no line was scored. */
  readonly lines: {
    /** What codes count (edges.ts). */
    readonly edges: readonly number[];
    /** The model's table: thresholds by share of content characters. */
    readonly thresholds: readonly RetentionThreshold[];
    /** Documents that score below it have no scores of lines; null where all have. */
    readonly from: number | null;
  } | null;
}

/** What a layout follows from. */
export interface LayoutSource {
  /** Tables of the models that score; null where there is none of the kind. */
  readonly documents: readonly RetentionThreshold[] | null;
  readonly lines: readonly RetentionThreshold[] | null;
  /** Thresholds that the run judges by. */
  readonly used: { readonly document: number | null; readonly line: number | null };
  /** Whether documents that fall have their lines scored as well. */
  readonly all: boolean;
}

/** The layout of a run. */
export function scoreLayout({ documents, lines, used, all }: LayoutSource): ScoreLayout {
  return {
    format: 1,
    documents: documents && { thresholds: documents },
    lines: lines && {
      edges: scoreEdges(used.line ?? 0.5, lines),
      thresholds: lines,
      from: all || documents === null ? null : used.document,
    },
  };
}
