/**
 * Refiner profiles: how a refiner is asked and how it answers, as data.
 *
 * A profile is JSON. It is found, in this order: `--profile` (a built-in name or a file), a file
 * `<model>.profile.json` beside the model, the built-in `prox`. Built-in profiles are JSON-equal constants here.
 * Sources: ProX's published scripts (prompts, 1,500-token windows, 2,000-token document prompts; arXiv 2409.17115
 * appendix A.4) and UltraX (arXiv 2607.08646: 48,000-character windows, 1-based `<lid:N>` markers).
 */
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { GristmillError } from '../errors.ts';

const stageSchema = {
  /** User message; `{text}` or `{lines}` marks where the document's text goes, exactly once. */
  maxNewTokens: z.int().min(1).max(8192),
};

const profileSchema = z.strictObject({
  name: z.string().min(1),
  dialect: z.enum(['prox', 'ultrax']),
  chat: z.strictObject({
    /** `gguf`: the model's own template; anything else is a Jinja template over messages. */
    template: z.string().min(1),
    system: z.string().nullable(),
  }),
  document: z
    .strictObject({
      ...stageSchema,
      user: z.string().refine((user) => user.split('{text}').length === 2, '{text} exactly once'),
      maxPromptTokens: z.int().min(16),
      /** `prompt` cuts the rendered prompt's end off, as published; `content` cuts the text only. */
      truncate: z.enum(['prompt', 'content']),
      answers: z.strictObject({ keep: z.string().min(1), drop: z.string().min(1) }),
    })
    .nullable(),
  chunk: z
    .strictObject({
      ...stageSchema,
      user: z.string().refine((user) => user.split('{lines}').length === 2, '{lines} exactly once'),
      line: z.strictObject({
        prefix: z.string(),
        minDigits: z.int().min(1).max(9),
        suffix: z.string(),
      }),
      maxWindowTokens: z.int().min(16),
      /** Count one BOS token per line when planning windows, as the published script does. */
      countBos: z.boolean(),
    })
    .nullable(),
});

/** How a refiner is prompted; see the schema for units and ranges. */
export type Profile = z.infer<typeof profileSchema>;

/** Llama-2 chat rendering (one system and one user message), as the published ProX scripts produce it. */
const LLAMA_2_TEMPLATE =
  "{{ bos_token }}[INST] <<SYS>>\n{{ messages[0]['content'] }}\n<</SYS>>\n\n{{ messages[1]['content'] }} [/INST]";

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
    maxWindowTokens: 1500,
    countBos: true,
    maxNewTokens: 256,
  },
};

const ULTRAX: Profile = {
  name: 'ultrax',
  dialect: 'ultrax',
  chat: { template: 'gguf', system: null },
  document: null,
  chunk: {
    user: '{lines}',
    line: { prefix: '<lid:', minDigits: 1, suffix: '>' },
    maxWindowTokens: 12_000,
    countBos: false,
    maxNewTokens: 4096,
  },
};

/** The built-in profiles by name. */
export const PROFILES: Readonly<Record<string, Profile>> = Object.freeze({
  prox: PROX,
  'prox-web': { ...PROX, name: 'prox-web' },
  'prox-math': { ...PROX, name: 'prox-math' },
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
    const builtIn = PROFILES[choice];
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
