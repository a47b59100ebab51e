/**
 * Naive float64 forward pass over the weights of a Hugging Face checkpoint: Llama, Mistral, Qwen2 and Qwen3 as their papers
 * define them, rotary pairs half a head apart. Shares nothing with the converter or the engine.
 */
import type { HfConfig, HfTensors } from '../../support/hf-model.ts';

/** Logits behind the last token. */
export function hfLogits(config: HfConfig, tensors: HfTensors, tokens: readonly number[]) {
  const number = (name: string): number => config[name] as number;
  const width = number('hidden_size');
  const nHead = number('num_attention_heads');
  const nKv = number('num_key_value_heads');
  const head = (config['head_dim'] as number | undefined) ?? width / nHead;
  const epsilon = number('rms_norm_eps');
  const scaling = (config['rope_scaling'] ?? {}) as Record<string, number | string>;
  const values = (name: string) => tensors.get(name)?.values;

  const norm = (x: number[], gain: ArrayLike<number>): number[] => {
    const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
    return x.map((value, at) => (value / Math.sqrt(mean + epsilon)) * gain[at]!);
  };
  const linear = (name: string, x: number[]): number[] => {
    const weight = values(`${name}.weight`)!;
    const bias = values(`${name}.bias`);
    return Array.from({ length: weight.length / x.length }, (_, row) => {
      let sum = bias?.[row] ?? 0;
      for (let at = 0; at < x.length; at++) sum += weight[row * x.length + at]! * x[at]!;
      return sum;
    });
  };
  const frequency = (pair: number): number => {
    const plain = number('rope_theta') ** ((-2 * pair) / head);
    if (scaling['rope_type'] === 'linear') return plain / (scaling['factor'] as number);
    if (scaling['rope_type'] !== 'llama3') return plain;
    const { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings } =
      scaling as Record<string, number>;
    const waves = original_max_position_embeddings! / ((2 * Math.PI) / plain);
    if (waves > high_freq_factor!) return plain;
    if (waves < low_freq_factor!) return plain / factor!;
    const smooth = (waves - low_freq_factor!) / (high_freq_factor! - low_freq_factor!);
    return (1 - smooth) * (plain / factor!) + smooth * plain;
  };
  const rotate = (x: number[], position: number): number[] => {
    const half = head / 2;
    const out = new Array<number>(head);
    for (let pair = 0; pair < half; pair++) {
      const angle = position * frequency(pair);
      const [one, other] = [x[pair]!, x[pair + half]!];
      out[pair] = one * Math.cos(angle) - other * Math.sin(angle);
      out[pair + half] = other * Math.cos(angle) + one * Math.sin(angle);
    }
    return out;
  };
  const heads = (x: number[], gain: ArrayLike<number> | undefined, position: number | null) =>
    Array.from({ length: x.length / head }, (_, index) => {
      const part = x.slice(index * head, (index + 1) * head);
      const normed = gain ? norm(part, gain) : part;
      return position === null ? normed : rotate(normed, position);
    });
  const add = (one: number[], other: number[]) => one.map((value, at) => value + other[at]!);

  const table = values('model.embed_tokens.weight')!;
  let states = tokens.map((token) => [...table.subarray(token * width, (token + 1) * width)]);
  for (let layer = 0; layer < number('num_hidden_layers'); layer++) {
    const at = `model.layers.${layer}`;
    const inputs = states.map((state) => norm(state, values(`${at}.input_layernorm.weight`)!));
    const qNorm = values(`${at}.self_attn.q_norm.weight`);
    const kNorm = values(`${at}.self_attn.k_norm.weight`);
    const queries = inputs.map((x, p) => heads(linear(`${at}.self_attn.q_proj`, x), qNorm, p));
    const keys = inputs.map((x, p) => heads(linear(`${at}.self_attn.k_proj`, x), kNorm, p));
    const contents = inputs.map((x) => heads(linear(`${at}.self_attn.v_proj`, x), undefined, null));
    states = states.map((state, position) => {
      const mixed = queries[position]!.flatMap((query, index) => {
        const kv = Math.floor(index / (nHead / nKv));
        const scores = keys.slice(0, position + 1).map((key) => {
          const dot = key[kv]!.reduce((sum, value, dim) => sum + value * query[dim]!, 0);
          return dot / Math.sqrt(head);
        });
        const top = Math.max(...scores);
        const weights = scores.map((score) => Math.exp(score - top));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        return Array.from({ length: head }, (_, dim) =>
          weights.reduce(
            (sum, weight, at2) => sum + (weight / total) * contents[at2]![kv]![dim]!,
            0,
          ),
        );
      });
      const attended = add(state, linear(`${at}.self_attn.o_proj`, mixed));
      const x = norm(attended, values(`${at}.post_attention_layernorm.weight`)!);
      const gate = linear(`${at}.mlp.gate_proj`, x);
      const up = linear(`${at}.mlp.up_proj`, x);
      const inner = gate.map((value, dim) => (value / (1 + Math.exp(-value))) * up[dim]!);
      return add(attended, linear(`${at}.mlp.down_proj`, inner));
    });
  }
  const last = norm(states.at(-1)!, values('model.norm.weight')!);
  return linear(tensors.has('lm_head.weight') ? 'lm_head' : 'model.embed_tokens', last);
}
