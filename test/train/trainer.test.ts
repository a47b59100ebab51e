import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { NativeTrainerOptions, TrainStep } from '../../src/native/train.ts';
import { learningRateAt } from '../../src/schedules/schedule.ts';
import { pretrainBatch } from '../../src/train/objectives.ts';
import { openTrainer } from '../../src/train/trainer.ts';
import {
  folder,
  open,
  randomBags,
  randomBatch,
  removeFolder,
  tinyOptions,
  tinyShape,
  weightsOf,
} from './trainer-support.ts';

afterAll(removeFolder);

/** Everything that later steps depend on. */
async function stateOf(trainer: Awaited<ReturnType<typeof open>>) {
  const arrays = [];
  for (const { name } of trainer.info.tensors) {
    for (const array of ['weight', 'firstMoment', 'secondMoment'] as const) {
      arrays.push(await trainer.readTensor(name, array));
    }
  }
  return arrays;
}

const stepAt = (options: NativeTrainerOptions, index: number): TrainStep => ({
  batches: [
    randomBatch(options, 2 * index, { weights: true }),
    randomBatch(options, 2 * index + 1, { segments: true }),
  ],
  lr: 0.01 / (1 + index),
});

describe('Trainer', () => {
  it('learns a toy corpus', async () => {
    await using trainer = await openTrainer({ ...tinyOptions, initDeviation: 0.1, nThreads: 1 });
    const text = 'the mill grinds rye and the mill grinds wheat ';
    const size = { nSeq: tinyOptions.nSeq, nCtx: tinyOptions.nCtx };
    const step = (index: number): TrainStep => {
      const tokens = Int32Array.from({ length: 22 }, (_, at) => {
        const offset = (index * 7 + (at >= 11 ? 20 : 0) + (at % 11)) % text.length;
        return text.charCodeAt(offset) === 32 ? 0 : text.charCodeAt(offset) - 96;
      });
      const lr = learningRateAt(index, {
        kind: 'cosine',
        peakLr: 0.01,
        warmupSteps: 10,
        totalSteps: 300,
      });
      return { batches: [pretrainBatch(tokens, size)], lr };
    };
    const { losses, step: made } = await trainer.steps(
      Array.from({ length: 300 }, (_, index) => step(index)),
    );
    const mean = (values: Float64Array) =>
      values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(made).toBe(300);
    expect(mean(losses.subarray(0, 5))).toBeGreaterThan(3);
    expect(mean(losses.subarray(-50))).toBeLessThan(1);
  });

  it('gives the same bits for any number of threads', async () => {
    const results = [];
    for (const nThreads of [1, 2, 3]) {
      const trainer = await open({ nThreads });
      const { losses } = await trainer.steps([0, 1, 2].map((at) => stepAt(tinyOptions, at)));
      results.push([losses, await stateOf(trainer)]);
      await trainer.dispose();
    }
    expect(results[1]).toEqual(results[0]);
    expect(results[2]).toEqual(results[0]);
  });

  it('resumes bit-identically from a checkpoint, in another trainer', async () => {
    const path = join(folder, 'resume.ckpt');
    const straight = await open();
    const head = [0, 1, 2].map((at) => stepAt(tinyOptions, at));
    const tail = [3, 4].map((at) => stepAt(tinyOptions, at));
    await straight.steps(head);
    await straight.saveCheckpoint(path, '{"row":17}');
    const expected = await straight.steps(tail);

    const resumed = await open({ seed: 99 });
    expect(await resumed.loadCheckpoint(path)).toEqual({ step: 3, state: '{"row":17}' });
    const received = await resumed.steps(tail);
    expect(received.step).toBe(5);
    expect(received.losses).toEqual(expected.losses);
    expect(await stateOf(resumed)).toEqual(await stateOf(straight));
    await Promise.all([straight.dispose(), resumed.dispose()]);
  });

  it('resets the optimizer: as if it had begun with these weights', async () => {
    const step = stepAt(tinyOptions, 3);
    const used = await open();
    await used.steps([0, 1, 2].map((at) => stepAt(tinyOptions, at)));
    await used.resetOptimizer();
    const fresh = await open({ seed: 99 });
    for (const { name } of used.info.tensors) {
      const moments = await used.readTensor(name, 'firstMoment');
      expect(moments.every((value) => value === 0)).toBe(true);
      await fresh.writeTensor(name, await used.readTensor(name));
    }
    expect((await used.steps([step])).step).toBe(1);
    await fresh.steps([step]);
    expect(await stateOf(used)).toEqual(await stateOf(fresh));
    await Promise.all([used.dispose(), fresh.dispose()]);
  });

  it('refuses a damaged, a cut and a foreign checkpoint, and stays as it was', async () => {
    const trainer = await open();
    const before = await stateOf(trainer);
    const path = join(folder, 'damaged.ckpt');
    await trainer.saveCheckpoint(path, '');
    const bytes = readFileSync(path);
    bytes[500]! ^= 1;
    writeFileSync(path, bytes);
    const invalid = { code: 'TRAIN_CHECKPOINT_INVALID' };
    await expect(trainer.loadCheckpoint(path)).rejects.toMatchObject(invalid);
    truncateSync(path, 700);
    await expect(trainer.loadCheckpoint(path)).rejects.toMatchObject(invalid);
    await expect(trainer.loadCheckpoint(join(folder, 'none'))).rejects.toMatchObject(invalid);
    const other = await open({ shape: { ...tinyShape, nLayer: 1 } });
    await other.saveCheckpoint(path, '');
    await expect(trainer.loadCheckpoint(path)).rejects.toMatchObject(invalid);
    expect(await stateOf(trainer)).toEqual(before);
    await Promise.all([trainer.dispose(), other.dispose()]);
  });

  it('accumulates: two micro-batches give the gradient of one batch of both', async () => {
    const two = await open();
    const batches = [randomBatch(tinyOptions, 5, { weights: true }), randomBatch(tinyOptions, 6)];
    const loss = await two.gradients({ batches, lr: 0 });
    const wide = { nSeq: 4, maxTargets: 44 };
    const one = await open(wide);
    const [first, second] = batches as [(typeof batches)[0], (typeof batches)[0]];
    const joint = {
      tokens: Int32Array.of(...first.tokens, ...second.tokens),
      positions: Int32Array.of(...first.positions, ...second.positions.map((at) => at + 22)),
      labels: Int32Array.of(...first.labels, ...second.labels),
      weights: Float32Array.of(...first.weights!, ...second.positions.map(() => 1)),
    };
    expect(await one.gradients({ batches: [joint], lr: 0 })).toBeCloseTo(loss, 5);
    for (const { name } of one.info.tensors) {
      const expected = await one.readTensor(name, 'gradient');
      const received = await two.readTensor(name, 'gradient');
      const norm = Math.hypot(...expected);
      const distance = Math.hypot(...expected.map((value, at) => value - received[at]!));
      expect(distance / norm, name).toBeLessThan(1e-5);
    }
    await Promise.all([one.dispose(), two.dispose()]);
  });

  it('updates as AdamW does, with clipping and without decay on norms', async () => {
    const options = { ...tinyOptions, clipNorm: 0.5, weightDecay: 0.3 };
    const trainer = await open(options);
    const before = await weightsOf(trainer);
    const lr = 0.02;
    const step = { ...stepAt(options, 1), lr };
    const { gradNorms } = await trainer.steps([step]);
    const scale = Math.min(1, options.clipNorm / (gradNorms[0]! + 1e-6));
    expect(scale).toBeLessThan(1);
    let squares = 0;
    for (const { name, rows } of trainer.info.tensors) {
      const gradient = await trainer.readTensor(name, 'gradient');
      const after = await trainer.readTensor(name);
      const decay = rows === 1 ? 0 : options.weightDecay;
      for (const [at, value] of gradient.entries()) {
        squares += value * value;
        const g = value * scale;
        // First step: the corrected moments are g and g².
        const moved = before.get(name)![at]! * (1 - lr * decay) - (lr * g) / (Math.abs(g) + 1e-8);
        expect(Math.abs(after[at]! - moved), name).toBeLessThan(1e-5);
      }
    }
    expect(Math.sqrt(squares)).toBeCloseTo(gradNorms[0]!, 5);
    await trainer.dispose();
  });

  it('stops at a loss that is not finite, before the update', async () => {
    const trainer = await open();
    const weights = (await trainer.readTensor('blk.0.ffn_up.weight')).fill(Number.NaN);
    await trainer.writeTensor('blk.0.ffn_up.weight', weights);
    const before = await stateOf(trainer);
    await expect(trainer.steps([stepAt(tinyOptions, 0)])).rejects.toMatchObject({
      code: 'TRAIN_NON_FINITE',
      details: { step: '1' },
    });
    expect(await stateOf(trainer)).toEqual(before);
    await trainer.dispose();
  });

  it('names what is wrong with bags', async () => {
    const options = { ...tinyOptions, shape: { ...tinyShape, nClasses: 2 } };
    const trainer = await open(options);
    const good = randomBags(options, 1);
    const wrong = [
      [
        { ...good, bagIds: good.bagIds.with(3, 37) },
        { field: 'bagIds', index: '3' },
      ],
      [
        { ...good, bagStarts: good.bagStarts.with(2, 0) },
        { field: 'bagStarts', index: '2' },
      ],
      [
        { ...good, bagStarts: good.bagStarts.with(22, good.bagIds.length + 1) },
        { field: 'bagStarts', index: '22' },
      ],
      [
        { ...good, bagStarts: good.bagStarts.slice(1) },
        { field: 'bagStarts', index: 'length' },
      ],
      [
        { ...good, bagWeights: good.bagWeights.slice(1) },
        { field: 'bagWeights', index: 'length' },
      ],
      [
        { ...good, bagWeights: good.bagWeights.with(4, Number.NaN) },
        { field: 'bagWeights', index: '4' },
      ],
    ] as const;
    for (const [batch, details] of wrong) {
      await expect(trainer.gradients({ batches: [batch], lr: 0 })).rejects.toMatchObject({
        code: 'TRAIN_BATCH_INVALID',
        details,
      });
    }
    await trainer.dispose();
  });

  it('names what is wrong with a batch', async () => {
    const trainer = await open();
    const good = randomBatch(tinyOptions, 1);
    const wrong = [
      [
        { ...good, tokens: good.tokens.with(5, 37) },
        { field: 'tokens', index: '5' },
      ],
      [
        { ...good, tokens: good.tokens.slice(1) },
        { field: 'tokens', index: 'length' },
      ],
      [
        { ...good, labels: good.labels.with(2, -1) },
        { field: 'labels', index: '2' },
      ],
      [
        { ...good, positions: good.positions.with(0, 22) },
        { field: 'positions', index: '0' },
      ],
      [
        { ...good, segments: new Int32Array(3) },
        { field: 'segments', index: 'length' },
      ],
      [{ ...good, weights: new Float32Array(22).fill(Number.NaN) }, { field: 'weights' }],
      [
        { ...good, weights: new Float32Array(22) },
        { field: 'weights', index: 'sum' },
      ],
    ] as const;
    for (const [batch, details] of wrong) {
      await expect(trainer.steps([{ batches: [batch], lr: 1 }])).rejects.toMatchObject({
        code: 'TRAIN_BATCH_INVALID',
        details,
      });
    }
    await expect(trainer.steps([{ batches: [good], lr: Number.NaN }])).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
    await expect(trainer.readTensor('nothing')).rejects.toMatchObject({
      code: 'TRAIN_TENSOR_UNKNOWN',
    });
    await trainer.dispose();
    const shape = { ...tinyShape, nHeadKv: 3 };
    await expect(open({ shape })).rejects.toMatchObject({ code: 'TRAIN_SHAPE_INVALID' });
    await expect(open({ nCtx: 0 })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });

  it('stops between steps when aborted', async () => {
    const trainer = await open();
    const stop = new AbortController();
    const running = trainer.steps(
      Array.from({ length: 20_000 }, () => stepAt(tinyOptions, 0)),
      { signal: stop.signal },
    );
    stop.abort();
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' });
    await trainer.dispose();
  });

  it('is disposed twice, and refuses work afterwards', async () => {
    const trainer = await openTrainer(tinyOptions);
    const running = trainer.steps([stepAt(tinyOptions, 0)]).catch((error) => error.code);
    await trainer.dispose();
    await trainer.dispose();
    expect([undefined, 'DISPOSED', 'ABORTED']).toContain(
      typeof (await running) === 'string' ? await running : undefined,
    );
    await expect(trainer.steps([])).rejects.toMatchObject({ code: 'DISPOSED' });
  });
});
