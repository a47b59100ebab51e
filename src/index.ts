/**
 * The public API. Re-exports only.
 */
export {
  ERRORS,
  type ErrorCode,
  type ErrorDetails,
  GristmillError,
  isGristmillError,
} from './errors.ts';
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
