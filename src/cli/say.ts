/**
 * What commands say to people: whatever it quotes, nothing in it acts on the terminal. Data for programs (JSON, Parquet, text that
 * was asked for) goes to the streams as it is.
 */
import { escapeHidden, printableLines } from '../printable.ts';

const MAX_CHARS = 1_000_000;
/** Back to the beginning of the line, of which nothing stays. */
const CLEAR = '\r\u001b[K';

let quiet = false;
/** A line that stands without an end, for the next one to replace. */
let open: NodeJS.WritableStream | null = null;

/** From now on nothing is said but results and errors (`--quiet`). */
export function beQuiet(): void {
  quiet = true;
}

/** Whether that was asked for. */
export function isQuiet(): boolean {
  return quiet;
}

/** Lines on stdout. */
export function show(text: string): void {
  process.stdout.write(printableLines(text, MAX_CHARS));
}

/** What a command found: one JSON object, or lines for people. */
export function printResult(json: boolean | undefined, value: unknown, text: () => string): void {
  if (json) process.stdout.write(`${JSON.stringify(value)}\n`);
  else show(text());
}

/** Where what goes to stderr goes instead. */
export interface Voice {
  line(text: string): void;
  failure(error: unknown): void;
}

let voice: Voice | null = null;

/** Has lines and failures of this process told to `own` from here on. */
export function speakThrough(own: Voice): void {
  voice = own;
}

/** Tells a failure to the voice that is there. @returns false where there is none */
export function failThrough(error: unknown): boolean {
  voice?.failure(error);
  return voice !== null;
}

/** One line on stderr, with the name of the program in front; nothing with --quiet. */
export function say(text: string): void {
  if (voice || !quiet) sayAlways(text);
}

/** The same, with --quiet too. */
export function sayAlways(text: string): void {
  if (voice) {
    voice.line(text);
    return;
  }
  open?.write(CLEAR);
  open = null;
  process.stderr.write(`gristmill: ${escapeHidden(text)}\n`);
}

/** A line on a terminal that the next one replaces. */
export function replaceLine(stream: NodeJS.WritableStream, text: string): void {
  stream.write(`${CLEAR}${escapeHidden(text)}`);
  open = stream;
}

/** Ends such a line, which stays. */
export function endLine(): void {
  open?.write('\n');
  open = null;
}

/** Cells side by side, the last column without blanks behind it; a cell never breaks the line. */
export function columns(
  rows: readonly (readonly string[])[],
  pad: (cell: string, width: number, column: number) => string = (cell, width) =>
    cell.padEnd(width),
): string {
  const cells = rows.map((row) => row.map((cell) => escapeHidden(cell)));
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0)),
  );
  return cells
    .map((row) => row.map((cell, column) => pad(cell, widths[column]!, column)).join('  '))
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}
