/**
 * How failures are shown: one line for people, one JSON object on stderr with `--json`.
 */
import { CommanderError } from 'commander';
import { GristmillError, printable } from '../errors.ts';

/** Prints `error` to stderr and returns the exit code: 2 for a flag that cannot have its value. */
export function reportFailure(error: unknown, json: boolean): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const known = error instanceof GristmillError ? error : null;
  const code = known?.code ?? 'UNEXPECTED';
  const message = error instanceof Error ? error.message : String(error);
  if (json) {
    const body = { error: { code, message, details: known?.details ?? {} } };
    process.stderr.write(`${JSON.stringify(body)}\n`);
  } else {
    process.stderr.write(`gristmill: ${code}: ${escapeLines(message)}\n`);
    if (!known && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
  }
  return known?.code === 'OPTION_INVALID' ? 2 : 1;
}

/** Messages may quote untrusted values: control characters never reach the terminal, line breaks do. */
function escapeLines(message: string): string {
  return message
    .split('\n')
    .map((line) => (line.length > 200 ? line : printable(line)))
    .join('\n');
}
