/**
 * The only file that loads the addon; its typed face.
 *
 * Loading is lazy: importing the package never fails because the addon is missing, the first native call does,
 * with NATIVE_MISSING. Each room's native functions are one interface here; the C++ side is native/binding/.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { GristmillError } from '../errors.ts';
import { addonFile } from '../paths.ts';
import { markOf, ownIdentity } from '../process-identity.ts';
import {
  type DeviceList,
  type EngineAddon,
  type NativeEngine,
  type NativeEngineOptions,
  openEngineWith,
} from './engine.ts';
import {
  type LineScorerAddon,
  type LineScorerOptions,
  type NativeLineScorer,
  openLineScorerWith,
  type PageScores,
  type PagesRequest,
  scorePagesWith,
} from './lines.ts';
import { type MixtureAddon, mixtureWith, type NativeMixture } from './mixture.ts';
import { type NativePages, pagesWith } from './pages.ts';
import type { NativeProcess } from './process.ts';
import { type NativeSites, type SitesAddon, sitesWith } from './sites.ts';
import { type NativeTokenizer, openTokenizerWith, type TokenizerAddon } from './tokenizer.ts';
import {
  type NativeTrainer,
  type NativeTrainerOptions,
  openTrainerWith,
  type TrainAddon,
  type TrainShape,
} from './train.ts';

export { callNative, fromNative } from './error.ts';

/** Where the bytes of a view lie. */
export interface NativeMemory {
  /** Address of the first byte of `view`; equal in every thread that sees the same shared bytes. */
  addressOf(view: Uint8Array): bigint;
  /** From now on readers, scorers, engines and writers of documents append to `path` where they found their bytes. */
  traceBytes(path: string): void;
  /** The same for what JavaScript reads: `stage address bytes`, where {@link traceBytes} was called in this process. */
  traceView(stage: string, view: Uint8Array): void;
  /** From now on what native code computes is counted in the open file, as a Uint64 at `offset` of its first page. */
  countProgress(descriptor: number, offset: number): void;
}

/** UTF-8 over a whole column: `into` has one element per value. */
export interface NativeText {
  /** Unicode code points of every value. */
  countCodePoints(data: Uint8Array, offsets: Int32Array, into: Int32Array): void;
  /** 1 where a value is well-formed UTF-8, else 0. */
  validateUtf8(data: Uint8Array, offsets: Int32Array, into: Uint8Array): void;
  /**
   * Takes the text and the site of JSON lines, and passes over lines that are no rows; the bytes are its own until it is
   * done, and texts lie at their front then.
   *
   * @throws OPTION_INVALID (as a native error)
   */
  jsonTexts(request: JsonTextsRequest): Promise<JsonTexts>;
}

/** Bytes of JSON lines, see native/text/json_texts.h. */
export interface JsonTextsRequest {
  readonly bytes: Uint8Array;
  /** Where the first line begins. */
  readonly begin: number;
  /** Lines that begin there or behind are left. */
  readonly limit: number;
  /** Whether what follows the last line feed is a line. */
  readonly isEnd: boolean;
  readonly maxLineBytes: number;
  readonly textColumn: string;
  readonly siteColumn: string | null;
  readonly nThreads: number;
}

/** What was taken of them. */
export interface JsonTexts {
  /** Bytes up to the first line that was left. */
  readonly consumed: number;
  /** Of the texts, from the front of the bytes. */
  readonly offsets: Int32Array;
  /** Null for what is no string. */
  readonly site: {
    readonly data: Uint8Array;
    readonly offsets: Int32Array;
    readonly validity: Uint8Array | null;
  };
}

/** GGUF files; the typed face is src/model/. */
export interface NativeModels {
  inspectModel(path: string): Promise<unknown>;
  writeRandomModel(spec: object): Promise<void>;
  /**
   * How the vocabulary of a model's file differs from that of a tokenizer's; empty when they are one.
   *
   * @throws ENGINE_MODEL_MISSING, ENGINE_MODEL_INVALID (as a native error)
   */
  vocabularyDifference(model: string, tokenizer: string): Promise<string>;
  /**
   * Whole rows of a tensor to another type; `target` is filled exactly.
   *
   * @returns values of the source that are infinite or no numbers; values (blocks of 32 in q8_0) of other rows that are
   *   too large for `to`
   * @throws OPTION_INVALID
   */
  convertRows(request: {
    readonly source: Uint8Array;
    readonly from: 'f32' | 'f16' | 'bf16';
    readonly target: Uint8Array;
    readonly to: 'f32' | 'f16' | 'bf16' | 'q8_0';
    readonly columns: number;
  }): Promise<{ readonly notFinite: number; readonly tooLarge: number }>;
}

/** Opening engines; the engine's own face is src/native/engine.ts. */
export interface NativeEngines {
  /** @throws ENGINE_* when the model or the device does not serve */
  openEngine(options: NativeEngineOptions): Promise<NativeEngine>;
  /** Loads the backends of GPUs. @param withMemory ask for bytes, which makes a context on every GPU */
  listDevices(withMemory: boolean): DeviceList;
}

/** Opening models that score lines or documents; their own face is src/native/lines.ts. */
export interface NativeLineScorers {
  /** @throws ENGINE_* when the model or the device does not serve */
  openLineScorer(options: LineScorerOptions): Promise<NativeLineScorer>;
  /** @throws OPTION_INVALID naming the offset, ABORTED, DISPOSED, ENGINE_DECODE_FAILED */
  scorePages(request: PagesRequest, signal?: AbortSignal): Promise<PageScores>;
}

/** Opening vocabularies; their own face is src/native/tokenizer.ts. */
export interface NativeTokenizers {
  /** @throws ENGINE_MODEL_MISSING, ENGINE_MODEL_INVALID */
  openTokenizer(path: string): Promise<NativeTokenizer>;
}

/** Opening trainers; the trainer's own face is src/native/train.ts. */
export interface NativeTraining {
  /** @throws TRAIN_SHAPE_INVALID, TRAIN_DEVICE_UNSUPPORTED, TRAIN_OUT_OF_MEMORY */
  openTrainer(options: NativeTrainerOptions): Promise<NativeTrainer>;
  /** The shape of a GGUF file's llama model. @throws TRAIN_MODEL_UNSUPPORTED (as a native error) */
  trainShapeOf(path: string): Promise<TrainShape>;
}

/** Counting lines by site; its own face is src/native/sites.ts. */
export interface NativeSiteCounting {
  readonly sites: NativeSites;
}

/** Block codecs of Parquet pages and of Arrow's compressed bodies. */
export type BlockCodec = 'zstd' | 'snappy' | 'gzip' | 'lz4' | 'lz4_raw' | 'lz4_frame' | 'none';

/** What one call of a streaming codec did. */
export interface StreamStep {
  /** Bytes of `src` that were taken. */
  readonly read: number;
  /** Bytes of `dst` that were filled. */
  readonly written: number;
  /** Decoder: a frame ends here. Encoder: everything is flushed. */
  readonly done: boolean;
}

/** One column chunk of a leaf column. */
export interface LeafSegment {
  readonly offset: number;
  readonly bytes: number;
  readonly nValues: number;
  readonly nRows: number;
  /** Index of Parquet's CompressionCodec. */
  readonly codec: number;
  readonly rowGroup: number;
}

/** What a leaf column is, for readers and writers. */
export interface LeafType {
  readonly column: string;
  /** Index of Parquet's physical Type. */
  readonly type: number;
  readonly typeLength: number;
  readonly maxDefinition: number;
  readonly maxRepetition: number;
}

/** Levels and values of rows of a leaf column. */
export interface LeafRows {
  readonly nLevels: number;
  /** Null where the maximum level is 0. */
  readonly definition: Uint8Array | null;
  readonly repetition: Uint8Array | null;
  /** Values one after the other as in PLAIN pages, booleans a byte each; byte arrays without their lengths. */
  readonly data: Uint8Array;
  /** Byte arrays: where in `data` each value lies (equal values may share their bytes); null for other types. */
  readonly starts: Int32Array | null;
  readonly sizes: Int32Array | null;
}

/** Streams one leaf column of a file; one call at a time. */
export interface LeafReader {
  /** How many of the next rows (at least one unless the column ends) fit: flat byte arrays only. */
  prepare(
    maxRows: number,
    maxBytes: number,
  ): Promise<{ readonly nRows: number; readonly dataBytes: number; readonly nNulls: number }>;
  /** Writes and consumes the prepared rows; `status` per row: 0 ok, 1 null, 2 not UTF-8. */
  fill(
    offsets: Int32Array,
    data: Uint8Array,
    validity: Uint8Array | null,
    status: Uint8Array | null,
  ): Promise<void>;
  /** Rows of any type and nesting; rows before them that were not asked for are skipped. */
  rows(firstRow: number, nRows: number): Promise<LeafRows>;
  close(): void;
}

/** A finished column chunk. */
export interface LeafChunk {
  readonly bytes: Uint8Array;
  /** Length of the dictionary page; 0 without one. */
  readonly dictionaryBytes: number;
  readonly nValues: number;
  readonly nNulls: number;
  readonly uncompressedBytes: number;
  readonly nDictionaryPages: number;
  readonly nPlainPages: number;
  readonly min?: Uint8Array;
  readonly max?: Uint8Array;
}

/** Encodes one leaf column of an output row group. `rows` selects ascending row indices, null all. */
export interface LeafWriter {
  readonly bufferedBytes: number;
  readonly rawBytes: number;
  appendLeaf(
    reader: LeafReader,
    firstRow: number,
    nRows: number,
    rows: Int32Array | null,
  ): Promise<void>;
  appendArrow(
    offsets: Int32Array,
    data: Uint8Array,
    validity: Uint8Array | null,
    rows: Int32Array | null,
  ): Promise<void>;
  /** Byte strings where they lie: value k is `sizes[k]` bytes from `starts[k]` of `buffers[bufferOf[k]]`; null for 255. */
  appendViews(
    buffers: readonly Uint8Array[],
    bufferOf: Uint8Array,
    starts: Int32Array,
    sizes: Int32Array,
  ): Promise<void>;
  appendPlain(
    nLevels: number,
    nValues: number,
    definition: Uint8Array | null,
    repetition: Uint8Array | null,
    plain: Uint8Array,
  ): Promise<void>;
  finish(): Promise<LeafChunk>;
}

/** Codecs and Parquet leaf columns. */
export interface NativeCodec {
  /** Fills `dst` exactly. @throws CORPUS_CODEC_FAILED (as a native error, see {@link fromNative}) */
  decompress(codec: BlockCodec, src: Uint8Array, dst: Uint8Array): number;
  /** One zstd frame: into `dst` (its length is returned) or as new bytes. */
  zstdCompress(src: Uint8Array, level: number): Uint8Array;
  zstdCompress(src: Uint8Array, level: number, dst: Uint8Array): number;
  zstdCompressBound(bytes: number): number;
  /** Frames may ask for windows of at most `2^maxWindowLog` bytes, 10..31; default 27. */
  readonly ZstdDecoder: new (
    maxWindowLog?: number,
  ) => { decode(src: Uint8Array, dst: Uint8Array): StreamStep };
  readonly ZstdEncoder: new (
    level: number,
  ) => { encode(src: Uint8Array, dst: Uint8Array, end: boolean): StreamStep };
  readonly LeafReader: new (
    spec: LeafType & {
      readonly path: string;
      /** Where its bytes lie, if not under `path`, which errors name. */
      readonly storedPath?: string;
      /** Where segments of brotli lie with their pages decoded, in place of `path`. */
      readonly decodedPath?: string;
      /** The writer compressed version-2 pages and said that it had not. Default false. */
      readonly alwaysCompressed?: boolean;
      readonly segments: readonly LeafSegment[];
    },
  ) => LeafReader;
  readonly LeafWriter: new (
    spec: LeafType & {
      readonly zstdLevel: number;
      readonly pageBytes: number;
      readonly dictionary: boolean;
      /** How values compare for the bounds: 0 not at all, 1 signed, 2 unsigned, 3 float, 4 bytes. */
      readonly order: number;
    },
  ) => LeafWriter;
}

/** Everything the addon exports. */
export interface Native
  extends NativeMemory,
    NativeText,
    NativeEngines,
    NativeLineScorers,
    NativeTokenizers,
    NativeModels,
    NativeTraining,
    NativeMixture,
    NativePages,
    NativeSiteCounting,
    NativeProcess,
    NativeCodec {}

let loaded: Native | undefined;

/**
 * The addon of this process.
 *
 * @throws NATIVE_MISSING when it is not built or does not load
 */
export function native(): Native {
  if (loaded) return loaded;
  if (!existsSync(addonFile)) {
    throw new GristmillError('NATIVE_MISSING', { reason: `${addonFile} does not exist` });
  }
  try {
    const addon = createRequire(import.meta.url)(addonFile) as Native &
      EngineAddon &
      TrainAddon &
      LineScorerAddon &
      MixtureAddon &
      SitesAddon &
      TokenizerAddon;
    addon.setPendingMark(markOf(ownIdentity()));
    loaded = {
      ...addon,
      ...pagesWith(addon),
      openEngine: (options) => openEngineWith(addon, options),
      openTrainer: (options) => openTrainerWith(addon, options),
      openLineScorer: (options) => openLineScorerWith(addon, options),
      scorePages: (request, signal) => scorePagesWith(addon, request, signal),
      openTokenizer: (path) => openTokenizerWith(addon, path),
      mixture: mixtureWith(addon),
      sites: sitesWith(addon),
    };
  } catch (cause) {
    throw new GristmillError('NATIVE_MISSING', { reason: (cause as Error).message }, { cause });
  }
  return loaded;
}
