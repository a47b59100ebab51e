/** Plans for tests: small ones of three datasets, and what goes wrong with them. */
import { checkPlan, type PlanInput } from '../../../src/continual/plan/config.ts';
import { type ResolvePlanOptions, resolvePlan } from '../../../src/continual/plan/resolve.ts';
import type { ContinualPlan } from '../../../src/continual/plan/types.ts';
import { isGristmillError } from '../../../src/errors.ts';

export type StageInput = PlanInput['stages'][number];

export const cosine = { kind: 'cosine', peakLr: 3e-4, minLr: 3e-5, warmup: '1 %' } as const;
export const infinite = {
  kind: 'infinite',
  peakLr: 3e-4,
  constantLr: 1.65e-4,
  minLr: 3e-5,
  warmup: '1 %',
  cooldown: { shape: 'cosine', length: '59 %' },
  constant: '25 %',
  anneal: {},
} as const;

export function planOf(input: Partial<PlanInput>, options?: ResolvePlanOptions): ContinualPlan {
  return resolvePlan(
    checkPlan({
      batch: { nSeq: 4, nCtx: 16 },
      datasets: { a: {}, b: {}, c: {} },
      stages: [],
      ...input,
    }),
    options,
  );
}

export function stagesOf(...stages: StageInput[]): Partial<PlanInput> {
  return { stages };
}

/** Message of the error with its code. */
export function errorOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (isGristmillError(error)) return `${error.code} ${error.message}`;
    throw error;
  }
  return 'no error';
}
