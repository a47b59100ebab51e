/**
 * Training on the device of GRISTMILL_BENCH_DEVICE (`cuda:0`): the graph of ggml's operators, in tokens per second and as
 * a share of the peak that GRISTMILL_BENCH_PEAK_TFLOPS states (of the arithmetic in use: TF32 on NVIDIA GPUs).
 */

import type { TrainShape } from '../../src/native/train.ts';
import { pretrainBatch } from '../../src/train/objectives.ts';
import { openTrainer } from '../../src/train/trainer.ts';
import type { BenchContext, BenchTable } from '../types.ts';
import { chain } from './train-tokens.ts';

interface DeviceModel {
  readonly shape: TrainShape;
  readonly nSeq: number;
  readonly nCtx: number;
}

const COMMON = { ropeTheta: 10000, rmsEpsilon: 1e-5, tied: true, nClasses: 0 };

/** `350m` is the shape of the published 0.3B ProX refiners. */
const MODELS: Record<string, DeviceModel> = {
  '8m': {
    shape: {
      ...COMMON,
      ...{ nVocab: 4096, nEmbd: 320, nLayer: 6, nHead: 5, nHeadKv: 5, nHeadDim: 64, nFf: 864 },
    },
    nSeq: 32,
    nCtx: 1024,
  },
  '350m': {
    shape: {
      ...COMMON,
      ...{ nVocab: 32000, nEmbd: 1280, nLayer: 24, nHead: 16, nHeadKv: 1, nHeadDim: 80, nFf: 2048 },
    },
    nSeq: 8,
    nCtx: 1024,
  },
};

/** Operations of a token, forward and backward: all products with weights, and the whole square of attention. */
function flopPerToken({ shape, nCtx }: DeviceModel): number {
  const { nEmbd, nLayer, nHead, nHeadKv, nHeadDim, nFf, nVocab } = shape;
  const layer = nEmbd * nHeadDim * (2 * nHead + 2 * nHeadKv) + 3 * nEmbd * nFf;
  return 6 * (nLayer * layer + nVocab * nEmbd) + 12 * nLayer * nHead * nHeadDim * nCtx;
}

/** One row per model of GRISTMILL_BENCH_MODELS (`8m,350m`). */
export async function benchOnDevice(context: BenchContext, name: string): Promise<BenchTable> {
  const device = name === 'cuda' ? 'cuda:0' : name;
  const peak = Number(process.env['GRISTMILL_BENCH_PEAK_TFLOPS'] ?? Number.NaN);
  const nSteps = context.quick ? 4 : 20;
  const rows: (string | number)[][] = [];
  for (const name of (process.env['GRISTMILL_BENCH_MODELS'] ?? '8m,350m').split(',')) {
    const model = MODELS[name];
    if (!model) throw new Error(`GRISTMILL_BENCH_MODELS: no model ${name}`);
    const { shape, nSeq, nCtx } = model;
    await using trainer = await openTrainer({ shape, nSeq, nCtx, device, graph: 'ggml', seed: 1 });
    context.log(`${name}: ${trainer.info.nParams} parameters on ${device}`);
    const perStep = nSeq * nCtx;
    const tokens = chain(shape.nVocab, nSteps * perStep);
    const { losses, seconds } = await trainer.steps(
      Array.from({ length: nSteps }, (_, step) => ({
        batches: [pretrainBatch(tokens.slice(step * perStep, (step + 1) * perStep), model)],
        lr: 3e-4,
      })),
    );
    const sorted = Array.from(seconds).sort((a, b) => a - b);
    const speed = perStep / sorted[nSteps >> 1]!;
    const tflops = (speed * flopPerToken(model)) / 1e12;
    rows.push([
      name,
      `${nSeq} × ${nCtx}`,
      speed,
      tflops,
      Number.isNaN(peak) ? 'no peak given' : `${((100 * tflops) / peak).toFixed(1)} %`,
      trainer.info.bufferBytes / 2 ** 30,
      `${losses[0]!.toFixed(2)} → ${losses[nSteps - 1]!.toFixed(2)}`,
    ]);
  }
  return {
    title: `Training on ${device} (median step of ${nSteps})`,
    columns: ['model', 'tokens', 'tokens/s', 'TFLOP/s', 'MFU', 'GiB', 'loss'],
    rows,
    notes: [
      'f32 weights; a step is forward, backward, clipping and AdamW, the host part included.',
      'TFLOP/s counts model operations: 6 per weight of a product and 12 · layers · width · context of attention.',
    ],
  };
}
