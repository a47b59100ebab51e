/**
 * The graph of ggml's operators against the graph of kernels, which the oracle holds (gradients.test.ts).
 *
 * It runs here on ggml's CPU backend; a GPU runs the very same graph. With `GRISTMILL_TEST_DEVICE` it runs there, where
 * products are made of TF32 and the bounds are those of ten bits of mantissa.
 */
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { NativeTrainer, NativeTrainerOptions, TrainBatch } from '../../src/native/train.ts';
import {
  folder,
  lineScoreOptions as lineScore,
  open,
  randomBags,
  randomBatch,
  removeFolder,
  sftOptions as sft,
  tinyOptions,
  tinyShape,
  wideOptions as wide,
} from './trainer-support.ts';

afterAll(removeFolder);

const device = process.env['GRISTMILL_TEST_DEVICE'] ?? 'cpu';
const bound = device === 'cpu' ? 1e-5 : 2e-2;
const openGgml = (changes: Partial<NativeTrainerOptions> = {}) =>
  open({ ...changes, device, graph: 'ggml' });

/** Distance of two arrays by the norm of the first. */
function distance(expected: Float32Array, received: Float32Array): number {
  let squares = 0;
  let differences = 0;
  for (const [at, value] of expected.entries()) {
    squares += value * value;
    differences += (value - received[at]!) ** 2;
  }
  return Math.sqrt(differences / squares);
}

async function expectSame(
  expected: NativeTrainer,
  received: NativeTrainer,
  array: 'weight' | 'gradient',
  within = bound,
): Promise<void> {
  for (const { name } of expected.info.tensors) {
    const far = distance(
      await expected.readTensor(name, array),
      await received.readTensor(name, array),
    );
    expect(far, name).toBeLessThan(within);
  }
}

// More tokens, targets and rows of the table than a chunk of 1024.
const chunked = {
  ...tinyOptions,
  shape: { ...tinyShape, nVocab: 1500, nLayer: 1 },
  nCtx: 70,
  nSeq: 19,
  maxTargets: 1330,
};

const cases: [string, NativeTrainerOptions, TrainBatch[]][] = [
  [
    'pretrain, tied, document boundaries',
    tinyOptions,
    [randomBatch(tinyOptions, 1, { segments: true })],
  ],
  [
    'sft, untied, masked and weighted, smoothing, three micro-batches of unequally many targets',
    sft,
    [
      randomBatch(sft, 2, { every: 3, weights: true }),
      randomBatch(sft, 3, { every: 2, weights: true, segments: true }),
      randomBatch(sft, 4),
    ],
  ],
  [
    'line-score, non-causal, one key-value head',
    lineScore,
    [randomBatch(lineScore, 4, { every: 4, segments: true, weights: true })],
  ],
  [
    'bags of embeddings, then tokens, then bags',
    lineScore,
    [randomBags(lineScore, 6), randomBatch(lineScore, 7, { every: 2 }), randomBags(lineScore, 8)],
  ],
  ['heads as many as key-value heads, wider than long', wide, [randomBatch(wide, 5)]],
  ['more than one chunk', chunked, [randomBatch(chunked, 6, { segments: true })]],
  [
    'bags of more than one chunk',
    { ...chunked, shape: { ...chunked.shape, nClasses: 3 } },
    [randomBags({ ...chunked, shape: { ...chunked.shape, nClasses: 3 } }, 7)],
  ],
  [
    'a position that is a target more than once',
    tinyOptions,
    [
      {
        ...randomBatch(tinyOptions, 8),
        positions: Int32Array.of(3, 3, 20, 3),
        labels: Int32Array.of(1, 2, 3, 1),
      },
    ],
  ],
];

describe.each(cases)('ggml graph: %s', (_name, options, batches) => {
  it('has the loss, the logits and the gradients of the kernels', async () => {
    const kernels = await open(options);
    const ggml = await openGgml(options);
    expect([kernels.info.graph, ggml.info.graph]).toEqual(['kernels', 'ggml']);
    for (const batch of batches) {
      const expected = await kernels.forward(batch, { logits: true });
      const received = await ggml.forward(batch, { logits: true });
      expect(distance(expected.logits, received.logits)).toBeLessThan(bound);
      expect(distance(expected.losses, received.losses)).toBeLessThan(bound);
      const { loss, logits } = await ggml.forward(batch);
      expect(Math.abs(loss / expected.loss - 1)).toBeLessThan(bound);
      expect(logits.length).toBe(0);
    }
    const expected = await kernels.gradients({ batches, lr: 0 });
    const received = await ggml.gradients({ batches, lr: 0 });
    expect(Math.abs(received / expected - 1)).toBeLessThan(bound);
    await expectSame(kernels, ggml, 'gradient');
    await Promise.all([kernels.dispose(), ggml.dispose()]);
  });
});

describe('ggml graph', () => {
  const stepAt = (index: number) => ({
    batches: [
      randomBatch(tinyOptions, 2 * index, { weights: true }),
      randomBatch(tinyOptions, 2 * index + 1, { segments: true, every: 2 }),
    ],
    lr: 0.003,
  });
  const steps = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, at) => stepAt((from + at) % 4));
  const near = device === 'cpu' ? 1e-4 : 2e-2;

  it('makes the steps of the kernels: clipping, decay, moments', async () => {
    const options = { clipNorm: 0.5, weightDecay: 0.3, initDeviation: 0.1 };
    const kernels = await open(options);
    const ggml = await openGgml(options);
    const expected = await kernels.steps(steps(0, 24));
    const received = await ggml.steps(steps(0, 24));
    expect(received.step).toBe(24);
    expect(expected.losses[23]!).toBeLessThan(0.9 * expected.losses[0]!);
    expect(expected.gradNorms[0]!).toBeGreaterThan(0.5);
    for (const [at, loss] of expected.losses.entries()) {
      expect(Math.abs(received.losses[at]! - loss), `step ${at}`).toBeLessThan(near);
      expect(Math.abs(received.gradNorms[at]! - expected.gradNorms[at]!)).toBeLessThan(10 * near);
    }
    await expectSame(kernels, ggml, 'weight', 10 * near);
    await Promise.all([kernels.dispose(), ggml.dispose()]);
  });

  it('continues from checkpoints of both graphs', async () => {
    const kernels = await open();
    const ggml = await openGgml();
    const fresh = await openGgml({ seed: 9 });
    const path = join(folder, 'either.ckpt');
    await ggml.steps(steps(0, 3));
    await ggml.saveCheckpoint(path, 'row 3');
    for (const trainer of [kernels, fresh]) {
      expect(await trainer.loadCheckpoint(path)).toEqual({ step: 3, state: 'row 3' });
      await expectSame(ggml, trainer, 'weight', 1e-30);
    }
    const next = steps(3, 6);
    const expected = await ggml.steps(next);
    expect((await fresh.steps(next)).losses).toEqual(expected.losses);
    const { losses } = await kernels.steps(next);
    for (const [at, loss] of losses.entries()) {
      expect(Math.abs(loss - expected.losses[at]!)).toBeLessThan(near);
    }
    await kernels.saveCheckpoint(path, '');
    await fresh.loadCheckpoint(path);
    await expectSame(kernels, fresh, 'weight', 1e-30);
    await Promise.all([kernels.dispose(), ggml.dispose(), fresh.dispose()]);
  });

  it('stops at a loss that is not finite, before the update', async () => {
    const trainer = await openGgml();
    const name = 'blk.0.ffn_up.weight';
    await trainer.writeTensor(name, (await trainer.readTensor(name)).fill(Number.NaN));
    const before = await trainer.readTensor('token_embd.weight');
    await expect(trainer.steps([stepAt(0)])).rejects.toMatchObject({ code: 'TRAIN_NON_FINITE' });
    expect(await trainer.readTensor('token_embd.weight')).toEqual(before);
    await trainer.dispose();
  });

  it('refuses a graph that it does not know', async () => {
    await expect(open({ graph: 'torch' as 'ggml' })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      details: { option: 'graph' },
    });
  });
});
