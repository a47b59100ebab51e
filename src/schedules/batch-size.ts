/**
 * Batch sizes over a stage: Drop-Stable-Rampup (arXiv 2605.25698). Where better data begin, a smaller batch makes more updates of
 * the same tokens, and so more signal; towards the end larger ones average the noise away.
 *
 * With B the full batch, d the share that it is dropped to, p the sequences in front of a step, S those of the stable phase, R
 * those of the ramp:
 *
 *     b(p) = d B                          p < S
 *            B (d + (1 − d)(p − S) / R)   p < S + R
 *            B                            from there on
 *
 * rounded to whole micro-batches, at least one. The paper gives no form of the ramp in what was read of it (its abstract): it is
 * straight over tokens here. Sizes only grow, so that a schedule is a few runs of steps of one size.
 */
import * as z from 'zod';
import { GristmillError } from '../errors.ts';
import { type Length, lengthSchema } from './lengths.ts';

/** A schedule of batch sizes as it is written; lengths are shares of the stage or tokens, never steps. */
export const batchSizeSchema = z.strictObject({
  kind: z.literal('drop-stable-rampup'),
  /** Share of the full batch that it is dropped to. */
  drop: z.union([z.number(), z.string()]).transform((value, context) => {
    const percent =
      typeof value === 'string' ? /^\s*(\d{1,3}(?:\.\d{1,9})?)\s*%\s*$/.exec(value) : null;
    const share =
      typeof value === 'number' ? value : percent ? Number(percent[1]) / 100 : Number.NaN;
    if (share > 0 && share <= 1) return share;
    context.addIssue({
      code: 'custom',
      message: 'expected a share above 0, of 1 or 100 % at most',
    });
    return z.NEVER;
  }),
  /** How long it stays there. */
  stable: lengthSchema,
  /** How long it grows to the full batch. Default: to the end of the stage. */
  rampup: lengthSchema.optional(),
});

/** A checked schedule of batch sizes. */
export type BatchSizeSpec = z.infer<typeof batchSizeSchema>;

/** Steps of one batch size: `firstStep <= step < endStep`, counted from 0. */
export interface BatchRun {
  readonly firstStep: number;
  readonly endStep: number;
  /** Sequences of each of its steps. */
  readonly sequencesPerStep: number;
  /** Sequences in front of its first step. */
  readonly firstSequence: number;
}

/** What sizes are measured against. */
export interface BatchSizeHorizon {
  /** Sequences of the stage; what is left of them behind the last whole step is not learnt. */
  readonly nSequences: number;
  /** Sequences of a full batch. */
  readonly fullBatch: number;
  /** Sequences of a micro-batch; divides `fullBatch`. */
  readonly microBatch: number;
  /** Tokens of a sequence. */
  readonly nCtx: number;
}

/**
 * Runs of one batch size each, in order; none where not even one step fits.
 *
 * @throws SCHEDULE_INVALID for a length in steps, or phases longer than the stage
 */
export function batchRuns(spec: BatchSizeSpec, horizon: BatchSizeHorizon): BatchRun[] {
  const { nSequences, fullBatch, microBatch } = horizon;
  const stable = sequencesOf(spec.stable, 'stable', horizon);
  const rampup = spec.rampup
    ? sequencesOf(spec.rampup, 'rampup', horizon)
    : Math.max(0, nSequences - stable);
  if (stable + rampup > nSequences * (1 + 1e-9)) {
    const reason = `stable and rampup are ${stable + rampup} sequences, and the stage has ${nSequences}`;
    throw new GristmillError('SCHEDULE_INVALID', { where: 'batchSize', reason });
  }
  const { drop } = spec;
  const sizeAt = (position: number): number => {
    const grown =
      position < stable ? 0 : position >= stable + rampup ? 1 : (position - stable) / rampup;
    const micro = (fullBatch / microBatch) * (drop + (1 - drop) * grown);
    return microBatch * Math.min(fullBatch / microBatch, Math.max(1, Math.round(micro)));
  };
  const runs: BatchRun[] = [];
  let step = 0;
  let position = 0;
  while (position + sizeAt(position) <= nSequences) {
    const size = sizeAt(position);
    const most = Math.floor((nSequences - position) / size);
    // Sizes never fall: the first step of another size is found by halves.
    let low = 1;
    let high = most;
    while (low < high) {
      const middle = low + Math.floor((high - low) / 2);
      if (sizeAt(position + middle * size) > size) high = middle;
      else low = middle + 1;
    }
    runs.push({
      firstStep: step,
      endStep: step + low,
      sequencesPerStep: size,
      firstSequence: position,
    });
    step += low;
    position += low * size;
  }
  return runs;
}

function sequencesOf(
  length: Length,
  what: 'stable' | 'rampup',
  { nSequences, nCtx }: BatchSizeHorizon,
): number {
  if ('fraction' in length) return length.fraction * nSequences;
  if ('tokens' in length) return length.tokens / nCtx;
  const reason = `${what} is given in steps, whose sizes differ: give a share or tokens`;
  throw new GristmillError('SCHEDULE_INVALID', { where: 'batchSize', reason });
}

/** Something that takes steps: all of one size, or of runs. */
export interface Stepped {
  /** Null or left out where all steps are of one size. */
  readonly batches?: readonly BatchRun[] | null;
}

/**
 * Sequences in front of a step, counted from 0; the last size goes on behind the end, and between whole steps it is a line.
 *
 * @param sequencesPerStep where all steps are of one size
 */
export function sequencesBefore(
  { batches }: Stepped,
  sequencesPerStep: number,
  step: number,
): number {
  if (!batches || batches.length === 0) return step * sequencesPerStep;
  let low = 0;
  let high = batches.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (batches[middle]!.firstStep <= step) low = middle;
    else high = middle - 1;
  }
  const run = batches[low]!;
  return run.firstSequence + (step - run.firstStep) * run.sequencesPerStep;
}
