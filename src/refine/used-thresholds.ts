/** The thresholds that a run judges by: those that were asked for, or the models' own. */
import type { RetentionThreshold } from '../lines/calibration.ts';
import { readThresholds } from '../lines/page-scorer.ts';
import type { ResolvedRefiner } from './core.ts';
import type { StageName } from './refine-options.ts';
import { lineThresholdOf, ownDocumentThreshold } from './scoring-stages.ts';
import type { UsedThresholds } from './statistics.ts';

/** Tables of models that score; empty for stages without one. */
export type ThresholdTables = Readonly<Record<StageName, readonly RetentionThreshold[]>>;

/** Finds them, before the run begins. @throws OPTION_INVALID for a retention that the model has no threshold for */
export async function usedThresholds(resolved: ResolvedRefiner): Promise<UsedThresholds> {
  const { documentThreshold, lineThreshold } = resolved.options;
  const tableOf = async (stage: StageName, isAsked: boolean) => {
    const scorer = resolved[stage];
    const isNeeded = scorer && !scorer.profile && isAsked;
    return isNeeded ? readThresholds(scorer.model.path) : [];
  };
  return thresholdsBy(resolved, {
    document: await tableOf('document', documentThreshold === null),
    chunk: await tableOf('chunk', lineThreshold === null),
  });
}

/** The same where the tables are known. @throws OPTION_INVALID for a retention that they have no threshold for */
export function thresholdsBy(
  { document, chunk, options }: ResolvedRefiner,
  tables: ThresholdTables,
): UsedThresholds {
  const { documentThreshold, documentMode, lineThreshold, retention } = options;
  let ownRetention: number | null = null;
  let forDocuments: number | null = null;
  if (document) forDocuments = documentMode === 'score' ? documentThreshold : null;
  if (document && !document.profile && documentThreshold === null) {
    const own = ownDocumentThreshold(tables.document);
    ownRetention = own.retention;
    forDocuments = own.threshold;
  }
  let forLines: number | null = null;
  if (chunk && !chunk.profile) {
    forLines =
      lineThreshold ?? lineThresholdOf({ retention: retention ?? undefined }, tables.chunk);
  }
  return { document: forDocuments, documentRetention: ownRetention, line: forLines };
}
