import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { convertModel } from '../../../src/model/convert/convert.ts';
import { sizeLabel } from '../../../src/model/convert/general.ts';
import { inspectModel } from '../../../src/model/inspect.ts';
import { splitWords } from '../../../src/model/tokenizer-training.ts';
import { native } from '../../../src/native/index.ts';
import { readGguf } from '../../support/gguf-read.ts';
import {
  byteLevelTokenizer,
  type HfConfig,
  type HfTensors,
  randomTensors,
  sentencePieceModel,
  smallConfig,
  trainedPieces,
  writeJson,
  writeModel,
  writeSafetensors,
} from '../../support/hf-model.ts';
import { hfLogits } from './oracle.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-convert-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const GPT2 = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
const tokenizer = byteLevelTokenizer(splitWords, GPT2);
const pieces = trainedPieces();
let nFolders = 0;

/** A model folder with a byte-level tokenizer. */
function model(config: HfConfig, more: Parameters<typeof writeModel>[2] = {}) {
  const dir = join(folder, `model-${nFolders++}`);
  const tensors = writeModel(dir, config, more);
  writeJson(dir, 'tokenizer.json', tokenizer);
  return { dir, tensors, out: `${dir}.gguf` };
}

const frame = {
  prefix: '',
  suffix: '',
  addBos: false,
  trimStart: false,
  trimEnd: false,
  maxTokens: 100,
  truncate: 'prompt',
} as const;

/** Largest distance of differences of logits, engine and oracle, over the size of the oracle's. */
async function logitError(path: string, config: HfConfig, tensors: HfTensors): Promise<number> {
  const engine = await native().openEngine({
    modelPath: path,
    device: 'cpu',
    nThreads: 1,
    nSlots: 1,
    nCtxSlot: 256,
    nUbatch: 128,
    kvType: 'f32',
    flashAttention: 'off',
  });
  const bytes = (text: string) => new TextEncoder().encode(text);
  const data = bytes(
    'The mill stands where the river bends;\nit grinds rye, 12 sacks a day. Die Mühle',
  );
  const tokens = [...engine.tokenize(data, { addSpecial: false, parseSpecial: false })];
  const logits = hfLogits(config, tensors, tokens);
  let error = 0;
  for (const [one, other] of ['ab', 'cd', 'xy', '01', '!?', 'mw'] as const) {
    const { logitDiff } = await engine.scoreDocuments({
      data,
      offsets: Int32Array.of(0, data.length),
      docs: null,
      frame,
      answers: [one!, other!],
    });
    const [keep, drop] = [one!, other!].map((text) => tokenizer.model.vocab[text]!) as [
      number,
      number,
    ];
    error = Math.max(error, Math.abs(logits[keep]! - logits[drop]! - logitDiff[0]!));
  }
  await engine.dispose();
  const size = Math.max(...logits.map(Math.abs));
  expect(tokens.length).toBeGreaterThan(20);
  expect(size).toBeGreaterThan(0.5);
  return error / size;
}

const MODELS: [name: string, config: HfConfig, more: Parameters<typeof writeModel>[2]][] = [
  ['Llama, three files', smallConfig('LlamaForCausalLM'), { shards: 3 }],
  [
    'Llama with biases, tied, linear rope scaling, BF16',
    smallConfig('LlamaForCausalLM', {
      attention_bias: true,
      mlp_bias: true,
      tie_word_embeddings: true,
      rope_scaling: { rope_type: 'linear', factor: 4 },
    }),
    { type: 'BF16' },
  ],
  [
    'Llama with the rope scaling of Llama 3',
    smallConfig('LlamaForCausalLM', {
      head_dim: 32,
      rope_scaling: {
        rope_type: 'llama3',
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 64,
      },
    }),
    {},
  ],
  [
    'Mistral with heads of another size, F16',
    smallConfig('MistralForCausalLM', { head_dim: 24, sliding_window: null }),
    { type: 'F16' },
  ],
  [
    'Qwen2 with a base of a million',
    smallConfig('Qwen2ForCausalLM', { rope_theta: 1_000_000, tie_word_embeddings: true }),
    { shards: 2 },
  ],
  [
    'Qwen3 with heads of another size',
    smallConfig('Qwen3ForCausalLM', { head_dim: 32, rms_norm_eps: 1e-6 }),
    { type: 'BF16' },
  ],
];

describe('convertModel', () => {
  it.each(MODELS)('%s: logits of the definition', async (_, config, more) => {
    const { dir, tensors, out } = model(config, { ...more, seed: 4 });
    const summary = await convertModel({ dir, out, type: 'f32' });
    expect(await logitError(out, config, tensors)).toBeLessThan(2e-5);
    const described = await inspectModel(out);
    expect(described).toMatchObject({
      runnable: true,
      nParams: summary.nParams,
      nVocab: 600,
      fileBytes: summary.bytes,
    });
  });

  it.each([
    ['bf16', 0.02],
    ['f16', 0.002],
    ['q8_0', 0.06],
  ] as const)('%s stays close', async (type, bound) => {
    const config = smallConfig('Qwen3ForCausalLM', { head_dim: 32 });
    const { dir, tensors, out } = model(config, { seed: 9 });
    await convertModel({ dir, out, type });
    expect(await logitError(out, config, tensors)).toBeLessThan(bound);
  });

  it('interleaves the rows of query and key heads for llama, not for qwen', async () => {
    for (const architecture of ['LlamaForCausalLM', 'Qwen2ForCausalLM']) {
      const { dir, tensors, out } = model(smallConfig(architecture));
      await convertModel({ dir, out, type: 'f32' });
      const written = readGguf(out).tensors;
      for (const [from, to] of [
        ['q_proj', 'attn_q'],
        ['k_proj', 'attn_k'],
        ['v_proj', 'attn_v'],
      ] as const) {
        const source = tensors.get(`model.layers.1.self_attn.${from}.weight`)!;
        const { shape, bytes } = written.get(`blk.1.${to}.weight`)!;
        const headDim = 16;
        const moved = architecture === 'LlamaForCausalLM' && to !== 'attn_v';
        const expected = new Float32Array(source.values.length);
        for (let row = 0; row < shape[0]!; row++) {
          const [head, place] = [row - (row % headDim), row % headDim];
          const target = moved ? head + (place % 8) * 2 + (place >= 8 ? 1 : 0) : row;
          expected.set(source.values.subarray(row * 64, row * 64 + 64), target * 64);
        }
        expect(bytes.equals(Buffer.from(expected.buffer))).toBe(true);
      }
    }
  });

  it('copies what has the type, keeps norms and biases in f32, falls back where q8_0 does not fit', async () => {
    const config = smallConfig('Qwen2ForCausalLM', {
      hidden_size: 48,
      head_dim: 12,
      num_attention_heads: 4,
    });
    const { dir, tensors, out } = model(config, { type: 'BF16' });
    await convertModel({ dir, out });
    const same = readGguf(out).tensors;
    const values = tensors.get('model.layers.0.mlp.up_proj.weight')!.values;
    const up = same.get('blk.0.ffn_up.weight')!;
    expect(up.type).toBe(30);
    const halves = Array.from(values, (value) => {
      const view = new DataView(new ArrayBuffer(4));
      view.setFloat32(0, value);
      return view.getUint16(0);
    });
    expect(up.bytes.equals(Buffer.from(Uint16Array.from(halves).buffer))).toBe(true);
    await convertModel({ dir, out, type: 'q8_0' });
    const { tensors: mixed, entries } = readGguf(out);
    expect(entries['general.file_type']).toBe(7);
    // 48 columns are no multiple of 32; 96 are.
    expect(mixed.get('blk.0.ffn_up.weight')!.type).toBe(1);
    expect(mixed.get('blk.0.ffn_down.weight')!.type).toBe(8);
    for (const name of ['blk.0.attn_norm.weight', 'blk.0.attn_q.bias', 'output_norm.weight']) {
      expect(mixed.get(name)!.type).toBe(0);
    }
  });

  it('rounds to bf16 to the nearest, ties to even', async () => {
    const { dir, out } = model(smallConfig('LlamaForCausalLM'));
    const tensors = new Map(randomTensors(smallConfig('LlamaForCausalLM'), 1));
    const floats = [1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -20, -(1 + 2 ** -8), 1e-40];
    const name = 'model.layers.0.mlp.up_proj.weight';
    tensors.get(name)!.values.set(floats);
    writeSafetensors(join(dir, 'model.safetensors'), tensors, 'F32');
    await convertModel({ dir, out });
    const { bytes } = readGguf(out).tensors.get('blk.0.ffn_up.weight')!;
    const read = Array.from({ length: 5 }, (_, at) => bytes.readUInt16LE(at * 2));
    expect(read).toEqual([0x3f80, 0x3f82, 0x3f81, 0xbf80, 0x0001]);
  });

  it('writes the same bytes from one file and from many', async () => {
    const config = smallConfig('MistralForCausalLM');
    const one = model(config, { seed: 3 });
    const many = model(config, { seed: 3, shards: 5 });
    await convertModel({ dir: one.dir, out: one.out, name: 'x' });
    await convertModel({ dir: many.dir, out: many.out, name: 'x' });
    const [first, second] = [readGguf(one.out), readGguf(many.out)];
    expect(second.entries).toEqual(first.entries);
    for (const [name, { bytes }] of first.tensors) {
      expect(second.tensors.get(name)!.bytes.equals(bytes)).toBe(true);
    }
  });

  it('takes name, sampling and licence from the folder', async () => {
    const { dir, out } = model(smallConfig('LlamaForCausalLM'));
    const named = join(folder, 'my-small-model-v2');
    mkdirSync(named);
    for (const name of ['config.json', 'model.safetensors', 'tokenizer.json']) {
      copyFileSync(join(dir, name), join(named, name));
    }
    writeJson(named, 'generation_config.json', { temperature: 0.5, top_k: 20, top_p: null });
    writeFileSync(join(named, 'README.md'), '---\nlicense: mit\ntags: [a]\n---\n# Hello\n');
    await convertModel({ dir: named, out });
    expect(readGguf(out).entries).toMatchObject({
      'general.name': 'My Small Model v2',
      'general.sampling.temp': 0.5,
      'general.sampling.top_k': 20,
      'general.license': 'mit',
      'general.type': 'model',
    });
    expect([sizeLabel(494_032_768), sizeLabel(7_615_616_512), sizeLabel(82_000)]).toEqual([
      '494M',
      '7.6B',
      '82K',
    ]);
  });

  it('notes a sliding window that is left out', async () => {
    const { dir, out } = model(smallConfig('MistralForCausalLM', { sliding_window: 128 }));
    const { notes } = await convertModel({ dir, out });
    expect(notes).toContainEqual(expect.stringContaining('sliding_window 128'));
  });

  it('names what is missing, left over or of another shape, and leaves no file', async () => {
    const config = smallConfig('LlamaForCausalLM');
    const { dir, out } = model(config);
    const all = [...randomTensors(config, 1)];
    const write = (tensors: typeof all) =>
      writeSafetensors(join(dir, 'model.safetensors'), new Map(tensors), 'F32');
    const failing = async (reason: string) => {
      const code = 'MODEL_CONVERT_UNSUPPORTED';
      await expect(convertModel({ dir, out })).rejects.toMatchObject({
        code,
        message: expect.stringContaining(reason),
      });
      expect([existsSync(out), existsSync(`${out}.partial`)]).toEqual([false, false]);
    };
    write(all.filter(([name]) => !name.endsWith('lm_head.weight')));
    await failing('missing: lm_head.weight');
    const extra = { shape: [4], values: new Float32Array(4) };
    write([...all, ['model.layers.0.self_attn.q_norm.weight', extra]]);
    await failing('not of a llama model: model.layers.0.self_attn.q_norm.weight');
    write([...all, ['model.layers.2.input_layernorm.weight', extra]]);
    await failing('model.layers.2.input_layernorm.weight');
    write(all.map(([name, tensor]) => [name, name === 'model.norm.weight' ? extra : tensor]));
    await failing('tensor model.norm.weight: shape [4], expected [64]');
    // Buffers of old checkpoints are passed over.
    write([...all, ['model.layers.0.self_attn.rotary_emb.inv_freq', extra]]);
    await convertModel({ dir, out });
    expect(existsSync(out)).toBe(true);
  });

  it('stops when it is aborted, and leaves no file', async () => {
    const { dir, out } = model(smallConfig('LlamaForCausalLM'));
    const controller = new AbortController();
    const converting = convertModel({
      dir,
      out,
      signal: controller.signal,
      onProgress: ({ bytesDone, bytes }) => {
        if (bytesDone > bytes / 3) controller.abort();
      },
    });
    await expect(converting).rejects.toMatchObject({ code: 'ABORTED' });
    expect([existsSync(out), existsSync(`${out}.partial`)]).toEqual([false, false]);
  });

  it('refuses options and folders that make no sense', async () => {
    const { dir, out } = model(smallConfig('LlamaForCausalLM'));
    const refused = (code: string) => ({ code });
    await expect(convertModel({ dir, out, type: 'q4' as 'f16' })).rejects.toMatchObject(
      refused('OPTION_INVALID'),
    );
    await expect(convertModel({ dir: join(dir, 'none'), out })).rejects.toMatchObject(
      refused('MODEL_FILES_INVALID'),
    );
    await expect(convertModel({ dir: folder, out })).rejects.toMatchObject(
      refused('MODEL_FILES_INVALID'),
    );
    await expect(
      convertModel({ dir, out: join(folder, 'no', 'such', 'folder.gguf') }),
    ).rejects.toMatchObject(refused('MODEL_WRITE_FAILED'));
    rmSync(join(dir, 'tokenizer.json'));
    await expect(convertModel({ dir, out })).rejects.toMatchObject(refused('MODEL_FILES_INVALID'));
    writeFileSync(join(dir, 'tokenizer.model'), sentencePieceModel(pieces));
    await convertModel({ dir, out });
    expect((await inspectModel(out)).tokenizer).toBe('llama');
  });
});

describe('what transformers reads otherwise or not at all', () => {
  it('refuses an index beside a model in one file, and takes that file alone without one', async () => {
    const config = smallConfig('LlamaForCausalLM');
    const { dir, out } = model(config, { shards: 2 });
    writeSafetensors(join(dir, 'model.safetensors'), randomTensors(config, 8), 'F32');
    await expect(convertModel({ dir, out })).rejects.toMatchObject({
      code: 'MODEL_CONVERT_UNSUPPORTED',
      message: expect.stringContaining('two sets of weights'),
    });
    // The shards, that no index names any more, mean nothing.
    rmSync(join(dir, 'model.safetensors.index.json'));
    await convertModel({ dir, out, type: 'f32' });
    expect(await logitError(out, config, randomTensors(config, 8))).toBeLessThan(2e-5);
  });

  it('names an adapter: without a model it is refused, beside one it is noted', async () => {
    const { dir, out } = model(smallConfig('LlamaForCausalLM'));
    writeJson(dir, 'adapter_config.json', { base_model_name_or_path: 'mill/base' });
    const { notes } = await convertModel({ dir, out });
    expect(notes).toContainEqual(expect.stringMatching(/adapter.*left out.*mill\/base/));
    rmSync(join(dir, 'config.json'));
    await expect(convertModel({ dir, out })).rejects.toMatchObject({
      code: 'MODEL_CONVERT_UNSUPPORTED',
      message: expect.stringMatching(/adapter_config\.json.*merge/),
    });
  });
});

describe('weights that compute nothing', () => {
  // They were written without a word; `refine` then dropped every document, as no score is above any threshold.
  const spoilt = (value: number) => {
    const made = model(smallConfig('LlamaForCausalLM'));
    const name = 'model.layers.0.mlp.down_proj.weight';
    const { shape, values } = made.tensors.get(name)!;
    const tensors = new Map(made.tensors).set(name, { shape, values: Float32Array.from(values) });
    tensors.get(name)!.values[5] = value;
    writeSafetensors(join(made.dir, 'model.safetensors'), tensors, 'F32');
    return made;
  };

  it('are refused by name of their tensor when they are no numbers, whatever the type', async () => {
    for (const type of ['f32', 'q8_0'] as const) {
      const { dir, out } = spoilt(Number.NaN);
      await expect(convertModel({ dir, out, type })).rejects.toMatchObject({
        code: 'MODEL_FILES_INVALID',
        message: expect.stringMatching(/down_proj.weight holds 1 values/),
      });
      expect(existsSync(out)).toBe(false);
    }
  });

  it('are refused when the type that is asked for makes them infinite', async () => {
    const { dir, out } = spoilt(1e5);
    await expect(convertModel({ dir, out, type: 'f16' })).rejects.toMatchObject({
      code: 'MODEL_CONVERT_UNSUPPORTED',
      message: expect.stringMatching(/down_proj.weight.* too large for f16; bf16 and f32/),
    });
    await convertModel({ dir, out, type: 'f32' });
  });
});
