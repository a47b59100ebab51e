/**
 * What thresholds do to rows whose scores are kept: the same that a run with these thresholds does.
 */
import { type BatchScores, FELL, isActedOn } from './batch-scores.ts';
import { edgeAt } from './edges.ts';

/** Thresholds to cut by. */
export interface CutThresholds {
  /** Documents that score below it fall; null where documents are not judged. */
  readonly document: number | null;
  /** Index of the edge below which lines go; null where lines are not judged. */
  readonly edge: number | null;
  /**
   * Whether the threshold of lines follows from a retention: then pages with next to no evidence against their lines
   * stay as they are. One that was asked for as such is taken at its word.
   */
  readonly isFromRetention: boolean;
}

/** What becomes of a row that the stages could judge. */
export type CutVerdict =
  | { readonly falls: true }
  /** Lines with a code below `codeBound` go: 0 for none. */
  | { readonly falls: false; readonly codeBound: number }
  /** It stays, and nothing is known of its lines: they were never scored. */
  | { readonly falls: false; readonly codeBound: null };

/** The verdict on a row. */
export function verdictAt(
  scores: BatchScores,
  row: number,
  { document, edge, isFromRetention }: CutThresholds,
): CutVerdict {
  // NaN: it was not judged, or the judging failed.
  if (document !== null && scores.document[row]! < document) return { falls: true };
  if (edge === null) return { falls: false, codeBound: 0 };
  if (scores.state[row] === FELL) return { falls: false, codeBound: null };
  const isActed = !isFromRetention || isActedOn(scores.actsFrom[row]!, edge);
  return { falls: false, codeBound: isActed ? edge + 1 : 0 };
}

/** Index of the edge that is a threshold; null where there is none. */
export function edgeOf(edges: readonly number[], threshold: number): number | null {
  const found = edgeAt(edges, threshold);
  return 'edge' in found ? found.edge : null;
}
