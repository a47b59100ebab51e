/** What the `mix` commands print and parse alike. */
import { InvalidArgumentError } from 'commander';
import { printable } from '../errors.ts';

const PLAIN_EVERY_MS = 10_000;

/** One line that is rewritten on a terminal, a line every ten seconds elsewhere. */
export function progressLine(json: boolean) {
  const stream = process.stderr;
  let last = 0;
  let open = false;
  return {
    update: (text: string): void => {
      if (json) return;
      if (stream.isTTY) {
        stream.write(`\r\u001b[K${text}`);
        open = true;
      } else if (Date.now() - last >= PLAIN_EVERY_MS) {
        last = Date.now();
        stream.write(`gristmill: ${text}\n`);
      }
    },
    stop: (): void => {
      if (open) stream.write('\n');
      open = false;
    },
  };
}

/** Columns side by side. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column]!))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

/** A whole number above 0. */
export function toCount(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError('expected a whole number above 0');
}

/** A number, 0 or more. */
export function toNumber(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0) return value;
  throw new InvalidArgumentError('expected a number, 0 or more');
}

/** A line on stderr: what the person should know of a result. */
export function warn(text: string): void {
  process.stderr.write(`gristmill: warning: ${escaped(text)}\n`);
}

/** A line on stderr: what was done to the input. */
export function note(text: string): void {
  process.stderr.write(`gristmill: ${escaped(text)}\n`);
}

/** As printable(), which cuts what is longer than a name. */
export function escaped(text: string): string {
  return text.replace(/[\s\S]{1,30}/g, (piece) => printable(piece));
}
