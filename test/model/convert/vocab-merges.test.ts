import { describe, expect, it } from 'vitest';
import { splitWords } from '../../../src/model/tokenizer-training.ts';
import { byteLevelTokenizer, naiveByteBpe } from '../../support/hf-model.ts';
import {
  byteLevel,
  convert,
  cutBy,
  encode,
  pattern,
  refusal,
  sample,
  splitting,
} from './tokenizer-support.ts';

describe('vocab.json with merges.txt', () => {
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
});
