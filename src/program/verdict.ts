/**
 * What executors hand over inside a thread: a reusable verdict instead of an object per document.
 */
import type { ByteString } from './byte-string.ts';
import type { Reason } from './reasons.ts';
import type { LineVerdict, OpRecord, Status, WindowProgram } from './types.ts';

/** What is said of a window. */
export type WindowVerdict = WindowProgram | LineVerdict;

/** The program of a whole document, those of its windows, or none. */
export type DocumentPrograms = string | readonly WindowVerdict[] | null;

/** A text that is read only when a program has something to do. */
export interface TextSource {
  read(): ByteString;
}

/** An op record while it is being made. */
export type OpenRecord = { -readonly [Key in keyof OpRecord]: OpRecord[Key] };

/** The outcome of one document, overwritten by the next one. */
export interface Verdict {
  status: Status;
  reason: Reason;
  /** The edited text; null when it is the input's. "" when dropped. */
  output: ByteString | null;
  records: OpenRecord[];
}

/** An executor for one thread: documents in, verdicts out. */
export interface Executor {
  execute(programs: DocumentPrograms, source: TextSource): Verdict;
}

/** A fresh verdict: kept. */
export function makeVerdict(): Verdict {
  return { status: 'kept', reason: 'no_program', output: null, records: [] };
}

/** Fills a verdict in. */
export function settle(
  verdict: Verdict,
  status: Status,
  reason: Reason,
  output: ByteString | null = null,
): Verdict {
  verdict.status = status;
  verdict.reason = reason;
  verdict.output = output;
  return verdict;
}
