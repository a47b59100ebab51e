/**
 * Trains a neural line scorer: a llama model with non-causal attention over the lines of a page.
 */

import type { BagBatch } from '../../native-train.ts';
import { quantileBins } from '../bins.ts';
import { lineFeatures, N_LINE_FEATURES } from '../features.ts';
import { type GoldPage, KEEP, UNSCORED } from '../gold.ts';
import { COUNTS, N_COUNTS, scanPage } from '../page-scan.ts';
import { learningRateAt } from '../schedule.ts';
import { type Random, seededRandom, shuffle } from '../seeded.ts';
import { thinNoise } from '../thin-noise.ts';
import { openTrainer, type Trainer } from '../trainer.ts';
import {
  BagWriter,
  type EncodedPage,
  encodePage,
  type LineEncoder,
  N_STACKED_FEATURES,
  type StackLogits,
  stackedFeatures,
  tableRows,
} from './line-encoder.ts';

export interface LineTrainingOptions {
  readonly nEmbd: number;
  readonly nLayer: number;
  readonly nHead: number;
  readonly nFf: number;
  readonly hashBits: number;
  readonly maxBins: number;
  readonly nCtx: number;
  readonly nSeq: number;
  readonly nEpochs: number;
  readonly peakLr: number;
  readonly weightDecay: number;
  readonly wordDropout: number;
  readonly featureDropout: number;
  readonly labelSmoothing: number;
  readonly perLogChars: number;
  /** Shares of noise lines of the thinned copies. */
  readonly thinShares: readonly number[];
  readonly seed: number;
  readonly nThreads?: number;
}

export interface LabelledPage {
  readonly page: EncodedPage;
  readonly labels: Uint8Array;
  readonly weights: Float32Array;
}

/** A stretch of a page's lines that fits a sequence. */
interface Window {
  readonly page: number;
  readonly start: number;
  readonly end: number;
}

export function label(
  gold: GoldPage,
  encoder: LineEncoder,
  perLogChars: number,
  logits?: StackLogits,
): LabelledPage {
  const page = encodePage(gold.lines, encoder, logits);
  const { scan } = page;
  const labels = new Uint8Array(scan.nLines);
  const weights = new Float32Array(scan.nLines);
  for (let line = 0; line < scan.nLines; line++) {
    const own = gold.labels[scan.lineOf[line]!]!;
    labels[line] = own === KEEP ? 1 : 0;
    const chars = scan.counts[line * N_COUNTS + COUNTS.chars]!;
    weights[line] = own === UNSCORED ? 0 : 1 + perLogChars * Math.log2(1 + chars / 40);
  }
  return { page, labels, weights };
}

export function makeEncoder(
  pages: readonly GoldPage[],
  { hashBits, maxBins }: LineTrainingOptions,
  stack?: readonly StackLogits[],
): LineEncoder {
  const all = pages.map(({ lines }, page) =>
    stack ? stackedFeatures(scanPage(lines), stack[page]!) : lineFeatures(scanPage(lines)),
  );
  const values = new Float32Array(all.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const own of all) {
    values.set(own, at);
    at += own.length;
  }
  return {
    bins: quantileBins(values, {
      nFeatures: stack ? N_STACKED_FEATURES : N_LINE_FEATURES,
      maxBins,
    }),
    hashBits,
  };
}

export async function trainLineModel(
  gold: readonly GoldPage[],
  options: LineTrainingOptions,
  stack: { raw: readonly StackLogits[]; thin: readonly (readonly StackLogits[])[] } | null,
  onEpoch?: (epoch: number, loss: number, trainer: Trainer, encoder: LineEncoder) => Promise<void>,
): Promise<{ trainer: Trainer; encoder: LineEncoder }> {
  const encoder = makeEncoder(gold, options, stack?.raw);
  const pages = gold.map((page, at) => label(page, encoder, options.perLogChars, stack?.raw[at]));
  const thinned = options.thinShares.map((share, index) =>
    gold.map((page, at) =>
      label(
        thinNoise(page, share, 100 + index),
        encoder,
        options.perLogChars,
        stack?.thin[index]![at],
      ),
    ),
  );
  const { nSeq, nCtx, seed } = options;
  const trainer = await openTrainer({
    shape: {
      nVocab: tableRows(encoder),
      nEmbd: options.nEmbd,
      nLayer: options.nLayer,
      nHead: options.nHead,
      nHeadKv: options.nHead,
      nHeadDim: options.nEmbd / options.nHead,
      nFf: options.nFf,
      ropeTheta: 10000,
      rmsEpsilon: 1e-5,
      tied: true,
      nClasses: 2,
    },
    nCtx,
    nSeq,
    causal: false,
    seed,
    weightDecay: options.weightDecay,
    labelSmoothing: options.labelSmoothing,
    beta2: 0.98,
    ...(options.nThreads && { nThreads: options.nThreads }),
  });
  const random = seededRandom(seed);
  const epochPages = (epoch: number): LabelledPage[] => {
    // Whole pages every epoch, one set of thinned ones beside them.
    if (thinned.length === 0) return pages;
    return [...pages, ...thinned[epoch % thinned.length]!];
  };
  const counts: number[] = [];
  const batchesOf = (epoch: number, draw: Random) => packEpoch(epochPages(epoch), options, draw);
  // The number of steps must be known for the schedule: count without building bags.
  const probe = seededRandom(seed);
  for (let epoch = 0; epoch < options.nEpochs; epoch++) counts.push(batchesOf(epoch, probe).length);
  const totalSteps = counts.reduce((sum, count) => sum + count, 0);
  let step = 0;
  for (let epoch = 0; epoch < options.nEpochs; epoch++) {
    const set = epochPages(epoch);
    const groups = batchesOf(epoch, random);
    let loss = 0;
    for (const group of groups) {
      const lr = learningRateAt(Math.min(step, totalSteps - 1), {
        kind: 'cosine',
        peakLr: options.peakLr,
        minLr: options.peakLr * 0.02,
        warmupSteps: Math.ceil(totalSteps * 0.03),
        totalSteps,
      });
      const batch = buildBatch(group, set, encoder, options, random);
      const result = await trainer.steps([{ batches: [batch], lr }]);
      loss += result.losses[0]!;
      step++;
    }
    await onEpoch?.(epoch, loss / groups.length, trainer, encoder);
  }
  return { trainer, encoder };
}

/** Windows into sequences, first fit in a shuffled order; [batch][sequence][window]. */
function packEpoch(
  pages: readonly LabelledPage[],
  { nCtx, nSeq }: LineTrainingOptions,
  random: Random,
): Window[][][] {
  const order = Int32Array.from(pages, (_, page) => page);
  shuffle(order, random);
  const sequences: Window[][] = [];
  const room: number[] = [];
  for (const page of order) {
    const nLines = pages[page]!.page.scan.nLines;
    for (const { start, end } of cut(nLines, nCtx, random)) {
      let at = -1;
      for (let sequence = Math.max(0, room.length - 24); sequence < room.length; sequence++) {
        if (room[sequence]! >= end - start) {
          at = sequence;
          break;
        }
      }
      if (at < 0) {
        at = sequences.length;
        sequences.push([]);
        room.push(nCtx);
      }
      sequences[at]!.push({ page, start, end });
      room[at]! -= end - start;
    }
  }
  const seqOrder = Int32Array.from(sequences, (_, index) => index);
  shuffle(seqOrder, random);
  const batches: Window[][][] = [];
  for (let at = 0; at < seqOrder.length; at += nSeq) {
    batches.push(Array.from(seqOrder.subarray(at, at + nSeq), (index) => sequences[index]!));
  }
  return batches;
}

/** Pieces of a page; their borders move from epoch to epoch. */
function cut(nLines: number, nCtx: number, random: Random): { start: number; end: number }[] {
  if (nLines <= nCtx) return nLines === 0 ? [] : [{ start: 0, end: nLines }];
  const pieces: { start: number; end: number }[] = [];
  let start = 0;
  let end = 1 + Math.floor(random() * nCtx);
  while (start < nLines) {
    pieces.push({ start, end: Math.min(end, nLines) });
    start = end;
    end = start + nCtx;
  }
  return pieces;
}

function buildBatch(
  group: readonly (readonly Window[])[],
  pages: readonly LabelledPage[],
  encoder: LineEncoder,
  { nCtx, nSeq, wordDropout, featureDropout }: LineTrainingOptions,
  random: Random,
): BagBatch {
  const nPositions = nCtx * nSeq;
  const bags = new BagWriter(nPositions);
  const segments = new Int32Array(nPositions).fill(-1);
  const positions: number[] = [];
  const labels: number[] = [];
  const weights: number[] = [];
  const keep = {
    feature: () => random() >= featureDropout,
    word: () => random() >= wordDropout,
    scale: 1 / (1 - featureDropout),
  };
  group.forEach((windows, sequence) => {
    let at = sequence * nCtx;
    bags.skipTo(at);
    windows.forEach(({ page, start, end }, segment) => {
      const own = pages[page]!;
      for (let line = start; line < end; line++) {
        bags.add(own.page, line, encoder, keep);
        segments[at] = segment;
        if (own.weights[line]! > 0) {
          positions.push(at);
          labels.push(own.labels[line]!);
          weights.push(own.weights[line]!);
        }
        at++;
      }
    });
  });
  const { starts, ids, weights: bagWeights } = bags.finish();
  return {
    bagStarts: starts,
    bagIds: ids,
    bagWeights,
    segments,
    positions: Int32Array.from(positions),
    labels: Int32Array.from(labels),
    weights: Float32Array.from(weights),
  };
}

/** Keep log-odds of a page's non-blank lines by the trainer's own forward pass. */
export async function pageLogits(
  page: EncodedPage,
  trainer: Trainer,
  encoder: LineEncoder,
): Promise<Float32Array> {
  const { nCtx, nSeq } = trainer.options;
  const out = new Float32Array(page.scan.nLines);
  const overlap = 64;
  for (let first = 0; first < page.scan.nLines; ) {
    const from = Math.max(0, first - overlap);
    const to = Math.min(page.scan.nLines, from + nCtx);
    const owned = to === page.scan.nLines ? to : to - overlap;
    const bags = new BagWriter(nCtx * nSeq);
    for (let line = from; line < to; line++) bags.add(page, line, encoder);
    const { starts, ids, weights } = bags.finish();
    const segments = new Int32Array(nCtx * nSeq).fill(-1).fill(0, 0, to - from);
    const positions = Int32Array.from({ length: owned - first }, (_, line) => line + first - from);
    const { logits } = await trainer.forward(
      {
        bagStarts: starts,
        bagIds: ids,
        bagWeights: weights,
        segments,
        positions,
        labels: new Int32Array(positions.length),
      },
      { logits: true },
    );
    for (let line = first; line < owned; line++) {
      const at = (line - first) * 2;
      out[line] = logits[at + 1]! - logits[at]!;
    }
    first = owned;
  }
  return out;
}
