/** Presets: what they fill in, and that they say when their rates are not known. */
import { describe, expect, it } from 'vitest';
import { checkPlan, type PlanInput } from '../../../src/continual/plan/config.ts';
import { PRESETS } from '../../../src/continual/plan/presets.ts';
import { resolvePlan } from '../../../src/continual/plan/resolve.ts';
import type { ContinualPlan } from '../../../src/continual/plan/types.ts';

const ENDS_IN_DECAY = expect.stringMatching(/^two: ends in a decay, .*arXiv 2603\.16127/);
const cosine = { kind: 'cosine', peakLr: 3e-4, minLr: 3e-5, warmup: '1 %' } as const;

function planOf(input: Pick<PlanInput, 'preset' | 'stages' | 'rates'>): ContinualPlan {
  return resolvePlan(
    checkPlan({ batch: { nSeq: 10, nCtx: 16 }, datasets: { a: {}, b: {}, c: {} }, ...input }),
  );
}

describe('PRESETS', () => {
  it('are frozen, and each says where it is from and what speaks against it', () => {
    expect(Object.keys(PRESETS)).toEqual(['rewarm', 'infinite', 'reuse']);
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
