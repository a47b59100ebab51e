import { describe, expect, it } from 'vitest';
import { splitWords } from '../../../src/model/tokenizer-training.ts';
import {
  byteLevelTokenizer,
  naiveByteBpe,
  naiveSentencePiece,
  sentencePieceModel,
  smallConfig,
  type TestPiece,
  trainedPieces,
} from '../../support/hf-model.ts';
import {
  byteLevel,
  CASELESS,
  convert,
  cutBy,
  encode,
  pattern,
  refusal,
  sample,
  splitting,
} from './tokenizer-support.ts';

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
