import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NativeEngine } from '../../src/native/engine.ts';
import {
  chatmlFrame,
  documents,
  encode,
  expectLogit,
  llamaFrame,
  open,
  raggedTexts,
  removeFolder,
  tinyModel,
} from './support.ts';

const answers = ['keep_doc()', 'drop_doc()'] as const;
const models = [
  ['llama f32', { type: 'f32' }, llamaFrame],
  ['llama bf16', { type: 'bf16' }, llamaFrame],
  ['qwen3 f32', { architecture: 'qwen3', tokenizer: 'bpe', type: 'f32' }, chatmlFrame],
  ['llama q8_0', { type: 'q8_0' }, llamaFrame],
  ['llama iq4_xs', { type: 'iq4_xs', nEmbd: 256, nFf: 256 }, llamaFrame],
] as const;

afterAll(removeFolder);

describe.each(models)('scoreDocuments, %s', (name, shape, frame) => {
  let path: string;
  const texts = raggedTexts(21, 40);
  const request = { ...documents(texts), docs: null, frame, answers };
  beforeAll(async () => {
    path = await tinyModel(name, shape);
  });

  it('scores a batch as it scores one document at a time', async () => {
    const batched = await open(path, { nSlots: 8, nUbatch: 512 });
    const whole = await batched.scoreDocuments(request);
    const single = await open(path, { nSlots: 1, nUbatch: 2048 });
    for (const [doc, text] of texts.entries()) {
      const alone = await single.scoreDocuments({ ...request, ...documents([text]) });
      expectLogit(alone.logitDiff[0]!, whole.logitDiff[doc]!);
      expect(alone.promptTokens[0]).toBe(whole.promptTokens[doc]);
    }
    // The documents decide, not the model's bias alone.
    expect(Math.max(...whole.logitDiff) - Math.min(...whole.logitDiff)).toBeGreaterThan(0.5);
    await Promise.all([batched.dispose(), single.dispose()]);
  });

  it('gives the same bits on every run and for every order of calls', async () => {
    const engine = await open(path);
    const first = await engine.scoreDocuments(request);
    await engine.generateText({ ...request, maxNewTokens: 3 });
    expect(await engine.scoreDocuments(request)).toEqual(first);
    await engine.dispose();
    const again = await open(path);
    expect(await again.scoreDocuments(request)).toEqual(first);
    await again.dispose();
  });
});

describe('weights of 8 bits', () => {
  // A model 32 wide has rows of one block of q8_0: on processors with AMX its products were added to what memory held.
  it.each([32, 64])('of a model %i wide score close to those of 32 bits', async (nEmbd) => {
    const scores = [];
    for (const type of ['f32', 'q8_0'] as const) {
      const changes = { nEmbd, nLayer: 2, nHead: 2, nHeadKv: 1, nFf: 64, type };
      const engine = await open(await tinyModel(`close-${nEmbd}-${type}`, changes));
      const texts = raggedTexts(21, 40);
      const request = { ...documents(texts), docs: null, frame: llamaFrame, answers };
      scores.push((await engine.scoreDocuments(request)).logitDiff);
      await engine.dispose();
    }
    const [exact, rounded] = scores;
    exact!.forEach((score, doc) => {
      expect(Math.abs(rounded![doc]! - score)).toBeLessThan(0.5);
    });
  });
});

describe('scoreDocuments', () => {
  let engine: NativeEngine;
  beforeAll(async () => {
    engine = await open(await tinyModel('plain'), { nCtxSlot: 512, nSlots: 3, nUbatch: 96 });
  });
  afterAll(() => engine.dispose());

  it('reads the logits of the first tokens that differ, after the shared ones', async () => {
    const request = {
      ...documents(['a text']),
      docs: null,
      frame: { ...llamaFrame, maxTokens: 400 },
    };
    const plain = await engine.scoreDocuments({ ...request, answers });
    const swapped = await engine.scoreDocuments({ ...request, answers: [answers[1], answers[0]] });
    expect(swapped.logitDiff[0]).toBeCloseTo(-plain.logitDiff[0]!, 5);
    const shared = await engine.scoreDocuments({
      ...request,
      answers: ['remove_lines(1)', 'remove_lines(2)'],
    });
    expect(shared.promptTokens[0]).toBeGreaterThan(plain.promptTokens[0]!);
  });

  it('keeps the frame resident and reuses it', async () => {
    const texts = raggedTexts(30, 3);
    const before = engine.stats();
    await engine.scoreDocuments({
      ...documents(texts),
      docs: null,
      frame: { ...llamaFrame, maxTokens: 400 },
      answers,
    });
    const after = engine.stats();
    const frameTokens = engine.tokenize(encode(llamaFrame.prefix), {
      addSpecial: false,
      parseSpecial: true,
    }).length;
    expect(after.prefixTokensReused - before.prefixTokensReused).toBeGreaterThan(
      25 * (frameTokens - 4),
    );
    expect(after.ubatches - before.ubatches).toBe(after.decodeCalls - before.decodeCalls);
  });

  it('flags what does not fit and answers the rest', async () => {
    // Truncation leaves 512 tokens; the shared answer tokens no longer fit behind them.
    const { flags, logitDiff } = await engine.scoreDocuments({
      ...documents(['short', 'long text '.repeat(400)]),
      docs: null,
      frame: { ...llamaFrame, maxTokens: 512 },
      answers: ['remove_lines(1)', 'remove_lines(2)'],
    });
    expect([...flags]).toEqual([0, 3]);
    expect(logitDiff[0]).not.toBeNaN();
    expect(logitDiff[1]).toBeNaN();
  });

  it('takes empty batches, empty texts and any bytes', async () => {
    const request = { docs: null, frame: { ...llamaFrame, maxTokens: 400 }, answers };
    const none = await engine.scoreDocuments({ ...request, ...documents([]) });
    expect(none.logitDiff).toHaveLength(0);
    const odd = await engine.scoreDocuments({
      ...request,
      ...documents(['', new Uint8Array([0xff, 0xc3, 0x28, 0x00, 0xf0, 0x9f])]),
    });
    expect([...odd.flags]).toEqual([0, 0]);
  });
});
