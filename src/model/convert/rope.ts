/**
 * Rope scaling of a Hugging Face configuration → entries of a GGUF file: linear and yarn are said in words, Llama 3's as a
 * tensor of divisors.
 */
import * as z from 'zod';
import type { GgufValue } from '../gguf-write.ts';
import { checked, isObject, type JsonObject, unsupported } from './model-files.ts';

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

/** What the rest of a configuration says. */
export interface RopeContext {
  readonly dir: string;
  readonly file: string;
  /** `architectures[0]`. */
  readonly architecture: string;
  readonly ropeTheta: number | null;
  readonly originalContext: number | null;
}

const positive = z.number().positive();
const absent = z.null().optional();

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
  mscale: z.number().nullish(),
  mscale_all_dim: z.number().nullish(),
  truncate: z.boolean().nullish(),
  llama_4_scaling_beta: absent,
  partial_rotary_factor: z.number().nullish(),
  mrope_section: absent,
});

/** Reads rope scaling; entries are under `<architecture>.rope.`. @throws MODEL_FILES_INVALID, MODEL_CONVERT_UNSUPPORTED */
export function ropeOf(
  raw: JsonObject,
  { dir, file, architecture, ropeTheta, originalContext }: RopeContext,
): { rope: RopeScaling; entries: [string, GgufValue][] } {
  const refuse = (reason: string) => unsupported(dir, 'rope scaling', reason);
  const real = (value: number): GgufValue => ({ type: 'f32', value });
  // Newer files say `rope_parameters`, with the base in it.
  const field = isObject(raw['rope_parameters']) ? 'rope_parameters' : 'rope_scaling';
  const given = raw[field] ?? {};
  const found = checked(scaling, given, `${file}, ${field}`);
  const base = found.rope_theta ?? ropeTheta ?? 10_000;
  const kind = (found.rope_type ?? found.type ?? 'default').toLowerCase();
  if (typeof found.partial_rotary_factor === 'number' && found.partial_rotary_factor !== 1) {
    throw unsupported(dir, 'partial_rotary_factor', `${found.partial_rotary_factor}, not 1`);
  }
  const entries: [string, GgufValue][] = [];
  const original = found.original_max_position_embeddings ?? originalContext;
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
      if (found.truncate === false) {
        throw refuse(
          'yarn with truncate: false, and llama.cpp always cuts its bounds to whole numbers',
        );
      }
      // transformers reads neither, the first code of YaRN and llama.cpp do: nobody can say which is meant.
      for (const key of ['extrapolation_factor', 'attn_factor'] as const) {
        const value = found[key] ?? 1;
        if (value !== 1) throw refuse(`yarn with ${key} ${value}, not 1`);
      }
      rope = { kind };
      const scale = attentionScale(found, factor()) / naturalScale(factor(), 1);
      if (!Number.isFinite(scale)) throw refuse('yarn: its attention factor is no finite number');
      entries.push(['scaling.type', { type: 'string', value: kind }]);
      entries.push(['scaling.factor', real(factor())]);
      entries.push(['scaling.original_context_length', { type: 'u32', value: original }]);
      if (scale !== 1) entries.push(['scaling.attn_factor', real(scale)]);
      // 0 stands for the default, as in transformers.
      if (found.beta_fast) entries.push(['scaling.yarn_beta_fast', real(found.beta_fast)]);
      if (found.beta_slow) entries.push(['scaling.yarn_beta_slow', real(found.beta_slow)]);
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
      if (architecture !== 'LlamaForCausalLM' && architecture !== 'MistralForCausalLM') {
        throw refuse(`llama3 in ${architecture}: llama.cpp has it for llama only`);
      }
      break;
    default:
      throw refuse(`${kind} is not supported; supported are linear, yarn and llama3`);
  }
  entries.push(['freq_base', real(base)]);
  return { rope, entries };
}

/** What llama.cpp scales with by itself; `scaling.attn_factor` is multiplied to it. */
function naturalScale(factor: number, mscale: number): number {
  return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
}

/** The whole scale of sines and cosines: given, by the two of DeepSeek, or that of the paper. */
function attentionScale(
  { attention_factor, mscale, mscale_all_dim }: z.infer<typeof scaling>,
  factor: number,
): number {
  if (typeof attention_factor === 'number') return attention_factor;
  if (mscale && mscale_all_dim) {
    return naturalScale(factor, mscale) / naturalScale(factor, mscale_all_dim);
  }
  return naturalScale(factor, 1);
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
