/**
 * Typed face of the native trainer (native/binding/train.cc): whole batches in, one promise per call.
 *
 * Calls run in order on the trainer's own thread. A step is a pure function of the trainer's state and its request:
 * with the kernels the same requests give the same bits, whatever the number of threads.
 */
import { GristmillError, throwIfAborted } from '../errors.ts';
import { codedCall } from './error.ts';

/** Shape of a llama model. */
export interface TrainShape {
  /** 2..1,048,576. */
  readonly nVocab: number;
  readonly nEmbd: number;
  readonly nLayer: number;
  readonly nHead: number;
  /** Divides `nHead`. */
  readonly nHeadKv: number;
  /** Even; `nHead · nHeadDim` need not be `nEmbd`. */
  readonly nHeadDim: number;
  readonly nFf: number;
  readonly ropeTheta: number;
  readonly rmsEpsilon: number;
  /** The head is the embedding table. */
  readonly tied: boolean;
  /** 0: the head predicts tokens; otherwise a matrix of so many classes. */
  readonly nClasses: number;
}

/** Options of a trainer; every field is required here, defaults are in src/train/. */
export interface NativeTrainerOptions {
  readonly shape: TrainShape;
  /** Tokens per sequence. */
  readonly nCtx: number;
  /** Sequences per micro-batch. */
  readonly nSeq: number;
  /** Targets per micro-batch, at most. */
  readonly maxTargets: number;
  readonly nThreads: number;
  /** `cpu` or `cuda:<index>`. */
  readonly device: string;
  /**
   * Operators of the training graph on the CPU: our own kernels, or ggml's, which are slower there and the same that
   * every other device runs. Devices other than the CPU have ggml's only, whatever is asked for.
   */
  readonly graph: 'kernels' | 'ggml';
  /**
   * Of the products of weights: bf16 rounds what goes in and adds in float32; weights, gradients and moments are float32
   * all the same. With our kernels only. Faster where the processor has AVX512-BF16; elsewhere the same rounding, slower.
   */
  readonly precision: 'float32' | 'bf16';
  /** False: every token sees its whole segment (line scoring). */
  readonly causal: boolean;
  /** Of the initial weights; 0..2^53-1. */
  readonly seed: number;
  /** Standard deviation of the initial weights. */
  readonly initDeviation: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly adamEpsilon: number;
  /** Decoupled (AdamW); norms have none. */
  readonly weightDecay: number;
  /** Bound of the gradient's global norm; 0 for none. */
  readonly clipNorm: number;
  /** Share of a label that is spread over all classes, 0..1. */
  readonly labelSmoothing: number;
}

/** The positions of a batch that are learnt. */
interface Targets {
  /** `[nSeq × nCtx]`; attention stays within a run of equal values. One run per sequence without it. */
  readonly segments?: Int32Array;
  /** Index of every target, over all positions of the batch. */
  readonly positions: Int32Array;
  /** Token or class that is right at each position. */
  readonly labels: Int32Array;
  /** Weight of each target, 0 or more; 1 without it. */
  readonly weights?: Float32Array;
}

/** One pass through the model: `nSeq` sequences of tokens. */
export interface TokenBatch extends Targets {
  /** `[nSeq × nCtx]`. */
  readonly tokens: Int32Array;
}

/**
 * One pass through the model whose positions are bags: a position's input is the weighted sum of the embeddings of
 * `bagIds[bagStarts[position]] .. bagIds[bagStarts[position + 1] - 1]`; an empty bag is all zeros.
 */
export interface BagBatch extends Targets {
  /** `[nSeq × nCtx + 1]`, ascending from 0. */
  readonly bagStarts: Int32Array;
  /** Rows of the embedding table, 0..nVocab-1. */
  readonly bagIds: Int32Array;
  /** One for each of `bagIds`, finite. */
  readonly bagWeights: Float32Array;
}

/** One pass through the model. */
export type TrainBatch = TokenBatch | BagBatch;

/** One optimiser step over any number of micro-batches. */
export interface TrainStep {
  readonly batches: readonly TrainBatch[];
  /** Learning rate of this step. */
  readonly lr: number;
}

/** One entry per step. */
export interface TrainResult {
  /** Mean over the step's targets by weight, label smoothing included. */
  readonly losses: Float64Array;
  /** Global norm before clipping. */
  readonly gradNorms: Float64Array;
  readonly seconds: Float64Array;
  /** Steps since the start, after the call. */
  readonly step: number;
}

/** A forward pass; no label smoothing. */
export interface ForwardResult {
  readonly loss: number;
  /** Per target, unweighted. */
  readonly losses: Float32Array;
  /** `[nTargets × nOut]` when asked for, else empty. */
  readonly logits: Float32Array;
}

/** What a trainer holds. */
export interface TrainerInfo {
  readonly nParams: number;
  /** Weights, gradients, moments and activations. */
  readonly bufferBytes: number;
  /** Operators of the graph. */
  readonly graph: 'kernels' | 'ggml';
  /** Instruction set of the CPU kernels. */
  readonly kernels: string;
  readonly tensors: readonly {
    readonly name: string;
    readonly rows: number;
    readonly columns: number;
  }[];
}

interface ExportedFile {
  readonly path: string;
  readonly type: 'f32' | 'bf16' | 'q8_0';
  readonly name: string;
  /** `context_length`. */
  readonly nCtx: number;
}

/** A language model to write as GGUF. */
export interface ExportModelOptions extends ExportedFile {
  /** GGUF file whose `tokenizer.*` entries are copied. */
  readonly tokenizerPath: string;
}

/** A model that scores lines or documents, to write as GGUF (architecture `llama-embed`); two classes. */
export interface ExportScorerOptions extends ExportedFile {
  readonly kind: 'line-score' | 'document-score';
  /** What turns texts into bags; see lines/encoder-file.ts. */
  readonly encoder: Uint8Array;
}

/** A GGUF file to write. */
export type ExportGgufOptions = ExportModelOptions | ExportScorerOptions;

/** A model in training. */
export interface NativeTrainer {
  readonly info: TrainerInfo;
  /** @throws TRAIN_BATCH_INVALID, TRAIN_NON_FINITE (before the update), ABORTED (between steps) */
  steps(
    steps: readonly TrainStep[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<TrainResult>;
  /** Loss and gradients of a step that is not made. */
  gradients(step: TrainStep): Promise<number>;
  forward(batch: TrainBatch, options?: { readonly logits?: boolean }): Promise<ForwardResult>;
  /** @throws TRAIN_TENSOR_UNKNOWN */
  readTensor(
    name: string,
    array?: 'weight' | 'gradient' | 'firstMoment' | 'secondMoment',
  ): Promise<Float32Array>;
  /** @throws TRAIN_TENSOR_UNKNOWN, TRAIN_BATCH_INVALID when the length is wrong */
  writeTensor(name: string, values: Float32Array): Promise<void>;
  /** Writes weights, moments, step and `state` (the caller's own). @throws TRAIN_WRITE_FAILED */
  saveCheckpoint(path: string, state: string): Promise<void>;
  /** @throws TRAIN_CHECKPOINT_INVALID; the trainer is then unchanged */
  loadCheckpoint(path: string): Promise<{ readonly step: number; readonly state: string }>;
  /** Sets moments and step to what they are at the start; weights stay. */
  resetOptimizer(): Promise<void>;
  /** @throws TRAIN_WRITE_FAILED, TRAIN_MODEL_UNSUPPORTED when the tokenizer does not fit */
  exportGguf(options: ExportGgufOptions): Promise<void>;
  /** Reads weights; moments and step stay. @throws TRAIN_MODEL_UNSUPPORTED */
  importGguf(path: string): Promise<void>;
  /** Frees everything; pending calls reject with DISPOSED or ABORTED. Again: does nothing. */
  dispose(): Promise<void>;
}

interface TrainerHandle {
  open(): Promise<TrainerInfo>;
  steps(steps: readonly TrainStep[], call: number): Promise<TrainResult>;
  gradients(step: TrainStep): Promise<number>;
  forward(batch: TrainBatch, withLogits: boolean): Promise<ForwardResult>;
  readTensor(name: string, array: string): Promise<Float32Array>;
  writeTensor(name: string, values: Float32Array): Promise<void>;
  saveCheckpoint(path: string, state: string): Promise<void>;
  loadCheckpoint(path: string): Promise<{ step: number; state: string }>;
  resetOptimizer(): Promise<void>;
  exportGguf(options: ExportGgufOptions): Promise<void>;
  importGguf(path: string): Promise<void>;
  cancel(call: number): void;
  dispose(): Promise<void>;
}

/** What the addon exports for trainers. */
export interface TrainAddon {
  readonly Trainer: new (options: object) => TrainerHandle;
}

/**
 * Opens a trainer: allocates everything and draws the initial weights.
 *
 * @throws OPTION_INVALID, TRAIN_SHAPE_INVALID, TRAIN_DEVICE_UNSUPPORTED, TRAIN_OUT_OF_MEMORY
 */
export async function openTrainerWith(
  addon: TrainAddon,
  options: NativeTrainerOptions,
): Promise<NativeTrainer> {
  if (!Number.isSafeInteger(options.seed) || options.seed < 0) {
    throw new GristmillError('OPTION_INVALID', {
      option: 'seed',
      expected: 'a whole number in 0..2^53-1',
      received: options.seed,
    });
  }
  const handle = await codedCall(async () => new addon.Trainer(options));
  const info = await codedCall(() => handle.open());
  let lastCall = 0;

  async function steps(
    list: readonly TrainStep[],
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<TrainResult> {
    throwIfAborted(signal, 'the training call');
    for (const { lr } of list) checkLr(lr);
    lastCall += 1;
    const call = lastCall;
    const cancel = () => handle.cancel(call);
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      return await codedCall(() => handle.steps(list, call), signal);
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  return {
    info,
    steps,
    gradients: (step) => codedCall(() => handle.gradients(step)),
    forward: (batch, { logits = false } = {}) => codedCall(() => handle.forward(batch, logits)),
    readTensor: (name, array = 'weight') => codedCall(() => handle.readTensor(name, array)),
    writeTensor: (name, values) => codedCall(() => handle.writeTensor(name, values)),
    saveCheckpoint: (path, state) => codedCall(() => handle.saveCheckpoint(path, state)),
    loadCheckpoint: (path) => codedCall(() => handle.loadCheckpoint(path)),
    resetOptimizer: () => codedCall(() => handle.resetOptimizer()),
    exportGguf: (request) => codedCall(() => handle.exportGguf(request)),
    importGguf: (path) => codedCall(() => handle.importGguf(path)),
    dispose: () => codedCall(() => handle.dispose()),
  };
}

function checkLr(lr: number): void {
  if (Number.isFinite(lr) && lr >= 0) return;
  throw new GristmillError('OPTION_INVALID', {
    option: 'lr',
    expected: 'a finite number, 0 or more',
    received: lr,
  });
}
