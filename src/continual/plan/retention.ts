/**
 * Where in a plan data are kept best: for every last stage, how heavy each stretch of the way to it is in the model that it
 * ends with, from AdamW's moving average over the plan's learning rates (schedules/ema-weights.ts; arXiv 2509.25380).
 *
 * Only the way counts: what a stage saw behind the checkpoint that others start from is in no other model. Rates are taken
 * at the middle of at most {@link MAX_STRETCHES} stretches, which change nothing that can be seen.
 */
import { emaWeights } from '../../schedules/ema-weights.ts';
import { lineageOf } from './counts.ts';
import type { ContinualPlan, PlanStage } from './types.ts';

/** A stretch of a stage and its weight. */
export interface RetainedStretch {
  /** Index of the stage. */
  readonly stage: number;
  /** Steps of the stage: `firstStep <= step < endStep`, counted from 0. */
  readonly firstStep: number;
  readonly endStep: number;
  /** Of all updates on the way; they sum to 1. */
  readonly share: number;
}

/** What the model at the end of a stage keeps. */
export interface Retention {
  /** Index of the stage. */
  readonly stage: number;
  /** In the order of training. */
  readonly stretches: readonly RetainedStretch[];
  /** Share of the first weights of the way that is left; 1 without weight decay. */
  readonly first: number;
  /** Steps of this stage that a tenth of it is kept best in, and what of all updates they and its last tenth hold. */
  readonly best: {
    readonly firstStep: number;
    readonly endStep: number;
    readonly share: number;
    readonly lastShare: number;
  };
}

/** Bound of the stretches of a way, those that merges cut apart left aside. */
const MAX_STRETCHES = 20_000;
/** The same of each of many. */
const FEW_STRETCHES = 500;
/** What is asked for a place in a stage. */
const WINDOW = 0.1;

/** What every model keeps that no other stage starts from. */
export function retentionsOf(plan: ContinualPlan): Retention[] {
  const starts = new Set(plan.stages.flatMap(({ from }) => (from ? [from.stage] : [])));
  const last = plan.stages.filter(({ done, index }) => !done && !starts.has(index));
  return last.map((stage) =>
    retentionOf(plan, stage, Math.max(FEW_STRETCHES, Math.ceil(MAX_STRETCHES / last.length))),
  );
}

/** What the model of a stage, its end or what it merges, keeps of its way. */
export function retentionOf(
  { stages, weightDecay }: Pick<ContinualPlan, 'stages' | 'weightDecay'>,
  { index, nSteps, merge }: PlanStage,
  maxStretches = MAX_STRETCHES,
): Retention {
  const way = lineageOf(stages, index);
  const total = way.reduce((sum, stretch) => sum + stretch.nSteps, 0);
  const stride = Math.max(1, Math.ceil(total / maxStretches));
  const stretches: RetainedStretch[] = [];
  let left = 1;
  let isMerged = merge !== null;
  for (const { stage, nSteps: taken } of way.toReversed()) {
    const { curve, merge: own, from } = stages[stage]!;
    const keptAt = new Map(isMerged ? own!.steps.map((step, at) => [step, own!.weights[at]!]) : []);
    const ends = endsOf(taken, stride, [...keptAt.keys()]);
    const ranges = ends.map((endStep, at) => ({ stage, firstStep: ends[at - 1] ?? 0, endStep }));
    const { weights, first } = emaWeights({
      stretches: ranges.map(({ firstStep, endStep }) => ({
        nSteps: endStep - firstStep,
        lr: curve.at((firstStep + 1 + endStep) / 2),
      })),
      weightDecay,
      ...(isMerged && { kept: [0, ...ends].map((step) => keptAt.get(step) ?? 0) }),
    });
    stretches.unshift(...ranges.map((range, at) => ({ ...range, share: left * weights[at]! })));
    left *= first;
    isMerged = from?.checkpoint === 'merged';
  }
  const sum = stretches.reduce((all, { share }) => all + share, 0);
  const shares = stretches.map((stretch) => ({
    ...stretch,
    share: sum > 0 ? stretch.share / sum : 0,
  }));
  const own = shares.filter(({ stage }) => stage === index);
  return { stage: index, stretches: shares, first: left, best: bestOf(own, nSteps) };
}

/** Ends of stretches of at most `stride` steps, `cuts` among them. */
function endsOf(nSteps: number, stride: number, cuts: readonly number[]): number[] {
  const ends = new Set(cuts.filter((cut) => cut > 0 && cut < nSteps));
  for (let step = stride; step < nSteps; step += stride) ends.add(step);
  return [...ends, nSteps].sort((left, right) => left - right);
}

/** The tenth of a stage's steps that weighs most, the later one of two; whole stretches. */
function bestOf(own: readonly RetainedStretch[], nSteps: number): Retention['best'] {
  const wanted = Math.max(1, WINDOW * nSteps);
  const place = (first: number, last: number): Omit<Retention['best'], 'lastShare'> => ({
    firstStep: own[first]!.firstStep,
    endStep: own[last]!.endStep,
    share: own.slice(first, last + 1).reduce((sum, { share }) => sum + share, 0),
  });
  let first = 0;
  let sum = 0;
  let best = { first: 0, last: 0, density: -1 };
  for (let last = 0; last < own.length; last++) {
    sum += own[last]!.share;
    while (first < last && own[last]!.endStep - own[first + 1]!.firstStep >= wanted) {
      sum -= own[first++]!.share;
    }
    const steps = own[last]!.endStep - own[first]!.firstStep;
    // What rounding leaves of a running sum must not choose.
    if (steps >= wanted - 0.5 && sum / steps >= best.density * (1 - 1e-9)) {
      best = { first, last, density: sum / steps };
    }
  }
  let start = own.length - 1;
  while (start > 0 && nSteps - own[start]!.firstStep < wanted - 0.5) start--;
  return { ...place(best.first, best.last), lastShare: place(start, own.length - 1).share };
}
