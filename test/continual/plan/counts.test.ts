/** Counts against a walk through the blend, one sequence at a time. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkPlan } from '../../../src/continual/plan/config.ts';
import {
  countsUpTo,
  largestRemainders,
  MAX_WALKED,
  sequenceCounts,
} from '../../../src/continual/plan/counts.ts';
import { resolvePlan } from '../../../src/continual/plan/resolve.ts';
import { Blend } from '../../../src/tokens/blend.ts';

const weights = fc
  .array(fc.oneof(fc.constant(0), fc.double({ min: 1e-6, max: 1, noNaN: true })), {
    minLength: 1,
    maxLength: 8,
  })
  .filter((all) => all.some((weight) => weight > 0));

/** The oracle: every sequence on its own. */
function walked(all: readonly number[], nSequences: number): number[] {
  const counts = all.map(() => 0);
  const blend = new Blend({ weights: all, kind: 'exact', seed: 1 });
  for (let position = 0; position < nSequences; position++) {
    counts[blend.at(position, 1)[0]!.domain]!++;
  }
  return counts;
}

describe('sequenceCounts', () => {
  it('is what a walk counts', () => {
    fc.assert(
      fc.property(weights, fc.integer({ min: 0, max: 500 }), (all, nSequences) => {
        expect(sequenceCounts(all, nSequences)).toEqual(walked(all, nSequences));
      }),
    );
  });

  it('whole shares need no walk and are those of one', () => {
    for (const [all, nSequences] of [
      [[0.95, 0.05], 2000],
      [[95, 3.8125, 1.1875], 16_000],
      [[0.995, 0.005], 1000],
      [[1, 1, 1], 999],
    ] as const) {
      const sum = all.reduce((total: number, weight) => total + weight, 0);
      const counts = sequenceCounts(all, nSequences);
      expect(counts).toEqual(all.map((weight) => Math.round((weight / sum) * nSequences)));
      expect(counts).toEqual(walked(all, nSequences));
    }
  });

  it('sums to the whole, each share to less than one; beyond the bound too', () => {
    const long = fc.oneof(
      fc.integer({ min: 1, max: 2000 }),
      fc.integer({ min: MAX_WALKED + 1, max: 1_000_000_000 }),
    );
    fc.assert(
      fc.property(weights, long, (all, nSequences) => {
        const counts = sequenceCounts(all, nSequences);
        const sum = all.reduce((total, weight) => total + weight, 0);
        expect(counts.reduce((total, count) => total + count, 0)).toBe(nSequences);
        counts.forEach((count, source) => {
          expect(Number.isInteger(count)).toBe(true);
          expect(Math.abs(count - (all[source]! / sum) * nSequences)).toBeLessThan(1 + 1e-5);
          if (all[source] === 0) expect(count).toBe(0);
        });
      }),
    );
  });

  it('largest remainders are within one of the walk', () => {
    fc.assert(
      fc.property(weights, fc.integer({ min: 0, max: 400 }), (all, nSequences) => {
        const sum = all.reduce((total, weight) => total + weight, 0);
        const counts = largestRemainders(
          all.map((weight) => (weight / sum) * nSequences),
          nSequences,
        );
        expect(counts.reduce((total, count) => total + count, 0)).toBe(nSequences);
        const oracle = walked(all, nSequences);
        counts.forEach((count, source) => {
          expect(Math.abs(count - oracle[source]!)).toBeLessThanOrEqual(1);
        });
      }),
    );
    expect(largestRemainders([0.5, 0.5, 1], 2)).toEqual([1, 0, 1]);
  });
});

describe('countsUpTo', () => {
  it('is what the blends of the segments give up to any step', () => {
    const plan = resolvePlan(
      checkPlan({
        batch: { nSeq: 3, nCtx: 8 },
        datasets: { a: {}, b: {}, c: {} },
        stages: [
          {
            name: 'one',
            data: { a: 1, c: 1 },
            steps: 20,
            schedule: { kind: 'constant', peakLr: 1e-3 },
          },
          {
            name: 'two',
            data: [
              { data: { b: 3, a: 1 }, until: { fraction: 0.3 } },
              { data: 'b', until: { lrFraction: 0.2 } },
              { data: { c: 1, b: 1 } },
            ],
            steps: 30,
            replay: 0.1,
            schedule: { kind: 'cosine', peakLr: 1e-3 },
          },
        ],
      }),
    );
    const stage = plan.stages[1]!;
    for (let endStep = 0; endStep <= stage.nSteps; endStep++) {
      const expected = new Map<string, number>();
      for (const { firstStep, endStep: end, sources } of stage.segments) {
        const blend = new Blend({
          weights: sources.map(({ weight }) => weight),
          kind: 'exact',
          seed: 0,
        });
        const nSequences = Math.max(0, Math.min(end, endStep) - firstStep) * 3;
        for (const { domain } of blend.at(0, nSequences)) {
          const { kind, dataset } = sources[domain]!;
          const key = `${kind} ${dataset}`;
          expected.set(key, (expected.get(key) ?? 0) + 1);
        }
      }
      const counts = countsUpTo(stage, endStep).filter(({ nSequences }) => nSequences > 0);
      expect(
        new Map(counts.map(({ kind, dataset, nSequences }) => [`${kind} ${dataset}`, nSequences])),
      ).toEqual(expected);
    }
  });
});
