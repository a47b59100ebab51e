/**
 * Trains a line scorer: a llama model with non-causal attention over the lines of a page, one position a line.
 *
 * Every epoch shows each page twice: whole, and thinned to a share of its noise lines (thin-noise.ts), so that both
 * raw pages and lightly noisy extracts are met. Rows of the bags are dropped at random, labels are smoothed: 1,600
 * pages are few, and one label in many is wrong. A step's batch is a function of (seed, epoch, batch) alone, so that
 * training resumes from a step number.
 */

import { existsSync } from 'node:fs';
import { abortError } from '../../errors.ts';
import { quantileBins } from '../../lines/bins.ts';
import { encodePage, type LineEncoder, tableRows } from '../../lines/line-encoder.ts';
import { measurePage } from '../../lines/measure.ts';
import { type StackLogits, stackRows } from '../../lines/stack.ts';
import type { BagBatch, TrainShape } from '../../native/train.ts';
import { shortCosineAt } from '../../schedules/schedule.ts';
import { seededRandom } from '../../seeded.ts';
import { newShape } from '../../train/model-shape.ts';
import { openTrainer, type Trainer } from '../../train/trainer.ts';
import type { BoostedOptions } from '../baselines/boosted.ts';
import { BOOSTED_DEFAULTS } from '../baselines/boosted.ts';
import { type GoldPage, KEEP, UNSCORED } from '../gold.ts';
import { thinNoise } from '../thin-noise.ts';
import {
  type LabelledPage,
  type LineBatchSize,
  type LineDropout,
  lineBatch,
  type PageWindow,
  packPages,
} from './packing.ts';
import { crossFit } from './stack.ts';

/** Options of {@link trainLineScorer}. */
export interface LineTrainingOptions extends LineBatchSize {
  readonly nEmbd: number;
  readonly nLayer: number;
  readonly nHead: number;
  readonly nFf: number;
  /** The embedding table has 2 ** hashBits rows for words. */
  readonly hashBits: number;
  /** Bins of a feature. */
  readonly maxBins: number;
  /** Regression and trees below the model; null for none. */
  readonly boosted: BoostedOptions | null;
  readonly nEpochs: number;
  readonly peakLr: number;
  readonly weightDecay: number;
  readonly dropout: LineDropout;
  readonly labelSmoothing: number;
  /** Weight of a line by its characters; see LineWeights. */
  readonly perLogChars: number;
  /** Shares of noise lines in the thinned copies, one copy an epoch in turn. */
  readonly thinShares: readonly number[];
  /** Weight of the lines of extra pages beside those of the pages, 1. */
  readonly extraWeight: number;
  readonly seed: number;
  readonly nThreads?: number;
}

/** Chosen on the first of five folds of web-gold; see models/README.md. */
export const LINE_TRAINING_DEFAULTS: LineTrainingOptions = Object.freeze({
  nEmbd: 192,
  nLayer: 3,
  nHead: 4,
  nFf: 512,
  hashBits: 13,
  maxBins: 16,
  boosted: BOOSTED_DEFAULTS,
  nCtx: 512,
  nSeq: 4,
  nEpochs: 5,
  peakLr: 1e-3,
  weightDecay: 0.1,
  dropout: { words: 0.4, features: 0.2 },
  labelSmoothing: 0.05,
  perLogChars: 0.5,
  thinShares: [0.1, 0.3, 0.05],
  extraWeight: 0.3,
  seed: 1,
});

/** One optimiser step, as it is reported. */
export interface LineTrainingStep {
  /** From 1. */
  readonly step: number;
  readonly totalSteps: number;
  readonly epoch: number;
  readonly loss: number;
  readonly lr: number;
  readonly gradNorm: number;
  readonly seconds: number;
}

/** Where a training is kept, so that it goes on after an interruption. */
export interface LineCheckpoint {
  /** File; where it exists the training continues from it. */
  readonly path: string;
  /** Steps between checkpoints; 0 for the last only. */
  readonly every: number;
  /** Told the step that the training starts from, and what `state` was there. */
  readonly onStart?: (step: number, state: string) => void;
  /** Kept in the checkpoint; called before it is written. */
  readonly state?: () => string;
  readonly onSaved?: () => void | Promise<void>;
}

/** Further pages and hooks of {@link trainLineScorer}. */
export interface LineTrainingHooks {
  /**
   * Pages of another kind (other languages, judged in part) that the neural model sees too. The stack does not learn
   * from them: its log-odds of them are those of unseen pages.
   */
  readonly extraPages?: readonly GoldPage[] | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: ((step: LineTrainingStep) => void) | undefined;
  /** With it, an abort finishes the step under way and saves before ABORTED is thrown. */
  readonly checkpoint?: LineCheckpoint | undefined;
}

/** A trained model; the caller disposes of the trainer. */
export interface TrainedLineScorer {
  readonly trainer: Trainer;
  readonly encoder: LineEncoder;
}

/**
 * Trains on labelled pages.
 *
 * @throws TRAIN_DATA_TOO_SMALL, TRAIN_NON_FINITE, ABORTED
 * @see ProX (arXiv 2409.17115) §2.2 for the task; FinerWeb (arXiv 2501.07314) for scores per line
 */
export async function trainLineScorer(
  gold: readonly GoldPage[],
  options: LineTrainingOptions,
  { extraPages = [], signal, onStep, checkpoint }: LineTrainingHooks = {},
): Promise<TrainedLineScorer> {
  const copiesOf = (pages: readonly GoldPage[]) => [
    pages,
    ...options.thinShares.map((share, copy) =>
      pages.map((page) => thinNoise(page, share, 100 + copy)),
    ),
  ];
  const copies = copiesOf(gold);
  const { boosted } = options;
  const fitted = boosted ? await crossFit(gold, copies, { boosted, signal }) : null;
  const encoder = makeEncoder(gold, options, fitted && { ...fitted, logits: fitted.logits[0]! });
  const extra = copiesOf(extraPages);
  const labelled = copies.map((pages, copy) => [
    ...pages.map((page, at) =>
      labelPage(page, encoder, { ...options, scale: 1 }, fitted?.logits[copy]?.[at]),
    ),
    ...extra[copy]!.map((page) =>
      labelPage(page, encoder, { ...options, scale: options.extraWeight }),
    ),
  ]);
  const trainer = await openTrainer({
    shape: lineModelShape(encoder, options),
    nCtx: options.nCtx,
    nSeq: options.nSeq,
    causal: false,
    seed: options.seed,
    weightDecay: options.weightDecay,
    labelSmoothing: options.labelSmoothing,
    // Batches are few and alike: a shorter memory of squares than for language models.
    beta2: 0.98,
    ...(options.nThreads !== undefined && { nThreads: options.nThreads }),
  });
  try {
    await runEpochs(trainer, encoder, { labelled, options, signal, onStep, checkpoint });
  } catch (error) {
    await trainer.dispose();
    throw error;
  }
  return { trainer, encoder };
}

async function runEpochs(
  trainer: Trainer,
  encoder: LineEncoder,
  {
    labelled,
    options,
    signal,
    onStep,
    checkpoint,
  }: LineTrainingHooks & {
    readonly labelled: readonly (readonly LabelledPage[])[];
    readonly options: LineTrainingOptions;
  },
): Promise<void> {
  const { nEpochs, peakLr, dropout, nCtx, nSeq, seed } = options;
  const epochs = Array.from({ length: nEpochs }, (_, epoch) => {
    const [whole, ...thinned] = labelled;
    const pages = thinned.length === 0 ? whole! : [...whole!, ...thinned[epoch % thinned.length]!];
    const nLines = pages.map(({ page }) => page.page.nLines);
    return { pages, batches: packPages(nLines, options, randomOf(seed, epoch, -1)) };
  });
  const totalSteps = epochs.reduce((sum, { batches }) => sum + batches.length, 0);
  const plan = epochs.flatMap(({ pages, batches }, epoch) =>
    batches.map((sequences, batch) => ({ pages, sequences, epoch, batch })),
  );
  const build = (at: number): BagBatch => {
    const { pages, sequences, epoch, batch } = plan[at]!;
    const random = randomOf(seed, epoch, batch);
    return lineBatch(sequences as PageWindow[][], pages, { encoder, nCtx, nSeq, dropout, random });
  };
  const from =
    checkpoint && existsSync(checkpoint.path)
      ? await trainer.loadCheckpoint(checkpoint.path)
      : { step: 0, state: '' };
  const start = from.step;
  checkpoint?.onStart?.(start, from.state);
  const save = async (): Promise<void> => {
    if (!checkpoint) return;
    await trainer.saveCheckpoint(checkpoint.path, checkpoint.state?.());
    await checkpoint.onSaved?.();
  };
  let next = start < totalSteps ? build(start) : null;
  for (let at = start; at < totalSteps; at++) {
    const lr = shortCosineAt(at, peakLr, totalSteps);
    const made = trainer.steps([{ batches: [next!], lr }], signal && !checkpoint ? { signal } : {});
    // The next batch is built while the trainer's thread computes.
    if (at + 1 < totalSteps) next = build(at + 1);
    const { losses, gradNorms, seconds, step } = await made;
    const { epoch } = plan[at]!;
    const [loss, gradNorm, own] = [losses[0]!, gradNorms[0]!, seconds[0]!];
    onStep?.({ step, totalSteps, epoch, loss, lr, gradNorm, seconds: own });
    const isLast = at + 1 === totalSteps;
    if (signal?.aborted && !isLast) {
      await save();
      throw abortError('training', signal);
    }
    if (isLast || (checkpoint && checkpoint.every > 0 && step % checkpoint.every === 0))
      await save();
  }
}

/** Shape of the model over an encoder's table. */
export function lineModelShape(
  encoder: LineEncoder,
  { nEmbd, nLayer, nHead, nFf }: LineTrainingOptions,
): TrainShape {
  return newShape(
    { nEmbd, nLayer, nHead, nHeadDim: nEmbd / nHead, nFf, tied: true },
    tableRows(encoder),
    2,
  );
}

function makeEncoder(
  pages: readonly GoldPage[],
  { hashBits, maxBins }: LineTrainingOptions,
  fitted: {
    readonly stack: LineEncoder['stack'];
    readonly logits: readonly StackLogits[];
  } | null,
): LineEncoder {
  let nLines = 0;
  const rows = pages.map(({ lines }, page) => {
    const { features, nLines: nOwn } = measurePage(lines, hashBits);
    nLines += nOwn;
    if (!fitted) return features;
    const { first, second } = fitted.logits[page]!;
    return stackRows(features, first, second);
  });
  const values = new Float32Array(rows.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const own of rows) {
    values.set(own, at);
    at += own.length;
  }
  const bins = quantileBins(values, { nFeatures: Math.round(values.length / nLines), maxBins });
  return { bins, hashBits, stack: fitted?.stack ?? null };
}

function labelPage(
  gold: GoldPage,
  encoder: LineEncoder,
  { perLogChars, scale }: LineTrainingOptions & { readonly scale: number },
  logits?: StackLogits,
): LabelledPage {
  const page = encodePage(gold.lines, encoder, logits);
  const { nLines, lineOf, chars } = page.page;
  const labels = new Uint8Array(nLines);
  const weights = new Float32Array(nLines);
  for (let line = 0; line < nLines; line++) {
    const own = gold.labels[lineOf[line]!]!;
    labels[line] = own === KEEP ? 1 : 0;
    const length = Math.log2(1 + chars[line]! / 40);
    weights[line] = own === UNSCORED ? 0 : scale * (1 + perLogChars * length);
  }
  return { page, labels, weights };
}

function randomOf(seed: number, epoch: number, batch: number): () => number {
  return seededRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(epoch + 1, 0x85ebca6b) ^ (batch + 2));
}
