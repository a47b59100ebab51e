/**
 * Windows into batches: several windows lie in a sequence, each a segment that attends to itself only.
 *
 *     sequence 0   | window 41: prompt, answer | window 7: prompt, answer | padding |
 *
 * Targets are the tokens of the answers, weight 1; the verdicts behind lines; the next token at a sample of the other
 * places of the prompts (examples.ts says why).
 */
import type { TokenBatch } from '../../native/train.ts';
import type { Random } from '../../seeded.ts';
import type { BatchSize } from '../../train/objectives.ts';
import type { WindowExample } from './examples.ts';

/** Weights of the targets beside those of the answers, 1. */
export interface PromptTargets {
  /** Of a verdict behind a line. */
  readonly verdictWeight: number;
  /** Of a next token in the prompt. */
  readonly textWeight: number;
  /** Share of the prompt's places whose next token is learnt, 0..1. */
  readonly textShare: number;
}

/** One batch; `sequences` holds up to `nSeq` lists of windows that fit `nCtx`. */
export function windowBatch(
  sequences: readonly (readonly WindowExample[])[],
  { nSeq, nCtx }: BatchSize,
  { verdictWeight, textWeight, textShare }: PromptTargets,
  random: Random,
): TokenBatch {
  const tokens = new Int32Array(nSeq * nCtx);
  const segments = new Int32Array(nSeq * nCtx).fill(-1);
  const positions: number[] = [];
  const labels: number[] = [];
  const weights: number[] = [];
  const learn = (position: number, label: number, weight: number): void => {
    positions.push(position);
    labels.push(label);
    weights.push(weight);
  };
  sequences.forEach((windows, sequence) => {
    let start = sequence * nCtx;
    windows.forEach((example, segment) => {
      const { tokens: own, answerStart, lineEnds, lineLabels } = example;
      tokens.set(own, start);
      segments.fill(segment, start, start + own.length);
      for (let at = answerStart; at < own.length; at++) learn(start + at - 1, own[at]!, 1);
      const verdictAt = new Set(lineEnds);
      lineEnds.forEach((at, line) => {
        if (at < answerStart - 1) learn(start + at, lineLabels[line]!, verdictWeight);
      });
      for (let at = 0; at + 1 < answerStart; at++) {
        if (verdictAt.has(at) || random() >= textShare) continue;
        learn(start + at, own[at + 1]!, textWeight);
      }
      start += own.length;
    });
  });
  return {
    tokens,
    segments,
    positions: Int32Array.from(positions),
    labels: Int32Array.from(labels),
    weights: Float32Array.from(weights),
  };
}
