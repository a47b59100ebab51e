/** Merged models against sums in plain numbers, value by value; and what is refused, by name and value. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readHeader } from '../../../src/model/convert/safetensors.ts';
import { inspectModel } from '../../../src/model/inspect.ts';
import { mergeModels } from '../../../src/model/merge/merge.ts';
import { RANDOM_MODEL_PRESETS, writeRandomModel } from '../../../src/model/random.ts';
import { splitWords } from '../../../src/model/tokenizer-training.ts';
import { native } from '../../../src/native/index.ts';
import { formatGguf, parseGguf } from '../../support/gguf-edit.ts';
import { readGguf } from '../../support/gguf-read.ts';
import {
  byteLevelTokenizer,
  type HfTensors,
  smallConfig,
  writeJson,
  writeModel,
  writeRawSafetensors,
  writeSafetensors,
} from '../../support/hf-model.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-merge-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

async function gguf(name: string, seed: number, type: 'f32' | 'bf16' | 'q8_0' = 'f32', more = {}) {
  const path = at(name);
  await writeRandomModel({ ...RANDOM_MODEL_PRESETS.tiny, type, seed, path, ...more });
  return path;
}

/** Values of a tensor in plain numbers: f32, or bf16 as the upper half of one. */
function valuesOf(bytes: Buffer, type: number): number[] {
  if (type === 0) {
    return Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(4 * index));
  }
  const wide = Buffer.alloc(4);
  return Array.from({ length: bytes.length / 2 }, (_, index) => {
    wide.writeUInt16LE(bytes.readUInt16LE(2 * index), 2);
    return wide.readFloatLE();
  });
}

/** The nearest bfloat16, ties to even. */
function toBf16(value: number): number {
  const bits = Buffer.alloc(4);
  bits.writeFloatLE(value);
  const whole = bits.readUInt32LE();
  const rounded = (whole + 0x7fff + ((whole >>> 16) & 1)) >>> 16;
  bits.writeUInt32LE((rounded << 16) >>> 0);
  return bits.readFloatLE();
}

const WEIGHTS = [0.2, 0.5, 0.3];

describe('GGUF files', () => {
  it.each([
    ['f32', 'f32'],
    ['bf16', 'f32'],
    ['bf16', 'bf16'],
    ['f32', 'bf16'],
  ] as const)('are the sums in plain numbers: %s to %s', async (from, to) => {
    const inputs = await Promise.all(
      [1, 2, 3].map((seed) => gguf(`${from}-${seed}.gguf`, seed, from)),
    );
    const out = at(`${from}-${to}.gguf`);
    const summary = await mergeModels({ inputs, out, weights: WEIGHTS, type: to });
    const [models, merged] = [inputs.map(readGguf), readGguf(out)];
    expect([...merged.tensors.keys()]).toEqual([...models[0]!.tensors.keys()]);
    expect(summary).toMatchObject({ form: 'gguf', nTensors: merged.tensors.size });
    for (const [name, { shape, type, bytes }] of merged.tensors) {
      const own = models.map(({ tensors }) => tensors.get(name)!);
      expect(type).toBe(shape.length > 1 && to === 'bf16' ? 30 : 0);
      const values = own.map((tensor) => valuesOf(tensor.bytes, tensor.type));
      const expected = values[0]!.map((_, index) => {
        const sum = values.reduce((total, all, model) => total + WEIGHTS[model]! * all[index]!, 0);
        return type === 30 ? toBf16(Math.fround(sum)) : Math.fround(sum);
      });
      expect(valuesOf(bytes, type)).toEqual(expected);
    }
    expect(await inspectModel(out)).toMatchObject({ runnable: true, nParams: summary.nParams });
  });

  it('keep every entry of the last one, and say what was merged', async () => {
    const inputs = [await gguf('entry-a.gguf', 1), await gguf('entry-b.gguf', 2)];
    await mergeModels({ inputs, out: at('entry.gguf'), name: 'the mean' });
    const { entries } = readGguf(at('entry.gguf'));
    expect(entries).toEqual({
      ...readGguf(inputs[1]!).entries,
      'general.name': 'the mean',
      'gristmill.merge.weights': [0.5, 0.5],
    });
    // What a merge says of itself is no reason against another one.
    await mergeModels({ inputs: [at('entry.gguf'), inputs[0]!], out: at('again.gguf') });
  });

  it('with all weight on one are that one, and the others are not read', async () => {
    const inputs = [await gguf('one-a.gguf', 1), await gguf('one-b.gguf', 2)];
    const seen: number[] = [];
    const onProgress = ({ bytes }: { readonly bytes: number }) => seen.push(bytes);
    await mergeModels({ inputs, weights: [1, 0], out: at('one.gguf'), onProgress });
    const [one, merged] = [readGguf(inputs[0]!), readGguf(at('one.gguf'))];
    for (const [name, { bytes }] of merged.tensors) {
      expect(bytes.equals(one.tensors.get(name)!.bytes)).toBe(true);
    }
    const weights = [...one.tensors.values()].reduce((sum, { bytes }) => sum + bytes.length, 0);
    expect(new Set(seen)).toEqual(new Set([weights]));
  });

  it('larger than a stretch are merged as smaller ones', async () => {
    const large = { vocabSize: 5000, nEmbd: 256, nHead: 4, nHeadKv: 2 };
    const inputs = [
      await gguf('large-a.gguf', 1, 'f32', large),
      await gguf('large-b.gguf', 2, 'f32', large),
    ];
    await mergeModels({ inputs, out: at('large.gguf'), weights: [0.25, 0.75] });
    const name = 'token_embd.weight';
    const [one, two] = inputs.map((path) => valuesOf(readGguf(path).tensors.get(name)!.bytes, 0));
    const merged = valuesOf(readGguf(at('large.gguf')).tensors.get(name)!.bytes, 0);
    expect(merged.length).toBe(5000 * 256);
    expect(
      merged.every(
        (value, index) => value === Math.fround(0.25 * one![index]! + 0.75 * two![index]!),
      ),
    ).toBe(true);
  });
});

describe('what is refused', () => {
  const refused = (file: string, what: string, reason: RegExp) =>
    expect.objectContaining({
      code: 'MODEL_MERGE_REFUSED',
      details: expect.objectContaining({ file, what, reason: expect.stringMatching(reason) }),
    });

  it('another shape, architecture or vocabulary: the entry and both values', async () => {
    const base = await gguf('base.gguf', 1);
    const cases = [
      [{ nFf: 160 }, 'entry llama.feed_forward_length', /^160, where .*base\.gguf has 128$/],
      [{ vocabSize: 600 }, 'entry llama.vocab_size', /^600, where/],
      [{ architecture: 'qwen3' }, 'entry general.architecture', /^"qwen3", where .* has "llama"$/],
    ] as const;
    for (const [more, what, reason] of cases) {
      const other = await gguf('other.gguf', 2, 'f32', more);
      const merging = mergeModels({ inputs: [other, base], out: at('never.gguf') });
      await expect(merging).rejects.toThrow(refused(other, what, reason));
    }
    expect(readdirSync(folder)).not.toContain('never.gguf');
  });

  it('a tokenizer that differs in one token', async () => {
    const base = await gguf('base.gguf', 1);
    const file = parseGguf(base);
    const tokens = file.entries.get('tokenizer.ggml.tokens')!.value as string[];
    tokens[300] = 'another';
    writeFileSync(at('other.gguf'), formatGguf(file));
    const merging = mergeModels({ inputs: [at('other.gguf'), base], out: at('never.gguf') });
    await expect(merging).rejects.toThrow(
      refused(at('other.gguf'), 'entry tokenizer.ggml.tokens', /an array of \d+/),
    );
  });

  it('a tensor of another shape, missing, or over', async () => {
    const base = await gguf('base.gguf', 1);
    const name = 'blk.0.attn_q.weight';
    const changed = async (change: (file: ReturnType<typeof parseGguf>) => void) => {
      const file = parseGguf(base);
      change(file);
      writeFileSync(at('other.gguf'), formatGguf(file));
      return mergeModels({ inputs: [at('other.gguf'), base], out: at('never.gguf') });
    };
    const there = (file: ReturnType<typeof parseGguf>) =>
      file.tensors.findIndex((one) => one.name === name);
    await expect(
      changed((file) => {
        file.tensors[there(file)]!.extents = [32n, 128n];
      }),
    ).rejects.toThrow(
      refused(at('other.gguf'), `tensor ${name}`, /^shape \[128, 32\], where .* has \[64, 64\]$/),
    );
    await expect(changed((file) => file.tensors.splice(there(file), 1))).rejects.toThrow(
      refused(at('other.gguf'), `tensor ${name}`, /^missing/),
    );
    await expect(
      changed((file) => file.tensors.push({ ...file.tensors[0]!, name: 'more' })),
    ).rejects.toThrow(refused(at('other.gguf'), 'tensor more', /^not in/));
  });

  it('quantised types by their name', async () => {
    const inputs = [await gguf('q-a.gguf', 1, 'q8_0'), await gguf('q-b.gguf', 2)];
    await expect(mergeModels({ inputs, out: at('never.gguf') })).rejects.toThrow(
      refused(
        inputs[0]!,
        'tensor token_embd.weight',
        /^type q8_0; averaged are f32, f16 and bf16$/,
      ),
    );
  });

  it('a value that is no number: where it is', async () => {
    const base = await gguf('base.gguf', 1);
    const file = parseGguf(base);
    file.tensors
      .find(({ name }) => name === 'output_norm.weight')!
      .bytes.writeFloatLE(Number.NaN, 4 * 7);
    writeFileSync(at('other.gguf'), formatGguf(file));
    const merging = mergeModels({ inputs: [base, at('other.gguf')], out: at('never.gguf') });
    await expect(merging).rejects.toThrow(
      refused(at('other.gguf'), 'tensor output_norm.weight', /^value 7 is NaN$/),
    );
    expect(readdirSync(folder).filter((name) => name.includes('never'))).toEqual([]);
  });

  it.each([
    [{ weights: [0.5, 0.6] }, 'weights', 1.1],
    [{ weights: [1.5, -0.5] }, /^weights, of /, 1.5],
    [{ weights: [1] }, 'weights', 1],
    [{ type: 'q8_0' as never }, 'type', '"q8_0"'],
  ])('options: %j', async (wrong, option, received) => {
    const inputs = [await gguf('base.gguf', 1), await gguf('base-2.gguf', 2)];
    await expect(mergeModels({ inputs, out: at('never.gguf'), ...wrong })).rejects.toThrow(
      expect.objectContaining({
        code: 'OPTION_INVALID',
        details: expect.objectContaining({
          option: typeof option === 'string' ? option : expect.stringMatching(option),
          received,
        }),
      }),
    );
  });

  it('an output over one of its inputs', async () => {
    const inputs = [await gguf('base.gguf', 1), await gguf('base-2.gguf', 2)];
    await expect(mergeModels({ inputs, out: inputs[0]! })).rejects.toThrow(
      /OPTION_INVALID|none of the inputs/,
    );
  });

  it('an abort leaves no file', async () => {
    const inputs = [await gguf('base.gguf', 1), await gguf('base-2.gguf', 2)];
    const controller = new AbortController();
    const merging = mergeModels({
      inputs,
      out: at('never.gguf'),
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(merging).rejects.toThrow(expect.objectContaining({ code: 'ABORTED' }));
    expect(readdirSync(folder).filter((name) => name.includes('never'))).toEqual([]);
  });
});

describe('safetensors', () => {
  const config = smallConfig('LlamaForCausalLM');
  const cut = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };

  function model(name: string, more: Parameters<typeof writeModel>[2] = {}): HfTensors {
    const tensors = writeModel(at(name), config, more);
    writeJson(at(name), 'tokenizer.json', byteLevelTokenizer(splitWords, cut));
    return tensors;
  }

  async function read(path: string): Promise<Map<string, Float32Array>> {
    const bytes = readFileSync(path);
    const found = new Map<string, Float32Array>();
    for (const { name, offset, bytes: size, type } of readHeader(path, path)) {
      const values = new Float32Array(size / (type === 'f32' ? 4 : 2));
      const [source, target] = [
        bytes.subarray(offset, offset + size),
        new Uint8Array(values.buffer),
      ];
      await native().convertRows({
        source: Uint8Array.from(source),
        from: type,
        target,
        to: 'f32',
        columns: Math.max(1, values.length),
      });
      found.set(name, values);
    }
    return found;
  }

  it('folders: the sums, the last one’s tokenizer and a config that names the type', async () => {
    const parts = [model('hf-a', { seed: 1 }), model('hf-b', { seed: 2 })];
    writeJson(at('hf-b'), 'config.json', { ...config, torch_dtype: 'bfloat16' });
    const inputs = [at('hf-a'), at('hf-b')];
    const { form } = await mergeModels({
      inputs,
      out: at('hf'),
      weights: [0.75, 0.25],
      type: 'f32',
    });
    expect(form).toBe('folder');
    expect(readdirSync(at('hf')).sort()).toEqual([
      'config.json',
      'model.safetensors',
      'tokenizer.json',
    ]);
    expect(JSON.parse(readFileSync(join(at('hf'), 'config.json'), 'utf8'))).toEqual({
      ...config,
      torch_dtype: 'float32',
    });
    const merged = await read(join(at('hf'), 'model.safetensors'));
    expect(merged.size).toBe(parts[0]!.size);
    for (const [name, values] of merged) {
      const [one, two] = parts.map((tensors) => tensors.get(name)!.values);
      expect(values).toEqual(values.map((_, index) => 0.75 * one![index]! + 0.25 * two![index]!));
    }
  });

  it('files of different storage; f16 out, and values that are too large for it', async () => {
    const tensors = (values: number[]): HfTensors =>
      new Map([['w', { shape: [2, 2], values: Float32Array.from(values) }]]);
    writeSafetensors(at('one.safetensors'), tensors([1, 2, 3, 4]), 'F32');
    writeSafetensors(at('two.safetensors'), tensors([3, 2, 1, 0]), 'BF16');
    const inputs = [at('one.safetensors'), at('two.safetensors')];
    await mergeModels({ inputs, out: at('both.safetensors'), type: 'f16' });
    expect([...(await read(at('both.safetensors'))).get('w')!]).toEqual([2, 2, 2, 2]);
    writeSafetensors(at('two.safetensors'), tensors([3e5, 2, 1, 0]), 'F32');
    await expect(
      mergeModels({ inputs, out: at('both-2.safetensors'), type: 'f16' }),
    ).rejects.toThrow(/tensor w: 1 of the merged values are too large for f16/);
  });

  it('empty tensors, and names that objects have of themselves', async () => {
    const header = JSON.stringify({
      constructor: { dtype: 'F32', shape: [1], data_offsets: [0, 4] },
      empty: { dtype: 'F32', shape: [0, 3], data_offsets: [4, 4] },
    })
      .replace(
        '{"constructor"',
        '{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"constructor"',
      )
      .replaceAll('[4,4]', '[8,8]');
    for (const name of ['e-1.safetensors', 'e-2.safetensors']) {
      writeRawSafetensors(at(name), header, Buffer.from(Float32Array.of(1, 2).buffer));
    }
    await mergeModels({
      inputs: [at('e-1.safetensors'), at('e-2.safetensors')],
      out: at('e.safetensors'),
    });
    const merged = await read(at('e.safetensors'));
    expect(
      Object.fromEntries([...merged].map(([name, values]) => [`of ${name}`, [...values]])),
    ).toEqual({
      'of __proto__': [2],
      'of constructor': [1],
      'of empty': [],
    });
  });

  it('refuses another tokenizer, another config, and another form', async () => {
    model('hf-a', { seed: 1 });
    const base = at('hf-a');
    cpSync(base, at('hf-c'), { recursive: true });
    const against = (input: string) => mergeModels({ inputs: [input, base], out: at('hf-never') });
    writeJson(at('hf-c'), 'tokenizer.json', {
      ...byteLevelTokenizer(splitWords, cut),
      truncation: {},
    });
    await expect(against(at('hf-c'))).rejects.toThrow(/tokenizer\.json: another content/);
    cpSync(base, at('hf-c'), { recursive: true, force: true });
    writeJson(at('hf-c'), 'config.json', { ...config, rope_theta: 7, torch_dtype: 'float16' });
    await expect(against(at('hf-c'))).rejects.toThrow(
      /config\.json, rope_theta: 7, where .* has 10000/,
    );
    await expect(against(await gguf('form.gguf', 1))).rejects.toThrow(
      /its form: gguf, where .* is folder/,
    );
    mkdirSync(at('nothing'));
    await expect(against(at('nothing'))).rejects.toThrow(
      expect.objectContaining({ code: 'MODEL_FILES_INVALID' }),
    );
    await expect(against(at('not-there'))).rejects.toThrow(/is missing/);
  });
});
