/**
 * Verdicts on lines as ops and as programs: what is executed, and what a person reads, say the same.
 */
import { DIALECTS } from './dialects.ts';
import type { DialectName, LineVerdict, Op, WindowProgram } from './types.ts';
import type { WindowVerdict } from './verdict.ts';

const KEEP: Readonly<Record<DialectName, Op>> = {
  prox: { op: 'keep_chunk' },
  ultrax: { op: 'keep_all' },
};

/** Ops of one window's program; executors refuse programs of more than 256. */
export const OPS_PER_WINDOW = 200;

/** Ops of a verdict; one that keeps where no line goes. */
export function opsOf({ removed }: LineVerdict, dialect: DialectName): Op[] {
  if (removed.length === 0) return [KEEP[dialect]];
  return Array.from({ length: removed.length / 2 }, (_, stretch) => ({
    op: 'remove_lines',
    lineStart: removed[stretch * 2]!,
    lineEnd: removed[stretch * 2 + 1]!,
  }));
}

/** The program of a window, as it was written or as its verdict is spelt: `print` of its ops. */
export function programOf(window: WindowVerdict, dialect: DialectName): string {
  if ('program' in window) return window.program;
  const { removed } = window;
  const { printOp } = DIALECTS[dialect];
  if (removed.length === 0) return printOp(KEEP[dialect]);
  // One op for all of them: pages have many.
  const op = { op: 'remove_lines' as const, lineStart: 0, lineEnd: 0 };
  let program = '';
  for (let at = 0; at < removed.length; at += 2) {
    op.lineStart = removed[at]!;
    op.lineEnd = removed[at + 1]!;
    program += at === 0 ? printOp(op) : `\n${printOp(op)}`;
  }
  return program;
}

/**
 * Verdicts that remove the lines below a threshold; several windows where one program would have too many ops.
 *
 * @param scores probability of "keep" by line
 * @param firstLine number of the first of them in the document, from 0
 */
export function lineVerdicts(
  scores: ArrayLike<number>,
  threshold: number,
  firstLine = 0,
): LineVerdict[] {
  const nLines = scores.length;
  const stretches: number[] = [];
  for (let line = 0; line < nLines; line++) {
    if (scores[line]! >= threshold) continue;
    let end = line + 1;
    while (end < nLines && scores[end]! < threshold) end++;
    stretches.push(firstLine + line, firstLine + end);
    line = end;
  }
  return windowVerdicts(Int32Array.from(stretches), nLines, firstLine);
}

/** Verdicts that remove stretches of lines: first and one past the last of each, ascending. */
export function windowVerdicts(
  stretches: Int32Array,
  nLines: number,
  firstLine = 0,
): LineVerdict[] {
  const windows: LineVerdict[] = [];
  let lineStart = firstLine;
  let at = 0;
  do {
    const removed = stretches.slice(at, at + 2 * OPS_PER_WINDOW);
    at += removed.length;
    const lineEnd = at < stretches.length ? stretches[at]! : firstLine + nLines;
    windows.push({ lineStart, lineEnd, removed });
    lineStart = lineEnd;
  } while (at < stretches.length);
  return windows;
}

/** The same as programs, for who needs them spelt out. */
export function linePrograms(
  scores: ArrayLike<number>,
  threshold: number,
  dialect: DialectName,
  firstLine = 0,
): WindowProgram[] {
  return lineVerdicts(scores, threshold, firstLine).map((verdict) => {
    const { lineStart, lineEnd } = verdict;
    return { lineStart, lineEnd, program: programOf(verdict, dialect) };
  });
}
