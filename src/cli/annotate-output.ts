/** What the `annotate` commands have in common on a terminal. */
import { isGristmillError } from '../errors.ts';
import { onInterrupt } from './interrupt.ts';

/** A row of a summary: a name, a number, a remark. */
export type SummaryRow = readonly [name: string, value: string, note: string];

/**
 * Runs a command that an interrupt ends in good order: what is answered is kept, nothing else is written, code 130.
 */
export async function untilInterrupted(run: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const restore = onInterrupt(controller, 'waiting for the answers under way');
  try {
    await run(controller.signal);
  } catch (error) {
    if (!controller.signal.aborted || !isGristmillError(error, 'ABORTED')) throw error;
    process.stderr.write('gristmill: interrupted: run the same command again to finish\n');
    process.exitCode = 130;
  } finally {
    restore();
  }
}

/** Rows in columns; says at the end when a budget stopped the run. */
export function summaryText(rows: readonly SummaryRow[], stopped: 'budget' | null): string {
  const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map(([name, value, note]) =>
    `${name.padEnd(widths[0]!)}  ${value.padStart(widths[1]!)}  ${note}`.trimEnd(),
  );
  if (stopped !== null) lines.push('stopped at the budget: run the same command again to go on');
  return `${lines.join('\n')}\n`;
}

/** A number as people write it. */
export function count(value: number): string {
  return value.toLocaleString('en');
}

/** A share of `all` in percent; nothing where there is nothing. */
export function percentOf(all: number, part: number): string {
  return all === 0 ? '' : `${((100 * part) / all).toFixed(1)}%`;
}
