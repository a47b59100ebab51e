import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { inspectModel } from '../../src/model/inspect.ts';
import {
  RANDOM_MODEL_PRESETS,
  type RandomModelShape,
  type RandomModelSpec,
  writeRandomModel,
} from '../../src/model/random.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-model-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const digest = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');

describe('writeRandomModel', () => {
  it('writes the same bytes for the same seed, others for another', async () => {
    const files = ['a', 'b', 'c'].map((name) => join(folder, `${name}.gguf`));
    for (const [index, path] of files.entries()) {
      await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, path, seed: index === 2 ? 2 : 1 });
    }
    const [first, second, third] = files.map(digest);
    expect(second).toBe(first);
    expect(third).not.toBe(first);
    expect(readFileSync(files[0]!).length).toBeLessThan(1e6);
  });

  it.each(['f32', 'bf16', 'q8_0'] as const)('writes %s', async (type) => {
    const path = join(folder, `${type}.gguf`);
    const chatTemplate = '{{ messages }}';
    await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, type, path, seed: 1, chatTemplate });
    const model = await inspectModel(path, { sha256: true });
    expect(model).toMatchObject({
      architecture: 'llama',
      nLayer: 2,
      nVocab: 768,
      nCtxTrain: 2048,
      tokenizer: 'llama',
      quantisation: type.toUpperCase(),
      chatTemplate,
      runnable: true,
      sha256: digest(path),
    });
    expect(model.tensors.reduce((sum, group) => sum + group.parameters, 0)).toBe(model.nParams);
  });

  it('has the parameters of the shapes it is named after', async () => {
    const path = join(folder, '20m.gguf');
    await writeRandomModel({ ...RANDOM_MODEL_PRESETS['20m'], path, seed: 1 });
    const { nParams } = await inspectModel(path);
    expect(Math.abs(nParams - 20e6)).toBeLessThan(1.5e6);
  });

  it('has the exact parameters of the published refiners', async () => {
    const parameters = (shape: RandomModelShape): number => {
      const { nLayer, nEmbd, nHead, nHeadKv, nFf, vocabSize } = shape;
      const head = shape.headDim ?? nEmbd / nHead;
      const attention = 2 * nEmbd * head * (nHead + nHeadKv);
      const norms = 2 * nEmbd + (shape.architecture === 'qwen3' ? 2 * head : 0);
      const matrices = shape.tiedEmbeddings ? 1 : 2;
      return nLayer * (attention + 3 * nEmbd * nFf + norms) + nEmbd + matrices * vocabSize * nEmbd;
    };
    // ProX: 24 layers, width 1280, one key-value head of 80. UltraX: Qwen3-0.6B, 16 heads of 128 on a width of 1024.
    expect(parameters(RANDOM_MODEL_PRESETS['350m'])).toBe(354_284_800);
    expect(parameters(RANDOM_MODEL_PRESETS['qwen3-0.6b'])).toBe(596_049_920);
    // The files have what the formula says: the same shapes with fewer layers and pieces.
    for (const preset of ['350m', 'qwen3-0.6b'] as const) {
      const path = join(folder, `${preset}-thin.gguf`);
      const thin = { ...RANDOM_MODEL_PRESETS[preset], nLayer: 2, vocabSize: 3000 };
      await writeRandomModel({ ...thin, type: 'q8_0', path, seed: 1 });
      const { nParams, nEmbd, nHead, nHeadKv, nFf, nCtxTrain } = await inspectModel(path);
      expect(nParams).toBe(parameters(thin));
      expect({ nEmbd, nHead, nHeadKv, nFf, nCtx: nCtxTrain }).toEqual({
        nEmbd: thin.nEmbd,
        nHead: thin.nHead,
        nHeadKv: thin.nHeadKv,
        nFf: thin.nFf,
        nCtx: thin.nCtx,
      });
    }
  });

  it('refuses shapes that do not work', async () => {
    const path = join(folder, 'bad.gguf');
    const changes: Partial<RandomModelSpec>[] = [
      { nEmbd: 63 },
      { nHead: 3 },
      { nHeadKv: 3 },
      { vocabSize: 10 },
      { seed: -1 },
      { nFf: 100 },
      { path: '' },
      { headDim: 3 },
      { headDim: 1024 },
      { ropeBase: 0 },
      { type: 'q2_k' as 'iq3_s' },
      { type: 'iq4_xs' },
      { type: 'iq3_s', nEmbd: 256 },
      { type: 'iq3_s', nEmbd: 256, nFf: 256, headDim: 80 },
    ];
    for (const change of changes) {
      await expect(
        writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, path, seed: 1, ...change }),
        JSON.stringify(change),
      ).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    }
    await expect(
      writeRandomModel({
        ...RANDOM_MODEL_PRESETS.tiny,
        path: join(folder, 'no/such/a.gguf'),
        seed: 1,
      }),
    ).rejects.toMatchObject({ code: 'MODEL_WRITE_FAILED' });
  });
});

describe('inspectModel', () => {
  it('says what is wrong with a file', async () => {
    await expect(inspectModel(join(folder, 'none'))).rejects.toMatchObject({
      code: 'ENGINE_MODEL_MISSING',
    });
    const path = join(folder, 'whole.gguf');
    await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, path, seed: 1 });
    const bytes = readFileSync(path);
    const cut = join(folder, 'cut.gguf');
    for (const keep of [3, 24, 500, 15_000, bytes.length - 1000]) {
      writeFileSync(cut, bytes.subarray(0, keep));
      await expect(inspectModel(cut), String(keep)).rejects.toMatchObject({
        code: 'ENGINE_MODEL_INVALID',
      });
    }
  });
});
