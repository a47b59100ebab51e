/** Keeping the scores of a run beside its output; see src/scores/ for their form. */
import { GristmillError } from '../errors.ts';
import { keeperOf, type ScoreKeeper } from '../scores/keeper.ts';
import { scoreLayout } from '../scores/layout.ts';
import type { ResolvedRefiner } from './core.ts';
import type { RunSummary } from './statistics.ts';
import { tableOf } from './used-thresholds.ts';

/**
 * The keeper of a run's scores.
 *
 * @throws RUN_SCORES_NONE where a model decides without scores
 */
export function openKeeper(
  resolved: ResolvedRefiner,
  all: boolean,
  used: RunSummary['thresholds'],
): ScoreKeeper {
  const { document, chunk, options } = resolved;
  if (chunk?.profile) {
    const model = chunk.model.path;
    throw new GristmillError('RUN_SCORES_NONE', {
      reason: `the chunk stage's model ${model} writes programs, which no threshold decides; without it (--stages document) the scores of documents are kept`,
    });
  }
  if (document?.profile && options.documentMode === 'generate') {
    throw new GristmillError('RUN_SCORES_NONE', {
      reason: 'documentMode (--doc-mode) generate takes an answer of its model, no score',
    });
  }
  const documents = document && tableOf(resolved, 'document');
  const lines = chunk && tableOf(resolved, 'chunk');
  return keeperOf(scoreLayout({ documents, lines, used, all }), all);
}

export { keeperOf };
