/** The thresholds that a run judges by: those that were asked for, or the models' own. */
import { readThresholds } from '../lines/page-scorer.ts';
import type { ResolvedRefiner } from './core.ts';
import { lineThresholdOf, ownDocumentThreshold } from './scoring-stages.ts';
import type { UsedThresholds } from './statistics.ts';

/** Finds them, before the run begins. @throws OPTION_INVALID for a retention that the model has no threshold for */
export async function usedThresholds(resolved: ResolvedRefiner): Promise<UsedThresholds> {
  const { document, chunk, options } = resolved;
  const { documentThreshold, documentMode, lineThreshold, retention } = options;
  let ownRetention: number | null = null;
  let forDocuments: number | null = null;
  if (document) forDocuments = documentMode === 'score' ? documentThreshold : null;
  if (document && !document.profile && documentThreshold === null) {
    const own = ownDocumentThreshold(await readThresholds(document.model.path));
    ownRetention = own.retention;
    forDocuments = own.threshold;
  }
  let forLines: number | null = null;
  if (chunk && !chunk.profile) {
    forLines =
      lineThreshold ??
      lineThresholdOf(
        { retention: retention ?? undefined },
        await readThresholds(chunk.model.path),
      );
  }
  return { document: forDocuments, documentRetention: ownRetention, line: forLines };
}
