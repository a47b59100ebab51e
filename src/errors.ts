/**
 * Every error the library raises, in one registry.
 *
 * A failure of the run is a {@link GristmillError} with a code from {@link ERRORS}; a failure of one
 * document is data (a status and a reason column), never an exception. Messages name the file, the row,
 * the value and the bound; `{name}` in a template is filled from the error's `details`.
 * test/errors.test.ts holds this registry against docs/errors.md.
 */

import { printable, printableLines } from './printable.ts';

export { printable } from './printable.ts';

/** Message templates by code. Each code starts with the room that raises it. */
export const ERRORS = {
  // options and API use
  OPTION_INVALID: 'option {option}: expected {expected}, received {received}',
  CONFIG_INVALID: 'configuration {file}, line {line}: {reason}',
  DISPOSED: '{object} was used after dispose()',
  ABORTED: '{what} was aborted',
  PATH_REMOTE: '{name} {path}: {scheme} paths are neither read nor written here: {hint}',
  // native addon
  NATIVE_MISSING: 'the native addon is not built: {reason}; run `npx gristmill build-native`',
  NATIVE_FAILED: '{operation}: {reason}',
  // refine: profiles, engines, runs
  PROFILE_UNKNOWN: 'profile {profile} is neither a file nor one of: {known}',
  PROFILE_INVALID: 'profile {file}: {reason}',
  PROFILE_TEMPLATE_FAILED: 'profile {profile}: chat template: {reason}',
  REFINER_NOT_PULLED:
    'refiner {refiner}: model {repo} is not in the cache; run `gristmill models pull {repo}`',
  REFINER_NO_SYSTEM:
    'refiner {refiner}: its model was taught with a system text that is not part of this package: {source}; give it with --system',
  ENGINE_PROCESS_DIED:
    'the worker process on {device} died ({exit}) {count} times in a row without finishing anything; its last words: {lastWords}',
  RUN_STREAM_CUT:
    'the worker died ({exit}) in the middle of a stream, which can be neither taken back nor read again; in its engines: {inFlight}; its last words: {lastWords}. A run with an output folder goes on from there and sets such documents aside',
  RUN_OUTPUT_IN_USE: '{out} is in use by process {pid} on {host}, which is alive ({lock})',
  RUN_LEASE_LOST:
    '{out}: this process was stopped for longer than its lease of {seconds} s, and process {pid} on {host} took the folder over: nothing more is written',
  RUN_OUTPUT_FOREIGN: '{out} is not empty and holds no run of gristmill: choose another folder',
  RUN_CHANGED:
    '{out} holds a run with other settings; changed: {changes}. Use another --out, or remove it',
  QUEUE_UNREACHABLE: 'Redis at {url}: {reason}',
  QUEUE_NO_RUN: 'no run {run} on {url}; its runs: {known}',
  RUN_LEDGER_INVALID: '{file}: {reason}',
  RUN_NOT_FOUND: '{path} holds no run of gristmill: looked for one of {kinds}',
  RUN_ORIGINAL_GONE:
    'unit {unit}: the texts that went in cannot be read from {file}: {reason}. Runs with --keep-original carry them along',
  RUN_CONSERVATION:
    'unit {unit}: rows in {rowsIn} are not kept {kept} + edited {edited} + dropped {dropped} + failed {failed}',
  RUN_OUTPUT_FAILED: '{path}: {reason}',
  RUN_UNIT_UNDONE:
    'unit {unit} was committed, but {file} is not as it was written: its record is removed, and the unit is to be done again',
  RUN_ROW_REJECTED:
    'file {file}, row {row}: {reason}: {detail}. The stream has no place for it: give rejected rows a file (--rejected), or write to a folder',
  RUN_SCORES_NONE: 'no scores to keep: {reason}',
  RUN_SCORES_ABSENT: '{out} has no scores of lines and documents: {reason}',
  RUN_SCORES_COARSE:
    'the scores that {out} has kept do not tell lines below {threshold} from those above it; the nearest thresholds that they tell are {nearest}',
  RUN_COMPARE_INPUTS:
    '{first} and {second} are runs over different inputs and cannot be compared: {changes}',
  RUN_REUSE_CHANGED: '{out} has kept the scores of other inputs; changed: {changes}',
  SITES_FILE_INVALID: 'counts by site {file}: {reason}',
  SITES_COLUMN_UNKNOWN:
    'no column says which site a page is of: name one of URLs, hosts or domains (--site-column); columns: {columns}',
  SITES_NOT_KNOWN:
    '{file} knows no site {site}: it has fewer than two pages, or no line on two of them',
  // corpus
  CORPUS_NO_FILES: 'no file matches {inputs}; known formats: {formats}{leftOut}',
  CORPUS_FORMAT_UNKNOWN: 'file {file}: its format is not known; known formats: {formats}{hint}',
  CORPUS_READ_FAILED: 'file {file}: {reason}',
  CORPUS_CHANGED: 'file {file} changed since the plan was made: {reason}',
  CORPUS_CORRUPT: 'file {file}, row group {rowGroup}, column {column}, byte {offset}: {reason}',
  CORPUS_FILE_INVALID: 'file {file}: {reason}',
  CORPUS_CODEC_FAILED: '{codec}: {reason}',
  CORPUS_COLUMN_MISSING: 'file {file}: no column {column}{suggestion}; its columns: {columns}',
  CORPUS_COLUMN_RESERVED:
    'file {file}: column {column} is called like one that is added; give --status-prefix to call those otherwise, or --replace-status to have it replaced',
  CORPUS_COLUMN_TYPE: 'file {file}: column {column}: expected {expected}, found {received}',
  CORPUS_SCHEMA_DIFFERS:
    'files {first} and {second} differ in column {column}: {firstType} and {secondType}',
  CORPUS_SCHEMA_MIXED:
    'files {first} and {second} are of formats that have no schema in common, and a stream has one: give --out a folder, or one format at a time',
  CORPUS_LINE_INVALID: 'file {file}, line {line}: {reason}',
  CORPUS_LINE_TOO_LONG: 'file {file}, line {line}: longer than {bound} bytes',
  CORPUS_VALUE_INVALID:
    'file {file}, row {row}, column {column}: expected {expected}, found {received}',
  CORPUS_UNSUPPORTED: 'file {file}: not read: {reason}',
  CORPUS_WRITE_FAILED: '{file}: {reason}',
  // inspector
  INSPECT_PORT_FAILED: 'port {port} of 127.0.0.1: {reason}',
  METRICS_PORT_FAILED: 'metrics on port {port} of {host}: {reason}',
  INSPECT_NO_FOLDER:
    '{out} lies in a bucket, where a journal cannot be appended to: judgements need a folder of this machine, which --judgements names',
  INSPECT_NOT_BUILT: '{file} is missing: run `npm run build`',
  // corpus: storages
  STORAGE_ADDRESS_INVALID: '{path} is no address: expected {expected}',
  STORAGE_NOT_FOUND: '{path}: {reason}',
  STORAGE_DENIED: '{path}: access is denied: {reason}',
  STORAGE_NO_CREDENTIALS: '{path}: no credentials that are taken: {reason}',
  STORAGE_FAILED: '{path}: no answer after {attempts} attempts in {seconds} s: {reason}',
  STORAGE_NO_CONDITIONS:
    '{path}: this storage does not keep conditions of writes ({reason}): two workers could both commit a unit, so it cannot be an output',
  // program
  PROGRAM_WORKER_MISSING: '{file} is missing: run `npm run build`',
  PROGRAM_CASE_INVALID: 'line {line}: expected {expected}, received {received}',
  // engine and model files
  ENGINE_MODEL_MISSING: 'model {file} does not exist or is not a file',
  ENGINE_MODEL_INVALID: 'model {file}: {reason}',
  ENGINE_ARCHITECTURE_UNSUPPORTED: 'model {file}: architecture {architecture}: {reason}',
  ENGINE_CONTEXT_TOO_SMALL: 'model {file}: a context of {context} tokens, {needed} are needed',
  ENGINE_DEVICE_MISSING: 'device {device} is not there; available: {available}',
  ENGINE_OUT_OF_MEMORY: 'model {file} on {device}: out of memory: {reason}',
  ENGINE_DECODE_FAILED: 'model {file} on {device}: decoding failed: {reason}',
  // train: labelled data and evaluation
  TRAIN_GOLD_INVALID: 'file {file}, line {line}: {reason}',
  TRAIN_DATA_TOO_SMALL: '{what}: expected at least {minimum}, received {received}',
  // train: the trainer
  TRAIN_SHAPE_INVALID: 'model shape: {field}: expected {expected}, received {received}',
  TRAIN_BATCH_INVALID: 'batch: {field}[{index}]: expected {expected}, received {received}',
  TRAIN_NON_FINITE:
    'step {step}: loss {loss}, gradient norm {gradNorm}: training stopped before the update',
  TRAIN_OUT_OF_MEMORY: 'out of memory: {what}',
  TRAIN_DEVICE_UNSUPPORTED: 'device {device} cannot train this model: it lacks operator {operator}',
  TRAIN_TENSOR_UNKNOWN: 'the model has no tensor {name}',
  TRAIN_WRITE_FAILED: '{path}: {reason}',
  TRAIN_CHECKPOINT_INVALID: 'checkpoint {path}: {reason}',
  TRAIN_MODEL_UNSUPPORTED: 'model {path}: {reason}',
  TRAIN_CONFIG_INVALID: 'configuration {file}: {reason}',
  TRAIN_RUN_CHANGED:
    '{out} holds a training run with other settings; changed: {changes}. Use another out, or remove it',
  TRAIN_SOURCES_INVALID: 'sources {file}: {reason}',
  TRAIN_STORE_INVALID: 'token store {path}: {reason}',
  TRAIN_STORE_CHANGED:
    '{out} holds a token store of other sources or settings; changed: {changes}. Use another out, or remove it',
  TRAIN_STORE_CACHE_FAILED: 'token store {path} cannot be kept in {folder}: {reason}',
  SCHEDULE_INVALID: '{where}: {reason}',
  // model: conversion and the hub
  MODEL_WRITE_FAILED: '{path}: {reason}',
  // annotate
  ANNOTATE_EXPERT_FAILED: 'expert {expert}: no answer after {attempts} attempts: {reason}',
  ANNOTATE_EXPERT_REFUSED: 'expert {expert} refused with status {status}: {reason}',
  ANNOTATE_EXPERT_DOWN: 'expert {expert}: {count} requests failed in a row; the last: {reason}',
  ANNOTATE_EXPERT_QUOTA: 'expert {expert} answers no more for now: {reason}',
  ANNOTATE_BUDGET_SPENT: 'the budget of {limit} is spent',
  ANNOTATE_CACHE_INVALID: 'answers {file}, {place}: {reason}',
  ANNOTATE_CACHE_FAILED: 'answers {path}: {reason}',
  ANNOTATE_OUTPUT_OTHER: '{out} holds a set of annotate {other}: choose another folder for {kind}',
  ANNOTATE_TEMPLATE_INVALID: 'prompt template {file}: {reason}',
  MODEL_FILES_INVALID: 'model file {file}: {reason}',
  MODEL_CONVERT_UNSUPPORTED: 'model {dir}: {what}: {reason}',
  MODEL_MERGE_REFUSED: 'model {file}: {what}: {reason}',
  MODEL_HUB_FAILED: 'repository {repo}: {reason}',
  MODEL_HUB_CHECKSUM: 'repository {repo}, file {file}: expected {expected}, received {received}',
  // mixture: tables, surrogates
  MIXTURE_TABLE_INVALID:
    'table {file}, row {row}, column {column}: expected {expected}, found {received}',
  MIXTURE_DATA_TOO_SMALL: '{what}: expected at least {minimum} runs, received {received}',
  MIXTURE_FIT_INVALID: '{file}: {reason}',
  MIXTURE_WRITE_FAILED: '{path}: {reason}',
  // mixture: domains, samples, optima
  MIXTURE_DOMAINS_INVALID: 'domains {file}: {reason}',
  MIXTURE_BOUNDS_INFEASIBLE: 'bounds of the mixture: {reason}',
  MIXTURE_SAMPLE_FAILED:
    '{wanted} mixtures are wanted, {found} were found in {draws} draws: {reason}',
  MIXTURE_OUTSIDE_HULL:
    'the proposal lies {distance} (L1) outside the hull of the sampled mixtures, more than {tolerance}: the surrogate was never shown anything like it. Search inside (--inside), allow it (--allow-outside), or draw it back with --kl, --confidence or --max',
  MIXTURE_BEYOND_RUNS:
    'the fit was asked for {asked} {what}, and its runs have {least} to {most}: nothing was measured there. Train runs nearer to it, or ask for extrapolation (--allow-beyond)',
  // mixture: proxies, corpora
  MIXTURE_DOMAIN_UNKNOWN: 'domain {domain} of {file} is not among those of {where}: {known}',
  MIXTURE_DOMAIN_TOO_SMALL: '{shortfalls}{hint}',
  MIXTURE_RUN_CHANGED:
    '{out} holds a run with other settings; changed: {changes}. Use another --out, or remove it',
  MIXTURE_PROXY_DIED:
    'proxy {run}: its process on {device} died ({exit}) {count} times; its last words: {lastWords}',
  // continual: plans, runs
  CONTINUAL_PLAN_INVALID: 'plan {file}: {reason}',
  CONTINUAL_DATA_TOO_SMALL: 'stage {stage}: dataset {dataset} {shortfall}',
  CONTINUAL_REPLAY_TOO_SMALL:
    'stage {stage}: the replay of dataset {dataset} needs {needed} {unit}, but only {available} of it were seen before',
  CONTINUAL_RUN_CHANGED:
    '{out} holds a run with other settings; changed: {changes}. Use another --out, or remove it',
  CONTINUAL_DIVERGED:
    'stage {stage}, step {step}: loss {loss}, gradient norm {gradNorm}: stopped before the update; the last good checkpoint is {checkpoint}, of step {goodStep}',
  CONTINUAL_WRITE_FAILED: '{path}: {reason}',
  // chains of stages
  CHAIN_INVALID: 'chain {file}: {reason}',
  CHAIN_CHANGED:
    '{out} holds a chain whose stage {stage} had other inputs or options; changed: {changes}. Use another --out, or remove {folder} to make the stage again',
  CHAIN_STAGE_FAILED: 'stage {stage}: {reason}',
  CHAIN_WRITE_FAILED: '{path}: {reason}',
  // reports of runs
  REPORT_WRITE_FAILED: '{path}: {reason}',
  // exports for other trainers
  EXPORT_FOREIGN:
    '{path} holds what no export has written: {what}; choose another folder, or move it away',
  EXPORT_WRITE_FAILED: '{path}: {reason}',
  // continual: fits
  CONTINUAL_PILOTS_INVALID:
    'pilots {file}, row {row}, column {column}: expected {expected}, found {received}',
  CONTINUAL_EXTRAPOLATION:
    '{what}: {reason}; the pilots have {quantity} {low}..{high} and say nothing of what lies outside: run a pilot there',
  // batch
  BATCH_POOL_TOO_SMALL: 'slab pool: expected at least {minimum} slabs, received {received}',
} as const;

/** A code of {@link ERRORS}. */
export type ErrorCode = keyof typeof ERRORS;

/** Values that fill a message template and stay readable on the error. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

/**
 * The one error class of the library: `code` is stable, `details` holds the values of the message. What a signal ended
 * is named `AbortError`, as the platform's own aborts are; its code is ABORTED, its `cause` the signal's reason.
 */
export class GristmillError extends Error {
  override readonly name: 'GristmillError' | 'AbortError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(formatMessage(code, details), options);
    this.name = code === 'ABORTED' ? 'AbortError' : 'GristmillError';
    this.code = code;
    this.details = details;
  }
}

/** Details that are messages in themselves, of ours or of a parser, with lines of their own. */
const WHOLE: ReadonlySet<string> = new Set(['reason', 'changes', 'hint', 'expected']);

/** Fills the template of `code`; a missing detail shows as `?` rather than hiding the message. */
export function formatMessage(code: ErrorCode, details: ErrorDetails): string {
  return ERRORS[code].replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = details[name] ?? '?';
    return WHOLE.has(name) ? printableLines(value) : printable(value);
  });
}

/** True when `error` is a {@link GristmillError}, of `code` if one is given. */
export function isGristmillError(error: unknown, code?: ErrorCode): error is GristmillError {
  return error instanceof GristmillError && (code === undefined || error.code === code);
}

/** The error of what a signal ended: named `AbortError`, code ABORTED, `cause` the signal's reason. */
export function abortError(what: string, signal?: AbortSignal): GristmillError {
  return new GristmillError('ABORTED', { what }, signal?.aborted ? { cause: signal.reason } : {});
}

/** Like `signal.throwIfAborted()`, with {@link abortError}. */
export function throwIfAborted(signal: AbortSignal | undefined, what: string): void {
  if (signal?.aborted) throw abortError(what, signal);
}

/** What fires with the first of two signals, either of which may be left out. */
export function anyOf(
  first: AbortSignal | undefined,
  second: AbortSignal | undefined,
): AbortSignal | undefined {
  return first && second ? AbortSignal.any([first, second]) : (first ?? second);
}

/**
 * The promise, or the abort as soon as the signal fires. The work behind the promise is not ended by it: what comes
 * of it later is dropped, a failure too.
 */
export function untilAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  what: string,
): Promise<T> {
  if (!signal) return promise;
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(abortError(what, signal));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
