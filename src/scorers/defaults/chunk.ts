/**
 * A neural chunk refiner from labelled pages: what `gristmill train` makes of a configuration of lines. The package's own
 * (line-stack.ts) has no network; what folds say is summarised for both here.
 *
 * 1. Five folds by domain: every page, whole and thinned, is scored by a model that saw no page of its domain.
 * 2. From those scores: the evaluation table, Platt's calibration, a threshold for each retention.
 * 3. One model on all pages, with the same options; it gets the calibration and the thresholds of step 2.
 *
 * Calibration and thresholds come from lines of whole and of thinned pages alike, each copy with one half of the
 * weight: the model is to be right on raw pages and on extracts.
 */
import { GristmillError } from '../../errors.ts';
import { type Calibration, calibrated, type RetentionThreshold } from '../../lines/calibration.ts';
import { encodePage } from '../../lines/line-encoder.ts';
import { type MeasuredPage, spreadScores } from '../../lines/measure.ts';
import { fitCalibration, retentionThresholds } from '../calibration.ts';
import { countCodePoints, LineEvaluation, type LineReport } from '../eval-lines.ts';
import { foldOf, type GoldPage, groupOf, KEEP, UNSCORED } from '../gold.ts';
import { pageLogits } from '../line-score/refiner.ts';
import {
  type LineTrainingHooks,
  type LineTrainingOptions,
  type TrainedLineScorer,
  trainLineScorer,
} from '../line-score/training.ts';
import { thinNoise } from '../thin-noise.ts';

/** Shares of content characters that the model knows thresholds for. */
export const RETENTIONS = [
  0.999, 0.9975, 0.995, 0.99, 0.985, 0.98, 0.97, 0.96, 0.95, 0.93, 0.9, 0.85, 0.8,
] as const;

/** Share of noise lines in the lightly noisy copy of a page that measures and thresholds see. */
export const LIGHT_SHARE = 0.1;

/** What the folds say of a training. */
export interface ChunkValidation {
  readonly calibration: Calibration;
  readonly thresholds: readonly RetentionThreshold[];
  /** Measures at probability 0.5, calibrated. */
  readonly whole: LineReport;
  readonly light: LineReport;
  /** By page and line: calibrated probability of "keep" from the model that did not see the page's domain. */
  readonly scores: readonly Float32Array[];
}

/** Options of {@link validateChunk} and {@link trainDefaultChunk}. */
export interface DefaultChunkOptions extends LineTrainingHooks {
  /** Pages that are scored and learnt from. */
  readonly pages: readonly GoldPage[];
  /** Pages that the neural model learns from too; those of a scored domain are left out of its fold. */
  readonly extraPages: readonly GoldPage[];
  readonly training: LineTrainingOptions;
  readonly nFolds: number;
  readonly onFold?: (fold: number) => void;
}

/** What a model says of a page. */
export interface PageLogits {
  readonly scan: Pick<MeasuredPage, 'lineOf' | 'nLines'>;
  /** By non-blank line. */
  readonly own: Float32Array;
  /** Of the page, 0..1 (native/pages/verdict.h). Of all pages or of none. */
  readonly doubt?: number | undefined;
}

/** Steps 1 and 2. @throws TRAIN_DATA_TOO_SMALL when a fold has no pages */
export async function validateChunk(options: DefaultChunkOptions): Promise<ChunkValidation> {
  const { pages, extraPages, training, nFolds, onFold, ...hooks } = options;
  const copies = [pages, pages.map((page) => thinNoise(page, LIGHT_SHARE))] as const;
  const logits = copies.map((): PageLogits[] => []);
  for (let fold = 0; fold < nFolds; fold++) {
    const held = new Set(pages.filter((page) => foldOf(page, nFolds) === fold).map(groupOf));
    if (held.size === 0) {
      throw new GristmillError('TRAIN_DATA_TOO_SMALL', {
        what: `domains in fold ${fold + 1} of ${nFolds}`,
        minimum: 1,
        received: 0,
      });
    }
    onFold?.(fold);
    const unseen = (page: GoldPage): boolean => !held.has(groupOf(page));
    const { trainer, encoder } = await trainLineScorer(pages.filter(unseen), training, {
      ...hooks,
      extraPages: extraPages.filter(unseen),
    });
    try {
      for (const [copy, list] of copies.entries()) {
        for (const [index, page] of list.entries()) {
          if (!held.has(groupOf(page))) continue;
          const encoded = encodePage(page.lines, encoder);
          logits[copy]![index] = {
            scan: encoded.page,
            own: await pageLogits(encoded, trainer, encoder),
          };
        }
      }
    } finally {
      await trainer.dispose();
    }
  }
  return summarise(copies, logits);
}

/**
 * Measures, calibration and thresholds from honest log-odds.
 *
 * @param copies the same pages, whole and thinned
 * @param logits by copy and page
 */
export function summarise(
  copies: readonly (readonly GoldPage[])[],
  logits: readonly (readonly PageLogits[])[],
): ChunkValidation {
  const all = {
    logits: [] as number[],
    labels: [] as number[],
    weights: [] as number[],
    doubts: [] as number[],
  };
  const chars: number[] = [];
  copies.forEach((pages, copy) => {
    const nScored = pages.reduce(
      (sum, { labels }) =>
        sum + labels.reduce((count, own) => count + (own === UNSCORED ? 0 : 1), 0),
      0,
    );
    pages.forEach(({ labels, lines }, page) => {
      const { scan, own, doubt } = logits[copy]![page]!;
      own.forEach((logit, index) => {
        const line = scan.lineOf[index]!;
        const label = labels[line]!;
        if (label === UNSCORED) return;
        all.logits.push(logit);
        all.labels.push(label === KEEP ? 1 : 0);
        all.weights.push(1000 / nScored);
        if (doubt !== undefined) all.doubts.push(doubt);
        chars.push(countCodePoints(lines[line]!) * (label === KEEP ? 1 : -1));
      });
    });
  });
  const doubts = all.doubts.length === 0 ? undefined : all.doubts;
  const calibration = fitCalibration({ ...all, doubts });
  const scores = Float64Array.from(all.logits, (logit, line) =>
    calibrated(logit, calibration, doubts?.[line]),
  );
  const scored = copies.map((pages, copy) =>
    pages.map(({ lines }, index) => {
      const { scan, own, doubt } = logits[copy]![index]!;
      const probabilities = own.map((logit) => calibrated(logit, calibration, doubt));
      return spreadScores(scan, probabilities, lines.length);
    }),
  );
  const [whole, light] = copies.map((pages, copy) => {
    const evaluation = new LineEvaluation();
    pages.forEach((page, index) => {
      evaluation.add(page, scored[copy]![index]!, 0.5);
    });
    return evaluation.report();
  });
  return {
    calibration,
    thresholds: retentionThresholds(scores, chars, RETENTIONS),
    whole: whole!,
    light: light!,
    scores: scored[0]!,
  };
}

/** Step 3; the caller disposes of the trainer. */
export function trainDefaultChunk({
  pages,
  extraPages,
  training,
  signal,
  onStep,
  checkpoint,
}: Omit<DefaultChunkOptions, 'nFolds' | 'onFold'>): Promise<TrainedLineScorer> {
  return trainLineScorer(pages, training, { extraPages, signal, onStep, checkpoint });
}
