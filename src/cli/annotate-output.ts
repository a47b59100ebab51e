/** What the `annotate` commands have in common on a terminal. */
import type { InterruptWords } from './interrupt.ts';
import { columns } from './say.ts';

/** A row of a summary: a name, a number, a remark. */
export type SummaryRow = readonly [name: string, value: string, note: string];

/** What an interrupt means to annotation: what is answered is kept, nothing else is written. */
export const INTERRUPT_WORDS: InterruptWords = Object.freeze({
  ending: 'waiting for the answers under way',
  ended: 'run the same command again to finish',
});

/** Rows in columns; says at the end when a budget stopped the run. */
export function summaryText(rows: readonly SummaryRow[], stopped: 'budget' | null): string {
  const text = columns(rows, (cell, width, column) =>
    column === 1 ? cell.padStart(width) : cell.padEnd(width),
  );
  if (stopped === null) return text;
  return `${text}stopped at the budget: run the same command again to go on\n`;
}

/** A share of `all` in percent; nothing where there is nothing. */
export function percentOf(all: number, part: number): string {
  return all === 0 ? '' : `${((100 * part) / all).toFixed(1)}%`;
}
