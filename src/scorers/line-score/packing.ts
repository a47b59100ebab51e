/**
 * Pages into training sequences: a long page is cut into windows, windows are packed several to a sequence, each a
 * segment that attends to itself only.
 *
 *     sequence 0   | page 7: lines 0..211 | page 2: lines 0..140 | page 9 … | padding |
 *     sequence 1   | page 4: lines 300..811 |
 *
 * The order of pages and the borders of windows are drawn anew for every epoch.
 */

import { BagWriter, type EncodedPage, type LineEncoder } from '../../lines/line-encoder.ts';
import type { BagBatch } from '../../native/train.ts';
import { type Random, shuffle } from '../../seeded.ts';
import { packFirstFit } from '../first-fit.ts';

/** A page to learn from. */
export interface LabelledPage {
  readonly page: EncodedPage;
  /** By non-blank line: 1 keep, 0 remove. */
  readonly labels: Uint8Array;
  /** By non-blank line; 0 for lines without a label. */
  readonly weights: Float32Array;
}

/** Lines `start..end-1` of a page. */
export interface PageWindow {
  readonly page: number;
  readonly start: number;
  readonly end: number;
}

/** Room of a batch. */
export interface LineBatchSize {
  readonly nSeq: number;
  /** Lines per sequence. */
  readonly nCtx: number;
}

/** Shares of a line's rows that training leaves out, 0..1 (exclusive). */
export interface LineDropout {
  readonly words: number;
  readonly features: number;
}

/**
 * Windows of one epoch by batch and sequence.
 *
 * @param nLines non-blank lines by page
 */
export function packPages(
  nLines: ArrayLike<number>,
  { nCtx, nSeq }: LineBatchSize,
  random: Random,
): PageWindow[][][] {
  const order = Int32Array.from(nLines, (_, page) => page);
  shuffle(order, random);
  const windows = [...order].flatMap((page) => cut(page, nLines[page]!, nCtx, random));
  const sequences = packFirstFit(
    windows.map(({ start, end }) => end - start),
    nCtx,
  ).map((chosen) => chosen.map((window) => windows[window]!));
  const shuffled = Int32Array.from(sequences, (_, index) => index);
  shuffle(shuffled, random);
  const batches: PageWindow[][][] = [];
  for (let at = 0; at < shuffled.length; at += nSeq) {
    batches.push(Array.from(shuffled.subarray(at, at + nSeq), (index) => sequences[index]!));
  }
  return batches;
}

function cut(page: number, nLines: number, nCtx: number, random: Random): PageWindow[] {
  if (nLines === 0) return [];
  if (nLines <= nCtx) return [{ page, start: 0, end: nLines }];
  const windows: PageWindow[] = [];
  let end = 1 + Math.floor(random() * nCtx);
  for (let start = 0; start < nLines; start = end, end += nCtx) {
    windows.push({ page, start, end: Math.min(end, nLines) });
  }
  return windows;
}

/** The batch of some windows; see {@link packPages}. */
export function lineBatch(
  sequences: readonly (readonly PageWindow[])[],
  pages: readonly LabelledPage[],
  {
    encoder,
    nCtx,
    nSeq,
    dropout,
    random,
  }: LineBatchSize & {
    readonly encoder: LineEncoder;
    readonly dropout: LineDropout;
    readonly random: Random;
  },
): BagBatch {
  const bags = new BagWriter(nCtx * nSeq);
  const segments = new Int32Array(nCtx * nSeq).fill(-1);
  const positions: number[] = [];
  const labels: number[] = [];
  const weights: number[] = [];
  const keep = {
    feature: () => random() >= dropout.features,
    word: () => random() >= dropout.words,
    scale: 1 / (1 - dropout.features),
  };
  sequences.forEach((windows, sequence) => {
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
