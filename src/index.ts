/**
 * The public API. Re-exports only.
 */

export { annotateChunks } from './annotate/chunks/annotate-chunks.ts';
export {
  ANNOTATE_CHUNKS_DEFAULTS,
  type AnnotateChunksOptions,
  type AnnotateChunksProgress,
} from './annotate/chunks/chunk-options.ts';
export type { ChunkStatistics, PartStatistics } from './annotate/chunks/chunk-statistics.ts';
export { REJECT_REASONS, type RejectReason } from './annotate/chunks/reject-reasons.ts';
export { EXAMPLE_KINDS, type ExampleKind, type ExampleShares } from './annotate/chunks/shares.ts';
export {
  type AnnotatorComparison,
  type CompareAnnotatorsOptions,
  compareAnnotators,
} from './annotate/evaluate/compare-annotators.ts';
export {
  type EvaluateRefinerOptions,
  type ExampleSelection,
  evaluateRefiner,
  type RefinerEvaluationResult,
  type TokenCounts,
} from './annotate/evaluate/eval-refiner.ts';
export type {
  OpCounts,
  RefinerMeasures,
  RemovedCounts,
  WindowMeasures,
} from './annotate/evaluate/eval-refiner-measures.ts';
export type { PredictorOptions } from './annotate/evaluate/window-predictor.ts';
export {
  type ExampleFileResult,
  readWindowExamples,
  writeWindowExamples,
} from './annotate/example-file.ts';
export {
  type CommonExpertOptions,
  type EndpointOptions,
  EXPERT_DEFAULTS,
  type Expert,
  type ExpertAnswer,
  type ExpertOptions,
  type ExpertRequest,
  type ExpertStats,
  type LocalExpertOptions,
  openExpert,
} from './annotate/expert/expert.ts';
export { ENDPOINT_DEFAULTS } from './annotate/expert/expert-endpoint.ts';
export { annotateDocuments } from './annotate/label/label-documents.ts';
export { LABEL_COLUMNS } from './annotate/label/label-files.ts';
export {
  ANNOTATE_DOCUMENTS_DEFAULTS,
  type AnnotateDocumentsOptions,
  type AnnotateDocumentsStatistics,
  type AnnotateProgress,
  type DocumentFailure,
} from './annotate/label/label-types.ts';
export {
  loadTemplate,
  type PromptTemplate,
  TEMPLATES,
  type TemplateName,
  writeTemplates,
} from './annotate/templates.ts';
export { CHUNK_WAYS, type ChunkWay, type Split, type WindowExample } from './annotate/types.ts';

import './batch/record-batch.ts';

export { type BytesColumn, buildBatch, bytesAt, DocumentBatch } from './batch/document-batch.ts';
export { type Lane, SlabPool, type SlabPoolOptions } from './batch/slab-pool.ts';
export {
  type ChooseReplayOptions,
  chooseReplay,
  type ReplayChoice,
} from './continual/fit/choose-replay.ts';
export {
  type CptLaw,
  type FitLawOptions,
  fitLaw,
  type PredictLawOptions,
  predictLaw,
} from './continual/fit/fit-law.ts';
export {
  type FitReplayOptions,
  type FittedLoss,
  fitReplay,
  type PilotSide,
  predictReplay,
  type ReplayFit,
  type ReplayPlace,
} from './continual/fit/fit-replay.ts';
export { curvesFromRuns, pilotsFromRuns, type RunStages } from './continual/fit/from-runs.ts';
export { type CurveLoss, type LossCurve, readLossCurves } from './continual/fit/loss-curves.ts';
export { type LrAreas, lrAreas } from './continual/fit/lr-areas.ts';
export { type Pilot, readPilots } from './continual/fit/pilots.ts';
export { type ReplayCurvePoint, replayCurve, replayFigure } from './continual/fit/replay-figure.ts';
export {
  checkPlan,
  type PlanConfig,
  type PlanInput,
  readPlan,
  type StageConfig,
} from './continual/plan/config.ts';
export {
  countsUpTo,
  type LineageStretch,
  lineageOf,
  type SourceCount,
} from './continual/plan/counts.ts';
export {
  type PlanRates,
  PRESETS,
  type Preset,
  type PresetName,
  type PresetRate,
  type PresetSchedule,
} from './continual/plan/presets.ts';
export {
  type PlanReport,
  planReport,
  type ReportedSource,
  type ReportedStage,
  scheduleCsv,
} from './continual/plan/report.ts';
export { type ResolvePlanOptions, resolvePlan } from './continual/plan/resolve.ts';
export type { Until } from './continual/plan/segments.ts';
export { planTimeline } from './continual/plan/timeline.ts';
export type {
  CheckpointName,
  ContinualPlan,
  PlanReplay,
  PlanSegment,
  PlanSource,
  PlanStage,
} from './continual/plan/types.ts';
export type { Checkpoint, SeenTokens } from './continual/run/lineage.ts';
export {
  type RunPlanOptions,
  type RunPlanResult,
  type RunPlanSummary,
  runPlan,
  type StageProgress,
} from './continual/run/run.ts';
export {
  type ReplayedSource,
  type SeenSequences,
  StageData,
  type StageDataOptions,
  type StageSequence,
} from './continual/run/stage-data.ts';
export {
  type StageLosses,
  type StageRecord,
  type StageResult,
  type TrainStageOptions,
  trainStage,
} from './continual/run/stage-loop.ts';
export type { StageSummary } from './continual/run/stage-run.ts';
export {
  ERRORS,
  type ErrorCode,
  type ErrorDetails,
  GristmillError,
  isGristmillError,
} from './errors.ts';
export { BLEND_TARGETS, type BlendTarget } from './interop/blend-targets.ts';
export {
  type BlendEntry,
  type BlendStage,
  type ExportBlendOptions,
  exportBlend,
  exportBlendStages,
} from './interop/blends.ts';
export { scheduleFromNeoxEnds, scheduleFromNeoxLengths } from './interop/neox-schedules.ts';
export {
  type ExportedSchedule,
  type ExportScheduleOptions,
  exportSchedule,
  SCHEDULE_TARGETS,
  type ScheduleTarget,
} from './interop/schedules/export.ts';
export type { Deviation } from './interop/schedules/measure.ts';
export type { ExportFile } from './interop/schedules/target.ts';
export {
  type ExportedStage,
  type ExportStageOptions,
  exportStage,
  type PlanToExport,
  type StageToExport,
} from './interop/stage.ts';
export { openPageScorer, PageScorer, type PageScorerOptions } from './lines/page-scorer.ts';
export {
  type AppliedDomain,
  type AppliedMixture,
  type ApplyMixtureOptions,
  applyMixture,
} from './mixture/apply/apply.ts';
export { chosenMixture, type Mixture } from './mixture/apply/chosen-mixture.ts';
export { type CollectedRuns, type CollectOptions, collectRuns } from './mixture/collect.ts';
export {
  type CountDomainsOptions,
  countDomains,
  type DomainCounts,
} from './mixture/count-domains.ts';
export {
  checkDomains,
  type DomainSpec,
  orderDomains,
  priorOf,
  readDomains,
} from './mixture/domains.ts';
export { fitMixture } from './mixture/fit.ts';
export { type FitFile, type FitInput, fitInput, loadFit, saveFit } from './mixture/fit-file.ts';
export {
  type Coverage,
  type CrossValidation,
  FIT_DEFAULTS,
  type FitMixtureOptions,
  type FitProgress,
  type FitReport,
  type FittedMixture,
  INTERVAL_LEVELS,
  type LearningCurve,
  type LearningCurvePoint,
  type Measures,
  type SampledWeights,
  type TargetCalibration,
  type TargetReport,
} from './mixture/fit-types.ts';
export { readFrozenGroups } from './mixture/optimize/frozen-file.ts';
export { distanceToHull, type HullDistance } from './mixture/optimize/hull.ts';
export type { ObjectiveTarget } from './mixture/optimize/objective.ts';
export {
  type MixtureProposal,
  OPTIMIZE_MIXTURE_DEFAULTS,
  type OptimizeMixtureOptions,
  optimizeMixture,
} from './mixture/optimize/optimize.ts';
export type {
  MixtureForecast,
  ProposalWarning,
  TargetForecast,
} from './mixture/optimize/proposal.ts';
export type { FrozenGroup } from './mixture/optimize/space.ts';
export { type PredictOptions, predictMixtures, type TargetPrediction } from './mixture/predict.ts';
export {
  PROXY_PRESETS,
  type ProxyPreset,
  type ProxySettings,
  proxySettings,
} from './mixture/proxies/settings.ts';
export {
  type SweepProgress,
  type SweepSummary,
  type TrainProxiesOptions,
  trainProxies,
} from './mixture/proxies/sweep.ts';
export { readMixture } from './mixture/read-mixture.ts';
export {
  type ReportedMixture,
  type ReportOptions,
  type ReportResult,
  writeReport,
} from './mixture/report/report.ts';
export { type BoundOptions, mixtureBounds } from './mixture/sample/bounds.ts';
export { type Draws, type PublishedSettings, SAMPLER_PRESETS } from './mixture/sample/published.ts';
export {
  SAMPLE_WAYS,
  type SampledMixtures,
  type SampleMixturesOptions,
  type SampleWay,
  sampleMixtures,
} from './mixture/sample/sample.ts';
export type { MixtureBounds } from './mixture/simplex.ts';
export { SURROGATE_FAMILIES } from './mixture/surrogates/families.ts';
export {
  alignDomains,
  domainName,
  type JoinedRuns,
  joinRuns,
  type LossFile,
  type MixtureFile,
  type OnMissing,
  type ReadMixturesOptions,
  type ReadTableOptions,
  readLosses,
  readMixtures,
  roundMixture,
  TABLE_DEFAULTS,
  targetName,
  type WriteTableOptions,
  writeLosses,
  writeMixtures,
  writeRuns,
} from './mixture/tables.ts';
export type {
  FitOptions,
  FittedSurrogate,
  LossTable,
  MixtureTable,
  Prediction,
  RunTable,
  SurrogateData,
  SurrogateFamily,
  SurrogateFamilyName,
} from './mixture/types.ts';
export {
  type ConvertModelOptions,
  type ConvertProgress,
  type ConvertSummary,
  convertModel,
} from './model/convert/convert.ts';
export { type ConvertedType, type HubModel, pulledModel } from './model/hub-cache.ts';
export { inspectModel, type ModelDescription } from './model/inspect.ts';
export {
  type PullModelOptions,
  type PullProgress,
  type PullSummary,
  pullModel,
} from './model/pull.ts';
export { RANDOM_MODEL_PRESETS, type RandomModelSpec, writeRandomModel } from './model/random.ts';
export {
  type TokenizerTrainingOptions,
  type TrainedTokenizer,
  trainTokenizer,
} from './model/tokenizer-training.ts';
export type { EngineInfo, EngineStats } from './native/engine.ts';
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
} from './native/train.ts';
export { type Decision, decideDocument } from './program/decide.ts';
export type { Dialect } from './program/dialect.ts';
export { DIALECTS } from './program/dialects.ts';
export { execute } from './program/execute.ts';
export { EXECUTE_DEFAULTS, type ExecuteOptions } from './program/options.ts';
export { type Program, parse, print, type Statement } from './program/parse.ts';
export { BatchExecution, ExecutionPool, type ExecutionPoolOptions } from './program/pool.ts';
export { OP_REASONS, type OpReason, REASONS, type Reason } from './program/reasons.ts';
export {
  type AddLineOp,
  type DialectName,
  type DropOp,
  type ExecutorName,
  type KeepOp,
  type LineVerdict,
  type NormalizeOp,
  type Op,
  type OpRecord,
  type Outcome,
  type RemoveLinesOp,
  type ReplaceStrOp,
  STATUSES,
  type Status,
  type WindowProgram,
} from './program/types.ts';
export { WINDOW_EXECUTE_DEFAULTS, type WindowExecuteOptions } from './program/window-execution.ts';
export { type CompareOptions, compareRuns, type RunComparison } from './refine/compare.ts';
export { type EstimateOptions, estimateRefine, type RefineEstimate } from './refine/estimate.ts';
export { type KeptScores, openScores } from './refine/kept-scores.ts';
export type { Profile } from './refine/profile.ts';
export { PROFILES } from './refine/profiles.ts';
export { ALL_REASONS } from './refine/reasons.ts';
export type { RefineOptions, StageName } from './refine/refine-options.ts';
export type { RefinedRows } from './refine/refined-rows.ts';
export {
  type OpenRefinerOptions,
  openRefiner,
  type RefineCallOptions,
  type RefinedDocument,
  type RefinedRowOf,
  type RefineRowsOptions,
  type Refiner,
  type RefinerText,
  type StreamedRows,
} from './refine/refiner.ts';
export { NAMED_REFINERS, type RefinerName } from './refine/refiner-names.ts';
export { refineCorpus } from './refine/run.ts';
export type { RefinedRow } from './refine/run-options.ts';
export {
  REFINE_DEFAULTS,
  type RefineCorpusOptions,
  type RefineProgress,
} from './refine/run-options.ts';
export type { RefineCounts, RunSummary } from './refine/statistics.ts';
export { type CumulativeInfinite, infiniteFromEnds } from './schedules/cumulative.ts';
export { LrCurve, lrCurve, type Phase, type PhaseName } from './schedules/curve.ts';
export type { Horizon, Length, LengthInput } from './schedules/lengths.ts';
export { type LrSchedule, learningRateAt } from './schedules/schedule.ts';
export {
  checkSchedule,
  DECAY_SHAPES,
  type DecayShape,
  SCHEDULE_KINDS,
  type ScheduleInput,
  type ScheduleSpec,
} from './schedules/spec.ts';
export {
  type EvaluateLinesOptions,
  evaluateLines,
  type LineEvaluationResult,
} from './scorers/cross-validate.ts';
export {
  type DocumentRefiner,
  type DocumentReport,
  type DocumentScorer,
  type EvaluateDocumentsOptions,
  evaluateDocuments,
} from './scorers/eval-documents.ts';
export type { Agreement, LineMeasures, LineReport } from './scorers/eval-lines.ts';
export {
  type GoldDocument,
  type GoldPage,
  readGoldDocuments,
  readGoldPages,
} from './scorers/gold.ts';
export type { LineRefiner, LineScorer } from './scorers/line-scorer.ts';
export { documentRefiner, lineRefiner } from './scorers/refiners.ts';
export {
  Blend,
  type BlendDomain,
  BlendedOrder,
  type BlendedSequence,
  type BlendKind,
  type BlendOptions,
} from './tokens/blend.ts';
export { checkSources, type DomainSource, readSources } from './tokens/sources.ts';
export { type ValidationSet, validationSets } from './tokens/store-batches.ts';
export {
  openTokenStore,
  type PartName,
  type StoredDomain,
  type StoredPart,
  type StoreIndex,
  TokenStore,
} from './tokens/token-store.ts';
export {
  type TokenizeDomainsOptions,
  type TokenizeProgress,
  tokenizeDomains,
} from './tokens/tokenize.ts';
export {
  checkTrainConfig,
  readTrainConfig,
  type TrainConfig,
  type TrainConfigInput,
} from './train/config.ts';
export { type EvaluateLmOptions, evaluateLm, type LmMeasures } from './train/eval-lm.ts';
export {
  type BatchSize,
  type LineScoreExample,
  lineScoreBatch,
  pretrainBatch,
  type SftExample,
  sftBatch,
} from './train/objectives.ts';
export type { TrainRecord } from './train/run-folder.ts';
export type { TrainHooks, TrainProgress, TrainSummary } from './train/run-types.ts';
export { trainModel } from './train/train-run.ts';
export {
  openTrainer,
  TRAINER_DEFAULTS,
  Trainer,
  type TrainerOptions,
  trainShapeOf,
} from './train/trainer.ts';
export { version } from './version.ts';
