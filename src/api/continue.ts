/** `gristmill/continue`: learning-rate schedules, replay, plans of continued pre-training and their exports. Re-exports only. */

export { type ChainConfig, type ChainStage, checkChain, readChain } from '../chain/config.ts';
export type { LedgerInput, LedgerOutput, StageRecord as ChainRecord } from '../chain/ledger.ts';
export {
  type ChainReport,
  chainReport,
  type ReportedCheckpoint,
  type ReportedCorpus,
  type ReportedFile,
} from '../chain/report.ts';
export { type RunChainOptions, type RunChainResult, runChain } from '../chain/run.ts';
export type { ChainProgress } from '../chain/stages.ts';
export {
  type ComparedLoss,
  type CompareStagesOptions,
  compareStages,
  type StageComparison,
} from '../continual/compare/compare-stages.ts';
export {
  type PairedDifference,
  pairedDifference,
  pairedRatio,
  type Verdict,
} from '../continual/compare/paired.ts';
export {
  type ChooseReplayOptions,
  chooseReplay,
  type ReplayChoice,
} from '../continual/fit/choose-replay.ts';
export {
  type CptLaw,
  type FitLawOptions,
  fitLaw,
  type PredictLawOptions,
  predictLaw,
} from '../continual/fit/fit-law.ts';
export {
  type FitReplayOptions,
  type FittedLoss,
  fitReplay,
  type PilotSide,
  predictReplay,
  type ReplayFit,
  type ReplayPlace,
} from '../continual/fit/fit-replay.ts';
export { curvesFromRuns, pilotsFromRuns, type RunStages } from '../continual/fit/from-runs.ts';
export { type CurveLoss, type LossCurve, readLossCurves } from '../continual/fit/loss-curves.ts';
export { type LrAreas, lrAreas } from '../continual/fit/lr-areas.ts';
export { type Pilot, readPilots } from '../continual/fit/pilots.ts';
export {
  type ReplayCurvePoint,
  replayCurve,
  replayFigure,
} from '../continual/fit/replay-figure.ts';
export {
  checkPlan,
  type PlanConfig,
  type PlanInput,
  readPlan,
  type StageConfig,
} from '../continual/plan/config.ts';
export {
  countsUpTo,
  type LineageStretch,
  lineageOf,
  type SourceCount,
} from '../continual/plan/counts.ts';
export {
  type PlanRates,
  PRESETS,
  type Preset,
  type PresetName,
  type PresetRate,
  type PresetSchedule,
} from '../continual/plan/presets.ts';
export {
  type PlanReport,
  planReport,
  type ReportedRetention,
  type ReportedSource,
  type ReportedStage,
  scheduleCsv,
} from '../continual/plan/report.ts';
export { type ResolvePlanOptions, resolvePlan } from '../continual/plan/resolve.ts';
export {
  type RetainedStretch,
  type Retention,
  retentionOf,
  retentionsOf,
} from '../continual/plan/retention.ts';
export type { Until } from '../continual/plan/segments.ts';
export { planTimeline } from '../continual/plan/timeline.ts';
export type {
  CheckpointName,
  ContinualPlan,
  PlanReplay,
  PlanSegment,
  PlanSource,
  PlanStage,
} from '../continual/plan/types.ts';
export type { Checkpoint, SeenTokens } from '../continual/run/lineage.ts';
export {
  type RunPlanOptions,
  type RunPlanResult,
  type RunPlanSummary,
  runPlan,
  type StageProgress,
} from '../continual/run/run.ts';
export {
  type ReplayedSource,
  type SeenSequences,
  StageData,
  type StageDataOptions,
  type StageSequence,
} from '../continual/run/stage-data.ts';
export {
  type StageLosses,
  type StageRecord,
  type StageResult,
  type TrainStageOptions,
  trainStage,
} from '../continual/run/stage-loop.ts';
export type { StageSummary } from '../continual/run/stage-run.ts';
export { scheduleFromNeoxEnds, scheduleFromNeoxLengths } from '../interop/neox-schedules.ts';
export {
  type ExportedSchedule,
  type ExportScheduleOptions,
  exportSchedule,
  SCHEDULE_TARGETS,
  type ScheduleTarget,
} from '../interop/schedules/export.ts';
export type { Deviation } from '../interop/schedules/measure.ts';
export type { ExportFile } from '../interop/schedules/target.ts';
export {
  type ExportedStage,
  type ExportStageOptions,
  exportStage,
  type PlanToExport,
  type StageToExport,
} from '../interop/stage.ts';
export type { OnProgress, WorkProgress } from '../progress.ts';
export {
  type BatchRun,
  type BatchSizeHorizon,
  type BatchSizeSpec,
  batchRuns,
  sequencesBefore,
} from '../schedules/batch-size.ts';
export { type CumulativeInfinite, infiniteFromEnds } from '../schedules/cumulative.ts';
export { LrCurve, lrCurve, type Phase, type PhaseName } from '../schedules/curve.ts';
export {
  type EmaWeights,
  type EmaWeightsOptions,
  emaWeights,
  type RateStretch,
} from '../schedules/ema-weights.ts';
export type { Horizon, Length, LengthInput } from '../schedules/lengths.ts';
export { type LrSchedule, learningRateAt } from '../schedules/schedule.ts';
export {
  checkSchedule,
  DECAY_SHAPES,
  type DecayShape,
  SCHEDULE_KINDS,
  type ScheduleInput,
  type ScheduleSpec,
} from '../schedules/spec.ts';
