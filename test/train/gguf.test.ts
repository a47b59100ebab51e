import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeGgufMetadata } from '../../src/model/gguf-write.ts';
import { inspectModel } from '../../src/model/inspect.ts';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../src/model/random.ts';
import { native } from '../../src/native/index.ts';
import { openTrainer, trainShapeOf } from '../../src/train/trainer.ts';
import { folder, removeFolder, weightsOf } from './trainer-support.ts';

const source = join(folder, 'source.gguf');
beforeAll(() => writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, path: source, seed: 5 }));
afterAll(removeFolder);

const frame = {
  prefix: '',
  suffix: '',
  addBos: true,
  trimStart: false,
  trimEnd: false,
  maxTokens: 120,
  truncate: 'prompt',
} as const;
const PAIRS = ['a e', 'b s', 't n', '0 1', 'x y', 'r k', 'm p', 'd l'].map((pair) =>
  pair.split(' '),
) as [string, string][];

/** Differences of the engine's logits behind a text, and the tokens of its prompt. */
async function engineDifferences(path: string, text: string) {
  const engine = await native().openEngine({
    modelPath: path,
    device: 'cpu',
    nThreads: 1,
    nSlots: 1,
    nCtxSlot: 128,
    nUbatch: 128,
    kvType: 'f32',
    flashAttention: 'off',
  });
  const bytes = (value: string) => new TextEncoder().encode(value);
  const tokenize = (value: string, addSpecial: boolean) =>
    engine.tokenize(bytes(value), { addSpecial, parseSpecial: false });
  const found = [];
  for (const answers of PAIRS) {
    const data = bytes(text);
    const result = await engine.scoreDocuments({
      data,
      offsets: Int32Array.of(0, data.length),
      docs: null,
      frame,
      answers,
    });
    // Answers continue the prompt: without the space that a text starts with.
    const [keep, drop] = answers.map((answer) =>
      tokenize(`\n${answer}`, false).subarray(tokenize('\n', false).length),
    ) as [Int32Array, Int32Array];
    const common = keep.findIndex((token, at) => token !== drop[at]);
    const tokens = Int32Array.of(...tokenize(text, true), ...keep.subarray(0, common));
    expect(tokens.length).toBe(result.promptTokens[0]);
    found.push({
      tokens,
      ids: [keep[common]!, drop[common]!],
      difference: result.logitDiff[0]!,
    });
  }
  await engine.dispose();
  return found;
}

const shape = {
  nVocab: RANDOM_MODEL_PRESETS.tiny.vocabSize,
  nEmbd: 64,
  nLayer: 2,
  nHead: 4,
  nHeadKv: 2,
  nHeadDim: 24,
  nFf: 96,
  ropeTheta: 5000,
  rmsEpsilon: 1e-6,
  tied: true,
  nClasses: 0,
};
const size = { nCtx: 120, nSeq: 1, nThreads: 1 };

/** Largest distance of engine and trainer over the size of the trainer's logits. */
async function engineError(
  trainer: Awaited<ReturnType<typeof openTrainer>>,
  path: string,
): Promise<number> {
  const text = 'The mill stands where the river bends.\nRead more | Home | About';
  let error = 0;
  let norm = 0;
  for (const { tokens, ids, difference } of await engineDifferences(path, text)) {
    const padded = new Int32Array(size.nCtx);
    padded.set(tokens);
    const { logits } = await trainer.forward(
      {
        tokens: padded,
        positions: Int32Array.of(tokens.length - 1),
        labels: Int32Array.of(0),
      },
      { logits: true },
    );
    error = Math.max(error, Math.abs(logits[ids[0]!]! - logits[ids[1]!]! - difference));
    norm = Math.max(norm, ...logits.map(Math.abs));
  }
  expect(norm).toBeGreaterThan(0.5);
  return error / norm;
}

describe('exportGguf', () => {
  it.each([
    ['f32', true, 1e-5, 0],
    ['f32', false, 1e-5, 0],
    ['bf16', false, 2e-2, 2 ** -8],
    // llama.cpp rounds the activations to eight bits as well.
    ['q8_0', true, 0.1, 2 ** -7],
  ] as const)(
    '%s, tied %s: the engine has the trainer’s logits',
    async (type, tied, bound, rounding) => {
      const trainer = await openTrainer({
        ...size,
        shape: { ...shape, tied },
        seed: 4,
        initDeviation: 0.3,
      });
      const path = join(folder, `${type}-${tied}.gguf`);
      await trainer.exportGguf({ path, tokenizerPath: source, type, name: 'test', nCtx: 256 });
      const model = await inspectModel(path);
      expect(model).toMatchObject({
        architecture: 'llama',
        name: 'test',
        nVocab: 768,
        nCtxTrain: 256,
      });
      expect(await engineError(trainer, path)).toBeLessThan(bound);
      const written = await weightsOf(trainer);
      await trainer.importGguf(path);
      for (const [tensor, values] of await weightsOf(trainer)) {
        const original = written.get(tensor)!;
        const distance = Math.hypot(...values.map((value, at) => value - original[at]!));
        expect(distance, tensor).toBeLessThanOrEqual(rounding * Math.hypot(...original));
      }
      await trainer.dispose();
    },
  );

  it('refuses a tokenizer of another size and a folder that is not there', async () => {
    const trainer = await openTrainer({ ...size, shape: { ...shape, nVocab: 700 } });
    const request = { tokenizerPath: source, type: 'f32', name: 'x', nCtx: 64 } as const;
    await expect(
      trainer.exportGguf({ ...request, path: join(folder, 'x.gguf') }),
    ).rejects.toMatchObject({ code: 'TRAIN_MODEL_UNSUPPORTED' });
    await trainer.dispose();
    const other = await openTrainer({ ...size, shape });
    await expect(
      other.exportGguf({ ...request, path: join(folder, 'none', 'x.gguf') }),
    ).rejects.toMatchObject({ code: 'TRAIN_WRITE_FAILED' });
    await other.dispose();
  });
});

describe('importGguf', () => {
  it('continues from a model of the engine', async () => {
    const imported = await trainShapeOf(source);
    expect(imported).toMatchObject({ nVocab: 768, nEmbd: 64, nHeadDim: 16, tied: false, nFf: 128 });
    const trainer = await openTrainer({ ...size, shape: imported });
    await trainer.importGguf(source);
    expect(await engineError(trainer, source)).toBeLessThan(1e-5);
    await trainer.dispose();
  });

  it('takes a class head along, and gives an untrained one to a model without', async () => {
    const classes = { ...shape, nClasses: 2 };
    const first = await openTrainer({ ...size, shape: classes, seed: 1, causal: false });
    const path = join(folder, 'classes.gguf');
    await first.exportGguf({ path, tokenizerPath: source, type: 'f32', name: 'c', nCtx: 128 });
    expect(await trainShapeOf(path)).toEqual({ ...classes, rmsEpsilon: Math.fround(1e-6) });
    const second = await openTrainer({ ...size, shape: classes, seed: 2, causal: false });
    await second.importGguf(path);
    for (const { name } of first.info.tensors) {
      expect(await second.readTensor(name), name).toEqual(await first.readTensor(name));
    }
    // It looks both ways: training takes it, the engine does not write text with it.
    expect((await inspectModel(path)).runnable).toBe(false);
    await Promise.all([first.dispose(), second.dispose()]);
  });

  it('refuses what the engine’s checks refuse, instead of ending the process', async () => {
    // A single number where the list of tokens is wanted ended the process at the export.
    const scalar = join(folder, 'scalar.gguf');
    writeGgufMetadata(scalar, {
      'general.architecture': { type: 'string', value: 'llama' },
      'tokenizer.ggml.model': { type: 'string', value: 'llama' },
      'tokenizer.ggml.tokens': { type: 'u32', value: 768 },
    });
    const trainer = await openTrainer({ ...size, shape });
    const request = { type: 'f32', name: 'x', nCtx: 64, path: join(folder, 'y.gguf') } as const;
    await expect(trainer.exportGguf({ ...request, tokenizerPath: scalar })).rejects.toMatchObject({
      code: 'TRAIN_MODEL_UNSUPPORTED',
      details: { path: scalar, reason: expect.stringContaining('tokenizer.ggml.tokens') },
    });
    const bytes = readFileSync(source);
    const cut = join(folder, 'cut.gguf');
    writeFileSync(cut, bytes.subarray(0, bytes.length - 1000));
    for (const open of [() => trainShapeOf(cut), () => trainer.importGguf(cut)]) {
      await expect(open()).rejects.toMatchObject({
        code: 'TRAIN_MODEL_UNSUPPORTED',
        details: { path: cut, reason: expect.stringContaining('truncated') },
      });
    }
    await trainer.dispose();
  });

  it('refuses another architecture and another shape, and stays as it was', async () => {
    const qwen = join(folder, 'qwen.gguf');
    await writeRandomModel({
      ...RANDOM_MODEL_PRESETS.tiny,
      architecture: 'qwen3',
      tokenizer: 'bpe',
      path: qwen,
      seed: 1,
    });
    const unsupported = { code: 'TRAIN_MODEL_UNSUPPORTED' };
    await expect(trainShapeOf(qwen)).rejects.toMatchObject(unsupported);
    await expect(trainShapeOf(join(folder, 'none.gguf'))).rejects.toMatchObject(unsupported);
    const trainer = await openTrainer({ ...size, shape });
    const before = await trainer.readTensor('token_embd.weight');
    await expect(trainer.importGguf(source)).rejects.toMatchObject(unsupported);
    expect(await trainer.readTensor('token_embd.weight')).toEqual(before);
    await trainer.dispose();
  });
});
