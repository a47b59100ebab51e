/** What the `mix` commands print and parse alike. */
import { InvalidArgumentError } from 'commander';
import { columns, replaceLine, say } from './say.ts';

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
        replaceLine(stream, text);
        open = true;
      } else if (Date.now() - last >= PLAIN_EVERY_MS) {
        last = Date.now();
        say(text);
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
  return columns(rows);
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
  say(`warning: ${text}`);
}

/** A line on stderr: what was done to the input. */
export function note(text: string): void {
  say(text);
}
