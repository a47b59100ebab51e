/**
 * How a byte-level tokenizer cuts a text before it merges, by the name that llama.cpp has for it.
 *
 * llama.cpp knows patterns by name only, so the steps of tokenizer.json are brought into one form and looked up. A form that
 * is not listed is refused with its patterns: a name that cuts otherwise would give other tokens without a word.
 *
 * @see native/vendor/llama.cpp/src/llama-vocab.cpp, the patterns behind the names
 */
import { isObject, type JsonObject, unsupported } from './model-files.ts';

interface KnownForm {
  /** `tokenizer.ggml.pre`. */
  readonly name: string;
  readonly steps: readonly string[];
  /** Words that are tokens are taken whole, before any merge; null where it makes no difference. */
  readonly ignoreMerges: boolean | null;
  /** Where llama.cpp's pattern of that name is not quite this one. */
  readonly note?: string;
}

/** Step of `ByteLevel` with its own pattern, that of GPT-2. */
const GPT2 = 'bytes:gpt2';
const BYTES = 'bytes';
const DIGITS = 'digits';
const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const TAIL = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;
const OTHERS = String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*`;
const LETTERS = String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`;
const UPPER = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const LOWER = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const CASED = (end: string): string =>
  String.raw`[^\r\n\p{L}\p{N}]?${UPPER}*${LOWER}+${end}|[^\r\n\p{L}\p{N}]?${UPPER}+${LOWER}*${end}`;
const SLASHED = String.raw` ?[^\s\p{L}\p{N}]+[\r\n/]*`;

const LLAMA3 = String.raw`${CONTRACTIONS}|${LETTERS}|\p{N}{1,3}|${OTHERS}|${TAIL}`;
/** Pattern of Qwen 2 and 3. */
export const QWEN2 = String.raw`${CONTRACTIONS}|${LETTERS}|\p{N}|${OTHERS}|${TAIL}`;
const TEKKEN = String.raw`${CASED('')}|\p{N}|${SLASHED}|${TAIL}`;
const GPT4O = String.raw`${CASED(`${CONTRACTIONS}?`)}|\p{N}{1,3}|${SLASHED}|${TAIL}`;

const PUNCTUATION = '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]';
const DEEPSEEK3 = String.raw`${PUNCTUATION}[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|${TAIL}`;

/** Measured with the vocabulary of gpt-4o: 107 of 30,000 lines, every one of them with such letters. */
const CASES =
  'llama.cpp cuts words with combining marks (Thai, Hindi) and capitals beyond A to Z otherwise than this tokenizer';

const KNOWN: readonly KnownForm[] = [
  { name: 'llama-bpe', steps: [split(LLAMA3), BYTES], ignoreMerges: true },
  // The same pattern without `ignore_merges`.
  { name: 'smaug-bpe', steps: [split(LLAMA3), BYTES], ignoreMerges: false },
  { name: 'qwen2', steps: [split(QWEN2), BYTES], ignoreMerges: false },
  { name: 'tekken', steps: [split(TEKKEN), BYTES], ignoreMerges: null, note: CASES },
  { name: 'gpt-4o', steps: [split(GPT4O), BYTES], ignoreMerges: false, note: CASES },
  { name: 'gpt-2', steps: [GPT2], ignoreMerges: false },
  { name: 'smollm', steps: [DIGITS, GPT2], ignoreMerges: false },
  {
    name: 'deepseek-v3',
    steps: [split(String.raw`\p{N}{1,3}`), split('[一-龥぀-ゟ゠-ヿ]+'), split(DEEPSEEK3), BYTES],
    ignoreMerges: false,
  },
  {
    name: 'deepseek-coder',
    steps: [
      split(String.raw`[\r\n]`),
      split(String.raw`\s?\p{L}+`),
      split(String.raw`\s?\p{P}+`),
      split('[一-龥ࠀ-一가-퟿]+'),
      DIGITS,
      BYTES,
    ],
    ignoreMerges: false,
  },
];

/**
 * llama.cpp's name for the pre-tokenizer of a tokenizer.json, and what it does otherwise.
 *
 * @throws MODEL_CONVERT_UNSUPPORTED naming the pattern
 */
export function preTokenizerOf(
  tokenizer: JsonObject,
  dir: string,
): { readonly name: string; readonly notes: readonly string[] } {
  const steps = stepsOf(tokenizer['pre_tokenizer'], dir);
  const model = tokenizer['model'];
  const ignoreMerges = isObject(model) && model['ignore_merges'] === true;
  const forms = KNOWN.filter((form) => sameSteps(form.steps, steps));
  const found = forms.find((form) => (form.ignoreMerges ?? ignoreMerges) === ignoreMerges);
  if (found) return { name: found.name, notes: found.note ? [found.note] : [] };
  const known = forms[0];
  if (known) {
    const reason = `ignore_merges ${ignoreMerges} with the pattern of ${known.name}`;
    throw unsupported(dir, 'tokenizer.json', reason);
  }
  const shown = steps.map((step) => step.replace(/^split:/, 'pattern ')).join(', then ');
  throw unsupported(dir, 'pre_tokenizer', `not known to llama.cpp under any name: ${shown}`);
}

function sameSteps(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((step, index) => step === other[index]);
}

function split(pattern: string): string {
  return `split:${pattern}`;
}

function stepsOf(pre: unknown, dir: string): string[] {
  const refuse = (reason: string) => unsupported(dir, 'pre_tokenizer', reason);
  if (!isObject(pre)) throw refuse('tokenizer.json has none');
  if (pre['type'] === 'Sequence') {
    const list = pre['pretokenizers'];
    if (!Array.isArray(list) || list.length > 32) throw refuse('its sequence is no short list');
    return list.flatMap((step: unknown) => {
      if (isObject(step) && step['type'] === 'Sequence') throw refuse('a sequence in a sequence');
      return stepsOf(step, dir);
    });
  }
  switch (pre['type']) {
    case 'ByteLevel':
      if (pre['add_prefix_space'] === true) throw refuse('ByteLevel with add_prefix_space');
      return [pre['use_regex'] === false ? BYTES : GPT2];
    case 'Digits':
      if (pre['individual_digits'] !== true) throw refuse('Digits without individual_digits');
      return [DIGITS];
    case 'Split': {
      const pattern = pre['pattern'];
      const regex = isObject(pattern) ? pattern['Regex'] : undefined;
      if (typeof regex !== 'string') throw refuse('Split by a string, not by a pattern');
      // Cutting at matches and keeping only the matches are the same where matches cover the text.
      const isolated = pre['behavior'] === 'Isolated' && pre['invert'] !== true;
      const kept = pre['behavior'] === 'Removed' && pre['invert'] === true;
      if (!isolated && !kept) throw refuse(`Split with behavior ${String(pre['behavior'])}`);
      // Line ends may stand in a pattern as they are or escaped.
      return [split(regex.replaceAll('\r', '\\r').replaceAll('\n', '\\n'))];
    }
    default:
      throw refuse(`step ${String(pre['type'])}`);
  }
}
