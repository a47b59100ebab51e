import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { convertModel } from '../../../src/model/convert/convert.ts';
import { convertTokenizer } from '../../../src/model/convert/tokenizer.ts';
import { splitWords } from '../../../src/model/tokenizer-training.ts';
import { native } from '../../../src/native.ts';
import { seeded } from '../../support/corpus.ts';
import { readGguf } from '../../support/gguf-read.ts';
import {
  byteLevelTokenizer,
  naiveByteBpe,
  naiveSentencePiece,
  sentencePieceModel,
  smallConfig,
  TEXTS,
  type TestPiece,
  trainedPieces,
  writeJson,
  writeModel,
} from '../../support/hf-model.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-convert-tokenizer-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let nFolders = 0;

type Files = Record<string, unknown>;

/** A folder with a small model and these files; a Buffer is written as it is. */
function folderWith(files: Files, config = smallConfig('LlamaForCausalLM')): string {
  const dir = join(folder, `${nFolders++}`);
  writeModel(dir, { ...config, num_hidden_layers: 1 });
  for (const [name, value] of Object.entries(files)) {
    if (Buffer.isBuffer(value) || typeof value === 'string') writeFileSync(join(dir, name), value);
    else writeJson(dir, name, value);
  }
  return dir;
}

async function convert(files: Files, config?: Record<string, unknown>) {
  const dir = folderWith(files, config);
  const out = `${dir}.gguf`;
  const { notes } = await convertModel({ dir, out, type: 'q8_0' });
  return { out, notes, entries: readGguf(out).entries as Record<string, unknown> };
}

function refusal(files: Files, nVocab = 600): { code?: string; message: string } {
  try {
    convertTokenizer(folderWith(files), {}, { architecture: 'llama', nVocab });
  } catch (error) {
    return error as { code?: string; message: string };
  }
  return { message: 'nothing was thrown' };
}

async function encode(path: string, texts: readonly string[]): Promise<number[][]> {
  const tokenizer = await native().openTokenizer(path);
  const parts = texts.map((text) => Buffer.from(text));
  const offsets = Int32Array.from([0, ...parts]);
  for (const [index, part] of parts.entries()) offsets[index + 1] = offsets[index]! + part.length;
  const { ids, starts } = await tokenizer.encode({ data: Buffer.concat(parts), offsets });
  tokenizer.dispose();
  return texts.map((_, index) => [...ids.subarray(starts[index], starts[index + 1])]);
}

/** TEXTS, and words of theirs in any order. */
function sample(): string[] {
  const random = seeded(11);
  const words = TEXTS.flatMap((text) => text.split(/(?<=\s)/));
  const mixed = Array.from({ length: 150 }, () =>
    Array.from({ length: 1 + Math.floor(random() * 12) }, () => {
      return words[Math.floor(random() * words.length)]!;
    }).join(random() < 0.5 ? '' : '  '),
  );
  return [...TEXTS, ...mixed];
}

// The patterns as tokenizer.json has them, and the same for JavaScript, which has no (?i:…) in Node 20.
const CASELESS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const SPELLED = "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]";
const pattern = (digits: string) =>
  String.raw`${CASELESS}|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const splitting = (digits: string) => {
  const regex = new RegExp(pattern(digits).replace(CASELESS, SPELLED), 'gu');
  return (text: string): string[] => text.match(regex) ?? [];
};
const byteLevel = (useRegex: boolean) => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});
const cutBy = (regex: string) => ({
  type: 'Sequence',
  pretokenizers: [
    { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false },
    byteLevel(false),
  ],
});
const smollm = {
  type: 'Sequence',
  pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel(true)],
};
const splitDigits = (text: string) => text.split(/(\p{N})/u).flatMap((part) => splitWords(part));

describe('byte-level tokenizers', () => {
  it.each([
    ['gpt-2', splitWords, byteLevel(true), {}],
    ['llama-bpe', splitting('{1,3}'), cutBy(pattern('{1,3}')), { ignoreMerges: true }],
    ['smaug-bpe', splitting('{1,3}'), cutBy(pattern('{1,3}')), { pairs: true }],
    ['qwen2', splitting(''), cutBy(pattern('')), { pairs: true }],
    ['smollm', splitDigits, smollm, {}],
  ] as const)('%s: the tokens of a naive encoder', async (pre, split, preTokenizer, options) => {
    const tokenizer = byteLevelTokenizer(split, preTokenizer, options);
    const { out, entries } = await convert({ 'tokenizer.json': tokenizer });
    expect(entries['tokenizer.ggml.pre']).toBe(pre);
    const texts = sample();
    const expected = texts.map((text) => naiveByteBpe(tokenizer, split, text));
    expect(await encode(out, texts)).toEqual(expected);
  });

  it('fills the table: added tokens with their types, gaps, words of tokenizer_config.json', async () => {
    const added = [
      { content: '<eos>', special: true },
      { content: '<|looks_special|>', special: false },
      { content: '<plain▁text>', special: false },
    ];
    const tokenizer = byteLevelTokenizer(splitWords, byteLevel(true), { added, nMerges: 100 });
    const nBase = Object.keys(tokenizer.model.vocab).length;
    const { entries } = await convert({
      'tokenizer.json': tokenizer,
      'tokenizer_config.json': {
        eos_token: { content: '<eos>' },
        pad_token: '<new>',
        add_bos_token: false,
      },
    });
    const tokens = entries['tokenizer.ggml.tokens'] as string[];
    const types = entries['tokenizer.ggml.token_type'] as number[];
    expect(tokens).toHaveLength(600);
    expect(tokens.slice(nBase, nBase + 5)).toEqual([
      '<eos>',
      '<|looks_special|>',
      '<plain text>',
      '<new>',
      `[PAD${nBase + 4}]`,
    ]);
    expect(types.slice(nBase - 1, nBase + 5)).toEqual([1, 3, 3, 4, 3, 5]);
    expect(entries).toMatchObject({
      'tokenizer.ggml.eos_token_id': nBase,
      'tokenizer.ggml.add_bos_token': false,
    });
    expect(entries).not.toHaveProperty('tokenizer.ggml.scores');
  });

  it.each([
    ['GPT2Tokenizer', 'gpt-2', splitWords, byteLevel(true), null],
    ['Qwen2TokenizerFast', 'qwen2', splitting(''), cutBy(pattern('')), { type: 'NFC' }],
  ] as const)(
    'vocab.json and merges.txt of a %s are what tokenizer.json would be',
    async (name, pre, split, preTokenizer, normalizer) => {
      const added = [
        { content: '<|endoftext|>', special: true },
        { content: '<|im_end|>', special: true },
        { content: '<tool>', special: false },
      ];
      const tokenizer = byteLevelTokenizer(split, preTokenizer, { added });
      const { vocab, merges } = tokenizer.model;
      const nBase = Object.keys(vocab).length;
      const config = { tokenizer_class: name, eos_token: '<|im_end|>', pad_token: '<|endoftext|>' };
      const older = {
        'vocab.json': vocab,
        'merges.txt': `#version: 0.2\n${merges.join('\n')}\n`,
      };
      const whole = await convert({
        'tokenizer.json': { ...tokenizer, normalizer },
        'tokenizer_config.json': {
          ...config,
          unk_token: '<|endoftext|>',
          ...(pre === 'gpt-2' && { bos_token: '<|endoftext|>' }),
        },
      });
      const decoder = {
        [nBase]: { content: '<|endoftext|>', special: true },
        [nBase + 1]: { content: '<|im_end|>', special: true },
      };
      const parts = await convert({
        ...older,
        'tokenizer_config.json': { ...config, added_tokens_decoder: decoder },
        'added_tokens.json': { '<|im_end|>': nBase + 1, '<tool>': nBase + 2 },
      });
      expect(parts.entries['tokenizer.ggml.pre']).toBe(pre);
      for (const { entries } of [parts, whole]) delete entries['general.name'];
      expect(parts.entries).toEqual(whole.entries);
      expect(parts.notes).toEqual(whole.notes);
      const texts = sample();
      const expected = texts.map((text) => naiveByteBpe(tokenizer, split, text));
      expect(await encode(parts.out, texts)).toEqual(expected);
    },
  );

  it('refuses vocab.json and merges.txt that do not say how a text is cut, or are damaged', () => {
    const { model } = byteLevelTokenizer(splitWords, byteLevel(true), { nMerges: 20 });
    const older = { 'vocab.json': model.vocab, 'merges.txt': model.merges.join('\n') };
    const config = { 'tokenizer_config.json': { tokenizer_class: 'GPT2Tokenizer' } };
    expect(refusal(older).message).toMatch(
      /vocab\.json and merges\.txt.*no tokenizer_class.*GPT2Tokenizer and Qwen2Tokenizer.*writes tokenizer\.json/,
    );
    const other = { 'tokenizer_config.json': { tokenizer_class: 'CodeGenTokenizer' } };
    expect(refusal({ ...older, ...other }).message).toContain('tokenizer_class CodeGenTokenizer');
    expect(refusal({ 'vocab.json': model.vocab, ...config }).message).toMatch(
      /merges\.txt.*is missing beside vocab\.json/,
    );
    const torn = { ...older, 'merges.txt': '#version: 0.2\na b\nab\n' };
    expect(refusal({ ...torn, ...config }).message).toMatch(
      /merges\.txt.*line 3: expected two tokens.*"ab"/,
    );
    const prefixed = {
      'tokenizer_config.json': { tokenizer_class: 'GPT2Tokenizer', add_prefix_space: true },
    };
    expect(refusal({ ...older, ...prefixed }).message).toContain('add_prefix_space');
    expect(refusal({}).message).toContain('no tokenizer.model, nor vocab.json with');
  });

  it('writes spaces in pairs as the alphabet has them', async () => {
    const tokenizer = byteLevelTokenizer(splitWords, byteLevel(true), { pairs: true, nMerges: 3 });
    tokenizer.model.merges = [['a', ' b']];
    const { entries } = await convert({ 'tokenizer.json': tokenizer });
    expect(entries['tokenizer.ggml.merges']).toEqual(['a Ġb']);
  });

  it('notes NFC, and refuses what changes the text otherwise', async () => {
    const tokenizer = byteLevelTokenizer(splitWords, byteLevel(true));
    const { notes } = await convert({
      'tokenizer.json': { ...tokenizer, normalizer: { type: 'NFC' } },
    });
    expect(notes).toContainEqual(expect.stringContaining('NFC'));
    const lower = { type: 'Sequence', normalizers: [{ type: 'NFC' }, { type: 'Lowercase' }] };
    const { message } = refusal({ 'tokenizer.json': { ...tokenizer, normalizer: lower } });
    expect(message).toContain('Lowercase in front of');
  });

  it.each([
    ['an unknown pattern', cutBy('[a-z]+|.'), 'pattern [a-z]+|.'],
    ['no pre-tokenizer', null, 'has none'],
    ['a prefix space', { ...byteLevel(true), add_prefix_space: true }, 'add_prefix_space'],
    ['white space', { type: 'Whitespace' }, 'step Whitespace'],
    ['groups of digits', { type: 'Digits', individual_digits: false }, 'Digits without'],
    [
      'another behaviour',
      { type: 'Split', pattern: { Regex: 'a' }, behavior: 'MergedWithNext' },
      'MergedWithNext',
    ],
  ])('refuses %s by name', (_, preTokenizer, reason) => {
    const tokenizer = byteLevelTokenizer(splitWords, preTokenizer, { nMerges: 5 });
    const { code, message } = refusal({ 'tokenizer.json': tokenizer });
    expect([code, message]).toEqual(['MODEL_CONVERT_UNSUPPORTED', expect.stringContaining(reason)]);
  });

  it('knows the cased patterns, and notes where llama.cpp cuts otherwise', async () => {
    const cased = (end: string) =>
      String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+${end}|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*${end}`;
    const tail = String.raw`| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
    for (const [pre, regex, ignoreMerges] of [
      ['tekken', String.raw`${cased('')}|\p{N}${tail}`, true],
      ['gpt-4o', String.raw`${cased(`${CASELESS}?`)}|\p{N}{1,3}${tail}`, false],
    ] as const) {
      const tokenizer = byteLevelTokenizer(splitWords, cutBy(regex), { ignoreMerges });
      const { entries, notes } = await convert({ 'tokenizer.json': tokenizer });
      expect(entries['tokenizer.ggml.pre']).toBe(pre);
      expect(notes).toContainEqual(expect.stringContaining('combining marks'));
    }
  });

  it('refuses ignore_merges where llama.cpp has no name for it', () => {
    const tokenizer = byteLevelTokenizer(splitting(''), cutBy(pattern('')), { ignoreMerges: true });
    expect(refusal({ 'tokenizer.json': tokenizer }).message).toContain(
      'ignore_merges true with the pattern of qwen2',
    );
  });

  it('refuses tables that do not fit', () => {
    const tokenizer = byteLevelTokenizer(splitWords, byteLevel(true), { nMerges: 5 });
    const { model } = tokenizer;
    const altered = (more: object) =>
      refusal({ 'tokenizer.json': { ...tokenizer, model: { ...model, ...more } } });
    expect(altered({ vocab: { ...model.vocab, x1: 700 } }).message).toContain('id 700');
    expect(altered({ vocab: { ...model.vocab, x1: -1 } }).code).toBe('MODEL_FILES_INVALID');
    expect(altered({ merges: ['a b c'] }).message).toContain('"a b c" is no pair');
    expect(altered({ merges: [['a']] }).code).toBe('MODEL_FILES_INVALID');
    expect(altered({ merges: null }).code).toBe('MODEL_FILES_INVALID');
    expect(altered({ end_of_word_suffix: '</w>' }).code).toBe('MODEL_FILES_INVALID');
    expect(altered({ type: 'Unigram' }).message).toContain('model Unigram, not BPE');
    expect(refusal({ 'tokenizer.json': '[]' }).code).toBe('MODEL_FILES_INVALID');
    expect(refusal({}).message).toContain('no tokenizer.model');
  });
});

describe('SentencePiece', () => {
  const pieces = trainedPieces();

  it('gives the tokens of a naive encoder', async () => {
    const { out, entries, notes } = await convert({
      'tokenizer.model': sentencePieceModel(pieces),
    });
    expect([entries['tokenizer.ggml.model'], entries['tokenizer.ggml.pre']]).toEqual([
      'llama',
      'default',
    ]);
    expect(notes).toEqual([]);
    const texts = sample();
    const expected = texts.map((text) => naiveSentencePiece(pieces, text));
    expect(await encode(out, texts)).toEqual(expected);
    expect(expected.flat().some((id) => id >= 3 && id < 259)).toBe(true);
  });

  it('fills the table from all four files', async () => {
    const at = pieces.length;
    const { entries } = await convert({
      'tokenizer.model': sentencePieceModel(pieces),
      'added_tokens.json': { '[ADDED]': at },
      'tokenizer_config.json': {
        add_prefix_space: false,
        bos_token: '<s>',
        added_tokens_decoder: {
          1: { content: '<s>', special: true },
          [at + 1]: { content: 'plain▁text', special: false },
          [at + 2]: { content: '<|im_end|>', special: false },
        },
        chat_template: '{{ messages }}',
      },
      'config.json': {
        ...smallConfig('LlamaForCausalLM'),
        num_hidden_layers: 1,
        eos_token_id: 2,
        bos_token_id: 1,
        pad_token_id: -1,
      },
    });
    const column = (key: string) =>
      (entries[`tokenizer.ggml.${key}`] as unknown[]).slice(at, at + 4);
    expect(column('tokens')).toEqual(['[ADDED]', 'plain text', '<|im_end|>', `[PAD${at + 3}]`]);
    expect(column('token_type')).toEqual([4, 4, 3, 5]);
    expect(column('scores')).toEqual([-1000, -1000, -1000, -10000]);
    expect(entries).toMatchObject({
      'tokenizer.ggml.bos_token_id': 1,
      'tokenizer.ggml.eos_token_id': 2,
      'tokenizer.ggml.add_space_prefix': false,
      'tokenizer.chat_template': '{{ messages }}',
    });
    expect(entries).not.toHaveProperty('tokenizer.ggml.padding_token_id');
  });

  it('says what llama.cpp does otherwise, and refuses what it cannot do', async () => {
    const withOptions = (options: Parameters<typeof sentencePieceModel>[1]) => ({
      'tokenizer.model': sentencePieceModel(pieces, options),
    });
    const { notes, entries } = await convert(
      withOptions({ charsmap: 'x', extraSpaces: true, dummyPrefix: false }),
    );
    expect(notes).toHaveLength(2);
    expect(entries['tokenizer.ggml.add_space_prefix']).toBe(false);
    expect(refusal(withOptions({ modelType: 1 })).message).toContain('not BPE');
    expect(refusal(withOptions({ suffix: true })).message).toContain('spaces end a word');
    const noBytes = pieces.filter(({ type }) => type !== 6);
    expect(refusal({ 'tokenizer.model': sentencePieceModel(noBytes) }).message).toContain(
      'no byte piece <0x00>',
    );
    expect(refusal({ 'tokenizer.model': sentencePieceModel(pieces) }, 300).message).toContain(
      'config.json says 300',
    );
    const outside = {
      'tokenizer.model': sentencePieceModel(pieces),
      'added_tokens.json': { x: 1e9 },
    };
    expect(refusal(outside).message).toContain('id 1000000000');
  });
});

/** tokenizer.json of the same pieces, with every split of a piece as a merge, as Hugging Face writes it. */
function bytefallbackJson(pieces: readonly TestPiece[]) {
  const normal = pieces.filter(({ type }) => type === 1);
  const texts = new Set(normal.map(({ text }) => text));
  const merges = [...normal]
    .sort((one, other) => other.score - one.score)
    .flatMap(({ text }) => {
      const characters = [...text];
      return characters.slice(1).flatMap((_, at): string[] => {
        const left = characters.slice(0, at + 1).join('');
        const right = characters.slice(at + 1).join('');
        return texts.has(left) && texts.has(right) ? [`${left} ${right}`] : [];
      });
    });
  return {
    added_tokens: ['<unk>', '<s>', '</s>'].map((content, id) => ({ id, content, special: true })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    } as unknown,
    pre_tokenizer: null as unknown,
    post_processor: null,
    model: {
      type: 'BPE',
      byte_fallback: true,
      vocab: Object.fromEntries(pieces.map(({ text }, id) => [text, id])),
      merges,
    },
  };
}

describe('tokenizer.json with byte fallback', () => {
  const pieces = trainedPieces();
  const json = bytefallbackJson(pieces);

  it('gives the tokens of the SentencePiece model', async () => {
    const { out, entries } = await convert({ 'tokenizer.json': json });
    expect(entries['tokenizer.ggml.model']).toBe('llama');
    const texts = sample();
    expect(await encode(out, texts)).toEqual(texts.map((text) => naiveSentencePiece(pieces, text)));
    expect((entries['tokenizer.ggml.token_type'] as number[]).slice(0, 4)).toEqual([3, 3, 3, 6]);
  });

  it.each([
    ['always', true],
    ['first', true],
    ['never', false],
  ])('reads Metaspace: %s', async (prepend_scheme, prefix) => {
    const pre_tokenizer = { type: 'Metaspace', replacement: '▁', prepend_scheme, split: false };
    const { entries, notes } = await convert({
      'tokenizer.json': { ...json, normalizer: null, pre_tokenizer },
    });
    expect(entries['tokenizer.ggml.add_space_prefix']).toBe(prefix ? undefined : false);
    // llama.cpp has no word for `first`: what it does otherwise was not said.
    expect(notes.filter((note) => /special token/.test(note))).toHaveLength(
      prepend_scheme === 'first' ? 1 : 0,
    );
  });

  it('refuses merges that scores cannot say', () => {
    const { merges } = json.model;
    const altered = (changed: string[]) =>
      refusal({ 'tokenizer.json': { ...json, model: { ...json.model, merges: changed } } });
    expect(altered(merges.slice(1)).message).toContain('do not merge though');
    const twice = merges.findIndex(
      (merge, at) => merge.replace(' ', '') === merges[at + 1]?.replace(' ', ''),
    );
    expect(twice).toBeGreaterThanOrEqual(0);
    const moved = [...merges.filter((_, at) => at !== twice), merges[twice]!];
    expect(altered(moved).message).toContain('interlaced');
    expect(altered([...merges, 'zz zz']).message).toContain('is no piece');
  });

  it.each([
    [
      { pre_tokenizer: { type: 'Metaspace', replacement: '▁', split: true }, normalizer: null },
      'cuts at spaces',
    ],
    [{ pre_tokenizer: { type: 'Whitespace' } }, 'Whitespace with byte fallback'],
    [{ normalizer: null }, 'has none'],
    [{ normalizer: { type: 'NFKC' } }, 'step NFKC'],
    [{ normalizer: { type: 'Prepend', prepend: '▁' } }, 'not replaced'],
  ])('refuses %j', (more, reason) => {
    expect(refusal({ 'tokenizer.json': { ...json, ...more } }).message).toContain(reason);
  });
});

describe('tokenizer.model beside tokenizer.json', () => {
  const pieces = trainedPieces();
  const model = { 'tokenizer.model': sentencePieceModel(pieces) };
  const first = pieces.length;
  const withAdded = (...added: { id: number; content: string; special: boolean }[]) => {
    const json = bytefallbackJson(pieces);
    return { ...json, added_tokens: [...json.added_tokens, ...added] };
  };

  it('has the tokens that tokenizer.json adds, and those of transformers 5', async () => {
    const turn = { id: first, content: '<|turn|>', special: true };
    const { entries } = await convert({
      ...model,
      'tokenizer.json': withAdded(turn),
      'tokenizer_config.json': { extra_special_tokens: { image: '<image>', turn: '<|turn|>' } },
    });
    const tokens = entries['tokenizer.ggml.tokens'] as string[];
    const types = entries['tokenizer.ggml.token_type'] as number[];
    expect(tokens.slice(first, first + 2)).toEqual(['<|turn|>', '<image>']);
    expect([...types.slice(first, first + 3)]).toEqual([3, 3, 5]);
  });

  it('refuses files that disagree', () => {
    const json = withAdded();
    const moved = json.added_tokens.map((token) =>
      token.content === '</s>' ? { ...token, id: first } : token,
    );
    expect(
      refusal({ ...model, 'tokenizer.json': { ...json, added_tokens: moved } }).message,
    ).toContain(`token "</s>" is ${first} in it, 2 in the other files`);
    const taken = { id: 300, content: '<new>', special: true };
    expect(refusal({ ...model, 'tokenizer.json': withAdded(taken) }).message).toMatch(
      /token 300 is "<new>" in it, .* in tokenizer\.model/,
    );
  });
});

describe('special tokens and templates', () => {
  const added = ['<bos>', '<eos>', '<turn>'].map((content) => ({ content, special: true }));
  const tokenizer = byteLevelTokenizer(splitWords, byteLevel(true), { added, nMerges: 5 });
  const bos = tokenizer.added_tokens[0]!.id;
  const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  const sequence = (id: string) => ({ Sequence: { id, type_id: 0 } });
  const template = (single: object[], pair: object[]) => ({
    ...tokenizer,
    post_processor: { type: 'TemplateProcessing', single, pair },
  });
  const of = async (json: unknown, tokenizerConfig?: object, more: Files = {}) => {
    const files = { 'tokenizer.json': json, ...more };
    const all = tokenizerConfig ? { ...files, 'tokenizer_config.json': tokenizerConfig } : files;
    const { entries } = await convert(all);
    return Object.fromEntries(
      Object.entries(entries).filter(([key]) => /_token(_id)?$|chat_template/.test(key)),
    );
  };
  const key = (name: string) => `tokenizer.ggml.${name}`;

  it('reads what the template puts around a text', async () => {
    const framed = template(
      [special('<bos>'), sequence('A'), special('<eos>')],
      [
        special('<bos>'),
        sequence('A'),
        special('<eos>'),
        special('<bos>'),
        sequence('B'),
        special('<eos>'),
      ],
    );
    expect(await of(framed, { bos_token: '<bos>', eos_token: '<eos>' })).toEqual({
      [key('bos_token_id')]: bos,
      [key('eos_token_id')]: bos + 1,
      [key('add_bos_token')]: true,
      [key('add_eos_token')]: true,
      [key('add_sep_token')]: false,
    });
    // What ended a turn stays as the end of a turn; tokenizer_config.json has the last word on adding.
    expect(
      await of(framed, { bos_token: '<bos>', eos_token: '<turn>', add_bos_token: false }),
    ).toMatchObject({
      [key('eos_token_id')]: bos + 1,
      [key('eot_token_id')]: bos + 2,
      [key('add_bos_token')]: false,
    });
  });

  it('falls back on config.json', async () => {
    const config = {
      ...smallConfig('LlamaForCausalLM'),
      num_hidden_layers: 1,
      bos_token_id: 7,
      eos_token_id: [8, 9],
      pad_token_id: 600,
    };
    expect(await of(tokenizer, undefined, { 'config.json': config })).toEqual({
      [key('bos_token_id')]: 7,
      [key('eos_token_id')]: 8,
      [key('eot_token_id')]: 9,
    });
  });

  it('of several ends the first is the end, the others end answers too', async () => {
    const config = { ...smallConfig('LlamaForCausalLM'), num_hidden_layers: 1 };
    const convertEnds = async (inConfig: unknown, inGeneration: unknown) => {
      const { entries, notes } = await convert({
        'tokenizer.json': tokenizer,
        'config.json': { ...config, eos_token_id: inConfig },
        'generation_config.json': { eos_token_id: inGeneration },
      });
      const ids = ['eos', 'eot', 'eom'].map((role) => entries[key(`${role}_token_id`)]);
      return { ids, notes };
    };
    // The same list in both files counts once; what llama.cpp knows by its text needs no place (<eos>).
    expect(await convertEnds([8, 9, bos + 1], [9, 8])).toEqual({
      ids: [8, 9, undefined],
      notes: [],
    });
    expect(await convertEnds(undefined, [8])).toEqual({
      ids: [8, undefined, undefined],
      notes: [],
    });
    const many = await convertEnds([8, 9, 10, 11], undefined);
    expect(many.ids).toEqual([8, 9, 10]);
    expect(many.notes).toEqual([expect.stringContaining('tokens 11 too')]);
    const none = await convertEnds([], [-1, 6000, 'x']);
    expect(none.ids).toEqual([undefined, undefined, undefined]);
    expect(none.notes).toEqual([expect.stringContaining('takes token 11')]);
  });

  it('notes added tokens that are matched in ways that llama.cpp does not know', async () => {
    const flagged = [
      { content: '<tool>', special: false, lstrip: true },
      { content: 'word', special: false, single_word: true },
    ];
    const json = byteLevelTokenizer(splitWords, byteLevel(true), { added: flagged, nMerges: 5 });
    const { notes } = await convert({
      'tokenizer.json': json,
      'tokenizer_config.json': { mask_token: { content: '<mask>', rstrip: true } },
    });
    expect(notes).toEqual([
      expect.stringMatching(/^lstrip of "<tool>": .*in front/),
      expect.stringMatching(/^rstrip of "<mask>": .*behind/),
      expect.stringMatching(/^single_word of "word"/),
      expect.stringContaining('no end of a text'),
    ]);
  });

  it('loads without any merge, and keeps a token __proto__', async () => {
    const bare = byteLevelTokenizer(splitWords, byteLevel(true), { nMerges: 0 });
    const text = '__proto__';
    const vocab = JSON.parse(
      JSON.stringify(bare.model.vocab).replace(/}$/, `,${JSON.stringify(text)}:300}`),
    ) as Record<string, number>;
    const { out, entries } = await convert({
      'tokenizer.json': { ...bare, model: { ...bare.model, vocab } },
    });
    expect((entries['tokenizer.ggml.tokens'] as string[])[300]).toBe(text);
    expect(await encode(out, ['ab'])).toEqual([[vocab['a'], vocab['b']]]);
  });

  it('takes the template from wherever it is', async () => {
    const where = 'tokenizer.chat_template';
    expect(await of(tokenizer, { chat_template: 'a' }, { 'chat_template.jinja': 'b' })).toEqual({
      [where]: 'a',
    });
    expect(await of(tokenizer, {}, { 'chat_template.jinja': 'b' })).toEqual({ [where]: 'b' });
    expect(await of(tokenizer, {}, { 'chat_template.json': { chat_template: 'c' } })).toEqual({
      [where]: 'c',
    });
    expect(await of(tokenizer, undefined, { 'chat_template.jinja': 'b' })).toEqual({});
    const several = [
      { name: 'default', template: 'd' },
      { name: 'tool-use', template: 't' },
      { name: 3 },
    ];
    expect(await of(tokenizer, { chat_template: several })).toEqual({
      [where]: 'd',
      [`${where}.tool_use`]: 't',
      'tokenizer.chat_templates': ['tool_use'],
    });
    const dir = folderWith({
      'tokenizer.json': tokenizer,
      'tokenizer_config.json': {},
      'chat_template.jinja': 'b',
    });
    mkdirSync(join(dir, 'additional_chat_templates'));
    writeFileSync(join(dir, 'additional_chat_templates', 'rag.jinja'), 'r');
    const { entries } = convertTokenizer(dir, {}, { architecture: 'llama', nVocab: 600 });
    expect(entries[`${where}.rag`]).toEqual({ type: 'string', value: 'r' });
  });
});
