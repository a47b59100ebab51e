/**
 * `gristmill models convert`: a folder of a Hugging Face model → one GGUF file.
 *
 * The plan comes first: every file but the weights is read, every tensor is named and its shape checked before a byte is
 * written. Then the weights stream through in pieces of a few MB: read, interleaved where the architecture wants it,
 * converted off the main thread, written. The file appears under its name when it is complete.
 */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { GristmillError, throwIfAborted } from '../../errors.ts';
import { callNative, native } from '../../native/index.ts';
import {
  abortSignal,
  callback,
  checkOptions,
  name,
  type OptionTable,
  text,
} from '../../options.ts';
import type { GgufEntries } from '../gguf-write.ts';
import type { ConvertedType } from '../hub-cache.ts';
import type { TensorStream } from '../tensor-stream.ts';
import { fileTypeEntries, generalEntries } from './general.ts';
import { createGguf, tensorBytes } from './gguf-stream.ts';
import { type Hyperparameters, hyperparametersOf, readConfig } from './hyperparameters.ts';
import { hasFile, invalidFile, readJson, unsupported } from './model-files.ts';
import { listTensors } from './safetensors.ts';
import { interleaveHeads, type PlannedTensor, planTensors } from './tensors.ts';
import { convertTokenizer } from './tokenizer.ts';

/** Options of {@link convertModel}. */
export interface ConvertModelOptions {
  /** Folder with config.json, safetensors and the tokenizer's files. */
  readonly dir: string;
  /** GGUF file to write. */
  readonly out: string;
  /** Storage of the matrices; norms and biases are f32. Default `bf16`. */
  readonly type?: ConvertedType;
  /** `general.name`; by default that of the repository or the folder. */
  readonly name?: string;
  readonly signal?: AbortSignal;
  /** Called after every piece of a few MB. */
  readonly onProgress?: (progress: ConvertProgress) => void;
}

/** How far a conversion is. */
export interface ConvertProgress {
  /** Of the source's weights. */
  readonly bytesDone: number;
  readonly bytes: number;
  /** The tensor at work, by its name in the output. */
  readonly tensor: string;
}

/** What was written. */
export interface ConvertSummary {
  readonly out: string;
  readonly architecture: string;
  readonly type: ConvertedType;
  readonly nTensors: number;
  readonly nParams: number;
  readonly bytes: number;
  readonly seconds: number;
  /** What the converted model does otherwise than the source, in words. */
  readonly notes: readonly string[];
}

const TYPES: readonly string[] = ['f32', 'f16', 'bf16', 'q8_0'] satisfies ConvertedType[];
/** What marks a folder of a LoRA or another adapter of peft. */
const ADAPTER = 'adapter_config.json';
/** Source bytes that are in memory at a time. */
const PIECE_BYTES = 4 * 2 ** 20;

const OPTION_TABLE: OptionTable<ConvertModelOptions> = {
  dir: name,
  out: name,
  type: text,
  name: text,
  signal: abortSignal,
  onProgress: callback,
};

/**
 * Converts a model.
 *
 * @throws MODEL_FILES_INVALID, MODEL_CONVERT_UNSUPPORTED, MODEL_WRITE_FAILED, OPTION_INVALID, ABORTED
 */
export async function convertModel(options: ConvertModelOptions): Promise<ConvertSummary> {
  checkOptions<ConvertModelOptions>('convertModel', options, OPTION_TABLE, ['dir', 'out']);
  const { dir, out, type = 'bf16', signal } = options;
  checkValues(options);
  const started = performance.now();
  if (!(await stat(dir).catch(() => null))?.isDirectory()) {
    throw invalidFile(dir, 'is no folder');
  }
  const adapter = adapterNotes(dir);
  const config = readConfig(dir);
  const model = hyperparametersOf(config, dir);
  const tensors = planTensors(listTensors(dir), model, type, dir);
  const tokenizer = convertTokenizer(dir, config, model);
  const nParams = tensors.reduce((sum, { shape }) => sum + product(shape), 0);
  const { fileType, version } = fileTypeEntries(type);
  const entries: GgufEntries = {
    ...generalEntries({
      dir,
      config,
      architecture: model.architecture,
      nParams,
      name: options.name,
    }),
    ...model.entries,
    ...fileType,
    ...version,
    ...tokenizer.entries,
  };
  const file = await createGguf(out, entries, tensors);
  let bytes: number;
  try {
    await new TensorCopy(model, tensors, file, options).run();
    throwIfAborted(signal, 'the conversion');
    bytes = await file.commit();
  } catch (error) {
    await file.discard();
    throw error;
  }
  return {
    out,
    architecture: model.architecture,
    type,
    nTensors: tensors.length,
    nParams,
    bytes,
    seconds: (performance.now() - started) / 1000,
    notes: [...adapter, ...model.notes, ...tokenizer.notes],
  };
}

/** What is said of an adapter in the folder. @throws MODEL_CONVERT_UNSUPPORTED where there is no model beside it */
function adapterNotes(dir: string): string[] {
  if (!hasFile(dir, ADAPTER)) return [];
  const file = readJson(join(dir, ADAPTER));
  const base = file['base_model_name_or_path'];
  const named = typeof base === 'string' && base !== '' ? ` (${base.slice(0, 200)})` : '';
  const merge = `merge it into its base model${named} first, e.g. with merge_and_unload() of peft`;
  if (!hasFile(dir, 'config.json')) {
    throw unsupported(dir, ADAPTER, `the folder holds an adapter, no model: ${merge}`);
  }
  return [`the adapter of ${ADAPTER} is left out: ${merge}`];
}

/** Copies the tensors' data. */
class TensorCopy {
  readonly #headDim: number;
  readonly #tensors: readonly PlannedTensor[];
  readonly #out: TensorStream;
  readonly #options: ConvertModelOptions;
  readonly #bytes: number;
  #bytesDone = 0;
  #open: { readonly path: string; readonly handle: FileHandle } | null = null;

  constructor(
    model: Hyperparameters,
    tensors: readonly PlannedTensor[],
    out: TensorStream,
    options: ConvertModelOptions,
  ) {
    this.#headDim = model.headDim;
    this.#tensors = tensors;
    this.#out = out;
    this.#options = options;
    this.#bytes = tensors.reduce(
      (sum, { source }) => sum + (source instanceof Float32Array ? 0 : source.bytes),
      0,
    );
  }

  async run(): Promise<void> {
    try {
      for (const tensor of this.#tensors) await this.#copy(tensor);
    } finally {
      await this.#open?.handle.close();
    }
  }

  async #copy(tensor: PlannedTensor): Promise<void> {
    const { source, shape, type, nHeadsInterleaved } = tensor;
    if (source instanceof Float32Array) {
      await this.#out.write(new Uint8Array(source.buffer, source.byteOffset, source.byteLength));
      return;
    }
    const nValues = product(shape);
    const columns = shape.length === 1 ? (nHeadsInterleaved > 0 ? 1 : nValues) : shape.at(-1)!;
    const nRows = nValues / columns;
    const rowBytes = source.bytes / nRows;
    const unitRows = nHeadsInterleaved > 0 ? this.#headDim : 1;
    const pieceRows = unitRows * Math.max(1, Math.floor(PIECE_BYTES / (unitRows * rowBytes)));
    const read = new Uint8Array(Math.min(pieceRows, nRows) * rowBytes);
    const mixed = nHeadsInterleaved > 0 ? new Uint8Array(read.length) : read;
    const written = new Uint8Array(tensorBytes((read.length / rowBytes) * columns, type));
    for (let row = 0; row < nRows; row += pieceRows) {
      throwIfAborted(this.#options.signal, 'the conversion');
      const length = Math.min(pieceRows, nRows - row) * rowBytes;
      const piece = read.subarray(0, length);
      await this.#read(source.file, piece, source.offset + row * rowBytes);
      const rows = mixed.subarray(0, length);
      if (nHeadsInterleaved > 0) interleaveHeads(piece, rows, rowBytes, this.#headDim);
      const target = written.subarray(0, tensorBytes((length / rowBytes) * columns, type));
      const { notFinite, tooLarge } = await callNative(
        native().convertRows({ source: rows, from: source.type, target, to: type, columns }),
      );
      // A model with one such weight answers everything with no number at all.
      if (notFinite > 0) {
        const reason = `tensor ${source.name} holds ${notFinite} values that are infinite or no numbers`;
        throw invalidFile(source.file, reason);
      }
      if (tooLarge > 0) {
        throw new GristmillError('MODEL_CONVERT_UNSUPPORTED', {
          dir: this.#options.dir,
          what: `tensor ${source.name}`,
          reason: `${tooLarge} of its values are too large for ${type}; bf16 and f32 hold larger ones`,
        });
      }
      await this.#out.write(target);
      this.#bytesDone += length;
      const { bytesDone, bytes } = { bytesDone: this.#bytesDone, bytes: this.#bytes };
      this.#options.onProgress?.({ bytesDone, bytes, tensor: tensor.name });
    }
  }

  async #read(path: string, into: Uint8Array, position: number): Promise<void> {
    try {
      if (this.#open?.path !== path) {
        await this.#open?.handle.close();
        this.#open = null;
        this.#open = { path, handle: await open(path, 'r') };
      }
      for (let at = 0; at < into.length; ) {
        const left = into.length - at;
        const { bytesRead } = await this.#open.handle.read(into, at, left, position + at);
        if (bytesRead === 0) throw new Error('it became shorter while it was read');
        at += bytesRead;
      }
    } catch (cause) {
      throw invalidFile(path, (cause as Error).message, cause);
    }
  }
}

function product(shape: readonly number[]): number {
  return shape.reduce((all, extent) => all * extent, 1);
}

function checkValues({ dir, out, type, name }: ConvertModelOptions): void {
  const expected = (option: string, what: string, received: unknown) =>
    new GristmillError('OPTION_INVALID', { option, expected: what, received });
  if (typeof dir !== 'string' || dir === '') throw expected('dir', 'a folder', dir);
  if (typeof out !== 'string' || out === '') throw expected('out', 'the file to write', out);
  if (type !== undefined && !TYPES.includes(type)) throw expected('type', TYPES.join(', '), type);
  if (name !== undefined && typeof name !== 'string') throw expected('name', 'a string', name);
}
