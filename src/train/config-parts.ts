/** Parts that configurations of training runs and plans of continuations have in common. */
import * as z from 'zod';

const shape = z.strictObject({
  nEmbd: z.int().min(1),
  nLayer: z.int().min(1),
  nHead: z.int().min(1),
  /** Default: `nHead`. */
  nHeadKv: z.int().min(1).optional(),
  /** Default: `nEmbd / nHead`. */
  nHeadDim: z.int().min(2).optional(),
  /** Default: 8/3 of `nEmbd`, rounded up to a multiple of 32. */
  nFf: z.int().min(1).optional(),
  ropeTheta: z.number().positive().default(10_000),
  rmsEpsilon: z.number().positive().default(1e-5),
  tied: z.boolean().default(true),
});

/** A model from a file, or a new one. */
export const modelSchema = z.union(
  [z.strictObject({ from: z.string().min(1) }), z.strictObject({ shape })],
  { error: 'expected { from: FILE } or { shape: { nEmbd, nLayer, nHead, … } }' },
);

/** A GGUF file with a tokenizer, or one that is trained on the data. */
export const tokenizerSchema = z.union(
  [
    z.strictObject({ path: z.string().min(1) }),
    z.strictObject({ train: z.strictObject({ vocabSize: z.int().min(257) }) }),
  ],
  { error: 'expected { path: FILE } or { train: { vocabSize: 257 or more } }' },
);

/** Why `tokenizer: { train }` and `model.from` do not go together. */
export const KEEPS_TOKENIZER = 'a model that comes from a file keeps its tokenizer';

/** What a step is made of. */
export const batchSchema = z.strictObject({
  /** Sequences of a micro-batch. */
  nSeq: z.int().min(1),
  /** Tokens of a sequence. */
  nCtx: z.int().min(2),
  /** Micro-batches of a step. */
  accumulate: z.int().min(1).default(1),
});

/** AdamW. */
export const optimizerSchema = z
  .strictObject({
    beta1: z.number().min(0).max(0.99999).default(0.9),
    beta2: z.number().min(0).max(0.9999999).default(0.95),
    weightDecay: z.number().min(0).default(0.1),
    clipNorm: z.number().min(0).default(1),
  })
  .prefault({});

/** `cpu` or `cuda:<index>`. */
export const deviceSchema = z
  .string()
  .regex(/^(cpu|cuda(:\d+)?)$/)
  .transform((device) => (device === 'cuda' ? 'cuda:0' : device));
