/**
 * A model in training: options with defaults over the native trainer, and a safe end of life.
 *
 * State is {weights, moments, step}; data order and learning rate are the caller's. A checkpoint takes a string of the
 * caller's along (random state, data position), so that one file resumes a run exactly.
 */
import { availableParallelism } from 'node:os';
import { GristmillError } from '../errors.ts';
import { callNative, native } from '../native/index.ts';
import type {
  ExportGgufOptions,
  ForwardResult,
  NativeTrainer,
  NativeTrainerOptions,
  TrainBatch,
  TrainerInfo,
  TrainResult,
  TrainShape,
  TrainStep,
} from '../native/train.ts';

/** Options of {@link openTrainer} that have a default. */
export const TRAINER_DEFAULTS = Object.freeze({
  nThreads: availableParallelism(),
  device: 'cpu',
  graph: 'kernels' as const,
  precision: 'float32' as const,
  causal: true,
  seed: 0,
  initDeviation: 0.02,
  beta1: 0.9,
  beta2: 0.95,
  adamEpsilon: 1e-8,
  weightDecay: 0.1,
  clipNorm: 1,
  labelSmoothing: 0,
});

/** Options of {@link openTrainer}; what is left out is taken from {@link TRAINER_DEFAULTS}. */
export type TrainerOptions = Partial<NativeTrainerOptions> &
  Pick<NativeTrainerOptions, 'shape' | 'nCtx' | 'nSeq'> & {
    /** Targets per micro-batch, at most. Default: `nSeq · nCtx`. */
    readonly maxTargets?: number;
  };

/** A llama model in training; see {@link openTrainer}. */
export class Trainer {
  /** The options in force. */
  readonly options: NativeTrainerOptions;
  private readonly inner: NativeTrainer;
  private disposed = false;

  /** Use {@link openTrainer}. */
  constructor(options: NativeTrainerOptions, inner: NativeTrainer) {
    this.options = options;
    this.inner = inner;
  }

  /** Size, memory and tensors of the model. */
  get info(): TrainerInfo {
    return this.inner.info;
  }

  /**
   * Makes optimiser steps; each is clipped by its gradient's global norm and applied by AdamW.
   *
   * @throws TRAIN_BATCH_INVALID, TRAIN_NON_FINITE (that step and the later ones are not made), ABORTED, DISPOSED
   */
  async steps(
    steps: readonly TrainStep[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<TrainResult> {
    return this.alive().steps(steps, options);
  }

  /** Loss (and logits) of a batch, without label smoothing. @throws TRAIN_BATCH_INVALID, DISPOSED */
  async forward(
    batch: TrainBatch,
    options?: { readonly logits?: boolean },
  ): Promise<ForwardResult> {
    return this.alive().forward(batch, options);
  }

  /** Loss and gradients of a step that is not made; read them with {@link readTensor}. */
  async gradients(step: TrainStep): Promise<number> {
    return this.alive().gradients(step);
  }

  /** A tensor by its GGUF name, row-major `[rows × columns]`. @throws TRAIN_TENSOR_UNKNOWN, DISPOSED */
  async readTensor(
    name: string,
    array?: 'weight' | 'gradient' | 'firstMoment' | 'secondMoment',
  ): Promise<Float32Array> {
    return this.alive().readTensor(name, array);
  }

  /** Sets a weight. @throws TRAIN_TENSOR_UNKNOWN, TRAIN_BATCH_INVALID, DISPOSED */
  async writeTensor(name: string, values: Float32Array): Promise<void> {
    return this.alive().writeTensor(name, values);
  }

  /** Writes a checkpoint, whole or not at all. @throws TRAIN_WRITE_FAILED, DISPOSED */
  async saveCheckpoint(path: string, state = ''): Promise<void> {
    return this.alive().saveCheckpoint(path, state);
  }

  /** Continues from a checkpoint. @throws TRAIN_CHECKPOINT_INVALID (nothing is changed then), DISPOSED */
  async loadCheckpoint(path: string): Promise<{ readonly step: number; readonly state: string }> {
    return this.alive().loadCheckpoint(path);
  }

  /** Sets moments and step to what they are at the start, as between two datasets; weights stay. @throws DISPOSED */
  async resetOptimizer(): Promise<void> {
    return this.alive().resetOptimizer();
  }

  /**
   * Writes the model as GGUF for the engine and every other llama.cpp; a scorer of lines or documents with its
   * encoder. A class head lies in the metadata (`gristmill.class_head`, `[nClasses × nEmbd]`).
   *
   * @throws TRAIN_WRITE_FAILED, TRAIN_MODEL_UNSUPPORTED when the tokenizer does not fit the vocabulary, DISPOSED
   */
  async exportGguf(options: ExportGgufOptions): Promise<void> {
    return this.alive().exportGguf(options);
  }

  /** Takes the weights of a GGUF file. @throws TRAIN_MODEL_UNSUPPORTED (nothing is changed then), DISPOSED */
  async importGguf(path: string): Promise<void> {
    return this.alive().importGguf(path);
  }

  /** Frees the model; again: does nothing. */
  async dispose(): Promise<void> {
    this.disposed = true;
    await this.inner.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  private alive(): NativeTrainer {
    if (this.disposed) throw new GristmillError('DISPOSED', { object: 'the trainer' });
    return this.inner;
  }
}

/**
 * Opens a trainer with seeded initial weights (normal, `initDeviation`; what writes to the residual stream is divided
 * by √(2 · nLayer); norms are one).
 *
 * @throws OPTION_INVALID, TRAIN_SHAPE_INVALID, TRAIN_DEVICE_UNSUPPORTED, TRAIN_OUT_OF_MEMORY, NATIVE_MISSING
 */
export async function openTrainer(options: TrainerOptions): Promise<Trainer> {
  const complete: NativeTrainerOptions = {
    ...TRAINER_DEFAULTS,
    maxTargets: options.nSeq * options.nCtx,
    ...options,
  };
  return new Trainer(complete, await native().openTrainer(complete));
}

/**
 * The shape of a GGUF file's llama model, for {@link openTrainer} and {@link Trainer.importGguf}.
 *
 * @throws TRAIN_MODEL_UNSUPPORTED, TRAIN_SHAPE_INVALID
 */
export function trainShapeOf(path: string): Promise<TrainShape> {
  return callNative(native().trainShapeOf(path));
}
