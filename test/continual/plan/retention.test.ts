/** What the models of a plan keep of their data: held against AdamW carried out step by step over the plan's rates. */
import { describe, expect, it } from 'vitest';
import { planReport } from '../../../src/continual/plan/report.ts';
import { retentionOf, retentionsOf } from '../../../src/continual/plan/retention.ts';
import { planTimeline } from '../../../src/continual/plan/timeline.ts';
import type { ContinualPlan } from '../../../src/continual/plan/types.ts';
import { planOf, stagesOf } from './support.ts';

const flat = { kind: 'constant', peakLr: 0.05 } as const;
const falling = { kind: 'linear', peakLr: 0.05, minLr: 0 } as const;

/** Weights by stage and step, of one update of 1 each, through all checkpoints of the way. */
function carriedOut({ stages, weightDecay }: ContinualPlan, index: number): number[][] {
  const lastOf = (ownStage: number, ownStep: number): number => {
    const annealed = new Map<number, number>();
    const constant = new Map<number, number>();
    const merged = new Map<number, number>();
    for (const { index: at, from, nSteps, curve, constantStep, merge } of stages) {
      const of = { annealed, constant, merged };
      let weight = from ? of[from.checkpoint].get(from.stage)! : 0;
      let sum = 0;
      const keep = (step: number): void => {
        if (step === constantStep) constant.set(at, weight);
        sum += (merge?.weights[merge.steps.indexOf(step)] ?? 0) * weight;
      };
      keep(0);
      for (let step = 1; step <= nSteps; step++) {
        const lr = curve.at(step);
        weight = (1 - lr * weightDecay) * weight + (at === ownStage && step === ownStep ? lr : 0);
        keep(step);
      }
      annealed.set(at, weight);
      merged.set(at, sum);
    }
    return (stages[index]!.merge ? merged : annealed).get(index)!;
  };
  return stages.map(({ nSteps, index: at }) =>
    Array.from({ length: nSteps }, (_, step) => lastOf(at, step + 1)),
  );
}

function expectSame(plan: ContinualPlan, index: number): void {
  const weights = carriedOut(plan, index);
  const sum = weights.flat().reduce((all, one) => all + one, 0);
  const { stretches } = retentionOf(plan, plan.stages[index]!);
  const found = weights.map((own) => own.map(() => 0));
  for (const { stage, firstStep, endStep, share } of stretches) {
    expect(endStep).toBe(firstStep + 1);
    found[stage]![firstStep] = share;
  }
  for (const [stage, own] of weights.entries()) {
    for (const [step, weight] of own.entries()) {
      expect(Math.abs(found[stage]![step]! - weight / sum)).toBeLessThan(1e-12);
    }
  }
}

describe('what a plan retains', () => {
  it('is what AdamW does: two stages, one that starts from a merge, one from a constant phase', () => {
    const infinite = {
      kind: 'infinite',
      constantLr: 0.04,
      minLr: 0.004,
      constant: '20 steps',
      anneal: { shape: 'exponential' },
    } as const;
    const merge = { shape: 'linear', window: '10 steps', every: '4 steps' } as const;
    const plan = planOf(
      stagesOf(
        { name: 'first', data: 'a', steps: 30, schedule: infinite },
        { name: 'second', data: 'a', steps: 20, schedule: flat, start: 'constant', merge },
        { name: 'third', data: 'a', steps: 15, schedule: falling, start: 'merged' },
        { name: 'last', data: 'a', steps: 12, schedule: flat, merge },
      ),
    );
    for (const index of plan.stages.keys()) expectSame(plan, index);
    expect(retentionsOf(plan).map(({ stage }) => stage)).toEqual([3]);
    // What the first stage saw behind its constant phase is in no other model.
    const kept = retentionOf(plan, plan.stages[3]!).stretches;
    expect(kept.filter(({ stage, firstStep }) => stage === 0 && firstStep >= 20)).toEqual([]);
  });

  it('names the best tenth: the end at a constant rate, in front of it under a decay', () => {
    const of = (schedule: typeof flat | typeof falling) =>
      retentionsOf(planOf(stagesOf({ name: 'one', data: 'a', steps: 200, schedule })))[0]!.best;
    const constant = of(flat);
    expect(constant).toMatchObject({ firstStep: 180, endStep: 200 });
    expect(constant.share).toBeCloseTo(constant.lastShare, 12);
    const decayed = of(falling);
    expect(decayed.endStep).toBeLessThan(200);
    expect(decayed.share).toBeGreaterThan(2 * decayed.lastShare);
  });

  it('takes long ways in stretches, and says the same', () => {
    const [short, long] = [1000, 100_000].map((steps) => {
      const peakLr = 50 / steps;
      const plan = planOf(
        stagesOf({ name: 'one', data: 'a', steps, schedule: { kind: 'cosine', peakLr } }),
      );
      return planReport(plan).retention[0]!;
    }) as [
      ReturnType<typeof planReport>['retention'][number],
      ReturnType<typeof planReport>['retention'][number],
    ];
    expect(long.first).toBeCloseTo(short.first, 2);
    for (const [at, { share }] of short.stages[0]!.parts.entries()) {
      expect(long.stages[0]!.parts[at]!.share).toBeCloseTo(share, 3);
    }
    expect(short.stages[0]!.parts).toHaveLength(10);
    expect(long.best.firstStep / 100).toBeCloseTo(short.best.firstStep, -1);
  });

  it('is drawn', async () => {
    const plan = planOf(stagesOf({ name: 'one', data: 'a', steps: 50, schedule: falling }));
    expect(await planTimeline(plan)).toContain('weight in the model (relative)');
  });
});
