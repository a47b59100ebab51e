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
import { existsSync, readFileSync } from 'node:fs';
import * as z from 'zod';
import { GristmillError } from '../errors.ts';
import { own } from '../own.ts';
import { DIALECTS } from '../program/dialects.ts';

const stageSchema = {
  maxNewTokens: z.int().min(1).max(8192),
  /**
   * BOS tokens in front of the prompt: `model` (default) as the model's tokenizer and template do, at most one; or
   * exactly so many.
   */
  bos: z.enum(['model', 'none', 'once', 'twice']).optional(),
  /** SentencePiece: the tokenizer's own space in front of the text after BOS. Default true. */
  spacePrefix: z.boolean().optional(),
};

const windowsSchema = z.discriminatedUnion('unit', [
  z.strictObject({
    unit: z.literal('tokens'),
    /** Tokens of a window's lines with their markers, at most. */
    max: z.int().min(16),
    /** Count one BOS token per line, as the published ProX script does. Default false. */
    countBos: z.boolean().default(false),
    /** Share of a window that the next one shows again; the earlier one owns those lines. Default 0. */
    overlap: z.number().min(0).max(0.5).optional(),
  }),
  z.strictObject({
    unit: z.literal('characters'),
    /** Code points of a window's lines with their markers and the line feeds between them, at most. */
    max: z.int().min(16),
    overlap: z.number().min(0).max(0.5).optional(),
    /** Context of the model for a prompt and its answer, in tokens; windows that need more are halved. */
    maxContextTokens: z.int().min(256),
  }),
]);

const chunkSchema = z.strictObject({
  ...stageSchema,
  /** User message; `{lines}` marks where the document's lines go, exactly once. */
  user: z.string().refine((user) => user.split('{lines}').length === 2, '{lines} exactly once'),
  line: z.strictObject({
    prefix: z.string(),
    minDigits: z.int().min(1).max(9),
    suffix: z.string(),
  }),
  windows: windowsSchema,
  /** Decoding under the grammar offers ops that remove, and no new text. Default true. */
  deletionOnly: z.boolean().optional(),
  /**
   * Decoding under the grammar lets every `remove_lines` start only behind the last line that the one before removes,
   * so that a model cannot repeat one. False for models whose programs need not ascend. Default true.
   */
  ascending: z.boolean().optional(),
  /**
   * Functions that decoding under the grammar offers, besides those that keep or drop a whole window. For a model that
   * was taught only some: where no range is left for another `remove_lines`, it would write what it does not know.
   * Training with such a profile writes those of its answers beside the new model. Default all of the dialect's.
   */
  ops: z.array(z.string()).min(1).optional(),
});

/** Profiles of before `windows` had `maxWindowTokens` and `countBos` in its place. */
function migrateChunk(value: unknown): unknown {
  if (value === null || typeof value !== 'object' || !('maxWindowTokens' in value)) return value;
  const { maxWindowTokens, countBos, ...rest } = value as Record<string, unknown>;
  return { windows: { unit: 'tokens', max: maxWindowTokens, countBos }, ...rest };
}

const unchecked = z.strictObject({
  name: z.string().min(1),
  dialect: z.enum(['prox', 'ultrax']),
  chat: z.strictObject({
    /** `gguf`: the model's own template; anything else is a Jinja template over messages. */
    template: z.string().min(1),
    system: z.string().nullable(),
    /** The day that `strftime_now` of the template tells, `YYYY-MM-DD`. Default 2024-07-26. */
    date: z.iso.date().optional(),
  }),
  document: z
    .strictObject({
      ...stageSchema,
      /** User message; `{text}` marks where the document's text goes, exactly once. */
      user: z.string().refine((user) => user.split('{text}').length === 2, '{text} exactly once'),
      maxPromptTokens: z.int().min(16),
      /** `prompt` cuts the rendered prompt's end off, as published; `content` cuts the text only. */
      truncate: z.enum(['prompt', 'content']),
      answers: z.strictObject({ keep: z.string().min(1), drop: z.string().min(1) }),
    })
    .nullable(),
  chunk: z.preprocess(migrateChunk, chunkSchema.nullable()),
});

const profileSchema = unchecked.refine(
  ({ dialect, chunk }) => {
    const { ops } = DIALECTS[dialect].makeGrammar({ deletionOnly: false });
    return chunk?.ops?.every((wanted) => ops.some(({ name }) => name === wanted)) ?? true;
  },
  { error: 'expected functions that its dialect decodes', path: ['chunk', 'ops'] },
);

/** How a refiner is prompted; see the schema for units and ranges. */
export type Profile = z.infer<typeof profileSchema>;

/** Llama-2 chat rendering (one system and one user message), the message stripped at its end or not. */
const llama2 = (message: string): string =>
  `{{ bos_token }}[INST] <<SYS>>\n{{ messages[0]['content'] }}\n<</SYS>>\n\n{{ ${message} }} [/INST]`;
const LLAMA_2_TEMPLATE = llama2("messages[1]['content']");
/** As the published ProX scripts render it: `strip()` runs over header and message, so only the end is stripped. */
const LLAMA_2_STRIPPED = llama2("messages[1]['content'].rstrip()");

const PROX: Profile = {
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

/**
 * Finds the profile of a model.
 *
 * @param choice a built-in name, a path of a JSON file, or undefined to look beside the model
 * @param modelFile the model's file; `<modelFile>.profile.json` and `<stem>.profile.json` are looked for
 * @throws PROFILE_UNKNOWN, PROFILE_INVALID
 */
export function loadProfile(choice: string | undefined, modelFile: string | undefined): Profile {
  if (choice !== undefined) {
    const builtIn = own(PROFILES, choice);
    if (builtIn) return builtIn;
    if (existsSync(choice)) return readProfile(choice);
    throw new GristmillError('PROFILE_UNKNOWN', {
      profile: choice,
      known: Object.keys(PROFILES).join(', '),
    });
  }
  if (modelFile !== undefined) {
    const beside = [`${modelFile}.profile.json`, modelFile.replace(/\.gguf$/, '.profile.json')];
    const found = beside.find((file) => file !== modelFile && existsSync(file));
    if (found) return readProfile(found);
  }
  return PROX;
}

function readProfile(file: string): Profile {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new GristmillError(
      'PROFILE_INVALID',
      { file, reason: (cause as Error).message },
      { cause },
    );
  }
  const parsed = profileSchema.safeParse(json);
  if (!parsed.success) {
    throw new GristmillError('PROFILE_INVALID', { file, reason: z.prettifyError(parsed.error) });
  }
  return parsed.data;
}
