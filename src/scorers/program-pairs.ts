/**
 * Programs from line labels: what a generating refiner of ProX's form is fine-tuned on (ProX §2.3, where an expert
 * model wrote the programs; here people labelled the lines).
 *
 * A page is cut into windows of whole lines as the chunk stage cuts it. The answer of a window removes every run of
 * lines to remove. A line without a label goes with its neighbours: removed where the labelled lines on both sides
 * are, kept otherwise. Windows whose program has more ops than a refiner may write are cut in two.
 */
import { DIALECTS } from '../program/dialects.ts';
import { print } from '../program/parse.ts';
import type { DialectName, Op } from '../program/types.ts';
import { type GoldPage, REMOVE, UNSCORED } from './gold.ts';

/** A prompt and what is to be answered, as text. */
export interface ProgramPair {
  readonly prompt: string;
  readonly answer: string;
}

/** Options of {@link programPairs}. */
export interface ProgramPairOptions {
  readonly dialect: DialectName;
  /** User message with `{lines}` once, as a profile has it. */
  readonly user: string;
  readonly maxWindowTokens: number;
  /** Count one token more a line, as a profile may. Default false. */
  readonly countBos?: boolean;
  /** Tokens of a text, special tokens not parsed. */
  readonly countTokens: (text: string) => number;
  /** Ops of one program, at most. Default 12. */
  readonly maxOps?: number;
}

/** A window of a page and the ops that are to be written for it. */
export interface ProgramWindow {
  readonly lineStart: number;
  /** One past the last line. */
  readonly lineEnd: number;
  /** None: the window is kept as it is. */
  readonly ops: readonly Op[];
}

/** Bounds of {@link programWindows}. */
export interface ProgramWindowOptions {
  readonly maxWindowTokens: number;
  /** Of the first window only; drawn at random it moves all borders. Default `maxWindowTokens`. */
  readonly firstWindowTokens?: number;
  readonly maxOps: number;
}

/**
 * Windows of one page, in order; lines that alone exceed a window have none.
 *
 * @param nTokens of each line with its marker and line feed
 * @param removed 1 for each line that is to go
 */
export function programWindows(
  nTokens: ArrayLike<number>,
  removed: Uint8Array,
  { maxWindowTokens, firstWindowTokens = maxWindowTokens, maxOps }: ProgramWindowOptions,
): ProgramWindow[] {
  const windows: ProgramWindow[] = [];
  const put = (start: number, end: number): void => {
    const ops = removals(removed, start, end);
    if (ops.length > maxOps) {
      const middle = (start + end) >> 1;
      put(start, middle);
      put(middle, end);
    } else if (end > start) {
      windows.push({ lineStart: start, lineEnd: end, ops });
    }
  };
  let bound = firstWindowTokens;
  let start = 0;
  let sum = 0;
  const restart = (line: number): void => {
    bound = maxWindowTokens;
    start = line;
    sum = 0;
  };
  for (let line = 0; line < nTokens.length; line++) {
    const own = nTokens[line]!;
    if (own > maxWindowTokens) {
      put(start, line);
      restart(line + 1);
      continue;
    }
    if (sum + own > bound && sum > 0) {
      put(start, line);
      restart(line);
    }
    sum += own;
  }
  put(start, nTokens.length);
  return windows;
}

/** The program of a window. */
export function programOf(ops: readonly Op[], dialect: DialectName): string {
  return print(ops.length > 0 ? ops : [{ op: 'keep_chunk' }], dialect);
}

/** Pairs of one page, in order; lines that alone exceed a window have none. */
export function programPairs(
  page: GoldPage,
  {
    dialect,
    user,
    maxWindowTokens,
    countBos = false,
    countTokens,
    maxOps = 12,
  }: ProgramPairOptions,
): ProgramPair[] {
  const { lineMarker } = DIALECTS[dialect];
  const rendered = page.lines.map((line, index) => `${lineMarker(index)}${line}`);
  const [before, after] = user.split('{lines}') as [string, string];
  const nTokens = rendered.map((line) => countTokens(`${line}\n`) + (countBos ? 1 : 0));
  return programWindows(nTokens, removedLines(page.labels), { maxWindowTokens, maxOps }).map(
    ({ lineStart, lineEnd, ops }) => ({
      prompt: `${before}${rendered.slice(lineStart, lineEnd).join('\n')}${after}`,
      answer: programOf(ops, dialect),
    }),
  );
}

/** 1 where a line is removed. */
export function removedLines(labels: Uint8Array): Uint8Array {
  const removed = new Uint8Array(labels.length);
  let before = false;
  for (let line = 0; line < labels.length; ) {
    if (labels[line] !== UNSCORED) {
      before = labels[line] === REMOVE;
      removed[line++] = before ? 1 : 0;
      continue;
    }
    let end = line;
    while (end < labels.length && labels[end] === UNSCORED) end++;
    const after = end < labels.length ? labels[end] === REMOVE : before;
    // At the head of a page nothing stands before: what follows decides.
    if ((line === 0 || before) && after) removed.fill(1, line, end);
    line = end;
  }
  return removed;
}

function removals(removed: Uint8Array, start: number, end: number): Op[] {
  const ops: Op[] = [];
  for (let line = start; line < end; line++) {
    if (removed[line] === 0) continue;
    let stop = line + 1;
    while (stop < end && removed[stop] === 1) stop++;
    ops.push({ op: 'remove_lines', lineStart: line, lineEnd: stop });
    line = stop;
  }
  return ops;
}
