/**
 * config.json of a Hugging Face model → the numbers of the model and the entries of a GGUF file.
 *
 * Architectures: Llama and Mistral (GGUF's `llama`), Qwen2 and Qwen2.5 (`qwen2`), Qwen3 (`qwen3`). Rope scaling: linear,
 * yarn and llama3 (the last as a tensor of factors). What GGUF or llama.cpp cannot express is refused by name, what
 * llama.cpp leaves out without changing short contexts (a sliding window) is noted.
 */
import { join } from 'node:path';
import * as z from 'zod';
import type { GgufEntries, GgufValue } from '../gguf-write.ts';
import { checked, isObject, type JsonObject, readJson, unsupported } from './model-files.ts';
import { type RopeScaling, ropeOf } from './rope.ts';

/** GGUF's names of the architectures. */
export type Architecture = 'llama' | 'qwen2' | 'qwen3';

/** Numbers of a model. */
export interface Hyperparameters {
  readonly architecture: Architecture;
  readonly nVocab: number;
  readonly nEmbd: number;
  readonly nLayer: number;
  readonly nHead: number;
  readonly nHeadKv: number;
  readonly headDim: number;
  readonly nFf: number;
  readonly tied: boolean;
  /** Biases of the projections: of the query, key and value; of the output; of the feed-forward layer. */
  readonly biases: { readonly qkv: boolean; readonly output: boolean; readonly ff: boolean };
  readonly rope: RopeScaling;
  /** Entries under the architecture's name, in order. */
  readonly entries: GgufEntries;
  /** What the converted model does otherwise, in words. */
  readonly notes: readonly string[];
}

const ARCHITECTURES: ReadonlyMap<string, Architecture> = new Map([
  ['LlamaForCausalLM', 'llama'],
  ['MistralForCausalLM', 'llama'],
  ['Qwen2ForCausalLM', 'qwen2'],
  ['Qwen3ForCausalLM', 'qwen3'],
]);
/** Head size of Qwen3 where the file does not say, as in Hugging Face's configuration. */
const QWEN3_HEAD_DIM = 128;

const size = z
  .int()
  .min(1)
  .max(2 ** 24);
const positive = z.number().positive();

const config = z.looseObject({
  architectures: z.array(z.string()).min(1),
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: z.int().min(1).max(1024),
  num_attention_heads: size,
  num_key_value_heads: size.nullish(),
  head_dim: size.nullish(),
  vocab_size: size,
  max_position_embeddings: z
    .int()
    .min(1)
    .max(2 ** 31 - 1),
  rms_norm_eps: positive.default(1e-6),
  rope_theta: positive.nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  hidden_act: z.string().default('silu'),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  sliding_window: z.int().nullish(),
  use_sliding_window: z.boolean().nullish(),
  original_max_position_embeddings: size.nullish(),
});

/** config.json as it stands. @throws MODEL_FILES_INVALID */
export function readConfig(dir: string): JsonObject {
  return readJson(join(dir, 'config.json'));
}

/**
 * The numbers of a model.
 *
 * @throws MODEL_FILES_INVALID, MODEL_CONVERT_UNSUPPORTED
 */
export function hyperparametersOf(raw: JsonObject, dir: string): Hyperparameters {
  const file = join(dir, 'config.json');
  const refuse = (what: string, reason: string) => unsupported(dir, what, reason);
  const name = checked(z.looseObject({ architectures: config.shape.architectures }), raw, file)
    .architectures[0]!;
  const architecture = ARCHITECTURES.get(name);
  if (!architecture) {
    throw refuse(`architecture ${name}`, `supported are ${[...ARCHITECTURES.keys()].join(', ')}`);
  }
  if (isObject(raw['quantization_config'])) {
    const method = String(raw['quantization_config']['quant_method'] ?? 'unnamed');
    throw refuse('quantization_config', `weights are quantised (${method}), convert the originals`);
  }
  const values = checked(config, raw, file);
  if (values.hidden_act !== 'silu') throw refuse('hidden_act', `${values.hidden_act}, not silu`);
  if (raw['is_causal'] === false) throw refuse('is_causal', 'false, not a language model');
  const partial = raw['partial_rotary_factor'];
  if (typeof partial === 'number' && partial !== 1) {
    throw refuse('partial_rotary_factor', `${partial}, not 1`);
  }

  const nHead = values.num_attention_heads;
  const nHeadKv = values.num_key_value_heads ?? (name === 'LlamaForCausalLM' ? nHead : null);
  if (nHeadKv === null) throw refuse('num_key_value_heads', 'config.json does not say');
  if (nHead % nHeadKv !== 0) {
    throw refuse('num_key_value_heads', `${nHeadKv} does not divide ${nHead}`);
  }
  const given = values.head_dim ?? (architecture === 'qwen3' ? QWEN3_HEAD_DIM : null);
  const headDim = given ?? values.hidden_size / nHead;
  if (!Number.isInteger(headDim) || headDim % 2 !== 0) {
    throw refuse('head_dim', `a head of ${headDim} values, not an even number`);
  }
  if (architecture === 'qwen2' && headDim * nHead !== values.hidden_size) {
    throw refuse('head_dim', `${headDim} × ${nHead} heads is not the width ${values.hidden_size}`);
  }
  if (architecture === 'qwen3' && values.attention_bias === true) {
    throw refuse('attention_bias', 'llama.cpp has no biases in qwen3');
  }
  const { rope, entries: ropeEntries } = ropeOf(raw, {
    dir,
    file,
    architecture: name,
    ropeTheta: values.rope_theta ?? null,
    originalContext: values.original_max_position_embeddings ?? null,
  });
  const hasBias = architecture === 'llama';

  const entries: Record<string, GgufValue> = {};
  const count = (key: string, value: number): void => {
    entries[`${architecture}.${key}`] = { type: 'u32', value };
  };
  count('block_count', values.num_hidden_layers);
  count('context_length', values.max_position_embeddings);
  count('embedding_length', values.hidden_size);
  count('feed_forward_length', values.intermediate_size);
  count('attention.head_count', nHead);
  count('attention.head_count_kv', nHeadKv);
  for (const [key, value] of ropeEntries) entries[`${architecture}.rope.${key}`] = value;
  entries[`${architecture}.attention.layer_norm_rms_epsilon`] = {
    type: 'f32',
    value: values.rms_norm_eps,
  };
  // As Hugging Face fills its configurations: Llama and Qwen3 always have a head size, the others if the file says.
  if (given !== null || name === 'LlamaForCausalLM') {
    count('attention.key_length', headDim);
    count('attention.value_length', headDim);
  }
  if (architecture === 'llama') {
    count('vocab_size', values.vocab_size);
    count('rope.dimension_count', headDim);
  }
  return {
    architecture,
    nVocab: values.vocab_size,
    nEmbd: values.hidden_size,
    nLayer: values.num_hidden_layers,
    nHead,
    nHeadKv,
    headDim,
    nFf: values.intermediate_size,
    tied: values.tie_word_embeddings ?? false,
    biases: {
      qkv: architecture === 'qwen2' || (hasBias && values.attention_bias === true),
      output: hasBias && values.attention_bias === true,
      ff: hasBias && values.mlp_bias === true,
    },
    rope,
    entries,
    notes: slidingWindowNote(name, values),
  };
}

function slidingWindowNote(name: string, values: z.infer<typeof config>): string[] {
  const window = values.sliding_window ?? null;
  if (window === null || window >= values.max_position_embeddings) return [];
  const used = name === 'MistralForCausalLM' || values.use_sliding_window === true;
  if (!used) return [];
  return [`sliding_window ${window} is left out: attention reaches over the whole context`];
}
