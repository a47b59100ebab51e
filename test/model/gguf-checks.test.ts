/**
 * Model files that make llama.cpp abort the process. Each was, or could be, an end of the host (`SIGABRT`, `SIGSEGV`) instead of
 * an error: block counts of 513 to 1024, a token that is there twice, norms in a type that has no kernel. The rest are their
 * siblings, and random changes of seeded files: `GRISTMILL_FUZZ=20000 npx vitest run test/model/gguf-checks.test.ts`.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../src/model/random.ts';
import { writeDocumentScorer } from '../lines/support.ts';
import { formatGguf, type GgufFile, type GgufTensor, parseGguf } from '../support/gguf-edit.ts';
import { changed } from '../support/gguf-mutate.ts';
import { ModelOpener } from '../support/model-opener.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-gguf-'));
const opener = new ModelOpener();
const NAMES = ['spm', 'bpe', 'score'] as const;
type Base = (typeof NAMES)[number];
const pathOf = (base: Base) =>
  join(folder, base === 'score' ? 'base.score.gguf' : `base-${base}.gguf`);

beforeAll(async () => {
  const tiny = { ...RANDOM_MODEL_PRESETS.tiny, nEmbd: 32, nHead: 2, nFf: 32, seed: 3 } as const;
  await writeRandomModel({ ...tiny, path: pathOf('spm'), type: 'f32' });
  await writeRandomModel({
    ...tiny,
    path: pathOf('bpe'),
    architecture: 'qwen3',
    tokenizer: 'bpe',
    type: 'q8_0',
  });
  const { trainer } = await writeDocumentScorer(pathOf('score'));
  await trainer.dispose();
});
afterAll(() => {
  opener.close();
  rmSync(folder, { recursive: true, force: true });
});

async function openBytes(base: Base, bytes: Buffer) {
  const path = join(folder, base === 'score' ? 'edited.score.gguf' : 'edited.gguf');
  writeFileSync(path, bytes);
  return opener.open(path);
}

const edit = async (base: Base, change: (file: GgufFile) => void) => {
  const file = parseGguf(pathOf(base));
  change(file);
  return openBytes(base, formatGguf(file));
};

const u32 = (value: number) => ({ type: 4, value });
const f32 = (value: number) => ({ type: 6, value });
const text = (value: string) => ({ type: 8, value });
const set = (key: string, value: { type: number; value: unknown; inner?: number }) =>
  [
    `${key} = ${JSON.stringify(value.value)}`,
    (file: GgufFile) => void file.entries.set(key, value),
  ] as const;
const tensor = (file: GgufFile, name: string): GgufTensor =>
  file.tensors.find((t) => t.name === name)!;
/** As many zeros as the tensor has in another type. */
const typed = (name: string, type: number, bytes: number) =>
  [
    `${name} of type ${type}`,
    (file: GgufFile) =>
      void Object.assign(tensor(file, name), { type, bytes: Buffer.alloc(bytes) }),
  ] as const;
const tokens = (file: GgufFile) => file.entries.get('tokenizer.ggml.tokens')!.value as string[];

describe('files that llama.cpp cannot bear', () => {
  it.each(NAMES)('%s as it was made is fine', async (base) => {
    const opened = await edit(base, () => {});
    expect(opened).toEqual({
      model: 'ok',
      tokenizer: base === 'score' ? null : 'ok',
      inspected: 'ok',
    });
  });

  it.each([
    ...[0, 513, 600, 1024, 1025, 2 ** 32 - 1].map((n) => set('llama.block_count', u32(n))),
    set('llama.block_count', { type: 9, inner: 4, value: [2, 2] }),
    set('llama.expert_count', u32(2000)),
    set('llama.expert_count', u32(4)),
    set('llama.expert_used_count', u32(2)),
    set('llama.expert_group_count', u32(1)),
    set('llama.nextn_predict_layers', u32(3)),
    set('llama.nextn_predict_layers', u32(2)),
    set('llama.attention.head_count', u32(0)),
    set('llama.attention.head_count', { type: 9, inner: 5, value: [2, 1] }),
    set('llama.attention.head_count_kv', { type: 9, inner: 5, value: [2, 1] }),
    set('llama.attention.head_count_kv', u32(0)),
    set('llama.attention.key_length', u32(8)),
    set('llama.attention.value_length', u32(8)),
    set('llama.rope.dimension_count', u32(8)),
    set('llama.rope.scaling.type', text('unspecified')),
    set('llama.rope.scaling.type', text('')),
    set('llama.attention.layer_norm_rms_epsilon', f32(-1)),
    set('llama.attention.layer_norm_rms_epsilon', f32(Number.NaN)),
    set('llama.attention.causal', { type: 7, value: false }),
    set('llama.embedding_length_out', u32(8)),
    set('llama.pooling_type', u32(77)),
    set('llama.context_length', u32(0)),
    set('split.count', { type: 2, value: 2 }),
    set('split.count', u32(2)),
    set('tokenizer.ggml.bos_token_id', u32(1_000_000)),
    set('tokenizer.ggml.tokens', u32(3)),
    set('tokenizer.ggml.tokens', { type: 9, inner: 8, value: [] }),
    set('tokenizer.ggml.scores', u32(3)),
    set('tokenizer.ggml.scores', { type: 9, inner: 6, value: [1] }),
    set('tokenizer.ggml.token_type', { type: 9, inner: 5, value: [1, 1] }),
    set('tokenizer.ggml.merges', u32(3)),
    set('general.alignment', u32(8)),
    ['a token twice', (file) => void tokens(file).splice(300, 1, tokens(file)[301]!)],
    [
      'two tokens that differ behind a zero byte',
      (file) => void tokens(file).splice(300, 1, `${tokens(file)[301]}\0x`),
    ],
    [
      'a token named as an empty one',
      (file) => void Object.assign(tokens(file), { 300: '', 301: '[EMPTY_300]' }),
    ],
    typed('output_norm.weight', 2, 18),
    typed('output_norm.weight', 1, 64),
    typed('blk.0.attn_norm.weight', 30, 64),
    typed('blk.1.ffn_norm.weight', 8, 34),
    typed('token_embd.weight', 24, 32 * 512),
    typed('blk.0.attn_q.weight', 24, 32 * 32),
    typed('blk.0.attn_q.weight', 28, 8 * 32 * 32),
    [
      'a bias in f16',
      (file) =>
        void file.tensors.push({
          name: 'blk.0.attn_q.bias',
          extents: [32n],
          type: 1,
          bytes: Buffer.alloc(64),
        }),
    ],
    [
      'rotations in f16',
      (file) =>
        void file.tensors.push({
          name: 'rope_freqs.weight',
          extents: [8n],
          type: 1,
          bytes: Buffer.alloc(16),
        }),
    ],
    [
      'an empty tensor',
      (file) =>
        void Object.assign(tensor(file, 'output.weight'), {
          extents: [32n, 0n],
          bytes: Buffer.alloc(0),
        }),
    ],
    [
      'a tensor of 2^62 values',
      (file) => void tensor(file, 'output.weight').extents.splice(0, 2, 2n ** 31n, 2n ** 31n),
    ],
  ] as (readonly [string, (file: GgufFile) => void])[])('refuses %s', async (_, change) => {
    const opened = await edit('spm', change);
    expect(opened.model).toMatch(/^ENGINE_(MODEL_INVALID|ARCHITECTURE_UNSUPPORTED) model /);
    expect(opened.tokenizer).toMatch(/^(ok|ENGINE_MODEL_INVALID)/);
  });

  it.each([
    set('qwen3.expert_count', u32(4)),
    set('qwen3.rope.dimension_count', u32(8)),
    typed('blk.0.attn_q_norm.weight', 1, 32),
    typed('blk.1.attn_k_norm.weight', 30, 32),
  ] as (readonly [string, (file: GgufFile) => void])[])(
    'refuses a qwen3 with %s',
    async (_, change) => {
      expect((await edit('bpe', change)).model).toMatch(/^ENGINE_MODEL_INVALID model /);
    },
  );

  it.each([
    set('llama-embed.block_count', u32(600)),
    set('llama-embed.vocab_size', u32(2 ** 32 - 1)),
    set('llama-embed.embedding_length_out', u32(8)),
    set('llama-embed.attention.layer_norm_rms_epsilon', f32(-1)),
    set('tokenizer.ggml.model', text('gpt2')),
    typed('output_norm.weight', 1, 96),
  ] as (readonly [string, (file: GgufFile) => void])[])(
    'refuses a scorer with %s',
    async (_, change) => {
      expect((await edit('score', change)).model).toMatch(/^ENGINE_MODEL_INVALID model /);
    },
  );

  it('refuses more entries and tensors than any model has, at once', async () => {
    for (const at of [8, 16]) {
      const bytes = formatGguf(parseGguf(pathOf('spm')));
      bytes.writeBigUInt64LE(10n ** 9n, at);
      expect((await openBytes('spm', bytes)).model).toMatch(/^ENGINE_MODEL_INVALID .*1000000000 /);
    }
  });

  it('says of weights that are no numbers that decoding failed, and gives no verdict', async () => {
    const spoil = (name: string) => (file: GgufFile) => {
      const target = tensor(file, name);
      target.bytes = Buffer.from(target.bytes);
      target.bytes.writeFloatLE(Number.NaN, 0);
    };
    expect((await edit('spm', spoil('output_norm.weight'))).model).toMatch(
      /^ENGINE_DECODE_FAILED .*no finite number/,
    );
    expect((await edit('score', spoil('output_norm.weight'))).model).toMatch(
      /^ENGINE_DECODE_FAILED .*no finite number/,
    );
  });

  it(
    'survives random changes',
    async () => {
      const count = Number(process.env['GRISTMILL_FUZZ'] ?? 300);
      const firstSeed = Number(process.env['GRISTMILL_FUZZ_SEED'] ?? 1);
      const files = NAMES.map((base) => [base, parseGguf(pathOf(base))] as const);
      const bad: string[] = [];
      let refused = 0;
      for (let seed = firstSeed; seed < firstSeed + count; seed++) {
        const [base, file] = files[seed % files.length]!;
        const { bytes, what } = changed(file, seed);
        const answers = Object.values(await openBytes(base, bytes));
        if (answers.some((answer) => answer !== null && answer !== 'ok')) refused++;
        const wrong = answers.find((answer) => /^(died|uncoded)/.test(answer ?? ''));
        if (wrong) bad.push(`seed ${seed}, ${base}, ${what}: ${wrong}`);
      }
      expect(bad.slice(0, 5)).toEqual([]);
      expect(refused).toBeGreaterThan(count / 10);
    },
    12 * 3600_000,
  );
});
