/** What the `mix` commands print alike. */
import { columns, say } from './say.ts';

/** Columns side by side. */
export function table(rows: readonly (readonly string[])[]): string {
  return columns(rows);
}

/** A line on stderr: what the person should know of a result. */
export function warn(text: string): void {
  say(`warning: ${text}`);
}

/** A line on stderr: what was done to the input. */
export function note(text: string): void {
  say(text);
}
