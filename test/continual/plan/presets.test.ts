/** Presets: what they fill in, and that they say when their rates are not known. */
import { describe, expect, it } from 'vitest';
import { checkPlan, type PlanInput } from '../../../src/continual/plan/config.ts';
import { PRESETS } from '../../../src/continual/plan/presets.ts';
import { resolvePlan } from '../../../src/continual/plan/resolve.ts';
import type { ContinualPlan } from '../../../src/continual/plan/types.ts';

const ENDS_IN_DECAY = expect.stringMatching(/^two: ends in a decay, .*arXiv 2603\.16127/);
const cosine = { kind: 'cosine', peakLr: 3e-4, minLr: 3e-5, warmup: '1 %' } as const;

function planOf(
  input: Pick<PlanInput, 'preset' | 'stages' | 'rates' | 'microanneal'>,
): ContinualPlan {
  return resolvePlan(
    checkPlan({ batch: { nSeq: 10, nCtx: 16 }, datasets: { a: {}, b: {}, c: {} }, ...input }),
  );
}

describe('PRESETS', () => {
  it('are frozen, and each says where it is from and what speaks against it', () => {
    expect(Object.keys(PRESETS)).toEqual(['rewarm', 'infinite', 'reuse', 'microanneal']);
    for (const preset of Object.values(PRESETS)) {
      expect(Object.isFrozen(preset.first.form)).toBe(true);
      for (const text of [preset.source, preset.does, preset.advised, preset.against]) {
        expect(text).not.toBe('');
      }
      expect(preset.source).toMatch(/arXiv \d{4}\.\d{5}/);
    }
  });

  it('rewarm: the same peak and least rate again, 5 % replay, optimiser reset', () => {
    const { stages } = planOf({
      preset: 'rewarm',
      stages: [
        { name: 'one', data: 'a', steps: 100, schedule: cosine },
        { name: 'two', data: 'b', steps: 100 },
        { name: 'more', data: { a: 1, b: 1 }, steps: 100 },
        { name: 'none', data: 'c', steps: 100, replay: 0, optimizer: 'keep' },
      ],
    });
    expect(stages[1]).toMatchObject({
      schedule: { kind: 'cosine', peakLr: 3e-4, minLr: 3e-5, warmup: { fraction: 0.01 } },
      replay: { share: 0.05, order: 'original' },
      from: { stage: 0, checkpoint: 'annealed' },
      optimizer: 'reset',
    });
    expect(stages[1]!.segments[0]!.sources.map(({ nSequences }) => nSequences)).toEqual([950, 50]);
    // Nothing that was seen is left out of its data.
    expect(stages[2]!.replay).toBeNull();
    expect(stages[3]).toMatchObject({ replay: null, optimizer: 'keep' });
  });

  it('microanneal: the candidate among web data against web data, from one base by a line to 0', () => {
    const { stages } = planOf({
      stages: [{ name: 'base', data: 'c', steps: 100, schedule: cosine }],
      microanneal: { candidate: 'a', web: { b: 3, c: 1 }, tokens: 1600, maxEpochs: 2 },
    });
    expect(stages.map(({ name }) => name)).toEqual([
      ...['base', 'microanneal-candidate', 'microanneal-web'],
    ]);
    const [, candidate, web] = stages;
    for (const stage of [candidate!, web!]) {
      expect(stage).toMatchObject({
        schedule: { kind: 'linear', peakLr: 3e-5, minLr: 0 },
        ...{ nSteps: 10, optimizer: 'keep', replay: null, maxEpochs: 2 },
        from: { stage: 0, checkpoint: 'annealed' },
      });
    }
    const weights = ({ segments }: (typeof stages)[number]) =>
      segments[0]!.sources.map(({ dataset, weight, nSequences }) => [dataset, weight, nSequences]);
    expect(weights(candidate!)).toEqual([
      ['a', 0.5, 50],
      ['b', 0.375, 38],
      ['c', 0.125, 12],
    ]);
    expect(weights(web!)).toEqual([
      ['b', 0.75, 75],
      ['c', 0.25, 25],
    ]);
    // Other shares and schedules; a data set of both has both shares.
    const schedule = { kind: 'cosine', peakLr: 1e-3 } as const;
    const other = planOf({
      stages: [{ name: 'base', data: 'c', steps: 100, schedule: cosine }],
      microanneal: { candidate: { a: 1, b: 1 }, web: 'b', tokens: 1600, share: '20 %', schedule },
    }).stages[1]!;
    expect(
      weights(other).map(([name, weight]) => [name, Number((weight as number).toFixed(9))]),
    ).toEqual([
      ['a', 0.1],
      ['b', 0.9],
    ]);
    expect(other.schedule).toMatchObject(schedule);
  });

  it('microanneal says which rate it lacks, and which data', () => {
    const base = { name: 'base', data: 'c', steps: 100 } as const;
    const microanneal = { candidate: 'a', web: 'b', tokens: 1600 };
    const toZero = { kind: 'linear', peakLr: 1e-3 } as const;
    expect(() => planOf({ stages: [{ ...base, schedule: toZero }], microanneal })).toThrow(
      /microanneal-candidate: schedule: the preset microanneal needs lastLr, but the schedule of base \(linear\) gives none/,
    );
    const flat = { kind: 'constant', peakLr: 1e-3 } as const;
    const stages = [{ ...base, schedule: flat }];
    expect(() => planOf({ stages, microanneal: { ...microanneal, candidate: 'x' } })).toThrow(
      /microanneal-candidate: data: no dataset x/,
    );
    expect(() => planOf({ stages, microanneal: { ...microanneal, share: 0 } })).toThrow(
      /microanneal\.share: expected a share above 0/,
    );
    expect(planOf({ stages, microanneal }).stages[1]!.schedule).toMatchObject({ peakLr: 1e-3 });
  });

  it('rewarm decays to 0 again where the stage before did', () => {
    const { stages } = planOf({
      preset: 'rewarm',
      stages: [
        { name: 'one', data: 'a', steps: 100, schedule: { kind: 'linear', peakLr: 1e-3 } },
        { name: 'two', data: 'b', steps: 100 },
      ],
    });
    expect(stages[1]!.schedule).toMatchObject({ kind: 'cosine', peakLr: 1e-3, minLr: 0 });
  });

  it('infinite: 1, 59, 25, 15 %, then from the constant phase on', () => {
    const { stages } = planOf({
      preset: 'infinite',
      rates: { peakLr: 3e-4 },
      stages: [
        { name: 'one', data: 'a', steps: 1000 },
        { name: 'two', data: 'b', steps: 200, replay: 0.25 },
        { name: 'three', data: 'c', steps: 200 },
      ],
    });
    const [one, two, three] = stages;
    const phases = (at: number): unknown[] =>
      stages[at]!.curve.phases.map(({ name, shape, end, to }) => [
        name,
        shape,
        end,
        Number(to.toPrecision(10)),
      ]);
    expect(phases(0)).toEqual([
      ['warmup', 'linear', 10, 3e-4],
      ['cooldown', 'cosine', 600, 1.65e-4],
      ['constant', 'constant', 850, 1.65e-4],
      ['anneal', 'exponential', 1000, 3e-5],
    ]);
    expect(phases(1)).toEqual([
      ['constant', 'constant', 170, 1.65e-4],
      ['anneal', 'exponential', 200, 3e-5],
    ]);
    expect(one!.constantStep).toBe(850);
    expect(two).toMatchObject({ from: { stage: 0, checkpoint: 'constant' }, optimizer: 'keep' });
    expect(three).toMatchObject({ from: { stage: 1, checkpoint: 'constant' }, replay: null });
    expect(three!.seenTokens).toEqual({ a: 8925 * 16, b: 1275 * 16, c: 2000 * 16 });
  });

  it('infinite takes the rates of the stage it starts from', () => {
    const { stages } = planOf({
      preset: 'infinite',
      stages: [
        {
          name: 'one',
          data: 'a',
          steps: 100,
          schedule: {
            kind: 'wsd',
            peakLr: 1e-3,
            minLr: 1e-4,
            decay: { shape: '1-sqrt', length: '20 %' },
          },
        },
        { name: 'two', data: 'b', steps: 100 },
      ],
    });
    expect(stages[1]!.schedule).toMatchObject({ constantLr: 1e-3, minLr: 1e-4 });
  });

  it('reuse: from the least rate to its hundredth, the second blend from a fifth on', () => {
    const plan = planOf({
      preset: 'reuse',
      stages: [
        { name: 'one', data: { a: 1, b: 1 }, steps: 100, schedule: cosine },
        { name: 'two', data: [{ data: { a: 1, b: 2 } }, { data: { a: 1, c: 3 } }], steps: 100 },
      ],
    });
    const two = plan.stages[1]!;
    expect(two.schedule).toMatchObject({ kind: 'cosine', peakLr: 3e-5 });
    expect(two.curve.phases.map(({ name }) => name)).toEqual(['decay']);
    expect(two.curve.at(100)).toBeCloseTo(3e-7, 15);
    expect(two.segments.map(({ endStep }) => endStep)).toEqual([71, 100]);
    expect(two.curve.at(71)).toBeGreaterThan(6e-6);
    expect(two.curve.at(72)).toBeLessThanOrEqual(6e-6);
    expect(plan.notes).toEqual([ENDS_IN_DECAY]);
  });

  it('reuse with one blend is noted', () => {
    const { notes } = planOf({
      preset: 'reuse',
      stages: [
        { name: 'one', data: { a: 1, b: 1, c: 1 }, steps: 100, schedule: cosine },
        { name: 'two', data: { a: 1, b: 1, c: 2 }, steps: 100 },
      ],
    });
    expect(notes).toEqual([
      expect.stringMatching(/^stage two: the preset reuse .* two blends/),
      ENDS_IN_DECAY,
    ]);
  });

  it('says which rate is not known, and where it would be from', () => {
    const resolve = (
      preset: 'rewarm' | 'infinite' | 'reuse',
      schedule?: PlanInput['stages'][number]['schedule'],
      start?: 'annealed',
    ) => {
      const stages: PlanInput['stages'] = [
        { name: 'one', data: 'a', steps: 100, ...(schedule && { schedule }) },
        { name: 'two', data: 'b', steps: 100, ...(start && { start }) },
      ];
      return () => planOf({ preset, stages });
    };
    const constant = { kind: 'constant', peakLr: 1e-3 } as const;
    expect(resolve('rewarm')).toThrow(
      /stage one: schedule: the preset rewarm needs peakLr, but no stage is in front/,
    );
    expect(resolve('rewarm', constant)).toThrow(
      /stage two: .* needs minLr, but the schedule of one \(constant\) gives none/,
    );
    expect(resolve('reuse', { kind: 'cosine', peakLr: 1e-3 })).toThrow(/stage two: .* needs minLr/);
    expect(resolve('infinite', cosine)).toThrow(
      /stage two: start: constant, but the schedule of one \(cosine\).*the preset infinite starts there/,
    );
    const wsd = { kind: 'wsd', peakLr: 1e-3, decay: { shape: '1-sqrt', length: '20 %' } } as const;
    expect(resolve('infinite', wsd)).toThrow(/stage two: .* needs minLr/);
    expect(resolve('infinite', cosine, 'annealed')).toThrow(/needs constantLr/);
  });
});
