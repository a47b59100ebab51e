/** Seeded changes of model files: values, types and lengths of entries, tensors, single bytes, cuts. */
import { formatGguf, type GgufFile } from './gguf-edit.ts';

const WHOLE = [
  0, 1, 2, 3, 7, 8, 16, 31, 33, 64, 127, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 65535,
];
const LARGE = [65537, 2 ** 20, 2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, -1];
const REAL = [
  0,
  -0,
  1,
  -1,
  1e-5,
  0.5,
  1e30,
  -1e30,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
];
const TEXTS = [
  '',
  'none',
  'llama',
  'gpt2',
  'bert',
  't5',
  'rwkv',
  'qwen3',
  'qwen2',
  'llama-embed',
  'yarn',
  'longrope',
  'linear',
  '\0',
  'x'.repeat(300),
  '\u00ff\u00fe',
  'phi-3',
];
const PRE = [
  'default',
  'llama-bpe',
  'gpt-2',
  'qwen2',
  'whitespace',
  'gemma4',
  'sarvam-moe',
  'kimi-k2',
  'deepseek-llm',
  'deepseek-v3',
  'falcon',
  'smollm',
  'tekken',
  'command-r',
  'roberta-bpe',
  'chatglm-bpe',
  'viking',
  'poro-chat',
  'bloom',
  'gpt-4o',
  'grok-2',
  'minicpm5',
  'jina-v2-de',
  'modern-bert',
];
const KEYS = [
  'block_count',
  'context_length',
  'embedding_length',
  'embedding_length_out',
  'feed_forward_length',
  'vocab_size',
  'attention.head_count',
  'attention.head_count_kv',
  'attention.key_length',
  'attention.value_length',
  'attention.causal',
  'attention.layer_norm_rms_epsilon',
  'attention.key_length_swa',
  'attention.value_length_swa',
  'attention.sliding_window',
  'attention.sliding_window_pattern',
  'attention.scale',
  'attention.clamp_kqv',
  'attention.max_alibi_bias',
  'attention.temperature_length',
  'rope.dimension_count',
  'rope.dimension_count_swa',
  'rope.freq_base',
  'rope.scaling.type',
  'rope.scaling.factor',
  'rope.scale_linear',
  'rope.scaling.original_context_length',
  'rope.scaling.attn_factor',
  'rope.scaling.alpha',
  'rope.scaling.finetuned',
  'rope.scaling.yarn_ext_factor',
  'rope.scaling.yarn_log_multiplier',
  'rope.dimension_sections',
  'pooling_type',
  'expert_count',
  'expert_used_count',
  'expert_group_count',
  'expert_group_used_count',
  'expert_shared_count',
  'nextn_predict_layers',
  'logit_scale',
  'residual_scale',
  'embedding_scale',
  'use_parallel_residual',
  'classifier.output_labels',
  'dense_2_feat_out',
  'leading_dense_block_count',
  'swiglu_clamp_exp',
];
const GENERAL = [
  'general.architecture',
  'general.name',
  'general.alignment',
  'general.file_type',
  'general.quantization_version',
  'split.no',
  'split.count',
  'split.tensors.count',
  'tokenizer.ggml.model',
  'tokenizer.ggml.pre',
  'tokenizer.ggml.tokens',
  'tokenizer.ggml.scores',
  'tokenizer.ggml.token_type',
  'tokenizer.ggml.merges',
  'tokenizer.ggml.token_type_count',
  'tokenizer.ggml.bos_token_id',
  'tokenizer.ggml.eos_token_id',
  'tokenizer.ggml.eot_token_id',
  'tokenizer.ggml.unknown_token_id',
  'tokenizer.ggml.padding_token_id',
  'tokenizer.ggml.mask_token_id',
  'tokenizer.ggml.add_bos_token',
  'tokenizer.ggml.add_eos_token',
  'tokenizer.ggml.add_sep_token',
  'tokenizer.ggml.add_space_prefix',
  'tokenizer.ggml.remove_extra_whitespaces',
  'tokenizer.ggml.precompiled_charsmap',
  'tokenizer.ggml.suppress_tokens',
  'tokenizer.chat_template',
  'gristmill.kind',
  'gristmill.class_count',
  'gristmill.class_head',
  'gristmill.encoder',
  'adapter.type',
];
const NAMES = [
  'output.weight',
  'output_norm.weight',
  'token_embd.weight',
  'rope_freqs.weight',
  'rope_factors_long.weight',
  'rope_factors_short.weight',
  'cls.output.weight',
  'blk.0.attn_q.bias',
  'blk.0.attn_output.bias',
  'blk.0.attn_q.scale',
  'blk.0.attn_qkv.weight',
  'blk.0.attn_qkv.bias',
  'blk.0.ffn_up.bias',
  'blk.0.ffn_gate_inp.weight',
  'blk.0.ffn_up_exps.weight',
  'blk.0.ffn_up.input_scale',
  'blk.9.attn_q.weight',
  'blk.0.attn_q_norm.weight',
];
/** Values of a block and its bytes, by type. */
const BLOCKS: Record<number, readonly [number, number]> = {
  0: [1, 4],
  1: [1, 2],
  2: [32, 18],
  3: [32, 20],
  6: [32, 22],
  7: [32, 24],
  8: [32, 34],
  9: [32, 36],
  20: [32, 18],
  24: [1, 1],
  25: [1, 2],
  26: [1, 4],
  27: [1, 8],
  28: [1, 8],
  30: [1, 2],
  39: [32, 17],
};

/** The bytes of a file that is `file` changed once to three times as `seed` says. */
export function changed(file: GgufFile, seed: number): { bytes: Buffer; what: string } {
  let state = (seed * 2654435761 + 12345) >>> 0;
  const below = (bound: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  const one = <T>(of: readonly T[]): T => of[below(of.length)]!;
  const copy: GgufFile = {
    version: file.version,
    entries: new Map(
      [...file.entries].map(([key, value]) => [
        key,
        { ...value, value: Array.isArray(value.value) ? [...value.value] : value.value },
      ]),
    ),
    tensors: file.tensors.map((tensor) => ({ ...tensor, extents: [...tensor.extents] })),
  };
  const architecture = String(file.entries.get('general.architecture')!.value);
  const anyValue = (type: number): unknown =>
    type === 8
      ? one(below(3) === 0 ? PRE : TEXTS)
      : type === 6 || type === 12
        ? one(REAL)
        : type === 7
          ? below(2) === 1
          : one(below(4) === 0 ? LARGE : WHOLE);
  const anyKey = () =>
    below(2) === 0
      ? `${architecture}.${one(KEYS)}`
      : below(3) > 0
        ? one(GENERAL)
        : one([...copy.entries.keys()]);

  const changeEntry = (): string => {
    const key = anyKey();
    const old = copy.entries.get(key);
    if (below(12) === 0) {
      copy.entries.delete(key);
      return `no ${key}`;
    }
    if (old?.type === 9 && below(4) > 0) {
      const values = old.value as unknown[];
      const at = below(Math.max(1, values.length));
      const way = below(5);
      if (way === 0) values.length = at;
      else if (way === 1) values.push(values[at]);
      else if (way === 2) values[at] = values[below(Math.max(1, values.length))];
      else if (way === 3) values.splice(at, 1);
      else values[at] = anyValue(old.inner!);
      return `${key}[${at}] way ${way}`;
    }
    const type =
      old && below(5) > 0 ? old.type : one([4, 4, 4, 5, 6, 6, 7, 8, 8, 0, 2, 10, 11, 12, 9]);
    if (type !== 9) {
      const value = anyValue(type);
      copy.entries.set(key, { type, value });
      return `${key} = ${type}:${String(value)}`;
    }
    const inner = one([4, 5, 6, 7, 8, 0, 10]);
    const layers = Number(file.entries.get(`${architecture}.block_count`)!.value);
    const value = Array.from({ length: one([0, 1, layers, layers, 512, 513, 3000]) }, () =>
      anyValue(inner),
    );
    copy.entries.set(key, { type, inner, value });
    return `${key} = ${value.length} of ${inner}`;
  };
  const changeTensor = (): string => {
    const tensor = one(copy.tensors);
    const { name } = tensor;
    switch (below(6)) {
      case 0:
        copy.tensors.splice(copy.tensors.indexOf(tensor), 1);
        return `no ${name}`;
      case 1: {
        tensor.name = below(8) === 0 ? 'x'.repeat(below(80)) : one(NAMES);
        return `${name} named ${tensor.name}`;
      }
      case 2: {
        const added = { ...tensor, name: one(NAMES), extents: [...tensor.extents] };
        copy.tensors.push(added);
        return `${added.name} like ${name}`;
      }
      case 3: {
        const at = below(tensor.extents.length);
        tensor.extents[at] = BigInt(one(below(3) === 0 ? LARGE : WHOLE));
        return `${name} extent ${at} = ${tensor.extents[at]}`;
      }
      case 4: {
        tensor.type = below(10) === 0 ? below(60) : Number(one(Object.keys(BLOCKS)));
        const [values, bytes] = BLOCKS[tensor.type] ?? [1, 1];
        const count = Number(tensor.extents.reduce((all, extent) => all * extent, 1n));
        const data = Buffer.alloc(Math.min(2 ** 22, Math.ceil(count / values) * bytes));
        for (let at = 0; at < data.length; at += 1 + below(9)) data[at] = below(256);
        tensor.bytes = data;
        return `${name} of type ${tensor.type}`;
      }
      default: {
        const data = Buffer.from(tensor.bytes);
        for (let times = 0; times < 1 + below(20); times++)
          data[below(data.length)] = one([0, 255, 127, 128, below(256)]);
        tensor.bytes = data;
        return `data of ${name}`;
      }
    }
  };
  const what: string[] = [];
  const times = 1 + below(3);
  for (let time = 0; time < times; time++) what.push(below(5) < 3 ? changeEntry() : changeTensor());
  const alignment = one([32, 32, 32, 32, 32, 32, 64, 8, 1]);
  if (alignment !== 32) copy.entries.set('general.alignment', { type: 4, value: alignment });
  let bytes = formatGguf(copy, alignment);
  if (below(8) === 0) {
    const head = Math.min(bytes.length, 12_000);
    for (let flips = 1 + below(4); flips > 0; flips--) bytes[below(head)] = below(256);
    what.push('bytes');
  }
  if (below(30) === 0) {
    bytes = bytes.subarray(0, below(bytes.length));
    what.push(`cut at ${bytes.length}`);
  }
  return { bytes, what: what.join('; ') };
}
