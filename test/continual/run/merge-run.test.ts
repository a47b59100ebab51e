/** Stages that merge: the sum of their checkpoints, whatever happened on the way, and a place to start from. */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkPlan, type PlanInput } from '../../../src/continual/plan/config.ts';
import { resolvePlan } from '../../../src/continual/plan/resolve.ts';
import type { Checkpoint } from '../../../src/continual/run/lineage.ts';
import { type RunPlanResult, runPlan } from '../../../src/continual/run/run.ts';
import { openTrainer, trainShapeOf } from '../../../src/train/trainer.ts';
import { readGguf } from '../../support/gguf-read.ts';
import { writeDatasets, writtenPlan } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-merge-run-'));
const path = (...names: string[]) => join(folder, ...names);
const STEPS = [8, 11, 14, 17, 20];

const written = (): PlanInput => ({
  ...writtenPlan(folder),
  checkpointEvery: 4,
  stages: [
    {
      ...{ name: 'base', data: 'old', steps: 20 },
      schedule: { kind: 'constant', peakLr: 4e-3, warmup: '10 %' },
      merge: { shape: '1-sqrt', window: '60 %', every: '3 steps' },
    },
    {
      ...{ name: 'next', data: 'new', steps: 6, start: 'merged' },
      schedule: { kind: 'constant', peakLr: 1e-3 },
    },
  ],
});
const run = (out: string, rest: Partial<Parameters<typeof runPlan>[1]> = {}) =>
  runPlan(checkPlan(written()), { out: path(out), ...rest });
const filesOf = (out: string) =>
  readdirSync(path(out), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(gguf|ckpt|json|jsonl)$/.test(name))
    .sort()
    .map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(path(out, name)))
        .digest('hex'),
    ]);

let result: RunPlanResult;
beforeAll(async () => {
  writeDatasets(folder);
  result = await run('whole');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a stage with a merge', () => {
  it('leaves the weighted sum of its last checkpoints, and nothing that was on the way', async () => {
    const { merge } = resolvePlan(checkPlan(written())).stages[0]!;
    expect(merge!.steps).toEqual(STEPS);
    expect(readdirSync(path('whole/stages/00-base')).filter((name) => /merge-/.test(name))).toEqual(
      [],
    );
    // The same weights again: each checkpoint is where a run that ends there stands.
    const sums = new Map<string, number[]>();
    for (const [at, step] of merge!.steps.entries()) {
      const controller = new AbortController();
      const out = `until-${step}`;
      await run(out, {
        signal: controller.signal,
        onProgress: ({ step: made, loss }) => {
          if (made === step && loss !== undefined) controller.abort();
        },
      });
      const name = step === 20 ? 'annealed.ckpt' : `step-${step}.ckpt`;
      const file = path(out, 'stages/00-base', name);
      await using trainer = await openTrainer({
        shape: await trainShapeOf(path('whole/stages/00-base/merged.gguf')),
        ...{ nSeq: 4, nCtx: 16, nThreads: 1 },
      });
      await trainer.loadCheckpoint(file);
      for (const { name: tensor } of trainer.info.tensors) {
        const values = await trainer.readTensor(tensor);
        const sum = sums.get(tensor) ?? Array.from(values, () => 0);
        values.forEach((value, index) => {
          sum[index]! += merge!.weights[at]! * value;
        });
        sums.set(tensor, sum);
      }
    }
    await using trainer = await openTrainer({
      shape: await trainShapeOf(path('whole/stages/00-base/merged.gguf')),
      ...{ nSeq: 4, nCtx: 16, nThreads: 1 },
    });
    await trainer.importGguf(path('whole/stages/00-base/merged.gguf'));
    for (const [tensor, sum] of sums) {
      expect(await trainer.readTensor(tensor)).toEqual(Float32Array.from(sum));
    }
  });

  it('is its model, its third checkpoint, and what the next one starts from, to the bit', () => {
    const [base, next] = result.stages;
    expect(base!.losses.merged).not.toBeNull();
    expect(next!.losses.start).toEqual(base!.losses.merged);
    expect(next!.losses.merged).toBeNull();
    const { checkpoints } = JSON.parse(readFileSync(path('whole/lineage.json'), 'utf8')) as {
      checkpoints: Checkpoint[];
    };
    expect(checkpoints.map(({ id, parent, step }) => [id, parent, step])).toEqual([
      ['base/annealed', null, 20],
      ['base/merged', null, 20],
      ['next/annealed', 'base/merged', 6],
    ]);
    const merged = checkpoints[1]!;
    expect(merged.of!.map(({ step }) => step)).toEqual(STEPS);
    expect(merged.of!.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 12);
    const bytes = readFileSync(path('whole', merged.file));
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(merged.sha256);
    // The model is the merged one, not the end: rounded to bf16.
    const [model, whole] = ['model', 'merged'].map((name) =>
      readGguf(path(`whole/stages/00-base/${name}.gguf`)).tensors.get('output_norm.weight'),
    );
    expect(model!.bytes.equals(whole!.bytes)).toBe(true);
  });

  it('ends the same after interruptions at every few steps', async () => {
    let last = 0;
    for (let calls = 0; ; calls++) {
      const controller = new AbortController();
      const { interrupted } = await run('again', {
        signal: controller.signal,
        onProgress: ({ loss }) => {
          if (loss === undefined) return;
          last++;
          if (last % 5 === 0) controller.abort();
        },
      });
      if (!interrupted) break;
      expect(calls).toBeLessThan(20);
    }
    expect(filesOf('again')).toEqual(filesOf('whole'));
  });

  it('makes weights again that were lost before they were merged', async () => {
    const controller = new AbortController();
    await run('lost', {
      signal: controller.signal,
      onProgress: ({ step, loss }) => {
        if (step === 18 && loss !== undefined) controller.abort();
      },
    });
    const base = path('lost/stages/00-base');
    expect(existsSync(join(base, 'merge-14.gguf'))).toBe(true);
    truncateSync(join(base, 'merge-14.gguf'), 1000);
    await run('lost');
    expect(filesOf('lost')).toEqual(filesOf('whole'));
  });
});
