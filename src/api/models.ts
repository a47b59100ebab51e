/** `gristmill/models`: model files, pulled, converted, inspected and made; scoring models by themselves. Re-exports only. */

export { openPageScorer, PageScorer, type PageScorerOptions } from '../lines/page-scorer.ts';
export {
  type ConvertModelOptions,
  type ConvertProgress,
  type ConvertSummary,
  convertModel,
} from '../model/convert/convert.ts';
export { type ConvertedType, type HubModel, pulledModel } from '../model/hub-cache.ts';
export { inspectModel, type ModelDescription } from '../model/inspect.ts';
export {
  type MergeModelsOptions,
  type MergeProgress,
  type MergeSummary,
  mergeModels,
} from '../model/merge/merge.ts';
export {
  type PullModelOptions,
  type PullProgress,
  type PullSummary,
  pullModel,
} from '../model/pull.ts';
export { RANDOM_MODEL_PRESETS, type RandomModelSpec, writeRandomModel } from '../model/random.ts';
export type { EngineInfo, EngineStats } from '../native/engine.ts';
export { type MergeWeightsOptions, mergeWeights } from '../schedules/merge-weights.ts';
