/** What the trainer tests share: tiny shapes, seeded batches of every objective, a folder. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { native } from '../../src/native/index.ts';
import type {
  BagBatch,
  NativeTrainer,
  NativeTrainerOptions,
  TokenBatch,
  TrainShape,
} from '../../src/native/train.ts';

export const folder = mkdtempSync(join(tmpdir(), 'gristmill-train-'));
export const removeFolder = () => rmSync(folder, { recursive: true, force: true });

/** Odd sizes everywhere: no width is a multiple of a vector or a panel. */
export const tinyShape: TrainShape = {
  nVocab: 37,
  nEmbd: 20,
  nLayer: 2,
  nHead: 4,
  nHeadKv: 2,
  nHeadDim: 6,
  nFf: 27,
  ropeTheta: 10000,
  rmsEpsilon: 1e-5,
  tied: true,
  nClasses: 0,
};

export const tinyOptions: NativeTrainerOptions = {
  shape: tinyShape,
  nCtx: 11,
  nSeq: 2,
  maxTargets: 22,
  nThreads: 2,
  device: 'cpu',
  graph: 'kernels',
  precision: 'float32',
  causal: true,
  seed: 3,
  initDeviation: 0.3,
  beta1: 0.9,
  beta2: 0.95,
  adamEpsilon: 1e-8,
  weightDecay: 0.1,
  clipNorm: 1,
  labelSmoothing: 0,
};

/** Untied, with label smoothing. */
export const sftOptions: NativeTrainerOptions = {
  ...tinyOptions,
  shape: { ...tinyShape, tied: false },
  labelSmoothing: 0.1,
};
/** Non-causal, one key-value head, classes. */
export const lineScoreOptions: NativeTrainerOptions = {
  ...tinyOptions,
  shape: { ...tinyShape, nClasses: 2, nHeadKv: 1, nLayer: 1 },
  causal: false,
  labelSmoothing: 0.05,
};
/** As many key-value heads as heads, wider and longer than a block of attention. */
export const wideOptions: NativeTrainerOptions = {
  ...tinyOptions,
  shape: { ...tinyShape, nEmbd: 40, nHead: 3, nHeadKv: 3, nHeadDim: 34, nFf: 70, nVocab: 70 },
  nCtx: 70,
  nSeq: 1,
  maxTargets: 70,
};

export const open = (changes: Partial<NativeTrainerOptions> = {}): Promise<NativeTrainer> =>
  native().openTrainer({ ...tinyOptions, ...changes });

/** Whole numbers below a bound, the same for the same seed. */
export function randomBelow(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * below);
  };
}

/** A batch whose targets are `every`-th positions, with uneven weights and, if asked, two documents per sequence. */
export function randomBatch(
  options: NativeTrainerOptions,
  seed: number,
  { every = 1, segments = false, weights = false } = {},
): TokenBatch {
  const next = randomBelow(seed);
  const { shape, nCtx, nSeq } = options;
  const nTokens = nCtx * nSeq;
  const tokens = Int32Array.from({ length: nTokens }, () => next(shape.nVocab));
  const positions = Int32Array.from({ length: Math.floor(nTokens / every) }, (_, at) => at * every);
  const labels = positions.map(() => next(shape.nClasses || shape.nVocab));
  return {
    tokens,
    positions,
    labels,
    ...(segments && {
      segments: tokens.map((_, at) => (at % nCtx < 4 + Math.floor(at / nCtx) ? 0 : 1)),
    }),
    ...(weights && { weights: Float32Array.from(positions, () => next(5) / 2) }),
  };
}

/** A batch of random bags, some of them empty, with the same id more than once here and there. */
export function randomBags(options: NativeTrainerOptions, seed: number): BagBatch {
  const { tokens: _, ...targets } = randomBatch(options, seed, {
    every: 2,
    segments: true,
    weights: true,
  });
  const next = randomBelow(seed + 100);
  const bagStarts = new Int32Array(options.nCtx * options.nSeq + 1);
  const bagIds: number[] = [];
  for (let position = 0; position + 1 < bagStarts.length; position++) {
    const length = position % 5 === 3 ? 0 : 1 + next(6);
    for (let index = 0; index < length; index++) bagIds.push(next(options.shape.nVocab));
    bagStarts[position + 1] = bagIds.length;
  }
  return {
    ...targets,
    bagStarts,
    bagIds: Int32Array.from(bagIds),
    bagWeights: Float32Array.from(bagIds, () => (next(9) - 3) / 4),
  };
}

export async function weightsOf(trainer: NativeTrainer): Promise<Map<string, Float32Array>> {
  const weights = new Map<string, Float32Array>();
  for (const { name } of trainer.info.tensors) weights.set(name, await trainer.readTensor(name));
  return weights;
}
