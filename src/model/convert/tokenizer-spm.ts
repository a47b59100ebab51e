/**
 * SentencePiece BPE → GGUF's `llama` tokenizer: pieces with scores; of two neighbours whose join is a piece, those with
 * the highest score are merged.
 *
 * From tokenizer.model the pieces come as they are. A tokenizer.json with byte fallback has ranked merges instead:
 * pieces get the negative rank as score, after a check that scores can say the same as the merges: every split
 * of a piece into two pieces must be a merge, and the merges of different pieces must not be interlaced.
 */
import { join } from 'node:path';
import type { GgufValue } from '../gguf-write.ts';
import {
  checked,
  invalidFile,
  isObject,
  type JsonObject,
  MAX_TOKENIZER_BYTES,
  readBytes,
  readJsonIfThere,
  unsupported,
} from './model-files.ts';
import { parseSentencePiece, type SentencePieceModel } from './sentencepiece-model.ts';
import { tokenText } from './special-tokens.ts';
import {
  bpeModel,
  type ConvertedTokenizer,
  checkedId,
  type TokenizerJson,
} from './tokenizer-bpe.ts';
import { type AddedToken, addedTokens, namedTokens, TOKEN_TYPE, TokenTable } from './tokens.ts';

const BPE = 2;
/** Scores of tokens that no merge makes, and of ids without a piece. */
const ADDED_SCORE = -1000;
const UNUSED_SCORE = -10_000;
/** Longer pieces are not split at every place. */
const MAX_PIECE_CHARS = 4096;
const BYTE_PIECE = /^<0x[0-9A-Fa-f]{2}>$/;

/** @throws MODEL_FILES_INVALID, MODEL_CONVERT_UNSUPPORTED */
export function convertSentencePiece(
  dir: string,
  tokenizer: JsonObject | null,
  tokenizerConfig: JsonObject | null,
  nVocab: number,
): ConvertedTokenizer {
  const file = join(dir, 'tokenizer.model');
  const model = parseSentencePiece(readBytes(file, MAX_TOKENIZER_BYTES), file);
  checkModel(model, dir);
  if (model.pieces.length > nVocab) {
    const reason = `tokenizer.model has ${model.pieces.length} pieces, config.json says ${nVocab}`;
    throw unsupported(dir, 'vocab_size', reason);
  }
  const table = new TokenTable(nVocab, UNUSED_SCORE);
  for (const [id, { text, score, type }] of model.pieces.entries()) {
    table.set(id, text, type, score);
  }
  const addedFile = readJsonIfThere(dir, 'added_tokens.json', MAX_TOKENIZER_BYTES);
  for (const [text, id] of Object.entries(addedFile ?? {})) {
    const place = checkedId(wholeId(id, join(dir, 'added_tokens.json')), text, nVocab, dir);
    table.set(place, text, TOKEN_TYPE.userDefined, ADDED_SCORE);
  }
  for (const token of decoderTokens(tokenizerConfig, dir)) {
    checkedId(token.id, token.text, nVocab, dir);
    table.setAdded(token, ADDED_SCORE);
  }
  addNamed(table, tokenizer, tokenizerConfig, dir);
  const notes: string[] = [];
  let addsSpace = model.addDummyPrefix;
  if (tokenizer) {
    const space = prependsSpace(tokenizer, dir);
    addsSpace = space.prepends;
    notes.push(...space.notes);
  } else if (addsSpace && tokenizerConfig?.['legacy'] === false) notes.push(FIRST_NOTE);
  if (model.hasCharsmap) {
    notes.push('the tokenizer normalises characters first, llama.cpp does not');
  }
  if (model.removeExtraWhitespaces) {
    notes.push('the tokenizer removes repeated spaces first, llama.cpp does not');
  }
  return { entries: entriesOf(table, addsSpace), notes };
}

/** @throws MODEL_FILES_INVALID, MODEL_CONVERT_UNSUPPORTED */
export function convertSentencePieceJson(input: TokenizerJson): ConvertedTokenizer {
  const { tokenizer, tokenizerConfig, nVocab, dir, file } = input;
  const model = checked(bpeModel, tokenizer['model'], `${file}, model`);
  const vocabulary = new Map(Object.entries(model.vocab));
  const added = addedTokens(tokenizer, tokenizerConfig, vocabulary);
  const merges = model.merges.map((merge) => {
    const pair = typeof merge === 'string' ? merge.split(' ') : merge;
    if (pair.length !== 2) throw invalidFile(file, `merge ${JSON.stringify(merge)} is no pair`);
    return pair as [string, string];
  });
  const ranks = rankPieces(merges, vocabulary, new Set(added.map(({ text }) => text)), dir);
  const table = new TokenTable(nVocab, UNUSED_SCORE);
  for (const [text, id] of vocabulary) {
    const byte = BYTE_PIECE.test(text);
    const rank = ranks.get(text) ?? merges.length;
    const type = byte ? TOKEN_TYPE.byte : TOKEN_TYPE.normal;
    table.set(checkedId(id, text, nVocab, dir), text, type, byte ? 0 : -rank);
  }
  for (const token of added) {
    checkedId(token.id, token.text, nVocab, dir);
    table.setAdded(token, ADDED_SCORE);
  }
  checkBytes(new Set(vocabulary.keys()), dir);
  const { prepends, notes } = prependsSpace(tokenizer, dir);
  return { entries: entriesOf(table, prepends), notes };
}

function entriesOf(table: TokenTable, addSpacePrefix: boolean): Record<string, GgufValue> {
  return {
    'tokenizer.ggml.model': { type: 'string', value: 'llama' },
    'tokenizer.ggml.pre': { type: 'string', value: 'default' },
    // llama.cpp puts a space in front unless it is told not to.
    ...(!addSpacePrefix && { 'tokenizer.ggml.add_space_prefix': { type: 'bool', value: false } }),
    ...table.entries({ scores: true }),
  };
}

function checkModel(model: SentencePieceModel, dir: string): void {
  const refuse = (reason: string) => unsupported(dir, 'tokenizer.model', reason);
  if (model.modelType !== BPE) {
    throw refuse(`model type ${model.modelType} (unigram, word or character), not BPE`);
  }
  if (model.treatWhitespaceAsSuffix) throw refuse('spaces end a word, they do not begin it');
  if (!model.escapeWhitespaces) throw refuse('spaces are not escaped');
  const bytes = model.pieces.filter(({ type }) => type === TOKEN_TYPE.byte);
  checkBytes(new Set(bytes.map(({ text }) => text)), dir);
}

/** llama.cpp ends in an exception at a character that is neither a piece nor made of byte pieces. */
function checkBytes(texts: ReadonlySet<string>, dir: string): void {
  for (let byte = 0; byte < 256; byte++) {
    const text = `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
    if (!texts.has(text)) throw unsupported(dir, 'tokenizer', `no byte piece ${text}`);
  }
}

/**
 * Tokens that tokenizer.json has beyond tokenizer.model, and those with a role and no id yet, as far as there is room for them.
 *
 * @throws MODEL_CONVERT_UNSUPPORTED where the files disagree: transformers reads tokenizer.json, others tokenizer.model
 */
function addNamed(
  table: TokenTable,
  tokenizer: JsonObject | null,
  tokenizerConfig: JsonObject | null,
  dir: string,
): void {
  const nTokens = table.texts.length;
  const ids = new Map<string, number>();
  for (const [id, text] of table.texts.entries()) {
    if (!table.isFree(id)) ids.set(text, id);
  }
  // A token that is plain text is in the table with its spaces as they are.
  const idOf = (text: string) => ids.get(text) ?? ids.get(text.replaceAll('▁', ' '));
  const checkPlace = (text: string, id: number): void => {
    checkedId(id, text, nTokens, dir);
    const shown = JSON.stringify(text);
    const other = idOf(text);
    if (other !== undefined && other !== id) {
      throw unsupported(
        dir,
        'tokenizer.json',
        `token ${shown} is ${id} in it, ${other} in the other files of the tokenizer`,
      );
    }
    if (other === undefined && !table.isFree(id)) {
      throw unsupported(
        dir,
        'tokenizer.json',
        `token ${id} is ${shown} in it, ${JSON.stringify(table.texts[id])} in tokenizer.model`,
      );
    }
  };
  if (tokenizer) {
    const file = join(dir, 'tokenizer.json');
    const { vocab } = checked(bpeModel, tokenizer['model'], `${file}, model`);
    const added = addedTokens(tokenizer, null, new Map());
    const texts = new Set(added.map(({ text }) => text));
    for (const [text, id] of Object.entries(vocab)) {
      checkPlace(text, id);
      if (idOf(text) === undefined && !texts.has(text)) {
        throw unsupported(
          dir,
          'tokenizer.json',
          `token ${JSON.stringify(text)} is not in tokenizer.model`,
        );
      }
    }
    for (const token of added) {
      checkPlace(token.text, token.id);
      if (idOf(token.text) !== undefined) continue;
      table.setAdded(token, ADDED_SCORE);
      ids.set(token.text, token.id);
    }
  }
  let next = 0;
  for (const id of ids.values()) next = Math.max(next, id + 1);
  for (const named of namedTokens(tokenizerConfig)) {
    const text = tokenText(named);
    if (text === null || idOf(text) !== undefined || next >= nTokens) continue;
    table.setAdded({ id: next, text, special: true }, ADDED_SCORE);
    ids.set(text, next++);
  }
}

function decoderTokens(tokenizerConfig: JsonObject | null, dir: string): AddedToken[] {
  const decoder = tokenizerConfig?.['added_tokens_decoder'];
  if (!isObject(decoder)) return [];
  const file = join(dir, 'tokenizer_config.json');
  return Object.entries(decoder).map(([key, token]) => {
    const text = tokenText(token);
    if (text === null) throw invalidFile(file, `added_tokens_decoder.${key}: no content`);
    const special = isObject(token) && token['special'] === true;
    return { id: wholeId(Number(key), file), text, special };
  });
}

function wholeId(id: unknown, file: string): number {
  if (typeof id === 'number' && Number.isSafeInteger(id) && id >= 0) return id;
  throw invalidFile(file, `token id ${JSON.stringify(id)}`);
}

/** The first rank of each piece that a merge makes. */
function rankPieces(
  merges: readonly (readonly [string, string])[],
  vocabulary: ReadonlyMap<string, number>,
  added: ReadonlySet<string>,
  dir: string,
): Map<string, number> {
  const refuse = (reason: string) =>
    unsupported(dir, 'merges', `cannot be said as scores of pieces: ${reason}`);
  const firsts = new Map<string, number>();
  const pairs = new Set<string>();
  let last = '';
  for (const [rank, [left, right]] of merges.entries()) {
    const text = left + right;
    if (!vocabulary.has(text)) throw refuse(`${JSON.stringify(text)} is no piece`);
    if (text !== last && firsts.has(text)) {
      throw refuse(`those of ${JSON.stringify(text)} are interlaced with others`);
    }
    if (!firsts.has(text)) firsts.set(text, rank);
    pairs.add(`${left} ${right}`);
    last = text;
  }
  for (const text of vocabulary.keys()) {
    if (added.has(text) || BYTE_PIECE.test(text) || text.length > MAX_PIECE_CHARS) continue;
    const characters = Array.from(text);
    for (let at = 1, left = ''; at < characters.length; at++) {
      left += characters[at - 1]!;
      const right = text.slice(left.length);
      if (!vocabulary.has(left) || !vocabulary.has(right) || added.has(left) || added.has(right)) {
        continue;
      }
      if (!pairs.has(`${left} ${right}`)) {
        const both = [left, right].map((part) => JSON.stringify(part)).join(' and ');
        throw refuse(`${both} do not merge though ${JSON.stringify(text)} is a piece`);
      }
    }
  }
  return firsts;
}

const FIRST_NOTE =
  'the tokenizer puts no space in front of text behind a special token, llama.cpp does';
const SPACED_NOTE =
  'the tokenizer puts no second space in front of a text that begins with one, llama.cpp does';

/** Whether a space is put in front of a text; everything but that and "space to ▁" is refused. */
function prependsSpace(
  tokenizer: JsonObject,
  dir: string,
): { readonly prepends: boolean; readonly notes: readonly string[] } {
  const refuse = (what: string, reason: string) => unsupported(dir, what, reason);
  const pre = tokenizer['pre_tokenizer'] ?? null;
  const normaliser = tokenizer['normalizer'] ?? null;
  if (isObject(pre)) {
    if (pre['type'] !== 'Metaspace' || pre['replacement'] !== '▁' || normaliser !== null) {
      throw refuse('pre_tokenizer', `${String(pre['type'])} with byte fallback`);
    }
    if (pre['split'] !== false) throw refuse('pre_tokenizer', 'Metaspace that cuts at spaces');
    const scheme =
      pre['prepend_scheme'] ?? (pre['add_prefix_space'] === false ? 'never' : 'always');
    if (scheme === 'never') return { prepends: false, notes: [] };
    return {
      prepends: true,
      notes: scheme === 'first' ? [SPACED_NOTE, FIRST_NOTE] : [SPACED_NOTE],
    };
  }
  const list = isObject(normaliser) ? (normaliser['normalizers'] ?? [normaliser]) : null;
  if (!Array.isArray(list)) throw refuse('normalizer', 'tokenizer.json has none');
  let prepends = false;
  let replaces = false;
  for (const step of list as unknown[]) {
    const type = isObject(step) ? step['type'] : null;
    if (isObject(step) && type === 'Prepend' && step['prepend'] === '▁' && !replaces) {
      prepends = true;
    } else if (
      isObject(step) &&
      type === 'Replace' &&
      step['content'] === '▁' &&
      isObject(step['pattern']) &&
      step['pattern']['String'] === ' '
    ) {
      replaces = true;
    } else throw refuse('normalizer', `step ${String(type)} with byte fallback`);
  }
  if (!replaces) throw refuse('normalizer', 'spaces are not replaced by ▁');
  return { prepends, notes: [] };
}
