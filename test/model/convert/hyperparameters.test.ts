import { describe, expect, it } from 'vitest';
import { hyperparametersOf } from '../../../src/model/convert/hyperparameters.ts';
import { type HfConfig, smallConfig } from '../../support/hf-model.ts';

const of = (config: HfConfig) => hyperparametersOf(config, 'dir');
const entry = (config: HfConfig, key: string) => of(config).entries[key]?.value;

const YARN = { type: 'yarn', factor: 4, original_max_position_embeddings: 128 };

describe('hyperparametersOf', () => {
  it('gives llama, qwen2 and qwen3 the entries that llama.cpp reads', () => {
    const { entries } = of(smallConfig('LlamaForCausalLM'));
    expect(
      Object.fromEntries(Object.entries(entries).map(([key, { value }]) => [key, value])),
    ).toEqual({
      'llama.block_count': 2,
      'llama.context_length': 512,
      'llama.embedding_length': 64,
      'llama.feed_forward_length': 96,
      'llama.attention.head_count': 4,
      'llama.attention.head_count_kv': 2,
      'llama.rope.freq_base': 10000,
      'llama.attention.layer_norm_rms_epsilon': 1e-5,
      'llama.attention.key_length': 16,
      'llama.attention.value_length': 16,
      'llama.vocab_size': 600,
      'llama.rope.dimension_count': 16,
    });
    const qwen2 = of(smallConfig('Qwen2ForCausalLM'));
    expect(qwen2).toMatchObject({ architecture: 'qwen2', biases: { qkv: true, output: false } });
    expect(qwen2.entries).not.toHaveProperty('qwen2.attention.key_length');
    expect(of(smallConfig('Qwen3ForCausalLM')).headDim).toBe(128);
    expect(of(smallConfig('MistralForCausalLM')).architecture).toBe('llama');
    expect(
      entry(
        smallConfig('LlamaForCausalLM', { num_key_value_heads: null }),
        'llama.attention.head_count_kv',
      ),
    ).toBe(4);
  });

  it('reads rope scaling in both spellings', () => {
    const linear = { type: 'linear', factor: 2 };
    expect(
      entry(smallConfig('LlamaForCausalLM', { rope_scaling: linear }), 'llama.rope.scaling.type'),
    ).toBe('linear');
    const yarn = smallConfig('Qwen2ForCausalLM', {
      rope_parameters: {
        rope_type: 'yarn',
        rope_theta: 5000,
        factor: 4,
        original_max_position_embeddings: 128,
        beta_fast: 16,
      },
    });
    expect(entry(yarn, 'qwen2.rope.freq_base')).toBe(5000);
    expect(entry(yarn, 'qwen2.rope.scaling.original_context_length')).toBe(128);
    expect(entry(yarn, 'qwen2.rope.scaling.yarn_beta_fast')).toBe(16);
    expect(of(smallConfig('LlamaForCausalLM', { rope_scaling: null })).rope.kind).toBe('none');
  });

  // As transformers computes it: given, or by the two of DeepSeek, or 0.1 ln(factor) + 1; llama.cpp multiplies the last.
  it.each([
    [{}, null],
    [{ truncate: true, attn_factor: 1, extrapolation_factor: 1, mscale: 1, beta_slow: 0 }, null],
    [{ attention_factor: 1 }, 1 / (0.1 * Math.log(4) + 1)],
    [{ attention_factor: 1.5, mscale: 1, mscale_all_dim: 1 }, 1.5 / (0.1 * Math.log(4) + 1)],
    [{ mscale: 1, mscale_all_dim: 1 }, 1 / (0.1 * Math.log(4) + 1)],
    [
      { mscale: 0.7, mscale_all_dim: 0.3 },
      (0.07 * Math.log(4) + 1) / (0.03 * Math.log(4) + 1) / (0.1 * Math.log(4) + 1),
    ],
    [{ factor: 0.5, attention_factor: 3 }, 3],
  ])('writes the attention factor of yarn %j', (more, expected) => {
    const config = smallConfig('LlamaForCausalLM', { rope_scaling: { ...YARN, ...more } });
    const written = entry(config, 'llama.rope.scaling.attn_factor');
    if (expected === null) expect(written).toBeUndefined();
    else expect(written).toBeCloseTo(expected, 12);
  });

  it.each([
    [{ architectures: ['GPT2LMHeadModel'] }, 'architecture GPT2LMHeadModel'],
    [{ architectures: ['MixtralForCausalLM'] }, 'architecture MixtralForCausalLM'],
    [{ quantization_config: { quant_method: 'gptq' } }, 'gptq'],
    [{ hidden_act: 'gelu' }, 'gelu'],
    [{ is_causal: false }, 'is_causal'],
    [{ partial_rotary_factor: 0.5 }, 'partial_rotary_factor'],
    [{ num_key_value_heads: 3 }, '3 does not divide 4'],
    [{ hidden_size: 60, num_attention_heads: 4, head_dim: 15 }, 'a head of 15'],
    [{ rope_scaling: { rope_type: 'longrope', factor: 2 } }, 'longrope is not supported'],
    [{ rope_scaling: { type: 'dynamic', factor: 2 } }, 'dynamic is not supported'],
    [{ rope_scaling: { type: 'linear' } }, 'linear has no factor'],
    [{ rope_scaling: { ...YARN, truncate: false } }, 'truncate'],
    [{ rope_scaling: { ...YARN, extrapolation_factor: 0 } }, 'extrapolation_factor 0'],
    [{ rope_scaling: { ...YARN, attn_factor: 2 } }, 'attn_factor 2'],
    [{ rope_scaling: { type: 'yarn', factor: 2 } }, 'original_max_position_embeddings'],
  ])('refuses %j', (more, reason) => {
    expect(() => of(smallConfig('LlamaForCausalLM', more))).toThrow(
      expect.objectContaining({
        code: 'MODEL_CONVERT_UNSUPPORTED',
        message: expect.stringContaining(reason),
      }),
    );
  });

  it.each([
    ['hidden_size', Number.NaN],
    ['hidden_size', '64'],
    ['num_hidden_layers', 0],
    ['num_hidden_layers', 1e9],
    ['vocab_size', -1],
    ['vocab_size', 2.5],
    ['rms_norm_eps', 0],
    ['rope_theta', Number.POSITIVE_INFINITY],
    ['max_position_embeddings', undefined],
    ['architectures', []],
    ['tie_word_embeddings', 'yes'],
    ['rope_scaling', { rope_type: 'llama3', factor: -1 }],
    ['rope_scaling', 7],
  ])('says which field makes no sense: %s = %s', (field, value) => {
    const config = smallConfig('LlamaForCausalLM', { [field]: value });
    expect(() => of(config)).toThrow(
      expect.objectContaining({
        code: 'MODEL_FILES_INVALID',
        message: expect.stringContaining(field),
      }),
    );
  });

  it('refuses what only Qwen cannot have', () => {
    expect(() => of(smallConfig('Qwen3ForCausalLM', { attention_bias: true }))).toThrow(
      'no biases',
    );
    expect(() => of(smallConfig('Qwen2ForCausalLM', { head_dim: 32 }))).toThrow('is not the width');
    expect(() => of(smallConfig('Qwen2ForCausalLM', { num_key_value_heads: undefined }))).toThrow(
      'does not say',
    );
    const llama3 = { rope_type: 'llama3', factor: 8 };
    expect(() => of(smallConfig('Qwen3ForCausalLM', { rope_scaling: llama3 }))).toThrow(
      'for llama only',
    );
  });
});
