/** `gristmill/mix`: mixtures of domains, from samples and proxies to a fitted surrogate and its optimum. Re-exports only. */

export { BLEND_TARGETS, type BlendTarget } from '../interop/blend-targets.ts';
export {
  type BlendEntry,
  type BlendStage,
  type ExportBlendOptions,
  exportBlend,
  exportBlendStages,
} from '../interop/blends.ts';
export {
  type AppliedDomain,
  type AppliedMixture,
  type ApplyMixtureOptions,
  applyMixture,
} from '../mixture/apply/apply.ts';
export { chosenMixture, type Mixture } from '../mixture/apply/chosen-mixture.ts';
export { type CollectedRuns, type CollectOptions, collectRuns } from '../mixture/collect.ts';
export {
  type CountDomainsOptions,
  countDomains,
  type DomainCounts,
} from '../mixture/count-domains.ts';
export {
  checkDomains,
  type DomainSpec,
  orderDomains,
  priorOf,
  readDomains,
} from '../mixture/domains.ts';
export { fitMixture } from '../mixture/fit.ts';
export { type FitFile, type FitInput, fitInput, loadFit, saveFit } from '../mixture/fit-file.ts';
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
} from '../mixture/fit-types.ts';
export { OPTIMIZE_MIXTURE_DEFAULTS } from '../mixture/optimize/defaults.ts';
export { readFrozenGroups } from '../mixture/optimize/frozen-file.ts';
export { distanceToHull, type HullDistance } from '../mixture/optimize/hull.ts';
export type { ObjectiveTarget } from '../mixture/optimize/objective.ts';
export {
  type MixtureProposal,
  type OptimizeMixtureOptions,
  optimizeMixture,
} from '../mixture/optimize/optimize.ts';
export type {
  MixtureForecast,
  ProposalWarning,
  TargetForecast,
} from '../mixture/optimize/proposal.ts';
export type { FrozenGroup } from '../mixture/optimize/space.ts';
export { type PredictOptions, predictMixtures, type TargetPrediction } from '../mixture/predict.ts';
export {
  PROXY_PRESETS,
  type ProxyPreset,
  type ProxySettings,
  proxySettings,
} from '../mixture/proxies/settings.ts';
export {
  type SweepProgress,
  type SweepSummary,
  type TrainProxiesOptions,
  trainProxies,
} from '../mixture/proxies/sweep.ts';
export { readMixture } from '../mixture/read-mixture.ts';
export {
  epochsAt,
  type RepeatedDomain,
  type RepetitionPlan,
  repeatedDomains,
  subsetTokens,
} from '../mixture/repetition/plan.ts';
export {
  readRepetitionPlan,
  repetitionPlan,
  writeRepetitionPlan,
} from '../mixture/repetition/plan-file.ts';
export {
  type ReportedMixture,
  type ReportOptions,
  type ReportResult,
  writeReport,
} from '../mixture/report/report.ts';
export type { DesignedRun, DesignScale } from '../mixture/sample/active-scales.ts';
export { type BoundOptions, mixtureBounds } from '../mixture/sample/bounds.ts';
export {
  type Draws,
  type PublishedSettings,
  SAMPLER_PRESETS,
} from '../mixture/sample/published.ts';
export {
  SAMPLE_WAYS,
  type SampledMixtures,
  type SampleMixturesOptions,
  type SampleWay,
  sampleMixtures,
} from '../mixture/sample/sample.ts';
export { fitAt, rangeOfFit, scalesTowards } from '../mixture/scale/at.ts';
export type { BlockReport, Scale, ScaleRange, ScaleReport } from '../mixture/scale/types.ts';
export type { MixtureBounds } from '../mixture/simplex.ts';
export { stackRuns } from '../mixture/stack-runs.ts';
export { SURROGATE_FAMILIES } from '../mixture/surrogates/families.ts';
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
} from '../mixture/tables.ts';
export type {
  FitOptions,
  FittedSurrogate,
  LossTable,
  MixtureTable,
  Prediction,
  RunScales,
  RunTable,
  SurrogateData,
  SurrogateFamily,
  SurrogateFamilyName,
} from '../mixture/types.ts';
export type { OnProgress, WorkProgress } from '../progress.ts';
export type { OnWork, WorkActivity, WorkDone } from '../work/activity.ts';
