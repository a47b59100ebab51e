/**
 * config.json of a Hugging Face model → the numbers of the model and the entries of a GGUF file.
 *
 * Architectures: Llama and Mistral (GGUF's `llama`), Qwen2 and Qwen2.5 (`qwen2`), Qwen3 (`qwen3`). Rope scaling: linear,
 * yarn and llama3 (the last as a tensor of factors). What GGUF or llama.cpp cannot express is refused by name, what
 * llama.cpp leaves out without changing short contexts (a sliding window) is noted.
 */
import { join } from 'node:path';
import { z } from 'zod';
import type { GgufEntries, GgufValue } from '../gguf-write.ts';
import { checked, isObject, type JsonObject, readJson, unsupported } from './model-files.ts';

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

/** How positions beyond the trained context are reached. */
export type RopeScaling =
  | { readonly kind: 'none' | 'linear' | 'yarn' }
  | {
      readonly kind: 'llama3';
      readonly base: number;
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalContext: number;
    };

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
const absent = z.null().optional();

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
  tie_word_embeddings: z.boolean().default(false),
  hidden_act: z.string().default('silu'),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  sliding_window: z.int().nullish(),
  use_sliding_window: z.boolean().nullish(),
  original_max_position_embeddings: size.nullish(),
});

const scaling = z.looseObject({
  rope_type: z.string().optional(),
  type: z.string().optional(),
  rope_theta: positive.nullish(),
  factor: positive.nullish(),
  original_max_position_embeddings: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .nullish(),
  low_freq_factor: positive.nullish(),
  high_freq_factor: positive.nullish(),
  extrapolation_factor: z.number().nullish(),
  attention_factor: z.number().nullish(),
  attn_factor: z.number().nullish(),
  beta_fast: z.number().nullish(),
  beta_slow: z.number().nullish(),
  partial_rotary_factor: z.number().nullish(),
  mrope_section: absent,
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
  const { rope, entries: ropeEntries } = ropeOf(raw, values, dir, file);
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
    tied: values.tie_word_embeddings,
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

function ropeOf(
  raw: JsonObject,
  values: z.infer<typeof config>,
  dir: string,
  file: string,
): { rope: RopeScaling; entries: [string, GgufValue][] } {
  const refuse = (reason: string) => unsupported(dir, 'rope scaling', reason);
  const real = (value: number): GgufValue => ({ type: 'f32', value });
  // Newer files say `rope_parameters`, with the base in it.
  const field = isObject(raw['rope_parameters']) ? 'rope_parameters' : 'rope_scaling';
  const given = raw[field] ?? {};
  const found = checked(scaling, given, `${file}, ${field}`);
  const base = found.rope_theta ?? values.rope_theta ?? 10_000;
  const kind = (found.rope_type ?? found.type ?? 'default').toLowerCase();
  if (typeof found.partial_rotary_factor === 'number' && found.partial_rotary_factor !== 1) {
    throw unsupported(dir, 'partial_rotary_factor', `${found.partial_rotary_factor}, not 1`);
  }
  const entries: [string, GgufValue][] = [];
  const original =
    found.original_max_position_embeddings ?? values.original_max_position_embeddings ?? null;
  const factor = (): number => {
    if (found.factor === null || found.factor === undefined) throw refuse(`${kind} has no factor`);
    return found.factor;
  };
  let rope: RopeScaling;
  switch (kind) {
    case 'default':
      rope = { kind: 'none' };
      break;
    case 'linear':
      rope = { kind };
      entries.push(['scaling.type', { type: 'string', value: kind }]);
      entries.push(['scaling.factor', real(factor())]);
      break;
    case 'yarn': {
      if (original === null) throw refuse('yarn has no original_max_position_embeddings');
      rope = { kind };
      entries.push(['scaling.type', { type: 'string', value: kind }]);
      entries.push(['scaling.factor', real(factor())]);
      entries.push(['scaling.original_context_length', { type: 'u32', value: original }]);
      const rest: [string, number | null | undefined][] = [
        ['scaling.yarn_ext_factor', found.extrapolation_factor],
        ['scaling.yarn_attn_factor', found.attention_factor ?? found.attn_factor],
        ['scaling.yarn_beta_fast', found.beta_fast],
        ['scaling.yarn_beta_slow', found.beta_slow],
      ];
      for (const [key, value] of rest) {
        if (value !== null && value !== undefined) entries.push([key, real(value)]);
      }
      break;
    }
    case 'llama3':
      rope = {
        kind,
        base,
        factor: found.factor ?? 8,
        lowFreqFactor: found.low_freq_factor ?? 1,
        highFreqFactor: found.high_freq_factor ?? 4,
        originalContext: original ?? 8192,
      };
      if (rope.lowFreqFactor >= rope.highFreqFactor) {
        throw refuse('llama3: low_freq_factor is not below high_freq_factor');
      }
      if (name(raw) !== 'LlamaForCausalLM' && name(raw) !== 'MistralForCausalLM') {
        throw refuse(`llama3 in ${name(raw)}: llama.cpp has it for llama only`);
      }
      break;
    default:
      throw refuse(`${kind} is not supported; supported are linear, yarn and llama3`);
  }
  entries.push(['freq_base', real(base)]);
  return { rope, entries };
}

function name(raw: JsonObject): string {
  return String((raw['architectures'] as readonly unknown[])[0]);
}

/**
 * Divisors of the rotary frequencies (`rope_freqs.weight`) of Llama 3: 1 for short waves, `factor` for long ones, between
 * them a blend. In 32-bit floats where the frequencies are, as PyTorch computes them.
 *
 * @see Llama 3.1, https://arxiv.org/abs/2407.21783
 */
export function llama3RopeFactors(
  rope: Extract<RopeScaling, { kind: 'llama3' }>,
  headDim: number,
): Float32Array {
  const { base, factor, lowFreqFactor, highFreqFactor, originalContext } = rope;
  const f32 = Math.fround;
  const factors = new Float32Array(headDim / 2);
  for (let pair = 0; pair < factors.length; pair++) {
    const exponent = f32((2 * pair) / headDim);
    const frequency = f32(1 / f32(base ** exponent));
    // A number over a tensor is its reciprocal times the number there, rounded twice.
    const wavelength = f32(f32(1 / frequency) * f32(2 * Math.PI));
    if (wavelength < originalContext / highFreqFactor) factors[pair] = 1;
    else if (wavelength > originalContext / lowFreqFactor) factors[pair] = factor;
    else {
      const part = f32(f32(1 / wavelength) * originalContext);
      const smooth = f32(f32(part - lowFreqFactor) / (highFreqFactor - lowFreqFactor));
      factors[pair] = 1 / f32(f32(f32(1 - smooth) / factor) + smooth);
    }
  }
  return factors;
}
