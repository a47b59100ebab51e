/** The shape of a model as configurations write it, with what they leave out filled in. */
import type { TrainShape } from '../native-train.ts';
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
