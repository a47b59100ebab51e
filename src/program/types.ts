/**
 * The shared vocabulary of programs: DIALECTS, ops, windows, outcomes. Types and frozen tables only.
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
  /**
   * First line that the window owns, default `lineStart`. The lines before belong to an earlier window and were shown
   * as context: ops on them are left out (`not_owned`), removals that reach into them are cut short.
   */
  readonly ownStart?: number;
  /** One past the last line of the window. */
  readonly lineEnd: number;
  /** The program as the refiner wrote it. */
  readonly program: string;
}

/**
 * What a model that scores lines says of a window: the lines that go, as the `remove_lines` ops of one program. It is executed
 * as it is; a program is made of it where somebody reads one.
 */
export interface LineVerdict {
  /** As of a {@link WindowProgram} that owns all its lines. */
  readonly lineStart: number;
  readonly lineEnd: number;
  /** First line and one past the last of every stretch, 0-based in the document; none: the window stays. */
  readonly removed: Int32Array;
}

/** What one op did: kept in the op record of a document. */
export interface OpRecord {
  /** Function name as the dialect spells it; `invalid` when the call could not be read. */
  readonly op: string;
  /** First line it touched, 0-based in the document; -1 when it touched none. */
  readonly lineStart: number;
  /** One past the last line it touched. */
  readonly lineEnd: number;
  /**
   * UTF-8 bytes that it removed, less those that it added. Over the ops of an edited document they sum to
   * the input's size less the output's.
   */
  readonly bytesRemoved: number;
  /** Number of places it changed: lines removed, strings replaced, lines added. */
  readonly count: number;
  /** Why it was not applied (a code of `OP_REASONS`), or null. */
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

/** Leaves the window as it is. */
export interface KeepOp {
  readonly op: 'keep_doc' | 'keep_chunk' | 'keep_all';
}

/** Removes every line of the window. */
export interface DropOp {
  readonly op: 'drop_doc' | 'drop_chunk' | 'remove_all';
}

/** Removes whole lines. */
export interface RemoveLinesOp {
  readonly op: 'remove_lines';
  /** First line, 0-based in the document, whatever the dialect's numbering. */
  readonly lineStart: number;
  /** One past the last line. */
  readonly lineEnd: number;
}

/** Replaces every occurrence of a string in the window. */
export interface NormalizeOp {
  readonly op: 'normalize';
  readonly source: string;
  readonly target: string;
}

/** Replaces a string that occurs exactly once in one line. */
export interface ReplaceStrOp {
  readonly op: 'replace_str';
  /** 0-based line in the document. */
  readonly line: number;
  readonly source: string;
  readonly target: string;
}

/** Adds a line. */
export interface AddLineOp {
  readonly op: 'add_line';
  /** 0-based line in the document before which the new line goes; the dialect's `base` line is the one before it. */
  readonly line: number;
  /** Order among the lines added at the same place. */
  readonly subIndex: number;
  readonly content: string;
}

/** One call of a program, in document coordinates. */
export type Op = KeepOp | DropOp | RemoveLinesOp | NormalizeOp | ReplaceStrOp | AddLineOp;
