/**
 * The checkpoints that a stage merges instead of decaying, and their weights.
 *
 * The window ends with the stage; it is cut into whole intervals of `every` steps, from its end backwards, so that the
 * last checkpoint is the stage's end. The first one lies in front of the first interval: a decay changes nothing of it.
 *
 * @see arXiv 2507.17634; schedules/merge-weights.ts
 */
import { stepsOf } from '../../schedules/lengths.ts';
import { EXPONENTIAL_END, MAX_MERGED, mergeWeights } from '../../schedules/merge-weights.ts';
import type { StageConfig } from './config.ts';
import type { PlanMerge } from './types.ts';

/** @param refuse raises the plan's error */
export function planMerge(
  { merge, done }: StageConfig,
  nSteps: number,
  tokensPerStep: number,
  refuse: (reason: string) => never,
): PlanMerge | null {
  if (!merge) return null;
  if (done) refuse('merge: the stage is done, nothing of it is merged');
  const horizon = { totalSteps: nSteps, tokensPerStep };
  const [window, every] = (['window', 'every'] as const).map((key) => {
    const steps = Math.round(stepsOf(merge[key], horizon, `merge.${key}`));
    if (steps >= 1 && steps <= nSteps) return steps;
    return refuse(`merge.${key}: ${steps} steps, expected 1..${nSteps}, those of the stage`);
  }) as [number, number];
  const nIntervals = Math.floor(window / every);
  if (nIntervals < 1) {
    refuse(`merge.every: ${every} steps, but the window has ${window}`);
  }
  if (nIntervals + 1 > MAX_MERGED) {
    refuse(`merge.every: ${nIntervals + 1} checkpoints, at most ${MAX_MERGED} are merged`);
  }
  const { shape, timescale } = merge;
  const end = merge.end ?? (shape === 'exponential' ? EXPONENTIAL_END : 0);
  if (shape === 'exponential' && end === 0) {
    refuse('merge.end: 0, which an exponential never reaches');
  }
  const steps = Array.from(
    { length: nIntervals + 1 },
    (_, at) => nSteps - (nIntervals - at) * every,
  );
  const weights = mergeWeights({
    ...{ shape, end, nCheckpoints: steps.length, stepsBetween: every },
    ...(timescale !== undefined && { timescale }),
  });
  return { shape, end, timescale: timescale ?? null, every, steps, weights: [...weights] };
}
