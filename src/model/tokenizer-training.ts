/**
 * Tokenizer training: byte-level BPE on a stream of texts, written as GGUF, so that llama.cpp tokenizes with it.
 *
 * Texts are cut into words by GPT-2's expression, which llama.cpp calls `gpt-2`; merges never cross a word. Words are
 * counted in bounded memory: beyond `maxWords` distinct ones those that occurred least are forgotten (Misra and
 * Gries's idea: what is frequent survives).
 *
 *     ids   0 <|endoftext|> (end of a document, control) | 1..256 bytes | merges, most frequent first
 *
 * @see Radford et al. 2019 (byte-level BPE); Sennrich et al. 2016 (merges)
 */
import { GristmillError, isGristmillError, throwIfAborted } from '../errors.ts';
import { native } from '../native/index.ts';
import {
  abortSignal,
  checkOptions,
  iterable,
  name,
  number,
  type OptionTable,
  whole,
} from '../options.ts';
import { learnMerges } from './bpe.ts';
import { BYTE_CHARACTERS, toByteCharacters } from './byte-alphabet.ts';
import { writeGgufMetadata } from './gguf-write.ts';

/** Options of {@link trainTokenizer}. */
export interface TokenizerTrainingOptions {
  readonly texts: AsyncIterable<string> | Iterable<string>;
  /** Tokens in all; 257 (bytes and the end of a document) to 262,144. */
  readonly vocabSize: number;
  /** GGUF file to write. */
  readonly path: string;
  /** Distinct words that are counted at a time; default 2,000,000. */
  readonly maxWords?: number;
  readonly signal?: AbortSignal;
}

/** What came out; `nTokens` may be below what was asked for when the texts have too few pairs. */
export interface TrainedTokenizer {
  readonly path: string;
  readonly nTokens: number;
  readonly nTexts: number;
  readonly nBytes: number;
}

/** The token that ends a document. */
export const END_OF_TEXT = '<|endoftext|>';

const WORDS = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;
const NORMAL = 1;
const CONTROL = 3;
const MIN_VOCAB = 257;
const MAX_VOCAB = 2 ** 18;
/** Longer words (encoded data, runs of marks) teach no merge. */
const MAX_WORD_CHARS = 64;

const OPTION_TABLE: OptionTable<TokenizerTrainingOptions> = {
  texts: iterable,
  vocabSize: number,
  path: name,
  maxWords: whole(1),
  signal: abortSignal,
};

/**
 * Trains a tokenizer.
 *
 * @throws OPTION_INVALID, TRAIN_DATA_TOO_SMALL when there is no text, MODEL_WRITE_FAILED, ABORTED
 */
export async function trainTokenizer(options: TokenizerTrainingOptions): Promise<TrainedTokenizer> {
  checkOptions<TokenizerTrainingOptions>('trainTokenizer', options, OPTION_TABLE, [
    'texts',
    'vocabSize',
    'path',
  ]);
  const { texts, vocabSize, path, maxWords = 2_000_000, signal } = options;
  if (!Number.isSafeInteger(vocabSize) || vocabSize < MIN_VOCAB || vocabSize > MAX_VOCAB) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'vocabSize',
      expected: `a whole number in ${MIN_VOCAB}..${MAX_VOCAB}`,
      received: vocabSize,
    });
  }
  const counts = new Map<string, number>();
  let nTexts = 0;
  let nBytes = 0;
  for await (const text of texts) {
    checkAborted(signal);
    nTexts++;
    nBytes += Buffer.byteLength(text);
    countWords(text, counts);
    if (counts.size > maxWords) forget(counts, maxWords >> 1);
  }
  if (counts.size === 0) {
    throw new GristmillError('TRAIN_DATA_TOO_SMALL', {
      what: 'words to train a tokenizer on',
      minimum: 1,
      received: 0,
    });
  }
  const words = new Map<string, number>();
  for (const [word, count] of counts) words.set(toByteCharacters(word), count);
  const merges = learn(words, vocabSize - MIN_VOCAB, signal);
  // Two merges may make the same string: it is one token then.
  const strings = merges.map(({ left, right }) => left + right);
  const tokens = [END_OF_TEXT, ...new Set([...BYTE_CHARACTERS, ...strings])];
  writeGgufMetadata(path, {
    'general.architecture': { type: 'string', value: 'llama' },
    'general.name': { type: 'string', value: 'gristmill tokenizer' },
    'tokenizer.ggml.model': { type: 'string', value: 'gpt2' },
    'tokenizer.ggml.pre': { type: 'string', value: 'gpt-2' },
    'tokenizer.ggml.tokens': { type: 'strings', value: tokens },
    'tokenizer.ggml.token_type': {
      type: 'i32s',
      value: Int32Array.from(tokens, (_, id) => (id === 0 ? CONTROL : NORMAL)),
    },
    'tokenizer.ggml.merges': {
      type: 'strings',
      value: merges.map(({ left, right }) => `${left} ${right}`),
    },
    'tokenizer.ggml.bos_token_id': { type: 'u32', value: 0 },
    'tokenizer.ggml.eos_token_id': { type: 'u32', value: 0 },
    'tokenizer.ggml.add_bos_token': { type: 'bool', value: false },
  });
  return { path, nTokens: tokens.length, nTexts, nBytes };
}

/** The words of a text, as llama.cpp's `gpt-2` cuts it. */
export function splitWords(text: string): string[] {
  return text.match(WORDS) ?? [];
}

function countWords(text: string, counts: Map<string, number>): void {
  for (const [word] of text.matchAll(WORDS)) {
    if (word.length > MAX_WORD_CHARS) continue;
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
}

/** Forgets the words that occurred least until `nLeft` or fewer are left. */
function forget(counts: Map<string, number>, nLeft: number): void {
  for (let bound = 1; counts.size > nLeft; bound *= 2) {
    for (const [word, count] of counts) if (count <= bound) counts.delete(word);
  }
}

function learn(words: ReadonlyMap<string, number>, nMerges: number, signal?: AbortSignal) {
  try {
    return learnMerges(words, nMerges, 2, signal);
  } catch (error) {
    checkAborted(signal);
    throw error;
  }
}

function checkAborted(signal: AbortSignal | undefined): void {
  throwIfAborted(signal, 'tokenizer training');
}

/**
 * True when a tokenizer lies there that can be used: a cut one, as a full disk or another version may have left it, is
 * trained again instead of refused for ever.
 */
export async function isTokenizer(path: string): Promise<boolean> {
  try {
    (await native().openTokenizer(path)).dispose();
    return true;
  } catch (error) {
    if (isGristmillError(error, 'ENGINE_MODEL_MISSING')) return false;
    if (isGristmillError(error, 'ENGINE_MODEL_INVALID')) return false;
    throw error;
  }
}
