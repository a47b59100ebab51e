/**
 * How many sequences each source of a stage gives: exact, without carrying anything out.
 *
 * A segment's blend starts at position 0 of `Blend` (tokens/blend.ts, `exact`), whose counts are within less than one
 * sequence of the shares after every position. Where all shares of a length are whole numbers that bound alone fixes the
 * counts. Otherwise the blend is walked through, up to {@link MAX_WALKED} sequences; beyond that (plans of 10^8
 * sequences and more) the counts are those of the largest remainders, each within one of the blend's.
 */
import { sequencesBefore } from '../../schedules/batch-size.ts';
import { Blend } from '../../tokens/blend.ts';
import type { PlanSegment, PlanSource, PlanStage } from './types.ts';

/** Sequences that are walked through at most; a second or two. */
export const MAX_WALKED = 5_000_000;

/** What float shares may be off from whole numbers; far less than what separates whole numbers under the bound. */
const WHOLE = 1e-6;

/**
 * Sequences of each source among the first `nSequences` of a blend, summing to it.
 *
 * @param weights 0 or more, not all 0; `[nSources]`
 * @throws OPTION_INVALID
 */
export function sequenceCounts(weights: readonly number[], nSequences: number): number[] {
  const blend = new Blend({ weights, kind: 'exact', seed: 0 });
  const shares = [...blend.weights].map((weight) => weight * nSequences);
  const rounded = shares.map(Math.round);
  const isWhole = shares.every((share, source) => Math.abs(share - rounded[source]!) < WHOLE);
  if (isWhole && rounded.reduce((sum, count) => sum + count, 0) === nSequences) return rounded;
  if (nSequences <= MAX_WALKED) return [...blend.countsBefore(nSequences)];
  return largestRemainders(shares, nSequences);
}

/** Whole numbers that sum to `total`, each less than one from its share; ties go to the first. */
export function largestRemainders(shares: readonly number[], total: number): number[] {
  const counts = shares.map(Math.floor);
  const missing = total - counts.reduce((sum, count) => sum + count, 0);
  const order = [...shares.keys()].sort(
    (left, right) =>
      shares[right]! - counts[right]! - (shares[left]! - counts[left]!) || left - right,
  );
  for (const source of order.slice(0, Math.max(0, missing))) counts[source]!++;
  return counts;
}

/** A source and what it has given. */
export type SourceCount = Pick<PlanSource, 'dataset' | 'kind' | 'nSequences'>;

/**
 * What each source has given in a stage after `endStep` steps; one entry for every dataset and kind.
 *
 * @param endStep 0..nSteps
 */
export function countsUpTo(
  {
    segments,
    nSteps,
    nSequences,
    batches,
  }: Pick<PlanStage, 'segments' | 'nSteps' | 'nSequences' | 'batches'>,
  endStep: number,
): SourceCount[] {
  const before = (step: number): number =>
    sequencesBefore({ batches: batches ?? null }, nSequences / nSteps, step);
  const found = new Map<string, SourceCount>();
  for (const segment of segments) {
    const end = Math.min(segment.endStep, endStep);
    if (end <= segment.firstStep) continue;
    const counts = countsIn(segment, end, before(end) - before(segment.firstStep));
    segment.sources.forEach(({ dataset, kind }, source) => {
      const key = `${kind} ${dataset}`;
      const before = found.get(key)?.nSequences ?? 0;
      found.set(key, { dataset, kind, nSequences: before + counts[source]! });
    });
  }
  return [...found.values()];
}

function countsIn({ endStep, sources }: PlanSegment, end: number, nSequences: number): number[] {
  if (end === endStep) return sources.map(({ nSequences }) => nSequences);
  return sequenceCounts(
    sources.map(({ weight }) => weight),
    nSequences,
  );
}

/** A stretch of the way to a stage. */
export interface LineageStretch {
  /** Index of the stage. */
  readonly stage: number;
  /** Steps of it that were taken: all, or those up to its constant-phase checkpoint. */
  readonly nSteps: number;
}

/** The way to a stage from the first weights, the stage itself, whole, as the last. */
export function lineageOf(stages: readonly PlanStage[], index: number): LineageStretch[] {
  const way: LineageStretch[] = [];
  let next: LineageStretch | null = { stage: index, nSteps: stages[index]!.nSteps };
  while (next) {
    way.push(next);
    const { from }: PlanStage = stages[next.stage]!;
    next = from && {
      stage: from.stage,
      nSteps:
        from.checkpoint === 'constant'
          ? stages[from.stage]!.constantStep!
          : stages[from.stage]!.nSteps,
    };
  }
  return way.reverse();
}
