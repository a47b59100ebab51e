/**
 * How failures are shown: one line for people, one JSON object on stderr with `--json`.
 */
import { CommanderError } from 'commander';
import { GristmillError } from '../errors.ts';
import { printableLines } from '../printable.ts';

const MAX_CHARS = 20_000;

/** A failure with an exit code of its own. */
export class FailureWithExit extends Error {
  override readonly cause: unknown;
  readonly exitCode: number;

  constructor(cause: unknown, exitCode: number) {
    super('failed');
    this.cause = cause;
    this.exitCode = exitCode;
  }
}

/** Prints `error` to stderr and returns the exit code: 2 for a flag that cannot have its value. */
export function reportFailure(error: unknown, json: boolean): number {
  if (error instanceof FailureWithExit) {
    reportFailure(error.cause, json);
    return error.exitCode;
  }
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const known = error instanceof GristmillError ? error : null;
  const code = known?.code ?? 'UNEXPECTED';
  const message = error instanceof Error ? error.message : String(error);
  if (json) {
    const body = { error: { code, message, details: known?.details ?? {} } };
    process.stderr.write(`${JSON.stringify(body)}\n`);
  } else {
    process.stderr.write(`gristmill: ${code}: ${indented(message)}\n`);
    if (!known && error instanceof Error) {
      process.stderr.write(`${indented(error.stack ?? '')}\n`);
    }
  }
  return known?.code === 'OPTION_INVALID' ? 2 : 1;
}

/**
 * Messages quote what came from outside: no control reaches the terminal; line breaks do, and what follows one is set in, so
 * that it cannot pass for a line of ours.
 */
function indented(message: string): string {
  return printableLines(message, MAX_CHARS).replaceAll('\n', '\n  ');
}
