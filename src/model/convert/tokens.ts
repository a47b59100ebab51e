/** The token table of a GGUF file and the tokens that a tokenizer adds to its vocabulary. */
import type { GgufValue } from '../gguf-write.ts';
import { isObject, type JsonObject } from './model-files.ts';
import { tokenText } from './special-tokens.ts';

/** `tokenizer.ggml.token_type`. */
export const TOKEN_TYPE = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

/** A token that is matched whole, before the text is cut. */
export interface AddedToken {
  readonly id: number;
  readonly text: string;
  readonly special: boolean;
}

/** Tokens by id; ids that nothing names are `[PAD<id>]`, unused. */
export class TokenTable {
  readonly texts: string[];
  readonly types: Int32Array;
  readonly scores: Float32Array;

  constructor(nTokens: number, score: number) {
    this.texts = Array.from({ length: nTokens }, (_, id) => `[PAD${id}]`);
    this.types = new Int32Array(nTokens).fill(TOKEN_TYPE.unused);
    this.scores = new Float32Array(nTokens).fill(score);
  }

  set(id: number, text: string, type: number, score = 0): void {
    this.texts[id] = text;
    this.types[id] = type;
    this.scores[id] = score;
  }

  /** Whether nothing names this id. */
  isFree(id: number): boolean {
    return this.types[id] === TOKEN_TYPE.unused && this.texts[id] === `[PAD${id}]`;
  }

  /** An added token: a control token, or text that is a token wherever it stands. */
  setAdded({ id, text, special }: AddedToken, score = 0): void {
    if (special || looksSpecial(text)) this.set(id, text, TOKEN_TYPE.control, score);
    else this.set(id, text.replaceAll('▁', ' '), TOKEN_TYPE.userDefined, score);
  }

  entries({ scores }: { readonly scores: boolean }): Record<string, GgufValue> {
    return {
      'tokenizer.ggml.tokens': { type: 'strings', value: this.texts },
      ...(scores && { 'tokenizer.ggml.scores': { type: 'f32s', value: this.scores } }),
      'tokenizer.ggml.token_type': { type: 'i32s', value: this.types },
    };
  }
}

/** Tokens that some models forgot to mark as special. */
function looksSpecial(text: string): boolean {
  return (
    ['<pad>', '<mask>', '<2mass>', '[@BOS@]'].includes(text) ||
    (text.startsWith('<|') && text.endsWith('|>')) ||
    (text.startsWith('<｜') && text.endsWith('｜>')) ||
    (text.startsWith('<unused') && text.endsWith('>'))
  );
}

/** Words of an added token that llama.cpp does not know, and what they do. */
const MATCHING = [
  ['lstrip', 'swallows the space in front of it'],
  ['rstrip', 'swallows the space behind it'],
  ['single_word', 'is no token within a word'],
] as const;
const MAX_NAMED = 8;

/** What the file does otherwise than the source where added tokens are matched in their own ways. */
export function matchingNotes(
  tokenizer: JsonObject | null,
  tokenizerConfig: JsonObject | null,
): string[] {
  const tokens = givenTokens(tokenizer, tokenizerConfig).filter(isObject);
  return MATCHING.flatMap(([flag, does]) => {
    const texts = new Set(tokens.filter((token) => token[flag] === true).map(tokenText));
    texts.delete(null);
    if (texts.size === 0) return [];
    const shown = [...texts].slice(0, MAX_NAMED).map((text) => JSON.stringify(text));
    const more = texts.size > MAX_NAMED ? ` and ${texts.size - MAX_NAMED} more` : '';
    return [
      `${flag} of ${shown.join(', ')}${more}: in the source it ${does}, in llama.cpp it does not`,
    ];
  });
}

/** Tokens as objects or texts, from wherever the two files name them. */
function givenTokens(tokenizer: JsonObject | null, tokenizerConfig: JsonObject | null): unknown[] {
  const decoder = tokenizerConfig?.['added_tokens_decoder'];
  return [
    ...listOf(tokenizer?.['added_tokens']),
    ...(isObject(decoder) ? Object.values(decoder) : []),
    ...namedTokens(tokenizerConfig),
  ];
}

/** Tokens that have a role or are special by name; transformers 5 says `extra_special_tokens`, a list or by name. */
export function namedTokens(tokenizerConfig: JsonObject | null): unknown[] {
  const extra = tokenizerConfig?.['extra_special_tokens'];
  const model = tokenizerConfig?.['model_specific_special_tokens'];
  return [
    ...NAMED.map((role) => tokenizerConfig?.[`${role}_token`]),
    ...listOf(tokenizerConfig?.['additional_special_tokens']),
    ...(isObject(extra) ? Object.values(extra) : listOf(extra)),
    ...(isObject(model) ? Object.values(model) : []),
  ];
}

const NAMED = ['bos', 'eos', 'unk', 'sep', 'pad', 'cls', 'mask'];

/**
 * The added tokens of tokenizer.json, and those that tokenizer_config.json adds: each gets the id that its text has in the
 * vocabulary, else the next one.
 */
export function addedTokens(
  tokenizer: JsonObject,
  tokenizerConfig: JsonObject | null,
  vocabulary: ReadonlyMap<string, number>,
): AddedToken[] {
  const added = new Map<string, AddedToken>();
  let next = vocabulary.size;
  const take = (text: string, special: boolean, given: number | null): void => {
    if (added.has(text)) return;
    const id = given ?? vocabulary.get(text) ?? next;
    added.set(text, { id, text, special });
    next = Math.max(next, id + 1);
  };
  for (const token of listOf(tokenizer['added_tokens'])) {
    const text = tokenText(token);
    if (text === null || !isObject(token) || !Number.isSafeInteger(token['id'])) continue;
    take(text, token['special'] === true, token['id'] as number);
  }
  const decoder = tokenizerConfig?.['added_tokens_decoder'];
  for (const token of isObject(decoder) ? Object.values(decoder) : []) {
    const text = tokenText(token);
    if (text !== null && isObject(token)) take(text, token['special'] === true, null);
  }
  for (const token of namedTokens(tokenizerConfig)) {
    const text = tokenText(token);
    if (text !== null) take(text, true, null);
  }
  return [...added.values()];
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
