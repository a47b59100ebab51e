/** The shape of a model as configurations write it, with what they leave out filled in. */
import type { TrainShape } from '../native-train.ts';
import { trainShapeOf } from './trainer.ts';

/** Weights from a file, or a shape for new ones. */
export type ModelConfig =
  | { readonly from: string }
  | {
      readonly shape: Omit<TrainShape, 'nVocab' | 'nHeadKv' | 'nHeadDim' | 'nFf' | 'nClasses'> & {
        readonly nHeadKv?: number | undefined;
        readonly nHeadDim?: number | undefined;
        readonly nFf?: number | undefined;
      };
    };

/** The shape for a vocabulary. @throws TRAIN_MODEL_UNSUPPORTED, TRAIN_SHAPE_INVALID for a file */
export async function shapeOf(model: ModelConfig, nVocab: number): Promise<TrainShape> {
  if ('from' in model) return trainShapeOf(model.from);
  const { nEmbd, nHead, nHeadKv, nHeadDim, nFf, ...rest } = model.shape;
  return {
    ...rest,
    nVocab,
    nEmbd,
    nHead,
    nHeadKv: nHeadKv ?? nHead,
    nHeadDim: nHeadDim ?? Math.floor(nEmbd / nHead),
    nFf: nFf ?? Math.ceil((8 * nEmbd) / 3 / 32) * 32,
    nClasses: 0,
  };
}
