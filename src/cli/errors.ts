/**
 * How failures are shown: the message and where its code is explained for people, one JSON object on stderr with `--json`.
 */
import { CommanderError } from 'commander';
import { GristmillError } from '../errors.ts';
import { printableLines } from '../printable.ts';
import { placeOfError } from './docs-pages.ts';
import { failThrough } from './say.ts';

const MAX_CHARS = 20_000;
/** Codes of flags, or of a file of flags, that cannot have their values. */
const BAD_USAGE: ReadonlySet<string> = new Set(['OPTION_INVALID', 'CONFIG_INVALID']);

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
  const exitCode = BAD_USAGE.has(code) ? 2 : 1;
  if (failThrough(error)) return exitCode;
  if (json) {
    const details = known?.details ?? {};
    const body = { error: { code, message, details, ...(known && { docs: placeOfError(code) }) } };
    process.stderr.write(`${JSON.stringify(body)}\n`);
  } else {
    process.stderr.write(`gristmill: ${code}: ${indented(message)}\n`);
    if (known) process.stderr.write(`  see ${placeOfError(code)}\n`);
    else if (error instanceof Error) {
      process.stderr.write(`${indented(error.stack ?? '')}\n`);
    }
  }
  return exitCode;
}

/**
 * Messages quote what came from outside: no control reaches the terminal; line breaks do, and what follows one is set in, so
 * that it cannot pass for a line of ours.
 */
function indented(message: string): string {
  return printableLines(message, MAX_CHARS).replaceAll('\n', '\n  ');
}
