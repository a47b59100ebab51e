/**
 * The older form of a byte-level tokenizer: vocab.json and merges.txt, without tokenizer.json, brought into the form of
 * tokenizer.json.
 *
 * Neither file says how a text is cut before merges: `tokenizer_class` of tokenizer_config.json does, or the kind of the
 * model. Classes whose cut is not known here are refused: another cut would give other tokens without a word.
 */
import { join } from 'node:path';
import {
  hasFile,
  invalidFile,
  isObject,
  type JsonObject,
  MAX_TOKENIZER_BYTES,
  readJson,
  readJsonIfThere,
  readText,
  unsupported,
} from './model-files.ts';
import { QWEN2 } from './pre-tokenizer.ts';
import { tokenText } from './special-tokens.ts';
import { namedTokens } from './tokens.ts';

const VOCAB = 'vocab.json';
const MERGES = 'merges.txt';
const CONFIG = 'tokenizer_config.json';

interface KnownClass {
  readonly normalizer: JsonObject | null;
  /** A pattern in front of the bytes; none for that of GPT-2. */
  readonly pattern: string | null;
  /** Tokens that the class has where the files name none. */
  readonly defaults: JsonObject;
}

const END = '<|endoftext|>';
const CLASSES = new Map<string, KnownClass>([
  [
    'GPT2Tokenizer',
    {
      normalizer: null,
      pattern: null,
      defaults: { bos_token: END, eos_token: END, unk_token: END },
    },
  ],
  [
    'Qwen2Tokenizer',
    {
      normalizer: { type: 'NFC' },
      pattern: QWEN2,
      defaults: { eos_token: END, unk_token: END, pad_token: END },
    },
  ],
]);
const CLASS_OF_MODEL = new Map([
  ['gpt2', 'GPT2Tokenizer'],
  ['qwen2', 'Qwen2Tokenizer'],
  ['qwen3', 'Qwen2Tokenizer'],
]);

/** The two files of a tokenizer, in the forms of today. */
export interface OlderTokenizer {
  /** As tokenizer.json has it. */
  readonly tokenizer: JsonObject;
  /** tokenizer_config.json, with what special_tokens_map.json and the class say besides. */
  readonly tokenizerConfig: JsonObject;
}

/**
 * Reads vocab.json and merges.txt of a folder; null where it has neither.
 *
 * @throws MODEL_FILES_INVALID, MODEL_CONVERT_UNSUPPORTED
 */
export function readVocabMerges(
  dir: string,
  config: JsonObject,
  tokenizerConfig: JsonObject | null,
): OlderTokenizer | null {
  const files = [VOCAB, MERGES];
  const missing = files.filter((name) => !hasFile(dir, name));
  if (missing.length === files.length) return null;
  if (missing.length > 0) {
    const other = files.find((name) => !missing.includes(name))!;
    throw invalidFile(join(dir, missing[0]!), `is missing beside ${other}, without tokenizer.json`);
  }
  const { normalizer, pattern, defaults } = classOf(dir, config, tokenizerConfig);
  const all = { ...defaults, ...readJsonIfThere(dir, 'special_tokens_map.json') };
  const complete = { ...all, ...tokenizerConfig };
  const vocab = readJson(join(dir, VOCAB), MAX_TOKENIZER_BYTES);
  const bytes = {
    type: 'ByteLevel',
    add_prefix_space: complete['add_prefix_space'] === true,
    use_regex: pattern === null,
  };
  const split = { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false };
  return {
    tokenizer: {
      normalizer,
      pre_tokenizer: pattern === null ? bytes : { type: 'Sequence', pretokenizers: [split, bytes] },
      model: { type: 'BPE', vocab, merges: readMerges(join(dir, MERGES)) },
      added_tokens: addedOf(dir, complete, vocab),
    },
    tokenizerConfig: complete,
  };
}

function classOf(dir: string, config: JsonObject, tokenizerConfig: JsonObject | null): KnownClass {
  const given = tokenizerConfig?.['tokenizer_class'];
  const name =
    typeof given === 'string'
      ? given.replace(/Fast$/, '')
      : CLASS_OF_MODEL.get(String(config['model_type']));
  const known = name === undefined ? undefined : CLASSES.get(name);
  if (known) return known;
  const found = name === undefined ? `no tokenizer_class in ${CONFIG}` : `tokenizer_class ${name}`;
  const classes = [...CLASSES.keys()].join(' and ');
  const way = 'save the tokenizer with transformers, which writes tokenizer.json';
  throw unsupported(dir, `${VOCAB} and ${MERGES}`, `${found}, known are ${classes}: ${way}`);
}

/** A pair a line, behind a line with the version. */
function readMerges(file: string): string[] {
  const lines = readText(file, MAX_TOKENIZER_BYTES).split('\n');
  const merges: string[] = [];
  for (const [index, text] of lines.entries()) {
    const line = text.endsWith('\r') ? text.slice(0, -1) : text;
    if (line.startsWith('#version') || line === '') continue;
    const parts = line.split(' ');
    if (parts.length !== 2 || parts.includes('')) {
      const shown = JSON.stringify(line.slice(0, 100));
      throw invalidFile(file, `line ${index + 1}: expected two tokens and a space, found ${shown}`);
    }
    merges.push(line);
  }
  return merges;
}

/** Tokens beside the vocabulary with their ids, as three files name them. */
function addedOf(dir: string, tokenizerConfig: JsonObject, vocab: JsonObject): JsonObject[] {
  const added = new Map<string, JsonObject>();
  const named = new Set(namedTokens(tokenizerConfig).map(tokenText));
  const decoder = tokenizerConfig['added_tokens_decoder'];
  for (const [id, token] of isObject(decoder) ? Object.entries(decoder) : []) {
    const content = tokenText(token);
    if (content === null || !isObject(token) || !/^\d{1,9}$/.test(id)) continue;
    added.set(content, { ...token, content, id: Number(id) });
  }
  for (const [content, id] of Object.entries(readJsonIfThere(dir, 'added_tokens.json') ?? {})) {
    if (!Number.isSafeInteger(id)) {
      throw invalidFile(
        join(dir, 'added_tokens.json'),
        `${JSON.stringify(content)}: expected an id`,
      );
    }
    if (!added.has(content)) added.set(content, { content, id, special: named.has(content) });
  }
  for (const content of named) {
    if (content === null || added.has(content) || !Object.hasOwn(vocab, content)) continue;
    added.set(content, { content, id: vocab[content], special: true });
  }
  return [...added.values()].sort((a, b) => Number(a['id']) - Number(b['id']));
}
