/**
 * Which tensors a model has, what GGUF calls them, and in which order their rows stand.
 *
 * The rotary embedding pairs value `i` of a head with value `i + d/2` in Hugging Face's Llama and neighbours in
 * llama.cpp's: rows of the query and key projections (and their biases) are interleaved, head by head.
 *
 *     Hugging Face   a0 a1 a2 … b0 b1 b2 …        GGUF   a0 b0 a1 b1 a2 b2 …
 *
 * Qwen keeps its order. Norms and everything of one dimension are f32.
 */

import type { ConvertedType } from '../hub-cache.ts';
import type { Hyperparameters } from './hyperparameters.ts';
import { unsupported } from './model-files.ts';
import { llama3RopeFactors } from './rope.ts';
import type { SourceTensor } from './safetensors.ts';

/** A tensor to write. */
export interface PlannedTensor {
  readonly name: string;
  /** Outermost first. */
  readonly shape: readonly number[];
  readonly type: ConvertedType;
  readonly source: SourceTensor | Float32Array;
  /** Heads whose rows are interleaved; 0 for rows as they are. */
  readonly nHeadsInterleaved: number;
}

interface ExpectedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly nHeadsInterleaved: number;
  readonly required: boolean;
}

const Q8_BLOCK = 32;
/** Buffers that older checkpoints carry and no model reads. */
const IGNORED = ['.rotary_emb.inv_freq', '.attention.bias', '.attention.masked_bias'];
const SHOWN = 3;

/**
 * Plans every tensor of the output, in order.
 *
 * @throws MODEL_CONVERT_UNSUPPORTED naming what is missing, left over or of another shape
 */
export function planTensors(
  sources: readonly SourceTensor[],
  model: Hyperparameters,
  type: ConvertedType,
  dir: string,
): PlannedTensor[] {
  const expected = expectedTensors(model);
  const known = sources.filter(({ name }) => !IGNORED.some((end) => name.endsWith(end)));
  const extra = known.filter(({ name }) => !expected.has(name)).map(({ name }) => name);
  if (extra.length > 0) {
    throw unsupported(dir, 'tensors', `not of a ${model.architecture} model: ${some(extra)}`);
  }
  const there = new Set(known.map(({ name }) => name));
  const missing = [...expected].filter(([name, { required }]) => required && !there.has(name));
  if (missing.length > 0) {
    throw unsupported(dir, 'tensors', `missing: ${some(missing.map(([name]) => name))}`);
  }
  const planned: PlannedTensor[] = [];
  if (model.rope.kind === 'llama3') {
    const source = llama3RopeFactors(model.rope, model.headDim);
    const shape = [source.length];
    planned.push({ name: 'rope_freqs.weight', shape, type: 'f32', source, nHeadsInterleaved: 0 });
  }
  for (const source of known) {
    const { name, shape, nHeadsInterleaved } = expected.get(source.name)!;
    if (shape.length !== source.shape.length || shape.some((n, at) => n !== source.shape[at])) {
      const reason = `shape [${source.shape.join(', ')}], expected [${shape.join(', ')}]`;
      throw unsupported(dir, `tensor ${source.name}`, reason);
    }
    planned.push({ name, shape, type: typeOf(name, shape, type), source, nHeadsInterleaved });
  }
  return planned;
}

function typeOf(name: string, shape: readonly number[], type: ConvertedType): ConvertedType {
  if (shape.length === 1 || name.endsWith('_norm.weight')) return 'f32';
  if (type === 'q8_0' && shape.at(-1)! % Q8_BLOCK !== 0) return 'f16';
  return type;
}

function some(names: readonly string[]): string {
  const more = names.length - SHOWN;
  return names.slice(0, SHOWN).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

/** Tensors by their names in the checkpoint. */
function expectedTensors(model: Hyperparameters): Map<string, ExpectedTensor> {
  const { architecture, nVocab, nEmbd, nLayer, nHead, nHeadKv, headDim, nFf, biases } = model;
  const expected = new Map<string, ExpectedTensor>();
  const add = (from: string, name: string, shape: number[], more: Partial<ExpectedTensor> = {}) =>
    expected.set(from, { name, shape, nHeadsInterleaved: 0, required: true, ...more });
  add('model.embed_tokens.weight', 'token_embd.weight', [nVocab, nEmbd]);
  add('model.norm.weight', 'output_norm.weight', [nEmbd]);
  add('lm_head.weight', 'output.weight', [nVocab, nEmbd], { required: !model.tied });
  const interleaved = architecture === 'llama';
  for (let layer = 0; layer < nLayer; layer++) {
    const from = `model.layers.${layer}`;
    const to = `blk.${layer}`;
    const project = (
      name: string,
      short: string,
      [nOut, nIn]: readonly [number, number],
      bias: boolean,
      nHeadsInterleaved = 0,
    ): void => {
      const more = { nHeadsInterleaved };
      add(`${from}.${name}.weight`, `${to}.${short}.weight`, [nOut, nIn], more);
      if (bias) add(`${from}.${name}.bias`, `${to}.${short}.bias`, [nOut], more);
    };
    add(`${from}.input_layernorm.weight`, `${to}.attn_norm.weight`, [nEmbd]);
    add(`${from}.post_attention_layernorm.weight`, `${to}.ffn_norm.weight`, [nEmbd]);
    const kv = [nHeadKv * headDim, nEmbd] as const;
    const q = [nHead * headDim, nEmbd] as const;
    project('self_attn.q_proj', 'attn_q', q, biases.qkv, interleaved ? nHead : 0);
    project('self_attn.k_proj', 'attn_k', kv, biases.qkv, interleaved ? nHeadKv : 0);
    project('self_attn.v_proj', 'attn_v', kv, biases.qkv);
    project('self_attn.o_proj', 'attn_output', [nEmbd, nHead * headDim], biases.output);
    project('mlp.gate_proj', 'ffn_gate', [nFf, nEmbd], biases.ff);
    project('mlp.up_proj', 'ffn_up', [nFf, nEmbd], biases.ff);
    project('mlp.down_proj', 'ffn_down', [nEmbd, nFf], biases.ff);
    if (architecture === 'qwen3') {
      add(`${from}.self_attn.q_norm.weight`, `${to}.attn_q_norm.weight`, [headDim]);
      add(`${from}.self_attn.k_norm.weight`, `${to}.attn_k_norm.weight`, [headDim]);
    }
  }
  return expected;
}

/**
 * Interleaves the rows of whole heads.
 *
 * @param rows source bytes, `headDim` rows to a head
 * @param into of the same length
 */
export function interleaveHeads(
  rows: Uint8Array,
  into: Uint8Array,
  rowBytes: number,
  headDim: number,
): void {
  const half = headDim / 2;
  const headBytes = headDim * rowBytes;
  for (let head = 0; head < rows.length; head += headBytes) {
    for (let row = 0; row < headDim; row++) {
      const from = head + ((row % 2) * half + (row >> 1)) * rowBytes;
      into.set(rows.subarray(from, from + rowBytes), head + row * rowBytes);
    }
  }
}
