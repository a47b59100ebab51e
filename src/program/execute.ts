/**
 * `execute`: one document, in this thread.
 */
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
 * is in the outcome's status and reason.
 *
 * @param text the document; lines end at LF
 * @param program the program of the whole document, or one program per window of it (windows in order,
 *   disjoint, whole lines)
 * @throws OPTION_INVALID for an option out of range
 * @see ProX, arXiv 2409.17115 §2.2
 */
export function execute(
  text: string,
  program: string | readonly WindowProgram[],
  options: ExecuteOptions = {},
): Outcome {
  return executeWith(makeExecutor(resolveOptions(options)), text, program);
}

/** {@link execute} with an executor that the caller keeps: for many documents. */
export function executeWith(
  executor: Executor,
  text: string,
  program: string | readonly WindowProgram[],
): Outcome {
  const { status, reason, output, records } = executor.execute(program, new StringSource(text));
  return {
    text: output === null ? text : fromByteString(output),
    status,
    reason,
    ops: records,
  };
}
