/** Plans: the published replay weights, exact counts against a walk, sizes, notes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PlanInput } from '../../../src/continual/plan/config.ts';
import { lineageOf } from '../../../src/continual/plan/counts.ts';
import type { ResolvePlanOptions } from '../../../src/continual/plan/resolve.ts';
import type { ContinualPlan, PlanStage } from '../../../src/continual/plan/types.ts';
import { Blend } from '../../../src/tokens/blend.ts';
import { cosine, errorOf, infinite, planOf, stagesOf } from './support.ts';

function weightsOf({ segments }: PlanStage, kind: 'new' | 'replay'): Record<string, number> {
  const sources = segments[0]!.sources.filter((source) => source.kind === kind);
  return Object.fromEntries(sources.map(({ dataset, weight }) => [dataset, weight]));
}

describe('published replay', () => {
  const published = (batch: PlanInput['batch']): ContinualPlan =>
    planOf({
      preset: 'rewarm',
      batch,
      datasets: { pile: {}, sp1: {}, sp2: {}, sp3: {} },
      stages: [
        { name: 'pile', data: 'pile', tokens: '300B', schedule: cosine },
        { name: 'sp1', data: 'sp1', tokens: '100B' },
        { name: 'sp2', data: 'sp2', tokens: '100B' },
        { name: 'sp3', data: 'sp3', tokens: '100B' },
      ],
    });

  it('weights are those of the experiment files, whatever the batch rounds to', () => {
    for (const batch of [
      { nSeq: 1104, nCtx: 2048 },
      { nSeq: 1000, nCtx: 2000 },
    ]) {
      const [, sp1, sp2, sp3] = published(batch).stages;
      const all: readonly (readonly [PlanStage, Record<string, number>])[] = [
        [sp1!, { pile: 5 }],
        [sp2!, { pile: 3.8125, sp1: 1.1875 }],
        [sp3!, { pile: 3.088125, sp1: 0.961875, sp2: 0.95 }],
      ];
      for (const [stage, expected] of all) {
        const weights = weightsOf(stage, 'replay');
        expect(Object.keys(weights)).toEqual(Object.keys(expected));
        for (const [name, percent] of Object.entries(expected)) {
          expect(Math.abs(weights[name]! * 100 - percent)).toBeLessThan(1e-12);
        }
        expect(weightsOf(stage, 'new')[stage.name]).toBeCloseTo(0.95, 14);
      }
    }
  });

  it('counts of 50 million sequences are exact where shares are whole', () => {
    const [pile, sp1, sp2, sp3] = published({ nSeq: 1000, nCtx: 2000 }).stages;
    expect(pile!.nSteps).toBe(150_000);
    expect(sp2!.nSequences).toBe(50_000_000);
    expect(sp1!.segments[0]!.sources.map(({ nTokens }) => nTokens)).toEqual([95e9, 5e9]);
    expect(sp2!.segments[0]!.sources.map(({ nSequences }) => nSequences)).toEqual([
      47_500_000, 1_906_250, 593_750,
    ]);
    // Halves of a sequence go to the first.
    expect(sp3!.seenTokens).toEqual({
      pile: 311_900_625_000 + 1000,
      sp1: 97_149_375_000 - 1000,
      sp2: 95_950_000_000,
      sp3: 95e9,
    });
  });

  it('5 % of SlimPajama is 285B new and 15B old tokens, at half of retraining', () => {
    const plan = planOf({
      preset: 'rewarm',
      model: { from: 'pile.gguf' },
      batch: { nSeq: 1000, nCtx: 2000 },
      datasets: { pile: { tokens: '300B' }, sp: { tokens: '300B' } },
      stages: [
        { name: 'pile', data: 'pile', tokens: '300B', schedule: cosine, done: true },
        { name: 'sp', data: 'sp', tokens: '300B' },
      ],
    });
    const stage = plan.stages[1]!;
    expect(stage.segments[0]!.sources.map(({ nTokens }) => nTokens)).toEqual([285e9, 15e9]);
    expect(stage.nTokens).toBe(300e9);
    expect(plan.totals).toEqual({ tokens: 300e9, retrainTokens: 600e9, computeRatio: 0.5 });
    expect(stage.optimizer).toBe('reset');
    expect(plan.notes).toEqual([expect.stringMatching(/^sp: ends in a decay/)]);
  });
});

describe('counts', () => {
  it('sum, keep their quotas and are those of a walk, over random plans', () => {
    const dataset = fc.constantFrom('a', 'b', 'c');
    const blend = fc.dictionary(dataset, fc.integer({ min: 1, max: 20 }), { minKeys: 1 });
    const stage = fc.record({
      data: blend,
      steps: fc.integer({ min: 4, max: 40 }),
      replay: fc.constantFrom(0, 0.005, 0.05, 0.25, 0.5, 1),
      isConstant: fc.boolean(),
      back: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(stage, { minLength: 1, maxLength: 5 }), (drawn) => {
        const plan = tryPlan(drawn);
        fc.pre(plan !== null);
        for (const { nSequences, nTokens, segments, seenTokens, index, replay } of plan!.stages) {
          expect(nTokens).toBe(nSequences * 16);
          for (const { firstStep, endStep, sources } of segments) {
            const length = (endStep - firstStep) * 4;
            const weights = sources.map(({ weight }) => weight);
            expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12);
            const walked = new Blend({ weights, kind: 'exact', seed: 9 }).countsBefore(length);
            expect(sources.map((source) => source.nSequences)).toEqual([...walked]);
            for (const source of sources) {
              expect(Math.abs(source.nSequences - source.weight * length)).toBeLessThan(1 + 1e-9);
            }
            const replayed = sources
              .filter(({ kind }) => kind === 'replay')
              .reduce((sum, { weight }) => sum + weight, 0);
            expect(replayed).toBeCloseTo(replay?.share ?? 0, 12);
          }
          const total = Object.values(seenTokens).reduce((sum, tokens) => sum + tokens, 0);
          const way = lineageOf(plan!.stages, index);
          expect(total).toBe(way.reduce((sum, { nSteps }) => sum + nSteps * 64, 0));
        }
      }),
      { numRuns: 150 },
    );

    function tryPlan(
      drawn: readonly {
        data: Record<string, number>;
        steps: number;
        replay: number;
        isConstant: boolean;
        back: number;
      }[],
    ): ContinualPlan | null {
      const error = errorOf(() => build());
      if (error.startsWith('CONTINUAL_REPLAY_TOO_SMALL')) return null;
      return build();
      function build(): ContinualPlan {
        return planOf({
          stages: drawn.map(({ data, steps, replay, isConstant, back }, index) => ({
            name: `stage${index}`,
            ...{ data, steps, schedule: infinite },
            ...(index > 0 && {
              replay,
              start: {
                stage: `stage${Math.max(0, index - back)}`,
                checkpoint: isConstant ? ('constant' as const) : ('annealed' as const),
              },
            }),
          })),
        });
      }
    }
  });

  it('a stage that starts from the constant phase has not seen the anneal', () => {
    const { stages } = planOf(
      stagesOf(
        { name: 'one', data: { a: 1, b: 1 }, steps: 100, schedule: infinite },
        { name: 'two', data: 'c', steps: 10, replay: 0.5, start: 'constant', schedule: infinite },
        { name: 'three', data: 'c', steps: 10, start: { stage: 'one' }, schedule: cosine },
      ),
    );
    expect(stages[0]!.constantStep).toBe(85);
    expect(stages[0]!.seenTokens).toEqual({ a: 3200, b: 3200 });
    expect(stages[1]!.from).toEqual({ stage: 0, checkpoint: 'constant' });
    expect(stages[1]!.seenTokens).toEqual({ a: 85 * 32 + 160, b: 85 * 32 + 160, c: 320 });
    expect(stages[2]!.seenTokens).toEqual({ a: 3200, b: 3200, c: 640 });
    expect(lineageOf(stages, 1)).toEqual([
      { stage: 0, nSteps: 85 },
      { stage: 1, nSteps: 10 },
    ]);
  });

  it('steps are tokens over those of a step, rounded down', () => {
    const steps = (tokens: number): number =>
      planOf(stagesOf({ name: 'one', data: 'a', tokens, schedule: cosine })).stages[0]!.nSteps;
    expect([64, 127, 128, 6400].map(steps)).toEqual([1, 1, 2, 100]);
    expect(
      planOf({
        ...stagesOf({ name: 'one', data: 'a', steps: 7, schedule: cosine }),
        batch: { nSeq: 2, nCtx: 8, accumulate: 3 },
      }).stages[0]!.nTokens,
    ).toBe(336);
  });

  it('replay.from has its own weights, and blends in turn all have the replay', () => {
    const stage = planOf(
      stagesOf(
        { name: 'one', data: { a: 3, b: 1 }, steps: 100, schedule: cosine },
        {
          name: 'two',
          data: [{ data: { b: 1, c: 1 }, until: { fraction: 0.5 } }, { data: 'c' }],
          steps: 40,
          replay: { share: '20 %', from: { a: 1, b: 3 }, order: 'reshuffled', seed: 5, offset: 2 },
          schedule: cosine,
        },
      ),
    ).stages[1]!;
    expect(stage.replay).toEqual({ share: 0.2, order: 'reshuffled', seed: 5, offset: 2 });
    expect(stage.segments).toMatchObject([
      {
        firstStep: 0,
        endStep: 20,
        sources: [
          { dataset: 'b', kind: 'new', weight: 0.4, nSequences: 32 },
          { dataset: 'c', kind: 'new', weight: 0.4, nSequences: 32 },
          { dataset: 'a', kind: 'replay', nSequences: 4 },
          { dataset: 'b', kind: 'replay', nSequences: 12 },
        ],
      },
      {
        firstStep: 20,
        endStep: 40,
        sources: [
          { dataset: 'c', kind: 'new', weight: 0.8, nSequences: 64 },
          { dataset: 'a', kind: 'replay', nSequences: 4 },
          { dataset: 'b', kind: 'replay', nSequences: 12 },
        ],
      },
    ]);
  });

  it('retraining is counted by the way to each stage', () => {
    const { totals } = planOf(
      stagesOf(
        { name: 'one', data: 'a', steps: 100, schedule: infinite },
        { name: 'two', data: 'b', steps: 50, start: 'constant', schedule: cosine },
      ),
    );
    expect(totals).toEqual({
      tokens: 150 * 64,
      retrainTokens: (100 + 85 + 50) * 64,
      computeRatio: 150 / 235,
    });
  });
});

describe('sizes of datasets', () => {
  const stages = (maxEpochs?: number): Partial<PlanInput> =>
    stagesOf(
      { name: 'one', data: 'a', steps: 10, schedule: cosine },
      {
        name: 'two',
        data: 'a',
        steps: 10,
        schedule: cosine,
        ...(maxEpochs !== undefined && { maxEpochs }),
      },
    );

  it('new data are read on along the way, once by default', () => {
    const error = errorOf(() => planOf(stages(), { available: { a: 1279 } }));
    expect(error).toBe(
      'CONTINUAL_DATA_TOO_SMALL stage two: dataset a is needed for 1280 tokens, but 1264 are there in at most 1 epochs',
    );
    expect(planOf(stages(), { available: { a: 1280 } }).stages).toHaveLength(2);
    expect(planOf(stages(2), { available: { a: 640 } }).stages).toHaveLength(2);
    expect(errorOf(() => planOf(stages(1.5), { available: { a: 640 } }))).toMatch(/1\.5 epochs/);
    expect(errorOf(() => planOf({ ...stages(), datasets: { a: { tokens: 1000 } } }))).toMatch(
      /^CONTINUAL_DATA_TOO_SMALL stage two: .* 1280 tokens, but 992/,
    );
    // What is found counts, not what the plan says.
    expect(
      planOf({ ...stages(), datasets: { a: { tokens: 1000 } } }, { available: { a: 1280 } }).stages,
    ).toHaveLength(2);
  });

  it('replay reads a sequence once, and only what was seen', () => {
    const replayed = (share: number, options?: ResolvePlanOptions): ContinualPlan =>
      planOf(
        stagesOf(
          { name: 'one', data: 'a', steps: 10, schedule: cosine, maxEpochs: 4 },
          { name: 'two', data: 'b', steps: 40, replay: share, schedule: cosine },
        ),
        options,
      );
    expect(replayed(0.25).stages[1]!.segments[0]!.sources[1]!.nSequences).toBe(40);
    expect(errorOf(() => replayed(0.26))).toBe(
      'CONTINUAL_REPLAY_TOO_SMALL stage two: the replay of dataset a needs 672 tokens, but only 640 of it were seen before',
    );
    // Four epochs of ten sequences are ten sequences.
    expect(errorOf(() => replayed(0.25, { available: { a: 160 } }))).toMatch(
      /needs 640 tokens, but only 160/,
    );
  });

  it('stages that are done are not checked and use nothing up', () => {
    const plan = planOf(
      {
        model: { from: 'base.gguf' },
        ...stagesOf(
          { name: 'one', data: 'a', steps: 100, schedule: cosine, done: true },
          { name: 'two', data: { a: 1, b: 1 }, steps: 10, schedule: cosine },
        ),
      },
      { available: { a: 320, b: 320 } },
    );
    expect(plan.notes).toEqual([
      'dataset c: no stage takes it as new data',
      'stage two: a was data of a stage that is done; its inputs are taken as not seen yet',
      expect.stringMatching(/^two: ends in a decay/),
    ]);
    expect(plan.totals).toEqual({ tokens: 640, retrainTokens: 7040, computeRatio: 1 / 11 });
  });
});

describe('notes', () => {
  it('say what is legal and unwise', () => {
    const { notes } = planOf(
      stagesOf(
        { name: 'one', data: 'a', tokens: 6400, schedule: infinite },
        { name: 'two', data: 'b', tokens: 150, schedule: { kind: 'cosine', peakLr: 1e-3 } },
        {
          name: 'three',
          data: 'c',
          steps: 100,
          replay: 0.6,
          start: 'annealed',
          schedule: { kind: 'constant', peakLr: 1e-6 },
        },
        {
          name: 'four',
          data: 'c',
          steps: 4,
          replay: { share: 0.01, from: { a: 1 } },
          start: { stage: 'one', checkpoint: 'constant' },
          schedule: cosine,
        },
      ),
    );
    const said = [
      /^stage two: 150 tokens are 2 steps of 64, which make 128$/,
      /^stage two: no replay, and a seen before is not in its data: expect forgetting/,
      /^stage two: it re-warms to 0\.001, above the highest rate before \(0\.0003\)/,
      /^stage two: its rate begins at .* without a warm-up/,
      /^stage two: it starts from the annealed end of one, which has a constant-phase/,
      /^stage three: 60 % replay: above the 50 %/,
      /^stage three: its highest rate is 0\.000001, 1000 times below/,
      /^stage four: the replay of a is less than one sequence/,
      /^four: ends in a decay, .*arXiv 2603\.16127/,
    ];
    expect(notes, notes.join('\n')).toHaveLength(said.length);
    said.forEach((expected, at) => {
      expect(notes[at]).toMatch(expected);
    });
  });
});
