/** `gristmill/train`: tokenizers, token stores, and the training of small models. Re-exports only. */

export {
  type TokenizerTrainingOptions,
  type TrainedTokenizer,
  trainTokenizer,
} from '../model/tokenizer-training.ts';
export type {
  BagBatch,
  ExportGgufOptions,
  ForwardResult,
  TokenBatch,
  TrainBatch,
  TrainerInfo,
  TrainResult,
  TrainShape,
  TrainStep,
} from '../native/train.ts';
export type { OnProgress, WorkProgress } from '../progress.ts';
export {
  Blend,
  type BlendDomain,
  BlendedOrder,
  type BlendedSequence,
  type BlendKind,
  type BlendOptions,
} from '../tokens/blend.ts';
export { checkSources, type DomainSource, readSources } from '../tokens/sources.ts';
export { type ValidationSet, validationSets } from '../tokens/store-batches.ts';
export {
  openTokenStore,
  type PartName,
  type StoredDomain,
  type StoredPart,
  type StoreIndex,
  TokenStore,
} from '../tokens/token-store.ts';
export {
  type TokenizeDomainsOptions,
  type TokenizeProgress,
  tokenizeDomains,
} from '../tokens/tokenize.ts';
export {
  checkTrainConfig,
  readTrainConfig,
  type TrainConfig,
  type TrainConfigInput,
} from '../train/config.ts';
export { type EvaluateLmOptions, evaluateLm, type LmMeasures } from '../train/eval-lm.ts';
export {
  type BatchSize,
  type LineScoreExample,
  lineScoreBatch,
  pretrainBatch,
  type SftExample,
  sftBatch,
} from '../train/objectives.ts';
export type { TrainRecord } from '../train/run-folder.ts';
export type { TrainHooks, TrainProgress, TrainSummary } from '../train/run-types.ts';
export { trainModel } from '../train/train-run.ts';
export {
  openTrainer,
  TRAINER_DEFAULTS,
  Trainer,
  type TrainerOptions,
  trainShapeOf,
} from '../train/trainer.ts';
