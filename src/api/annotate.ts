/** `gristmill/annotate`: labels for refiners, and how good refiners are. Re-exports only. */

export { annotateChunks } from '../annotate/chunks/annotate-chunks.ts';
export {
  ANNOTATE_CHUNKS_DEFAULTS,
  type AnnotateChunksOptions,
  type AnnotateChunksProgress,
} from '../annotate/chunks/chunk-options.ts';
export type { ChunkStatistics, PartStatistics } from '../annotate/chunks/chunk-statistics.ts';
export { REJECT_REASONS, type RejectReason } from '../annotate/chunks/reject-reasons.ts';
export { EXAMPLE_KINDS, type ExampleKind, type ExampleShares } from '../annotate/chunks/shares.ts';
export {
  type AnnotatorComparison,
  type CompareAnnotatorsOptions,
  compareAnnotators,
} from '../annotate/evaluate/compare-annotators.ts';
export {
  type EvaluateRefinerOptions,
  type ExampleSelection,
  evaluateRefiner,
  type RefinerEvaluationResult,
  type TokenCounts,
} from '../annotate/evaluate/eval-refiner.ts';
export type {
  OpCounts,
  RefinerMeasures,
  RemovedCounts,
  WindowMeasures,
} from '../annotate/evaluate/eval-refiner-measures.ts';
export type { PredictorOptions } from '../annotate/evaluate/window-predictor.ts';
export {
  type ExampleFileResult,
  readWindowExamples,
  writeWindowExamples,
} from '../annotate/example-file.ts';
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
} from '../annotate/expert/expert.ts';
export { ENDPOINT_DEFAULTS } from '../annotate/expert/expert-endpoint.ts';
export { annotateDocuments } from '../annotate/label/label-documents.ts';
export { LABEL_COLUMNS } from '../annotate/label/label-files.ts';
export {
  ANNOTATE_DOCUMENTS_DEFAULTS,
  type AnnotateDocumentsOptions,
  type AnnotateDocumentsStatistics,
  type AnnotateProgress,
  type DocumentFailure,
} from '../annotate/label/label-types.ts';
export {
  loadTemplate,
  type PromptTemplate,
  TEMPLATES,
  type TemplateName,
  writeTemplates,
} from '../annotate/templates.ts';
export { CHUNK_WAYS, type ChunkWay, type Split, type WindowExample } from '../annotate/types.ts';
export {
  type EvaluateLinesOptions,
  evaluateLines,
  type LineEvaluationResult,
} from '../scorers/cross-validate.ts';
export {
  type DocumentRefiner,
  type DocumentReport,
  type DocumentScorer,
  type EvaluateDocumentsOptions,
  evaluateDocuments,
} from '../scorers/eval-documents.ts';
export type { Agreement, LineMeasures, LineReport } from '../scorers/eval-lines.ts';
export {
  type GoldDocument,
  type GoldPage,
  readGoldDocuments,
  readGoldPages,
} from '../scorers/gold.ts';
export type { LineRefiner, LineScorer } from '../scorers/line-scorer.ts';
export { documentRefiner, lineRefiner } from '../scorers/refiners.ts';
export type { OnWork, WorkActivity, WorkDone } from '../work/activity.ts';
