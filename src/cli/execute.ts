/**
 * `gristmill execute`: programs without a model. JSON lines in, JSON lines out, in order.
 *
 * Input lines are `{"text", "program"}`; `program` is a string, or a list of windows
 * `{"lineStart", "lineEnd", "program"}` (and `"ownStart"`). Output lines are `{"text", "status", "reason"}`, with `"ops"` under
 * `--ops`. Memory is bounded by the longest line: a slow reader stops the reading.
 */
import { once } from 'node:events';
import { GristmillError } from '../errors.ts';
import { executeWith, isWindowProgram, makeExecutor } from '../program/execute.ts';
import { resolveOptions } from '../program/options.ts';
import type { DialectName, ExecutorName, WindowProgram } from '../program/types.ts';

/** Flags of `gristmill execute`. */
export interface ExecuteFlags {
  readonly dialect: DialectName;
  readonly executor: ExecutorName;
  readonly ops?: boolean;
}

/** One case of the input. */
interface Case {
  readonly text: string;
  readonly program: string | readonly WindowProgram[];
}

/** Where cases come from and go to; the command passes the standard streams. */
export interface ExecuteStreams {
  readonly input: AsyncIterable<Buffer | string>;
  readonly output: NodeJS.WritableStream;
}

/**
 * Executes every line of `input`.
 *
 * @throws PROGRAM_CASE_INVALID naming the line that is no case
 */
export async function executeLines(
  flags: ExecuteFlags,
  { input, output }: ExecuteStreams,
): Promise<void> {
  const { dialect, executor: name } = flags;
  const executor = makeExecutor(resolveOptions({ dialect, executor: name }));
  let lineNumber = 0;
  for await (const line of splitLines(input)) {
    lineNumber++;
    if (line.trim() === '') continue;
    const { text, program } = parseCase(line, lineNumber);
    const outcome = executeWith(executor, text, program);
    const { status, reason } = outcome;
    const result = { text: outcome.text, status, reason, ...(flags.ops && { ops: outcome.ops }) };
    if (!output.write(`${JSON.stringify(result)}\n`)) await once(output, 'drain');
  }
}

/** Lines of a byte stream, split at LF only: JSON strings may hold U+2028 and the like. */
async function* splitLines(input: AsyncIterable<Buffer | string>): AsyncGenerator<string> {
  // Whole lines are decoded, never chunks: a character may lie across two chunks.
  let pending: Buffer[] = [];
  for await (const chunk of input) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    let start = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      pending.push(bytes.subarray(start, end));
      yield Buffer.concat(pending).toString('utf8');
      pending = [];
      start = end + 1;
    }
    if (start < bytes.length) pending.push(bytes.subarray(start));
  }
  if (pending.length > 0) yield Buffer.concat(pending).toString('utf8');
}

function parseCase(line: string, lineNumber: number): Case {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return refuse(lineNumber, 'a JSON object', line);
  }
  if (typeof value !== 'object' || value === null) return refuse(lineNumber, 'a JSON object', line);
  const { text, program } = value as Record<string, unknown>;
  if (typeof text !== 'string') return refuse(lineNumber, 'a string as "text"', text ?? null);
  if (typeof program === 'string') return { text, program };
  if (Array.isArray(program) && program.every(isWindowProgram)) return { text, program };
  return refuse(
    lineNumber,
    'a string or a list of {"lineStart","lineEnd","program"} as "program"',
    program ?? null,
  );
}

function refuse(line: number, expected: string, received: unknown): never {
  throw new GristmillError('PROGRAM_CASE_INVALID', { line, expected, received });
}
