/**
 * Refiner profiles: how a refiner is asked and how it answers, as data.
 *
 * A profile is JSON. It is found, in this order: `--profile` (a built-in name or a file), a file
 * `<model>.profile.json` beside the model, the built-in `prox`. Built-in profiles are JSON-equal constants here.
 * Sources: ProX's published scripts (prompts, 1,500-token windows, 2,000-token document prompts; arXiv 2409.17115
 * appendix A.4) and UltraX (arXiv 2607.08646: 48,000-character windows, 1-based `<lid:N>` markers).
 *
 * What `prox-web` and `prox-math` say about the first tokens of a prompt was derived from the published scripts and
 * checked against the versions that they pin (transformers 4.39.1):
 *
 *  - Document stage: the slow tokenizer of Llama-2-chat renders the template and encodes the result with
 *    add_special_tokens off; vLLM gets the ids. So BOS stands once, from the template; and as that tokenizer is not
 *    `legacy`, no space of its own comes between BOS and `[INST]`: <s> "[" "INST" "]". The template strips the message.
 *    2,000 ids are kept, counted from the left: a long document loses its ` [/INST]`.
 *  - Chunk stage: the template is rendered to text (`<s>[INST] …`), and vLLM encodes that text with the fast tokenizer of
 *    the model, which puts BOS in front of it and a space in front of `[INST]`: <s> <s> "▁[" "INST" "]".
 *
 * Two differences are deliberate. `</s>` and other special tokens inside a document stay plain text here; the published
 * scripts read them as special. A document of white space only keeps the two line feeds in front of it, which the
 * published template strips along with it.
 */
import type { Profile } from './profile.ts';

/** Llama-2 chat rendering (one system and one user message), the message stripped at its end or not. */
const llama2 = (message: string): string =>
  `{{ bos_token }}[INST] <<SYS>>\n{{ messages[0]['content'] }}\n<</SYS>>\n\n{{ ${message} }} [/INST]`;
const LLAMA_2_TEMPLATE = llama2("messages[1]['content']");
/** As the published ProX scripts render it: `strip()` runs over header and message, so only the end is stripped. */
const LLAMA_2_STRIPPED = llama2("messages[1]['content'].rstrip()");

/** The built-in `prox`: what a model without a profile is asked by. */
export const PROX: Profile = {
  name: 'prox',
  dialect: 'prox',
  chat: {
    template: LLAMA_2_TEMPLATE,
    system: 'You are a helpful, respectful and honest assistant.',
  },
  document: {
    user: '{text}',
    maxPromptTokens: 2000,
    truncate: 'prompt',
    // SentencePiece models were trained on answers that begin with a space piece (`▁keep`, `▁drop`).
    answers: { keep: ' keep_doc()', drop: ' drop_doc()' },
    maxNewTokens: 2000,
  },
  chunk: {
    user: '[doc]\n{lines}\n[/doc]',
    line: { prefix: '[', minDigits: 3, suffix: ']' },
    windows: { unit: 'tokens', max: 1500, countBos: true },
    maxNewTokens: 256,
    // The published models learnt from programs merged over three kinds of noise, each in an order of its own.
    ascending: false,
  },
};

/** {@link PROX} with the first tokens of the published scripts; see the header. */
const PUBLISHED_PROX: Profile = {
  ...PROX,
  chat: { ...PROX.chat, template: LLAMA_2_STRIPPED },
  document: { ...PROX.document!, bos: 'once', spacePrefix: false },
  chunk: { ...PROX.chunk!, bos: 'twice' },
};

/**
 * The published model also has a system message of 1,398 characters, which is its authors' text and not in this package:
 * `--system` gives it (see named-refiners.ts for where it stands). Its context holds prompt and answer; the published run
 * let a prompt of up to 32,767 tokens leave the answer less than 4,096, here such a window is halved.
 */
const ULTRAX: Profile = {
  name: 'ultrax',
  dialect: 'ultrax',
  chat: { template: 'gguf', system: null },
  document: null,
  chunk: {
    user: '{lines}',
    line: { prefix: '<lid:', minDigits: 1, suffix: '>' },
    windows: { unit: 'characters', max: 48_000, overlap: 0.2, maxContextTokens: 32_768 },
    maxNewTokens: 4096,
    // The model was taught to replace and to add; its replacements without their new text would be other ops.
    deletionOnly: false,
  },
};

/** The built-in profiles by name. */
export const PROFILES: Readonly<Record<string, Profile>> = Object.freeze({
  prox: PROX,
  'prox-web': { ...PUBLISHED_PROX, name: 'prox-web' },
  'prox-math': { ...PUBLISHED_PROX, name: 'prox-math' },
  'prox-gguf': {
    ...PROX,
    name: 'prox-gguf',
    chat: { ...PROX.chat, template: 'gguf' },
    document: {
      ...PROX.document!,
      truncate: 'content',
      answers: { keep: 'keep_doc()', drop: 'drop_doc()' },
    },
  },
  ultrax: ULTRAX,
});
