/** The thresholds that a run judges by: those that were asked for, or the models' own. */
import { type RetentionThreshold, thresholdFor } from '../lines/calibration.ts';
import { openPageScorer } from '../lines/page-scorer.ts';
import type { ResolvedRefiner } from './core.ts';
import { DEFAULT_RETENTION, documentRetention } from './scoring-stages.ts';
import type { UsedThresholds } from './statistics.ts';

/** Finds them, before the run begins. @throws OPTION_INVALID for a retention that the model has no threshold for */
export async function usedThresholds(resolved: ResolvedRefiner): Promise<UsedThresholds> {
  const { document, chunk, options } = resolved;
  const { documentThreshold, documentMode, lineThreshold, retention } = options;
  let ownRetention: number | null = null;
  let forDocuments: number | null = null;
  if (document) forDocuments = documentMode === 'score' ? documentThreshold : null;
  if (document && !document.profile && documentThreshold === null) {
    const thresholds = await thresholdsOf(document.model.path);
    ownRetention = documentRetention(thresholds);
    forDocuments = thresholdFor(ownRetention, thresholds);
  }
  let forLines: number | null = null;
  if (chunk && !chunk.profile) {
    forLines =
      lineThreshold ??
      thresholdFor(retention ?? DEFAULT_RETENTION, await thresholdsOf(chunk.model.path));
  }
  return { document: forDocuments, documentRetention: ownRetention, line: forLines };
}

async function thresholdsOf(modelPath: string): Promise<readonly RetentionThreshold[]> {
  const scorer = await openPageScorer({ modelPath });
  try {
    return scorer.thresholds;
  } finally {
    scorer.dispose();
  }
}
