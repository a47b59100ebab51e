import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { packEncoder, type ScoringEncoder, unpackEncoder } from '../../src/lines/encoder-file.ts';
import { encodePage } from '../../src/lines/line-encoder.ts';
import { trainLineScorer } from '../../src/scorers/line-score/training.ts';
import { syntheticPages } from '../train/support.ts';
import { smallLineTraining } from './support.ts';

let scoring: ScoringEncoder;
let bytes: Uint8Array;
beforeAll(async () => {
  const { trainer, encoder } = await trainLineScorer(syntheticPages(30, 1), {
    ...smallLineTraining,
    nEpochs: 1,
  });
  await trainer.dispose();
  scoring = {
    kind: 'line-score',
    head: 'network',
    treeShare: 1,
    encoder,
    calibration: { slope: 0.9, intercept: -0.25 },
    thresholds: [{ retention: 0.99, threshold: 0.125, noiseRemoved: 0.5 }],
  };
  bytes = packEncoder(scoring);
});

describe('packEncoder and unpackEncoder', () => {
  it('give back the same encoder, its word weights to bfloat16', () => {
    const read = unpackEncoder(bytes, 'file');
    const { stack, ...rest } = scoring.encoder;
    const { stack: readStack, ...readRest } = read.encoder;
    expect({ ...read, encoder: readRest }).toEqual({ ...scoring, encoder: rest });
    const { logistic, ...others } = stack!;
    const { logistic: readLogistic, ...readOthers } = readStack!;
    expect(readOthers).toEqual(others);
    expect(readLogistic.bins).toEqual(logistic.bins);
    expect(readLogistic.binWeights).toEqual(logistic.binWeights);
    logistic.wordWeights.forEach((weight, at) => {
      const difference = Math.abs(readLogistic.wordWeights[at]! - weight);
      expect(difference).toBeLessThanOrEqual(Math.abs(weight) / 256);
    });
    // What was read is what is written again.
    expect(packEncoder(read)).toEqual(bytes);
  });

  it('reads from any address', () => {
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(packEncoder(unpackEncoder(shifted.subarray(3), 'file'))).toEqual(bytes);
    // Was: `slice` of a Buffer is a view, so arrays were the whole file from its first byte on.
    const file = Buffer.from(shifted.buffer).subarray(3);
    expect(packEncoder(unpackEncoder(file, 'file'))).toEqual(bytes);
  });

  it('refuses damaged bytes with a code, or reads an encoder that works', () => {
    const { lines } = syntheticPages(1, 9)[0]!;
    const read = (damaged: Uint8Array): void => {
      try {
        encodePage(lines, unpackEncoder(damaged, 'file').encoder);
      } catch (error) {
        expect(error).toMatchObject({ code: 'ENGINE_MODEL_INVALID', details: { file: 'file' } });
      }
    };
    for (const length of [0, 3, 4, 100, bytes.length - 1]) {
      expect(() => unpackEncoder(bytes.subarray(0, length), 'file')).toThrow(
        expect.objectContaining({ code: 'ENGINE_MODEL_INVALID' }),
      );
    }
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = bytes.slice();
        damaged[at] = damaged[at]! ^ change;
        read(damaged);
      }),
      { numRuns: 300 },
    );
  });
});
