/** The shape of a model as configurations write it, with what they leave out filled in. */
import { GristmillError } from '../errors.ts';
import { callNative, native } from '../native/index.ts';
import type { TrainShape } from '../native/train.ts';
import { trainShapeOf } from './trainer.ts';

/** A shape as it is written. */
export type ShapeConfig = Pick<TrainShape, 'nEmbd' | 'nLayer' | 'nHead' | 'tied'> & {
  /** Default: `nHead`. */
  readonly nHeadKv?: number | undefined;
  /** Default: `nEmbd / nHead`. */
  readonly nHeadDim?: number | undefined;
  /** Default: 8/3 of `nEmbd`, rounded up to a multiple of 32. */
  readonly nFf?: number | undefined;
  /** Default: 10,000. */
  readonly ropeTheta?: number;
  /** Default: 1e-5. */
  readonly rmsEpsilon?: number;
};

/** Weights from a file, or a shape for new ones. */
export type ModelConfig = { readonly from: string } | { readonly shape: ShapeConfig };

/** The shape for a vocabulary. @throws TRAIN_MODEL_UNSUPPORTED, TRAIN_SHAPE_INVALID for a file */
export async function shapeOf(model: ModelConfig, nVocab: number): Promise<TrainShape> {
  return 'from' in model ? trainShapeOf(model.from) : newShape(model.shape, nVocab);
}

/**
 * Refuses a tokenizer that is not the one of the model: its tokens are other rows of the embedding table.
 *
 * @throws TRAIN_MODEL_UNSUPPORTED naming both files and the first difference, ENGINE_MODEL_*
 */
export async function checkVocabulary(modelPath: string, tokenizerPath: string): Promise<void> {
  const difference = await callNative(native().vocabularyDifference(modelPath, tokenizerPath));
  if (difference === '') return;
  const whose =
    modelPath === tokenizerPath ? 'its own tokenizer' : `the tokenizer ${tokenizerPath}`;
  const reason = `${whose} does not belong to it: ${difference}`;
  throw new GristmillError('TRAIN_MODEL_UNSUPPORTED', { path: modelPath, reason });
}

/** The shape of a new model; `nClasses` 0 for one that predicts tokens. */
export function newShape(
  { nEmbd, nHead, nHeadKv, nHeadDim, nFf, ropeTheta, rmsEpsilon, ...rest }: ShapeConfig,
  nVocab: number,
  nClasses = 0,
): TrainShape {
  return {
    ...rest,
    nVocab,
    nEmbd,
    nHead,
    nHeadKv: nHeadKv ?? nHead,
    nHeadDim: nHeadDim ?? Math.floor(nEmbd / nHead),
    nFf: nFf ?? Math.ceil((8 * nEmbd) / 3 / 32) * 32,
    ropeTheta: ropeTheta ?? 10_000,
    rmsEpsilon: rmsEpsilon ?? 1e-5,
    nClasses,
  };
}
