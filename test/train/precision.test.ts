import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { TrainStep } from '../../src/native/train.ts';
import { addonFile } from '../../src/paths.ts';
import { learningRateAt } from '../../src/schedules/schedule.ts';
import { seededRandom } from '../../src/seeded.ts';
import { checkTrainConfig } from '../../src/train/config.ts';
import { pretrainBatch } from '../../src/train/objectives.ts';
import { openTrainer } from '../../src/train/trainer.ts';
import {
  folder,
  lineScoreOptions,
  open,
  randomBatch,
  removeFolder,
  sftOptions,
  tinyOptions,
  weightsOf,
  wideOptions,
} from './trainer-support.ts';

afterAll(removeFolder);

const stepsOf = (first: number, last: number): TrainStep[] =>
  Array.from({ length: last - first }, (_, at) => ({
    batches: [randomBatch(tinyOptions, first + at, { weights: true })],
    lr: 0.01,
  }));

/** Steps over a chain in which a token has four successors: something can be learnt. Rates fall to zero. */
function chainSteps(nSteps: number, size: { nSeq: number; nCtx: number }): TrainStep[] {
  const random = seededRandom(1);
  let token = 0;
  return Array.from({ length: nSteps }, (_, step) => {
    const tokens = Int32Array.from({ length: size.nSeq * size.nCtx }, () => {
      token = (token * 7 + Math.floor(4 * random()) * 13 + 1) % 64;
      return token;
    });
    const schedule = { kind: 'cosine', peakLr: 3e-3, warmupSteps: 20, totalSteps: nSteps } as const;
    return { batches: [pretrainBatch(tokens, size)], lr: learningRateAt(step, schedule) };
  });
}

describe('products in bf16', () => {
  it.each([
    ['a language model', tinyOptions],
    ['an untied one, smoothed', sftOptions],
    ['a line scorer', lineScoreOptions],
    ['wider than a block', wideOptions],
  ])('have the gradients of float32 within their rounding: %s', async (_, options) => {
    const gradients = [];
    for (const precision of ['float32', 'bf16'] as const) {
      const trainer = await open({ ...options, precision });
      const loss = await trainer.gradients({ batches: [randomBatch(options, 4)], lr: 0 });
      const arrays = new Map<string, Float32Array>();
      for (const { name } of trainer.info.tensors) {
        arrays.set(name, await trainer.readTensor(name, 'gradient'));
      }
      gradients.push({ loss, arrays });
      await trainer.dispose();
    }
    const [exact, rounded] = gradients as [(typeof gradients)[0], (typeof gradients)[0]];
    expect(rounded.loss).not.toBe(exact.loss);
    expect(Math.abs(rounded.loss - exact.loss) / exact.loss).toBeLessThan(5e-3);
    let squares = 0;
    let distance = 0;
    for (const [name, values] of exact.arrays) {
      for (const [at, value] of values.entries()) {
        squares += value ** 2;
        distance += (value - rounded.arrays.get(name)![at]!) ** 2;
      }
    }
    // 2^-9 a factor, grown through layers of large weights.
    expect(Math.sqrt(distance / squares)).toBeLessThan(0.1);
  });

  it('learn as float32 does: losses of the last steps within half a percent', async () => {
    const size = { nSeq: 4, nCtx: 32 };
    const shape = { ...tinyOptions.shape, nVocab: 64, nEmbd: 32, nHeadDim: 8, nFf: 64 };
    const steps = chainSteps(300, size);
    const means = [];
    for (const precision of ['float32', 'bf16'] as const) {
      await using trainer = await openTrainer({ shape, ...size, seed: 2, precision, nThreads: 1 });
      const { losses } = await trainer.steps(steps);
      expect(losses[0]).toBeGreaterThan(4);
      means.push(losses.subarray(-50).reduce((sum, loss) => sum + loss, 0) / 50);
    }
    const [float32, bf16] = means as [number, number];
    expect(float32).toBeLessThan(2);
    expect(Math.abs(bf16 - float32) / float32).toBeLessThan(0.005);
  });

  it('give the same bits for any number of threads, and from a checkpoint on', async () => {
    const path = join(folder, 'bf16.ckpt');
    const straight = await open({ precision: 'bf16', nThreads: 1 });
    await straight.steps(stepsOf(0, 3));
    await straight.saveCheckpoint(path, '');
    await straight.steps(stepsOf(3, 6));
    for (const nThreads of [2, 3]) {
      const resumed = await open({ precision: 'bf16', nThreads, seed: 99 });
      await resumed.loadCheckpoint(path);
      await resumed.steps(stepsOf(3, 6));
      expect(await weightsOf(resumed)).toEqual(await weightsOf(straight));
      await resumed.dispose();
    }
    await straight.dispose();
  });

  it('agree, whatever instructions the processor has', () => {
    const results = ['baseline', 'avx2', 'avx512', 'avx512bf16'].map((set) => {
      const child = spawnSync(process.execPath, ['-e', CHILD, addonFile], {
        encoding: 'utf8',
        env: { ...process.env, GRISTMILL_TRAIN_KERNELS: set },
      });
      expect(child.stderr).toBe('');
      return JSON.parse(child.stdout) as number[];
    });
    for (const losses of results) {
      expect(losses).toHaveLength(5);
      for (const [at, loss] of losses.entries()) {
        expect(Math.abs(loss - results[0]![at]!) / loss).toBeLessThan(1e-3);
      }
    }
  });

  it('are refused where ggml’s operators compute, and in configurations for another device', async () => {
    await expect(open({ precision: 'bf16', graph: 'ggml' })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      details: { option: 'precision', received: 'bf16' },
    });
    await expect(open({ precision: 'f16' as 'bf16' })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      details: { option: 'precision', received: 'f16' },
    });
    const config = {
      objective: 'pretrain',
      out: 'out',
      model: { shape: { nEmbd: 8, nLayer: 1, nHead: 1 } },
      tokenizer: { path: 'tokenizer.gguf' },
      data: { inputs: ['texts.jsonl'] },
      steps: 1,
      batch: { nSeq: 1, nCtx: 8 },
      schedule: { peakLr: 1e-3 },
      precision: 'bf16',
    };
    expect(checkTrainConfig(config)).toMatchObject({ precision: 'bf16' });
    expect(() => checkTrainConfig({ ...config, device: 'cuda:0' })).toThrowError(
      expect.objectContaining({ code: 'TRAIN_CONFIG_INVALID' }),
    );
    expect(() => checkTrainConfig({ ...config, precision: 'f16' })).toThrowError(
      expect.objectContaining({ code: 'TRAIN_CONFIG_INVALID' }),
    );
  });
});

/** Prints losses of five steps in bf16; plain JavaScript, because Node runs nothing else. */
const CHILD = `
const addon = require(process.argv[1]);
const options = ${JSON.stringify({ ...tinyOptions, precision: 'bf16' })};
const tokens = Int32Array.from({ length: 22 }, (_, at) => (at * at * 7 + 3) % 37);
const positions = Int32Array.from({ length: 21 }, (_, at) => at);
const batch = { tokens, positions, labels: Int32Array.from(positions, (at) => tokens[at + 1]) };
(async () => {
  const trainer = new addon.Trainer(options);
  await trainer.open();
  const { losses } = await trainer.steps(Array.from({ length: 5 }, () => ({ batches: [batch], lr: 0.01 })), 1);
  process.stdout.write(JSON.stringify([...losses]));
  await trainer.dispose();
})();
`;
