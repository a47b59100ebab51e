/**
 * The neural line scorer as cross-validation sees it: trained on pages, scoring pages with the trainer's own forward
 * pass. The engine gives the same scores from the exported file.
 */

import {
  BagWriter,
  type EncodedPage,
  encodePage,
  type LineEncoder,
} from '../../lines/line-encoder.ts';
import { spreadScores } from '../../lines/measure.ts';
import { planLineWindows } from '../../lines/windows.ts';
import type { Trainer } from '../../train/trainer.ts';
import type { GoldPage } from '../gold.ts';
import type { LineRefiner, LineScorer } from '../line-scorer.ts';
import { LINE_TRAINING_DEFAULTS, type LineTrainingOptions, trainLineScorer } from './training.ts';

/** Trains the scorer with {@link LINE_TRAINING_DEFAULTS}. */
export const lineScore: LineRefiner = {
  name: 'line-score',
  trainable: true,
  fit: (pages, options) => fitLineScore(pages, LINE_TRAINING_DEFAULTS, options?.signal),
};

/** A scorer trained on `pages`; the caller disposes of it. */
export async function fitLineScore(
  pages: readonly GoldPage[],
  options: LineTrainingOptions,
  signal?: AbortSignal,
): Promise<LineScorer> {
  const { trainer, encoder } = await trainLineScorer(pages, options, { signal });
  return {
    name: 'line-score',
    threshold: 0.5,
    scoreLines: async (lines) => {
      const page = encodePage(lines, encoder);
      const logits = await pageLogits(page, trainer, encoder);
      const scores = logits.map((logit) => 1 / (1 + Math.exp(-logit)));
      return spreadScores(page.page, scores, lines.length);
    },
    dispose: () => trainer.dispose(),
  };
}

/** Keep log-odds of a page's non-blank lines, window by window. */
export async function pageLogits(
  encoded: EncodedPage,
  trainer: Trainer,
  encoder: LineEncoder,
): Promise<Float32Array> {
  const { nCtx, nSeq } = trainer.options;
  const { nLines } = encoded.page;
  const found = new Float32Array(nLines);
  for (const { from, to, first, last } of planLineWindows(nLines, nCtx)) {
    const bags = new BagWriter(nCtx * nSeq);
    for (let line = from; line < to; line++) bags.add(encoded, line, encoder);
    const { starts, ids, weights } = bags.finish();
    const { logits } = await trainer.forward(
      {
        bagStarts: starts,
        bagIds: ids,
        bagWeights: weights,
        segments: new Int32Array(nCtx * nSeq).fill(-1).fill(0, 0, to - from),
        positions: Int32Array.from({ length: last - first }, (_, line) => first - from + line),
        labels: new Int32Array(last - first),
      },
      { logits: true },
    );
    for (let line = first; line < last; line++) {
      const at = (line - first) * 2;
      found[line] = logits[at + 1]! - logits[at]!;
    }
  }
  return found;
}
