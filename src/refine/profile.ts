/** What a profile of a refiner holds (profiles.ts says where it comes from), and the check of one from a file. */
import * as z from 'zod';
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

/** What a profile must be. */
export const profileSchema = unchecked.refine(
  ({ dialect, chunk }) => {
    const { ops } = DIALECTS[dialect].makeGrammar({ deletionOnly: false });
    return chunk?.ops?.every((wanted) => ops.some(({ name }) => name === wanted)) ?? true;
  },
  { error: 'expected functions that its dialect decodes', path: ['chunk', 'ops'] },
);

/** How a refiner is prompted; see the schema for units and ranges. */
export type Profile = z.infer<typeof profileSchema>;

/** What is wrong with a value that should be a profile, or the profile. */
export function parseProfile(json: unknown): Profile | { readonly fault: string } {
  const parsed = profileSchema.safeParse(json);
  return parsed.success ? parsed.data : { fault: z.prettifyError(parsed.error) };
}
