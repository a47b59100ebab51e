/**
 * Byte-level BPE of a tokenizer.json → GGUF's `gpt2` tokenizer: tokens in the byte alphabet, merges, added tokens.
 *
 * @see Radford et al. 2019
 */
import * as z from 'zod';
import type { GgufValue } from '../gguf-write.ts';
import { checked, isObject, type JsonObject, unsupported } from './model-files.ts';
import { preTokenizerOf } from './pre-tokenizer.ts';
import { addedTokens, TOKEN_TYPE, TokenTable } from './tokens.ts';

/** A tokenizer.json and what belongs to it. */
export interface TokenizerJson {
  readonly file: string;
  readonly dir: string;
  readonly tokenizer: JsonObject;
  readonly tokenizerConfig: JsonObject | null;
  /** Rows of the embedding table. */
  readonly nVocab: number;
}

/** A converted tokenizer. */
export interface ConvertedTokenizer {
  readonly entries: Record<string, GgufValue>;
  /** What the converted tokenizer does otherwise, in words. */
  readonly notes: readonly string[];
}

/** Ids by text; not z.record(), which drops a token `__proto__`. */
const vocabulary = z.custom<Readonly<Record<string, number>>>(
  (value) =>
    isObject(value) &&
    Object.values(value).every(
      (id) => typeof id === 'number' && Number.isSafeInteger(id) && id >= 0,
    ),
  { error: 'expected ids of 0 or more by text' },
);

const none = z.union([z.null(), z.literal('')]).optional();

/** `model` of a tokenizer.json. */
export const bpeModel = z.looseObject({
  type: z.literal('BPE'),
  vocab: vocabulary,
  merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  dropout: z.null().optional(),
  continuing_subword_prefix: none,
  end_of_word_suffix: none,
  byte_fallback: z.boolean().nullish(),
});

/** @throws MODEL_FILES_INVALID, MODEL_CONVERT_UNSUPPORTED */
export function convertByteBpe(input: TokenizerJson): ConvertedTokenizer {
  const { tokenizer, tokenizerConfig, nVocab, dir, file } = input;
  const model = checked(bpeModel, tokenizer['model'], `${file}, model`);
  const pre = preTokenizerOf(tokenizer, dir);
  const notes = [...normaliserNotes(tokenizer['normalizer'], dir), ...pre.notes];
  const vocabulary = new Map(Object.entries(model.vocab));
  const table = new TokenTable(nVocab, 0);
  for (const [text, id] of vocabulary) {
    table.set(checkedId(id, text, nVocab, dir), text, TOKEN_TYPE.normal);
  }
  for (const token of addedTokens(tokenizer, tokenizerConfig, vocabulary)) {
    checkedId(token.id, token.text, nVocab, dir);
    table.setAdded(token);
  }
  const merges = model.merges.map((merge) => mergeText(merge, dir));
  return {
    entries: {
      'tokenizer.ggml.model': { type: 'string', value: 'gpt2' },
      'tokenizer.ggml.pre': { type: 'string', value: pre.name },
      ...table.entries({ scores: false }),
      // llama.cpp wants the list, be it empty.
      'tokenizer.ggml.merges': { type: 'strings', value: merges },
    },
    notes,
  };
}

/** An id below the rows of the embedding table. @throws MODEL_CONVERT_UNSUPPORTED */
export function checkedId(id: number, text: string, nVocab: number, dir: string): number {
  if (id < nVocab) return id;
  const reason = `token ${JSON.stringify(text)} has id ${id}, config.json says ${nVocab} tokens`;
  throw unsupported(dir, 'vocab_size', reason);
}

/** Two tokens and a space between; older files have it so, newer ones a pair, in which a space is that of the alphabet. */
function mergeText(merge: string | readonly [string, string], dir: string): string {
  if (typeof merge !== 'string') return merge.map((part) => part.replaceAll(' ', 'Ġ')).join(' ');
  const space = merge.indexOf(' ');
  if (space <= 0 || space !== merge.lastIndexOf(' ') || space === merge.length - 1) {
    throw unsupported(dir, 'merges', `${JSON.stringify(merge)} is no pair of tokens`);
  }
  return merge;
}

function normaliserNotes(normaliser: unknown, dir: string): string[] {
  if (normaliser === null || normaliser === undefined) return [];
  if (isObject(normaliser) && normaliser['type'] === 'NFC') {
    return ['the tokenizer brings text into NFC first, llama.cpp does not: give it NFC text'];
  }
  const list = isObject(normaliser) ? normaliser['normalizers'] : null;
  if (Array.isArray(list)) return list.flatMap((step: unknown) => normaliserNotes(step, dir));
  const type = isObject(normaliser) ? String(normaliser['type']) : 'of an unknown form';
  throw unsupported(dir, 'normalizer', `${type} in front of a byte-level tokenizer`);
}
