/** The thresholds that a run judges by: those that were asked for, or the models' own. */
import type { RetentionThreshold } from '../lines/calibration.ts';
import type { ResolvedRefiner } from './core.ts';
import { thresholdsOf } from './model-file.ts';
import type { StageName } from './refine-options.ts';
import { lineThresholdOf, ownDocumentThreshold } from './scoring-stages.ts';
import type { UsedThresholds } from './statistics.ts';

/** Tables of models that score; empty for stages without one. */
export type ThresholdTables = Readonly<Record<StageName, readonly RetentionThreshold[]>>;

/** Finds them, before the run begins. @throws OPTION_INVALID for a retention that the model has no threshold for */
export function usedThresholds(resolved: ResolvedRefiner): UsedThresholds {
  const { documentThreshold, lineThreshold } = resolved.options;
  return thresholdsBy(resolved, {
    document: documentThreshold === null ? tableOf(resolved, 'document') : [],
    chunk: lineThreshold === null ? tableOf(resolved, 'chunk') : [],
  });
}

/** The table of a stage's model; empty for one that does not score, or none. */
export function tableOf(
  resolved: ResolvedRefiner,
  stage: StageName,
): readonly RetentionThreshold[] {
  const scorer = resolved[stage];
  return scorer && !scorer.profile ? thresholdsOf(scorer.model) : [];
}

/** The same where the tables are known. @throws OPTION_INVALID for a retention that they have no threshold for */
export function thresholdsBy(
  { document, chunk, options }: ResolvedRefiner,
  by: ThresholdTables,
): UsedThresholds {
  const { documentThreshold, documentMode, lineThreshold, retention } = options;
  let ownRetention: number | null = null;
  let forDocuments: number | null = null;
  if (document) forDocuments = documentMode === 'score' ? documentThreshold : null;
  if (document && !document.profile && documentThreshold === null) {
    const own = ownDocumentThreshold(by.document);
    ownRetention = own.retention;
    forDocuments = own.threshold;
  }
  let forLines: number | null = null;
  if (chunk && !chunk.profile) {
    forLines = lineThreshold ?? lineThresholdOf({ retention: retention ?? undefined }, by.chunk);
  }
  return { document: forDocuments, documentRetention: ownRetention, line: forLines };
}
