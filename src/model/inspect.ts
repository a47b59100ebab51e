/**
 * What a GGUF file holds, without loading it: checked metadata, never a crash on a damaged file.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { callNative, native } from '../native/index.ts';

/** Tensors of one storage type. */
export interface TensorGroup {
  /** ggml's name of the type, e.g. `bf16`. */
  readonly type: string;
  readonly tensors: number;
  readonly parameters: number;
  readonly bytes: number;
}

/** What {@link inspectModel} found. Sizes are tokens, layers and elements; -1 where the file does not say. */
export interface ModelDescription {
  readonly fileBytes: number;
  readonly ggufVersion: number;
  readonly architecture: string;
  readonly name: string;
  /** `language`, or what a scoring model judges: `line-score`, `document-score`. */
  readonly kind: string;
  readonly nParams: number;
  readonly nVocab: number;
  readonly nCtxTrain: number;
  readonly nEmbd: number;
  readonly nLayer: number;
  readonly nHead: number;
  readonly nHeadKv: number;
  readonly nFf: number;
  /** Type that most parameters have, e.g. `BF16`. */
  readonly quantisation: string;
  /** `llama` (SentencePiece) or `gpt2` (byte-level BPE) for models the engine runs. */
  readonly tokenizer: string;
  readonly preTokenizer: string;
  readonly bosToken: string;
  readonly eosToken: string;
  readonly chatTemplate: string | null;
  /** Largest group first. */
  readonly tensors: readonly TensorGroup[];
  /** True when the engine can run the model. */
  readonly runnable: boolean;
  /** Hex digest of the whole file; only with `InspectOptions.sha256`. */
  readonly sha256?: string;
}

/** Options of {@link inspectModel}. */
export interface InspectOptions {
  /** Reads the whole file for its digest. Default false. */
  readonly sha256?: boolean;
}

/** A description, and what only models that score have. */
export interface InspectedModel extends ModelDescription {
  /** What a scoring model needs besides its network (lines/encoder-file.ts); null without it. */
  readonly encoder: Uint8Array | null;
}

/** As {@link inspectModel}, with the encoder of a scoring model. */
export function inspectScorer(file: string): Promise<InspectedModel> {
  return callNative(native().inspectModel(file)) as Promise<InspectedModel>;
}

/**
 * Reads the metadata of a GGUF file.
 *
 * @throws ENGINE_MODEL_MISSING, ENGINE_MODEL_INVALID (not a GGUF file, truncated)
 */
export async function inspectModel(
  file: string,
  { sha256 = false }: InspectOptions = {},
): Promise<ModelDescription> {
  const { encoder: _, ...description } = await inspectScorer(file);
  if (!sha256) return description;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk);
  return { ...description, sha256: hash.digest('hex') };
}
