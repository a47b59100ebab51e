/**
 * The shared vocabulary of programs: dialects, ops, windows, outcomes. Types and frozen tables only.
 *
 * A program is what a refiner wrote for one window of a document. Executing it is a pure function
 * (text, programs) → (text, status, reason, op record); ProX (arXiv 2409.17115) §2.2 names the functions.
 */

/** How refiners spell programs. `prox`: 0-based lines, document-wide numbering. `ultrax`: 1-based, `replace_str`. */
export type DialectName = 'prox' | 'ultrax';

/** `strict`: our semantics (default). `compat`: the published Python behaviour, case for case (`prox` only). */
export type ExecutorName = 'strict' | 'compat';

/** What became of a document. `failed` documents keep their text. */
export const STATUSES = Object.freeze(['kept', 'edited', 'dropped', 'failed'] as const);
/** One of {@link STATUSES}. */
export type Status = (typeof STATUSES)[number];

/** A program and the lines it was written for. */
export interface WindowProgram {
  /** First line of the window, 0-based in the document. */
  readonly lineStart: number;
  /** One past the last line of the window. */
  readonly lineEnd: number;
  /** The program as the refiner wrote it. */
  readonly program: string;
}

/** What one op did: kept in the op record of a document. */
export interface OpRecord {
  /** Function name as the dialect spells it. */
  readonly op: string;
  /** First line it touched, 0-based in the document; -1 when it touched none. */
  readonly lineStart: number;
  /** One past the last line it touched. */
  readonly lineEnd: number;
  /** UTF-8 bytes that it removed, less those that it added. */
  readonly bytesRemoved: number;
  /** Number of places it changed. */
  readonly count: number;
  /** Why it was not applied, or null. */
  readonly skipped: string | null;
}

/** The outcome of one document. */
export interface Outcome {
  /** The refined text; "" when dropped; the input text when kept or failed. */
  readonly text: string;
  readonly status: Status;
  /** Why: one of the reason codes of src/program/reasons.ts. */
  readonly reason: string;
  readonly ops: readonly OpRecord[];
}
