/**
 * The three objectives as data: what a batch of tokens is asked to predict.
 *
 * - `pretrain`: every token predicts the next one, optionally within its document only.
 * - `sft`: only the answer's tokens are predicted (and its end, when the answer holds one).
 * - `line-score`: one class per line, read at a position of the window, from one pass.
 *
 * All become {@link TokenBatch}: tokens, target positions, labels, weights. Sequences are padded behind their end; the
 * padding is a segment of its own that nothing sees and nothing is learnt from.
 */
import { GristmillError } from '../errors.ts';
import type { TokenBatch } from '../native/train.ts';

/** Size of a batch. */
export interface BatchSize {
  /** Sequences. */
  readonly nSeq: number;
  /** Tokens per sequence. */
  readonly nCtx: number;
  /** Token behind the end of a short sequence. Default 0. */
  readonly padToken?: number;
}

/** An example of supervised fine-tuning. */
export interface SftExample {
  readonly prompt: Int32Array;
  /** What is learnt, end token included. */
  readonly answer: Int32Array;
  /** Earlier answers within the prompt that are learnt too: first token and end of each. */
  readonly learnt?: readonly (readonly [start: number, end: number])[];
  /** Weight of every token of the answers. Default 1. */
  readonly weight?: number;
}

/** A window with a verdict per line. */
export interface LineScoreExample {
  readonly tokens: Int32Array;
  /** Index into `tokens` where each line's verdict is read; with causal attention behind the line. */
  readonly positions: Int32Array;
  /** Class of each line, e.g. 0 remove and 1 keep. */
  readonly labels: Int32Array;
  /** Weight of each line. Default 1. */
  readonly weights?: Float32Array;
}

/**
 * A batch in which every token predicts the next one.
 *
 * @param tokens `[nSeq × nCtx]`, packed without gaps
 * @param documents `[nSeq × nCtx]`, a number per document: neither attention nor prediction crosses its border
 * @throws OPTION_INVALID
 */
export function pretrainBatch(
  tokens: Int32Array,
  { nSeq, nCtx }: BatchSize,
  documents?: Int32Array,
): TokenBatch {
  const nTokens = nSeq * nCtx;
  checkLength('tokens', tokens.length, nTokens);
  if (documents) checkLength('documents', documents.length, nTokens);
  const positions: number[] = [];
  for (let at = 0; at + 1 < nTokens; at++) {
    if ((at + 1) % nCtx === 0) continue;
    if (documents && documents[at] !== documents[at + 1]) continue;
    positions.push(at);
  }
  return {
    tokens,
    positions: Int32Array.from(positions),
    labels: Int32Array.from(positions, (at) => tokens[at + 1]!),
    ...(documents && { segments: documents }),
  };
}

/**
 * A batch of one example per sequence that learns the answers only.
 *
 * @throws OPTION_INVALID when there are too many examples or one does not fit `nCtx`
 */
export function sftBatch(examples: readonly SftExample[], size: BatchSize): TokenBatch {
  const batch = new Padded(examples.length, size);
  const positions: number[] = [];
  const labels: number[] = [];
  const weights: number[] = [];
  for (const [row, { prompt, answer, learnt = [], weight = 1 }] of examples.entries()) {
    if (prompt.length === 0) invalid('prompt', 'at least one token', 0);
    const start = batch.place(row, [prompt, answer]);
    const add = (at: number, token: number) => {
      // The token in front of it predicts it.
      positions.push(start + at - 1);
      labels.push(token);
      weights.push(weight);
    };
    for (const [from, to] of learnt) {
      if (from < 1 || to > prompt.length) invalid('learnt', `within 1..${prompt.length}`, from);
      for (let at = from; at < to; at++) add(at, prompt[at]!);
    }
    for (const [index, token] of answer.entries()) add(prompt.length + index, token);
  }
  return batch.finish(positions, labels, weights);
}

/**
 * A batch of one window per sequence that learns a class for every line.
 *
 * @throws OPTION_INVALID when there are too many windows, one does not fit `nCtx`, or a position lies outside
 */
export function lineScoreBatch(examples: readonly LineScoreExample[], size: BatchSize): TokenBatch {
  const batch = new Padded(examples.length, size);
  const positions: number[] = [];
  const labels: number[] = [];
  const weights: number[] = [];
  for (const [row, example] of examples.entries()) {
    checkLength('labels', example.labels.length, example.positions.length);
    if (example.weights) checkLength('weights', example.weights.length, example.positions.length);
    const start = batch.place(row, [example.tokens]);
    for (const [line, position] of example.positions.entries()) {
      if (position < 0 || position >= example.tokens.length) {
        invalid('positions', `0..${example.tokens.length - 1}`, position);
      }
      positions.push(start + position);
      labels.push(example.labels[line]!);
      weights.push(example.weights?.[line] ?? 1);
    }
  }
  return batch.finish(positions, labels, weights);
}

/** Sequences with padding behind them, each a segment of its own. */
class Padded {
  private readonly size: BatchSize;
  private readonly tokens: Int32Array;
  private readonly segments: Int32Array;

  constructor(nExamples: number, size: BatchSize) {
    if (nExamples > size.nSeq) invalid('examples', `at most ${size.nSeq}`, nExamples);
    this.size = size;
    this.tokens = new Int32Array(size.nSeq * size.nCtx).fill(size.padToken ?? 0);
    this.segments = new Int32Array(size.nSeq * size.nCtx).fill(-1);
  }

  place(row: number, parts: readonly Int32Array[]): number {
    const start = row * this.size.nCtx;
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    if (length > this.size.nCtx)
      invalid(`example ${row}`, `up to ${this.size.nCtx} tokens`, length);
    let at = start;
    for (const part of parts) {
      this.tokens.set(part, at);
      at += part.length;
    }
    this.segments.fill(0, start, at);
    return start;
  }

  finish(positions: number[], labels: number[], weights: number[]): TokenBatch {
    return {
      tokens: this.tokens,
      segments: this.segments,
      positions: Int32Array.from(positions),
      labels: Int32Array.from(labels),
      weights: Float32Array.from(weights),
    };
  }
}

function checkLength(option: string, received: number, expected: number): void {
  if (received !== expected) invalid(option, `${expected} elements`, received);
}

function invalid(option: string, expected: string, received: unknown): never {
  throw new GristmillError('OPTION_INVALID', { option, expected, received });
}
