/** What the `annotate` commands have in common on a terminal. */
import type { FailureCause } from '../annotate/failure-causes.ts';
import type { InterruptWords } from './interrupt.ts';
import { columns } from './say.ts';

/** A row of a summary: a name, a number, a remark. */
export type SummaryRow = readonly [name: string, value: string, note: string];

/** What an interrupt means to annotation: what is answered is kept, nothing else is written. */
export const INTERRUPT_WORDS: InterruptWords = Object.freeze({
  ending: 'waiting for the answers under way',
  ended: 'run the same command again to finish',
});

/** How a run ended, and what was said of what failed. */
export interface RunEnd {
  readonly stopped: 'budget' | 'quota' | null;
  readonly stoppedBy: string | null;
  readonly causes: readonly FailureCause[];
  /** What would help. */
  readonly hint: string | null;
}

/** Causes that a summary names; `statistics.json` has more. */
const MAX_CAUSES = 5;

/** Rows in columns; then why things failed, and what stopped the run. */
export function summaryText(
  rows: readonly SummaryRow[],
  { stopped, stoppedBy, causes, hint }: RunEnd,
): string {
  const text = columns(rows, (cell, width, column) =>
    column === 1 ? cell.padStart(width) : cell.padEnd(width),
  );
  const lines = causes
    .slice(0, MAX_CAUSES)
    .map(({ cause, count }) => `failed: ${cause} × ${count}`);
  if (hint !== null) lines.push(hint);
  if (stopped === 'budget')
    lines.push('stopped at the budget: run the same command again to go on');
  if (stopped === 'quota')
    lines.push(`stopped: ${stoppedBy}`, 'run the same command again to go on');
  return [text, ...lines.map((line) => `${line}\n`)].join('');
}

/** A share of `all` in percent; nothing where there is nothing. */
export function percentOf(all: number, part: number): string {
  return all === 0 ? '' : `${((100 * part) / all).toFixed(1)}%`;
}

/** A row for requests whose answers, and prices, are not known; none where there are none. */
export function lostAnswers({ unknown }: { readonly unknown: number }): SummaryRow[] {
  return unknown === 0 ? [] : [['answers lost', String(unknown), 'their tokens are not known']];
}
