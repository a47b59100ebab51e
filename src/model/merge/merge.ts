/**
 * `gristmill models merge`: the weighted average of checkpoints of one model, value by value, as one model.
 *
 * The plan comes first: every head is read and compared before a byte is written (sources.ts). Then the tensors stream
 * through, a stretch of a few MB of each input at a time, whatever the size of the models. Sums are taken in double
 * precision, in the order of the inputs, rounded to float32 once and from there to the type that is stored; inputs of
 * weight 0 are compared and not read. The file appears under its name when it is complete.
 *
 * @see arXiv 2507.17634 for weights that stand for a decay (schedules/merge-weights.ts)
 */
import { type FileHandle, open } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { writeDurably } from '../../durable-files.ts';
import { GristmillError, throwIfAborted } from '../../errors.ts';
import { makeFolder } from '../../local-path.ts';
import { callNative, native } from '../../native/index.ts';
import {
  abortSignal,
  callback,
  checkOptions,
  listOf,
  name,
  number,
  type OptionTable,
  oneOf,
  text,
} from '../../options.ts';
import { fileTypeEntries } from '../convert/general.ts';
import { createGguf } from '../convert/gguf-stream.ts';
import {
  hasFile,
  invalidFile,
  MAX_TOKENIZER_BYTES,
  readBytes,
  readJson,
} from '../convert/model-files.ts';
import type { SourceTensor, SourceType } from '../convert/safetensors.ts';
import type { GgufEntries } from '../gguf-write.ts';
import { aligned, TensorStream } from '../tensor-stream.ts';
import { type MergeForm, type MergeSource, openMergeSources } from './sources.ts';

/** Options of {@link mergeModels}. */
export interface MergeModelsOptions {
  /** GGUF files, safetensors files or folders of Hugging Face models; 2 to 1000 of one form. The last one describes the result. */
  readonly inputs: readonly string[];
  /** File to write, a folder where the inputs are folders. */
  readonly out: string;
  /** One for each input, 0 or more, summing to one. Default: the same for all. */
  readonly weights?: readonly number[];
  /** Storage of the values; in GGUF that of the matrices. Default: as the last input has each tensor. */
  readonly type?: SourceType;
  /** `general.name` of a GGUF file. Default: that of the last input. */
  readonly name?: string;
  readonly signal?: AbortSignal;
  /** Called after every stretch of a few MB. */
  readonly onProgress?: (progress: MergeProgress) => void;
}

/** How far a merge is. */
export interface MergeProgress {
  /** Of the weights of all inputs that are read. */
  readonly bytesDone: number;
  readonly bytes: number;
  /** The tensor at work. */
  readonly tensor: string;
}

/** What was written. */
export interface MergeSummary {
  readonly out: string;
  readonly form: MergeForm;
  readonly nTensors: number;
  readonly nParams: number;
  readonly bytes: number;
  readonly inputs: readonly { readonly path: string; readonly weight: number }[];
  readonly seconds: number;
}

const TYPES = ['f32', 'f16', 'bf16'] as const satisfies readonly SourceType[];
const TYPE_BYTES = { f32: 4, f16: 2, bf16: 2 } as const;
/** Values of a stretch. */
const STRETCH_VALUES = 2 ** 20;
const MAX_INPUTS = 1000;
/** What rounding of written weights may leave. */
const SUM_TOLERANCE = 1e-6;
/** Of a folder, beside the weights. */
const COPIED = [
  'generation_config.json',
  'tokenizer.json',
  'tokenizer.model',
  'tokenizer_config.json',
  'vocab.json',
  'merges.txt',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
];
const HF_TYPES = { f32: 'float32', f16: 'float16', bf16: 'bfloat16' } as const;
const SAFETENSORS_TYPES = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const;
const SAFETENSORS_ALIGNMENT = 8;
const WEIGHTS_FILE = 'model.safetensors';

const OPTION_TABLE: OptionTable<MergeModelsOptions> = {
  inputs: listOf(name, 2),
  out: name,
  weights: listOf(number),
  type: oneOf(TYPES),
  name: text,
  signal: abortSignal,
  onProgress: callback,
};

/** A tensor of the result. */
interface MergedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: SourceType;
  readonly nValues: number;
}

/**
 * Merges models.
 *
 * @throws MODEL_MERGE_REFUSED naming file, tensor or entry and value; MODEL_FILES_INVALID, MODEL_CONVERT_UNSUPPORTED,
 *   MODEL_WRITE_FAILED, OPTION_INVALID, ABORTED
 */
export async function mergeModels(options: MergeModelsOptions): Promise<MergeSummary> {
  checkOptions<MergeModelsOptions>('mergeModels', options, OPTION_TABLE, ['inputs', 'out']);
  const { inputs, out, type, signal } = options;
  const weights = weightsOf(options);
  const started = performance.now();
  if (inputs.some((input) => resolve(input) === resolve(out))) {
    const expected = 'a place of its own, none of the inputs';
    throw new GristmillError('OPTION_INVALID', { option: 'out', expected, received: out });
  }
  const sources = openMergeSources(inputs);
  const last = sources.at(-1)!;
  const tensors = last.tensors.map((tensor): MergedTensor => {
    const isKept = last.form === 'gguf' && tensor.shape.length < 2;
    const nValues = tensor.bytes / TYPE_BYTES[tensor.type];
    const { name: tensorName, shape } = tensor;
    return { name: tensorName, shape, nValues, type: isKept ? tensor.type : (type ?? tensor.type) };
  });
  const stream = await createOutput(options, weights, last, tensors);
  const merge = new Merge(options, weights, sources, tensors, stream);
  let bytes: number;
  try {
    await merge.run();
    throwIfAborted(signal, 'the merge');
    bytes = await stream.commit();
  } catch (error) {
    await stream.discard();
    throw error;
  }
  return {
    ...{ out, form: last.form, bytes },
    nTensors: tensors.length,
    nParams: tensors.reduce((sum, { nValues }) => sum + nValues, 0),
    inputs: inputs.map((path, at) => ({ path, weight: weights[at]! })),
    seconds: (performance.now() - started) / 1000,
  };
}

/** @throws OPTION_INVALID */
function weightsOf({ inputs, weights }: MergeModelsOptions): readonly number[] {
  const refuse = (option: string, expected: string, received: unknown): never => {
    throw new GristmillError('OPTION_INVALID', { option, expected, received });
  };
  if (inputs.length > MAX_INPUTS) refuse('inputs', `at most ${MAX_INPUTS}`, inputs.length);
  if (!weights) return inputs.map(() => 1 / inputs.length);
  if (weights.length !== inputs.length) {
    refuse('weights', `${inputs.length}, one for each input`, weights.length);
  }
  const wrong = weights.findIndex((weight) => !(weight >= 0 && weight <= 1 + SUM_TOLERANCE));
  if (wrong >= 0) refuse(`weights, of ${inputs[wrong]}`, '0..1', weights[wrong]);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  if (Math.abs(sum - 1) > SUM_TOLERANCE) refuse('weights', 'a sum of 1', sum);
  return weights;
}

async function createOutput(
  { out, type, name: title }: MergeModelsOptions,
  weights: readonly number[],
  last: MergeSource,
  tensors: readonly MergedTensor[],
): Promise<TensorStream> {
  if (last.form === 'gguf') {
    const entries: GgufEntries = {
      ...Object.fromEntries(
        // The file is written with the alignment that is not named.
        [...last.entries]
          .filter(([key]) => key !== 'general.alignment')
          .map(([key, value]) => [key, { type: 'raw', value }] as const),
      ),
      ...(title !== undefined && { 'general.name': { type: 'string', value: title } }),
      ...(type && fileTypeEntries(type).fileType),
      'gristmill.merge.weights': { type: 'f32s', value: Float32Array.from(weights) },
    };
    return createGguf(out, entries, tensors);
  }
  if (last.form === 'safetensors') return createSafetensors(out, tensors);
  makeFolder(out, 'MODEL_WRITE_FAILED');
  const config = readJson(join(last.path, 'config.json'));
  const typeKeys = ['torch_dtype', 'dtype'].filter((key) => type && Object.hasOwn(config, key));
  const described = Object.fromEntries(typeKeys.map((key) => [key, HF_TYPES[type!]]));
  const text = `${JSON.stringify({ ...config, ...described }, null, 2)}\n`;
  try {
    for (const file of COPIED) {
      if (!hasFile(last.path, file)) continue;
      writeDurably(join(out, file), readBytes(join(last.path, file), MAX_TOKENIZER_BYTES));
    }
    writeDurably(join(out, 'config.json'), text);
  } catch (cause) {
    if (cause instanceof GristmillError) throw cause;
    const reason = (cause as Error).message;
    throw new GristmillError('MODEL_WRITE_FAILED', { path: out, reason }, { cause });
  }
  return createSafetensors(join(out, WEIGHTS_FILE), tensors);
}

function createSafetensors(path: string, tensors: readonly MergedTensor[]): Promise<TensorStream> {
  let offset = 0;
  const extents = tensors.map(({ name: tensor, nValues, type, shape }) => {
    const bytes = nValues * TYPE_BYTES[type];
    offset += bytes;
    const place = [offset - bytes, offset];
    return {
      name: tensor,
      bytes,
      header: { dtype: SAFETENSORS_TYPES[type], shape, data_offsets: place },
    };
  });
  const header = Buffer.from(
    JSON.stringify({
      __metadata__: { format: 'pt' },
      ...Object.fromEntries(extents.map(({ name: tensor, header: own }) => [tensor, own])),
    }),
  );
  // Blanks behind the header are the format's own way to align the data.
  const padded = Buffer.alloc(aligned(header.length, SAFETENSORS_ALIGNMENT), ' ');
  header.copy(padded);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return TensorStream.create(path, Buffer.concat([length, padded]), extents, 1);
}

/** Reads, sums and writes the tensors. */
class Merge {
  readonly #options: MergeModelsOptions;
  readonly #tensors: readonly MergedTensor[];
  readonly #out: TensorStream;
  /** Inputs that are read, in their order. */
  readonly #inputs: readonly {
    readonly weight: number;
    readonly tensors: ReadonlyMap<string, SourceTensor>;
  }[];
  readonly #bytes: number;
  readonly #open = new Map<number, { readonly path: string; readonly handle: FileHandle }>();
  readonly #read: Uint8Array;
  readonly #values: Float32Array;
  readonly #sums: Float64Array;
  readonly #written: Uint8Array;
  #bytesDone = 0;

  constructor(
    options: MergeModelsOptions,
    weights: readonly number[],
    sources: readonly MergeSource[],
    tensors: readonly MergedTensor[],
    out: TensorStream,
  ) {
    this.#options = options;
    this.#tensors = tensors;
    this.#out = out;
    this.#inputs = sources
      .map((source, at) => ({
        weight: weights[at]!,
        tensors: new Map(source.tensors.map((tensor) => [tensor.name, tensor])),
      }))
      .filter(({ weight }) => weight > 0);
    this.#bytes = this.#inputs.reduce(
      (sum, input) => [...input.tensors.values()].reduce((all, { bytes }) => all + bytes, sum),
      0,
    );
    const largest = tensors.reduce((most, { nValues }) => Math.max(most, nValues), 1);
    const nValues = Math.min(STRETCH_VALUES, largest);
    this.#read = new Uint8Array(4 * nValues);
    this.#values = new Float32Array(nValues);
    this.#sums = new Float64Array(nValues);
    this.#written = new Uint8Array(4 * nValues);
  }

  async run(): Promise<void> {
    try {
      for (const tensor of this.#tensors) {
        for (let first = 0; first < tensor.nValues; first += STRETCH_VALUES) {
          throwIfAborted(this.#options.signal, 'the merge');
          await this.#stretch(tensor, first, Math.min(STRETCH_VALUES, tensor.nValues - first));
        }
      }
    } finally {
      for (const { handle } of this.#open.values()) await handle.close();
    }
  }

  async #stretch(tensor: MergedTensor, first: number, count: number): Promise<void> {
    const sums = this.#sums.subarray(0, count).fill(0);
    const values = this.#values.subarray(0, count);
    for (const [input, { weight, tensors }] of this.#inputs.entries()) {
      const source = tensors.get(tensor.name)!;
      const width = TYPE_BYTES[source.type];
      const bytes = this.#read.subarray(0, count * width);
      await this.#readInto(input, source.file, bytes, source.offset + first * width);
      const { notFinite } = await convert(bytes, source.type, bytesOf(values), 'f32', count);
      if (notFinite > 0) {
        // One such value makes everything that a model says no number.
        const at = values.findIndex((value) => !Number.isFinite(value));
        throw this.#refused(source.file, tensor, `value ${first + at} is ${values[at]}`);
      }
      for (let at = 0; at < count; at++) sums[at]! += weight * values[at]!;
      this.#bytesDone += bytes.length;
    }
    for (let at = 0; at < count; at++) values[at] = sums[at]!;
    const target = this.#written.subarray(0, count * TYPE_BYTES[tensor.type]);
    const { tooLarge } = await convert(bytesOf(values), 'f32', target, tensor.type, count);
    if (tooLarge > 0) {
      const reason = `${tooLarge} of the merged values are too large for ${tensor.type}; bf16 and f32 hold larger ones`;
      throw this.#refused(this.#options.out, tensor, reason);
    }
    await this.#out.write(target);
    const { bytesDone, bytes } = { bytesDone: this.#bytesDone, bytes: this.#bytes };
    this.#options.onProgress?.({ bytesDone, bytes, tensor: tensor.name });
  }

  async #readInto(input: number, path: string, into: Uint8Array, position: number): Promise<void> {
    try {
      let opened = this.#open.get(input);
      if (opened?.path !== path) {
        await opened?.handle.close();
        this.#open.delete(input);
        opened = { path, handle: await open(path, 'r') };
        this.#open.set(input, opened);
      }
      for (let at = 0; at < into.length; ) {
        const { bytesRead } = await opened.handle.read(into, at, into.length - at, position + at);
        if (bytesRead === 0) throw new Error('it became shorter while it was read');
        at += bytesRead;
      }
    } catch (cause) {
      throw invalidFile(path, (cause as Error).message, cause);
    }
  }

  #refused(file: string, { name: tensor }: MergedTensor, reason: string): GristmillError {
    const details = { file, what: `tensor ${tensor}`, reason };
    return new GristmillError('MODEL_MERGE_REFUSED', details);
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function convert(
  source: Uint8Array,
  from: SourceType,
  target: Uint8Array,
  to: SourceType,
  columns: number,
) {
  return callNative(native().convertRows({ source, from, target, to, columns }));
}
