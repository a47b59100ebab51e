/**
 * Loss and gradients against a naive float64 model: every parameter tensor, every objective.
 *
 * The oracle's central differences have an error of about 1e-9 in float64, so that the bound is the float32 trainer's.
 */
import { afterAll, describe, expect, it } from 'vitest';
import type { NativeTrainerOptions, TrainBatch } from '../../src/native/train.ts';
import { oracleLoss } from './oracle.ts';
import {
  lineScoreOptions as lineScore,
  open,
  randomBags,
  randomBatch,
  randomBelow,
  removeFolder,
  sftOptions as sft,
  tinyOptions,
  weightsOf,
  wideOptions as wide,
} from './trainer-support.ts';

afterAll(removeFolder);

interface Case {
  readonly name: string;
  readonly options: NativeTrainerOptions;
  readonly batches: readonly TrainBatch[];
}

const pretrain = tinyOptions;

const cases: Case[] = [
  {
    name: 'pretrain, tied, document boundaries',
    options: pretrain,
    batches: [randomBatch(pretrain, 1, { segments: true })],
  },
  {
    name: 'sft, untied, masked and weighted, smoothing, two micro-batches',
    options: sft,
    batches: [
      randomBatch(sft, 2, { every: 3, weights: true }),
      randomBatch(sft, 3, { every: 2, weights: true }),
    ],
  },
  {
    name: 'line-score, non-causal, one key-value head',
    options: lineScore,
    batches: [randomBatch(lineScore, 4, { every: 4, segments: true, weights: true })],
  },
  {
    name: 'line-score over bags of embeddings',
    options: lineScore,
    batches: [randomBags(lineScore, 6)],
  },
  {
    name: 'more than one panel and query block',
    options: wide,
    batches: [randomBatch(wide, 5)],
  },
];

describe.each(cases)('$name', ({ options, batches }) => {
  it('has the loss and the gradients of the oracle', async () => {
    const trainer = await open(options);
    const weights = await weightsOf(trainer);
    const loss = await trainer.gradients({ batches, lr: 0 });
    expect(Math.abs(loss - oracleLoss(options.shape, options, weights, batches))).toBeLessThan(
      2e-6 * Math.abs(loss),
    );

    const next = randomBelow(9);
    for (const { name } of trainer.info.tensors) {
      const gradient = await trainer.readTensor(name, 'gradient');
      const values = Float64Array.from(weights.get(name)!);
      const changed = new Map<string, ArrayLike<number>>([...weights, [name, values]]);
      const scale = Math.hypot(...gradient);
      expect(scale, name).toBeGreaterThan(0);
      // The slope along a random direction involves every element; a few single elements are looked at as well.
      const signs = values.map(() => (next(2) === 0 ? -1 : 1));
      const lossAlong = (direction: Float64Array, distance: number) => {
        const start = Float64Array.from(values);
        for (const [at, part] of direction.entries()) values[at]! += part * distance;
        const result = oracleLoss(options.shape, options, changed, batches);
        values.set(start);
        return result;
      };
      const directions = [signs];
      for (let count = 0; count < 3; count += 1) {
        const single = new Float64Array(values.length);
        single[next(values.length)] = 1;
        directions.push(single);
      }
      for (const direction of directions) {
        const step = 1e-5;
        const expected = (lossAlong(direction, step) - lossAlong(direction, -step)) / (2 * step);
        const received = direction.reduce((sum, part, at) => sum + part * gradient[at]!, 0);
        expect(Math.abs(received - expected), name).toBeLessThan(1e-4 * scale + 1e-7);
      }
    }
    await trainer.dispose();
  });
});
