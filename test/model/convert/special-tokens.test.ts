import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convertTokenizer } from '../../../src/model/convert/tokenizer.ts';
import { splitWords } from '../../../src/model/tokenizer-training.ts';
import { byteLevelTokenizer, smallConfig } from '../../support/hf-model.ts';
import { byteLevel, convert, encode, type Files, folderWith } from './tokenizer-support.ts';

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
