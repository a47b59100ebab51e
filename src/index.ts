/**
 * The public API: refining, programs, what a finished run says. Re-exports only.
 *
 * The other jobs have entries of their own, in src/api/: `gristmill/annotate`, `/train`, `/mix`, `/continue`, `/models`.
 */

import './batch/record-batch.ts';

export { type BytesColumn, buildBatch, bytesAt, DocumentBatch } from './batch/document-batch.ts';
export { type Lane, SlabPool, type SlabPoolOptions } from './batch/slab-pool.ts';
export {
  ERRORS,
  type ErrorCode,
  type ErrorDetails,
  GristmillError,
  isGristmillError,
} from './errors.ts';
export { type Inspector, type InspectorOptions, openInspector } from './inspect/server.ts';
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
export type { OnProgress, WorkProgress } from './progress.ts';
export type { CommittedWork, RunActivity, Stage } from './refine/activity.ts';
export { type CompareOptions, compareRuns, type RunComparison } from './refine/compare.ts';
export { type EstimateOptions, estimateRefine, type RefineEstimate } from './refine/estimate.ts';
export type { FinishedRow, RowStatus } from './refine/finished-run.ts';
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
  type RefineTextsOptions,
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
export {
  type ChosenOptions,
  type ChosenRow,
  type RowCondition,
  rowCondition,
  showRun,
} from './report/chosen-rows.ts';
export type { Dossier, DossierGroup, DossierStep } from './report/dossier.ts';
export type { SampleOptions } from './report/refine-sample.ts';
export {
  type DossierOptions,
  dossierOfRun,
  type ReportedRun,
  type ReportRunOptions,
  reportRun,
} from './report/report.ts';
export type { RunKind } from './report/run-kinds.ts';
export {
  type CountProgress,
  type CountSitesOptions,
  type CountSummary,
  countSites,
} from './sites/count-sites.ts';
export {
  openSites,
  type SiteCounts,
  type Sites,
  type SiteTemplate,
  type TemplateLine,
} from './sites/site-file.ts';
export { version } from './version.ts';
