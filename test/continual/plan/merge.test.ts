/** What a stage merges: which checkpoints, how heavy, drawn, said and exported. */
import { describe, expect, it } from 'vitest';
import { planTimeline } from '../../../src/continual/plan/timeline.ts';
import { SCHEDULE_TARGETS } from '../../../src/interop/schedules/export.ts';
import { exportStage } from '../../../src/interop/stage.ts';
import { mergeWeights } from '../../../src/schedules/merge-weights.ts';
import { cosine, errorOf, planOf, type StageInput, stagesOf } from './support.ts';

const flat = { kind: 'constant', peakLr: 3e-4 } as const;
const stage = (merge: StageInput['merge'], more: Partial<StageInput> = {}): StageInput => ({
  ...{ name: 'one', data: 'a', steps: 100, schedule: flat },
  ...(merge && { merge }),
  ...more,
});
const linear = { shape: 'linear', window: '20 %', every: '5 steps' } as const;

describe('the merge of a stage', () => {
  it('takes checkpoints from its end backwards, with the weights of the shape', () => {
    const { stages } = planOf(stagesOf(stage(linear)));
    expect(stages[0]!.merge).toEqual({
      ...{ shape: 'linear', end: 0, timescale: null, every: 5 },
      steps: [80, 85, 90, 95, 100],
      weights: [...mergeWeights({ shape: 'linear', nCheckpoints: 5, stepsBetween: 5 })],
    });
  });

  it('takes whole intervals, lengths in tokens, ends of its own', () => {
    const tokensPerStep = 4 * 16;
    const [whole] = planOf(
      stagesOf(
        stage({
          ...{ shape: 'exponential', window: `${23 * tokensPerStep} tokens`, every: '10 steps' },
          end: '20 %',
        }),
      ),
    ).stages;
    expect(whole!.merge).toMatchObject({ end: 0.2, steps: [80, 90, 100] });
    const [all] = planOf(stagesOf(stage({ ...linear, window: '100 %', every: '50 %' }))).stages;
    expect(all!.merge!.steps).toEqual([0, 50, 100]);
  });

  it.each([
    [{ ...linear, every: '30 steps' }, /merge\.every: 30 steps, but the window has 20/],
    [{ ...linear, window: '0 steps' }, /merge\.window: 0 steps, expected 1\.\.100/],
    [{ ...linear, window: '101 steps' }, /merge\.window: 101 steps, expected 1\.\.100/],
    [{ ...linear, shape: 'exponential', end: 0 }, /merge\.end: 0, which an exponential/],
    [{ ...linear, shape: 'square' as never }, /stage one: merge\.shape/],
  ] as const)('refuses %j', (merge, message) => {
    expect(errorOf(() => planOf(stagesOf(stage(merge))))).toMatch(message);
  });

  it('refuses more checkpoints than are merged, and a stage that is done', () => {
    const many = stage({ ...linear, window: '100 %', every: '1 steps' }, { steps: 1000 });
    expect(errorOf(() => planOf(stagesOf(many)))).toMatch(/1001 checkpoints, at most 1000/);
    const done = stage(linear, { done: true });
    const model = { from: 'model.gguf' };
    const two = stage(undefined, { name: 'two' });
    expect(errorOf(() => planOf({ ...stagesOf(done, two), model }))).toMatch(/the stage is done/);
  });

  it('is a place to start from, without moments', () => {
    const next = { name: 'two', data: 'b', start: 'merged' } as const;
    const { stages } = planOf({
      ...stagesOf(stage(linear), stage(undefined, next)),
      preset: 'infinite',
    });
    expect(stages[1]).toMatchObject({
      from: { stage: 0, checkpoint: 'merged' },
      optimizer: 'reset',
    });
    expect(stages[1]!.seenTokens).toEqual({ a: 100 * 64, b: 100 * 64 });
    const kept = stage(undefined, { ...next, optimizer: 'keep' });
    expect(errorOf(() => planOf(stagesOf(stage(linear), kept)))).toMatch(/optimizer: keep/);
    expect(errorOf(() => planOf(stagesOf(stage(undefined), stage(undefined, next))))).toMatch(
      /start: merged, but one merges nothing/,
    );
  });

  it('is noted where the rate falls too, and a decay at the end is noted with what it may cost', () => {
    expect(planOf(stagesOf(stage(linear))).notes.join('\n')).not.toMatch(/2507\.17634|2603\.16127/);
    const falling = planOf(stagesOf(stage(linear, { schedule: cosine }))).notes.join('\n');
    expect(falling).toMatch(
      /stage one: its rate goes from .* to .* within the steps that are merged/,
    );
    expect(falling).toMatch(/^one: ends in a decay, .*arXiv 2603\.16127/m);
    // Only where nothing goes on from: an anneal on the way is not what is fine-tuned.
    const decaying = stage(undefined, { schedule: cosine });
    const { notes } = planOf(
      stagesOf(
        decaying,
        stage(undefined, { name: 'two', data: 'b', schedule: { ...flat, warmup: '1 %' } }),
      ),
    );
    expect(notes.join('\n')).not.toMatch(/2603\.16127/);
  });

  it('is drawn: a dot for each checkpoint', async () => {
    const dots = async (own: StageInput) =>
      (await planTimeline(planOf(stagesOf(own)))).match(/<circle/g)?.length ?? 0;
    expect((await dots(stage(linear))) - (await dots(stage(undefined)))).toBeGreaterThanOrEqual(5);
  });

  it.each(SCHEDULE_TARGETS)('is exported for %s: steps, weights and the command', (target) => {
    const base = stage(linear);
    const next = stage(undefined, { name: 'two', data: 'b', start: 'merged' });
    const plan = planOf(stagesOf(base, next));
    const { files, warnings } = exportStage(target, { plan, stage: 0 });
    const merge = JSON.parse(files.find(({ name }) => name === 'merge.json')!.text);
    expect(merge).toMatchObject({
      steps: [80, 85, 90, 95, 100],
      weights: plan.stages[0]!.merge!.weights,
    });
    expect(merge.command).toMatch(
      /^gristmill models merge step-80 .* --weights [\d.,e-]+ --out merged$/,
    );
    expect(warnings.join('\n')).toMatch(/every 5 steps from step 80 on/);
    if (target === 'mosaicml-streaming') return;
    const second = exportStage(target, { plan, stage: 1 });
    expect(second.files.map(({ text }) => text).join('')).toContain('checkpoints/one/merged');
  });
});
