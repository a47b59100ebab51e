/**
 * `execute`: one document, in this thread.
 */

import { refuseOption } from '../options.ts';
import { type ByteString, fromByteString, toByteString } from './byte-string.ts';
import { CompatExecutor } from './compat.ts';
import { type ExecuteOptions, type ResolvedOptions, resolveOptions } from './options.ts';
import { StrictExecutor } from './strict.ts';
import type { Outcome, WindowProgram } from './types.ts';
import type { Executor, TextSource } from './verdict.ts';

/** A text of the caller's as an executor reads it. */
class StringSource implements TextSource {
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  read(): ByteString {
    return toByteString(this.#text);
  }
}

/** Makes the executor that the options name. It keeps buffers, so make one per thread and reuse it. */
export function makeExecutor(options: ResolvedOptions): Executor {
  return options.executor === 'compat' ? new CompatExecutor() : new StrictExecutor(options);
}

/**
 * Runs a program over a text. Pure; never fails because of the text or the program: what goes wrong there
 * is in the outcome's status and reason. A text with half a surrogate pair is `failed` for `invalid_utf8`.
 *
 * @param text the document; lines end at LF
 * @param program the program of the whole document, or one program per window of it (windows in order,
 *   disjoint, whole lines)
 * @throws OPTION_INVALID for what is no text, no program or no option, or an option out of range
 * @see ProX, arXiv 2409.17115 §2.2
 */
export function execute(
  text: string,
  program: string | readonly WindowProgram[],
  options: ExecuteOptions = {},
): Outcome {
  if (typeof text !== 'string') refuseOption('text', 'a string', text);
  if (!isProgram(program)) {
    refuseOption('program', 'a string, or an array of { lineStart, lineEnd, program }', program);
  }
  return executeWith(makeExecutor(resolveOptions(options)), text, program);
}

function isProgram(program: unknown): program is string | readonly WindowProgram[] {
  return typeof program === 'string' || (Array.isArray(program) && program.every(isWindowProgram));
}

/** True for a window's program, as JSON may hold it. */
export function isWindowProgram(value: unknown): value is WindowProgram {
  if (typeof value !== 'object' || value === null) return false;
  const { lineStart, ownStart = lineStart, lineEnd, program } = value as Record<string, unknown>;
  return [lineStart, ownStart, lineEnd].every(Number.isSafeInteger) && typeof program === 'string';
}

/** {@link execute} with an executor that the caller keeps: for many documents. */
export function executeWith(
  executor: Executor,
  text: string,
  program: string | readonly WindowProgram[],
): Outcome {
  // Half a surrogate pair has no UTF-8, so no executor could give the rest of the text back as it was.
  if (!text.isWellFormed() && executor instanceof StrictExecutor) {
    return { text, status: 'failed', reason: 'invalid_utf8', ops: [] };
  }
  const { status, reason, output, records } = executor.execute(program, new StringSource(text));
  return {
    text: output === null ? text : fromByteString(output),
    status,
    reason,
    ops: records,
  };
}
