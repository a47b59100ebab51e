import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BatchSizeHorizon,
  batchRuns,
  batchSizeSchema,
  sequencesBefore,
} from '../../src/schedules/batch-size.ts';

const parsed = (input: object) => batchSizeSchema.parse({ kind: 'drop-stable-rampup', ...input });

/** Step by step, by the formula. */
function naive(
  { drop, stable, ramp }: { drop: number; stable: number; ramp: number },
  { nSequences, fullBatch, microBatch }: BatchSizeHorizon,
): number[] {
  const sizes: number[] = [];
  let position = 0;
  for (;;) {
    let share = 1;
    if (position < stable) share = drop;
    else if (position < stable + ramp) share = drop + ((1 - drop) * (position - stable)) / ramp;
    const micro = Math.max(1, Math.round((fullBatch / microBatch) * share));
    const size = microBatch * Math.min(micro, fullBatch / microBatch);
    if (position + size > nSequences) return sizes;
    sizes.push(size);
    position += size;
  }
}

const sizesOf = (runs: ReturnType<typeof batchRuns>) =>
  runs.flatMap(({ firstStep, endStep, sequencesPerStep }) =>
    Array.from({ length: endStep - firstStep }, () => sequencesPerStep),
  );

describe('batchRuns', () => {
  it('by hand: drops to a quarter of 8, stays for 8 sequences, is full behind 24', () => {
    const runs = batchRuns(parsed({ drop: '25 %', stable: '20 %', rampup: '40 %' }), {
      ...{ nSequences: 40, fullBatch: 8, microBatch: 2, nCtx: 4 },
    });
    // p: 0 2 4 6 | 8: 2 + 6 · 0/16 = 2 | 10: 2.75 → 2 (micro 1.375) | 12: 3.5 → 4 | 16: 5 → 6 (micro 2.5) | 22: 7.25 → 8 | 30 → 8 | 38: no more
    expect(sizesOf(runs)).toEqual([2, 2, 2, 2, 2, 2, 4, 6, 8, 8]);
    expect(runs).toEqual([
      { firstStep: 0, endStep: 6, sequencesPerStep: 2, firstSequence: 0 },
      { firstStep: 6, endStep: 7, sequencesPerStep: 4, firstSequence: 12 },
      { firstStep: 7, endStep: 8, sequencesPerStep: 6, firstSequence: 16 },
      { firstStep: 8, endStep: 10, sequencesPerStep: 8, firstSequence: 22 },
    ]);
    const batches = { batches: runs };
    expect([0, 5, 6, 6.5, 7, 8, 10].map((step) => sequencesBefore(batches, 99, step))).toEqual([
      0, 10, 12, 14, 16, 22, 38,
    ]);
    expect(sequencesBefore({ batches: null }, 8, 3)).toBe(24);
  });

  it('is what the formula says step by step, and never shrinks', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 0, max: 3000 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 0.5, noNaN: true }),
        fc.option(fc.double({ min: 0, max: 0.5, noNaN: true })),
        (microBatch, accumulate, nSequences, drop, stable, ramp) => {
          const horizon = { nSequences, fullBatch: microBatch * accumulate, microBatch, nCtx: 16 };
          const spec = parsed({
            ...{ drop, stable: { fraction: stable } },
            ...(ramp !== null && { rampup: { fraction: ramp } }),
          });
          const runs = batchRuns(spec, horizon);
          const expected = naive(
            {
              drop,
              stable: stable * nSequences,
              ramp: ramp === null ? nSequences - stable * nSequences : ramp * nSequences,
            },
            horizon,
          );
          expect(sizesOf(runs)).toEqual(expected);
          let [step, position] = [0, 0];
          for (const [at, run] of runs.entries()) {
            expect([run.firstStep, run.firstSequence]).toEqual([step, position]);
            expect(run.sequencesPerStep).toBeGreaterThan(runs[at - 1]?.sequencesPerStep ?? 0);
            position += (run.endStep - step) * run.sequencesPerStep;
            step = run.endStep;
          }
          expect(sequencesBefore({ batches: runs }, 0, step)).toBe(position);
        },
      ),
    );
  });

  it('takes tokens, and refuses steps and phases beyond the stage', () => {
    const horizon = { nSequences: 100, fullBatch: 10, microBatch: 1, nCtx: 8 };
    const one = batchRuns(parsed({ drop: 0.5, stable: '400 tokens' }), horizon);
    expect(one).toEqual(batchRuns(parsed({ drop: '50%', stable: '50 %' }), horizon));
    expect(() => batchRuns(parsed({ drop: 0.5, stable: '4 steps' }), horizon)).toThrowError(
      /batchSize.*stable is given in steps/,
    );
    expect(() =>
      batchRuns(parsed({ drop: 0.5, stable: '60 %', rampup: '50 %' }), horizon),
    ).toThrowError(/110 sequences, and the stage has 100/);
    for (const drop of [0, 1.5, '0 %', '101 %', 'half']) {
      expect(
        batchSizeSchema.safeParse({ kind: 'drop-stable-rampup', drop, stable: '1 %' }).success,
      ).toBe(false);
    }
  });
});
