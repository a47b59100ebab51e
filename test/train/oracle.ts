/**
 * Naive float64 llama forward pass and loss: the oracle of the native trainer.
 *
 * Plain loops over plain arrays, written from the model's definition: nothing is shared with the native code.
 */
import type { TrainBatch, TrainShape } from '../../src/native/train.ts';

export interface OracleOptions {
  readonly nCtx: number;
  readonly causal: boolean;
  readonly labelSmoothing: number;
}

/** Weights by GGUF name, row-major `[out × in]`. */
export type Weights = ReadonlyMap<string, ArrayLike<number>>;

function norm(x: Float64Array, gain: ArrayLike<number>, epsilon: number): Float64Array {
  const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
  return x.map((value, at) => (value / Math.sqrt(mean + epsilon)) * gain[at]!);
}

function linear(weight: ArrayLike<number>, x: Float64Array): Float64Array {
  const out = new Float64Array(weight.length / x.length);
  for (let row = 0; row < out.length; row += 1) {
    for (let at = 0; at < x.length; at += 1) out[row]! += weight[row * x.length + at]! * x[at]!;
  }
  return out;
}

function rotate(x: Float64Array, shape: TrainShape, position: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += 2) {
    const pair = start % shape.nHeadDim;
    const angle = position * shape.ropeTheta ** (-pair / shape.nHeadDim);
    out[start] = x[start]! * Math.cos(angle) - x[start + 1]! * Math.sin(angle);
    out[start + 1] = x[start]! * Math.sin(angle) + x[start + 1]! * Math.cos(angle);
  }
  return out;
}

const add = (left: Float64Array, right: Float64Array) =>
  left.map((value, at) => value + right[at]!);

/** What a position reads: rows of the embedding table with their weights. */
export type Input = readonly (readonly [row: number, weight: number])[];

/** The inputs of a batch, position by position. */
export function inputsOf(batch: TrainBatch): Input[] {
  if ('tokens' in batch) return Array.from(batch.tokens, (token) => [[token, 1]]);
  const { bagStarts, bagIds, bagWeights } = batch;
  return Array.from(bagStarts.subarray(1), (end, position) =>
    Array.from(
      bagIds.subarray(bagStarts[position], end),
      (row, index) => [row, bagWeights[bagStarts[position]! + index]!] as const,
    ),
  );
}

/** Logits of every token of one sequence, and the loss over a batch's targets. */
export function oracleLogits(
  shape: TrainShape,
  options: OracleOptions,
  weights: Weights,
  inputs: readonly Input[],
  segments: Int32Array | undefined,
): Float64Array[] {
  const get = (name: string) => weights.get(name)!;
  const table = get('token_embd.weight');
  let stream = inputs.map((input) =>
    Float64Array.from({ length: shape.nEmbd }, (_, at) =>
      input.reduce((sum, [row, weight]) => sum + weight * table[row * shape.nEmbd + at]!, 0),
    ),
  );
  const sees = (query: number, key: number) => {
    if (options.causal && key > query) return false;
    if (!segments) return true;
    const [low, high] = [Math.min(query, key), Math.max(query, key)];
    return segments.subarray(low, high + 1).every((segment) => segment === segments[query]);
  };
  for (let layer = 0; layer < shape.nLayer; layer += 1) {
    const block = `blk.${layer}.`;
    const normed = stream.map((x) => norm(x, get(`${block}attn_norm.weight`), shape.rmsEpsilon));
    const q = normed.map((x, at) => rotate(linear(get(`${block}attn_q.weight`), x), shape, at));
    const k = normed.map((x, at) => rotate(linear(get(`${block}attn_k.weight`), x), shape, at));
    const v = normed.map((x) => linear(get(`${block}attn_v.weight`), x));
    stream = stream.map((x, query) => {
      const mixed = new Float64Array(shape.nHead * shape.nHeadDim);
      for (let head = 0; head < shape.nHead; head += 1) {
        const kvHead = Math.floor(head / (shape.nHead / shape.nHeadKv));
        const scores = k.map((key, at) => {
          if (!sees(query, at)) return Number.NEGATIVE_INFINITY;
          let dot = 0;
          for (let dim = 0; dim < shape.nHeadDim; dim += 1) {
            dot += q[query]![head * shape.nHeadDim + dim]! * key[kvHead * shape.nHeadDim + dim]!;
          }
          return dot / Math.sqrt(shape.nHeadDim);
        });
        const highest = Math.max(...scores);
        const exps = scores.map((score) => Math.exp(score - highest));
        const sum = exps.reduce((total, value) => total + value, 0);
        for (const [at, value] of v.entries()) {
          for (let dim = 0; dim < shape.nHeadDim; dim += 1) {
            mixed[head * shape.nHeadDim + dim]! +=
              (exps[at]! / sum) * value[kvHead * shape.nHeadDim + dim]!;
          }
        }
      }
      return add(x, linear(get(`${block}attn_output.weight`), mixed));
    });
    stream = stream.map((x) => {
      const input = norm(x, get(`${block}ffn_norm.weight`), shape.rmsEpsilon);
      const up = linear(get(`${block}ffn_up.weight`), input);
      const hidden = linear(get(`${block}ffn_gate.weight`), input).map(
        (gate, at) => (gate / (1 + Math.exp(-gate))) * up[at]!,
      );
      return add(x, linear(get(`${block}ffn_down.weight`), hidden));
    });
  }
  const head =
    shape.nClasses > 0 ? get('class_head.weight') : shape.tied ? table : get('output.weight');
  return stream.map((x) => linear(head, norm(x, get('output_norm.weight'), shape.rmsEpsilon)));
}

/** Mean loss over all targets of all batches, by weight. */
export function oracleLoss(
  shape: TrainShape,
  options: OracleOptions,
  weights: Weights,
  batches: readonly TrainBatch[],
): number {
  let sum = 0;
  let total = 0;
  for (const batch of batches) {
    const logits: Float64Array[] = [];
    const inputs = inputsOf(batch);
    for (let start = 0; start < inputs.length; start += options.nCtx) {
      const end = start + options.nCtx;
      const segments = batch.segments?.subarray(start, end);
      logits.push(...oracleLogits(shape, options, weights, inputs.slice(start, end), segments));
    }
    for (const [target, position] of batch.positions.entries()) {
      const row = logits[position]!;
      const highest = Math.max(...row);
      const logSum =
        highest + Math.log(row.reduce((all, value) => all + Math.exp(value - highest), 0));
      const mean = row.reduce((all, value) => all + value, 0) / row.length;
      const weight = batch.weights?.[target] ?? 1;
      const chosen = row[batch.labels[target]!]!;
      sum +=
        weight * (logSum - (1 - options.labelSmoothing) * chosen - options.labelSmoothing * mean);
      total += weight;
    }
  }
  return sum / total;
}
