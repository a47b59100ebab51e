/**
 * Before and after of one document, line by line: what stays, what is gone, what stands there instead.
 *
 * Where the strict executor makes the written text of the text as it came and the program, its own claims say it exactly, to
 * the byte. Else (another executor, windows whose programs cannot be joined, options that are not known) lines are compared:
 * what is left is nearly always a subsequence, and lines in the gaps between are paired.
 */
import { fromByteString, toByteString } from '../program/byte-string.ts';
import type { ExecuteOptions } from '../program/options.ts';
import { resolveOptions } from '../program/options.ts';
import { StrictExecutor } from '../program/strict.ts';

/** A stretch of a line. */
export type LinePart = readonly [kind: 'same' | 'gone' | 'new', text: string];

/** What became of a line. */
export type LineState = 'kept' | 'removed' | 'changed' | 'added';

/** A line of the text as it came, or one that was added. */
export interface DocumentLine {
  /** 0-based in the text as it came; null for added ones. */
  readonly line: number | null;
  readonly state: LineState;
  readonly parts: readonly LinePart[];
}

/**
 * Lines of an edited document.
 *
 * @param original as it came
 * @param written what the run wrote
 */
export function editedLines(
  original: string,
  written: string,
  program: string | null,
  options: ExecuteOptions,
): DocumentLine[] {
  return (
    claimedLines(original, written, program, options) ??
    comparedLines(original.split('\n'), written.split('\n'))
  );
}

/** Lines of a document in one state. */
export function uniformLines(text: string, state: 'kept' | 'removed'): DocumentLine[] {
  return text.split('\n').map((line, at) => uniform(at, line, state));
}

function uniform(line: number, text: string, state: 'kept' | 'removed'): DocumentLine {
  return { line, state, parts: text === '' ? [] : [[state === 'kept' ? 'same' : 'gone', text]] };
}

/** By the executor's claims; null where it does not make the written text, or added lines, which have none. */
function claimedLines(
  original: string,
  written: string,
  program: string | null,
  options: ExecuteOptions,
): DocumentLine[] | null {
  if (program === null || options.executor === 'compat') return null;
  if (!original.isWellFormed()) return null;
  const executor = new StrictExecutor(resolveOptions(options));
  const bytes = toByteString(original);
  const { status, output, records } = executor.execute(program, { read: () => bytes });
  if (status !== 'edited' || output === null || fromByteString(output) !== written) return null;
  if (records.some(({ op, count }) => op === 'add_line' && count > 0)) return null;
  return linesOfClaims(bytes, executor.claims);
}

function linesOfClaims(
  bytes: string,
  {
    starts,
    ends,
    texts,
  }: {
    readonly starts: readonly number[];
    readonly ends: readonly number[];
    readonly texts: readonly string[];
  },
): DocumentLine[] {
  const lines: DocumentLine[] = [];
  let claim = 0;
  let lineStart = 0;
  for (let line = 0; lineStart <= bytes.length; line++) {
    const feed = bytes.indexOf('\n', lineStart);
    const lineEnd = feed < 0 ? bytes.length : feed;
    while (claim < starts.length && ends[claim]! <= lineStart) claim++;
    const isRemoved =
      claim < starts.length &&
      starts[claim]! <= lineStart &&
      ends[claim]! > lineEnd &&
      texts[claim] === '';
    if (isRemoved) {
      lines.push(uniform(line, fromByteString(bytes.slice(lineStart, lineEnd)), 'removed'));
    } else {
      const parts: LinePart[] = [];
      const push = (kind: LinePart[0], part: string): void => {
        if (part !== '') parts.push([kind, fromByteString(part)]);
      };
      let at = lineStart;
      for (let next = claim; next < starts.length && starts[next]! < lineEnd; next++) {
        const from = Math.max(lineStart, starts[next]!);
        const to = Math.min(lineEnd, ends[next]!);
        push('same', bytes.slice(at, from));
        push('gone', bytes.slice(from, to));
        if (starts[next]! >= lineStart) push('new', texts[next]!);
        at = to;
      }
      push('same', bytes.slice(at, lineEnd));
      const isChanged = parts.some(([kind]) => kind !== 'same');
      lines.push({ line, state: isChanged ? 'changed' : 'kept', parts });
    }
    lineStart = lineEnd + 1;
    if (feed < 0) break;
  }
  return lines;
}

/** By comparison: every line of `after` is matched at its first occurrence in what is left of `before`, in order. */
export function comparedLines(before: readonly string[], after: readonly string[]): DocumentLine[] {
  const places = new Map<string, number[]>();
  for (const [at, line] of before.entries()) {
    const known = places.get(line);
    if (known) known.push(at);
    else places.set(line, [at]);
  }
  const lines: DocumentLine[] = [];
  const fresh: string[] = [];
  let at = 0;
  const flush = (end: number): void => {
    const gone = end - at;
    // As many lines went as came: they are the same lines, changed.
    const isPaired = fresh.length > 0 && fresh.length === gone;
    for (let line = at; line < end; line++) {
      if (isPaired) lines.push(changed(line, before[line]!, fresh[line - at]!));
      else lines.push(uniform(line, before[line]!, 'removed'));
    }
    if (!isPaired) {
      for (const text of fresh) lines.push({ line: null, state: 'added', parts: [['new', text]] });
    }
    fresh.length = 0;
    at = end;
  };
  for (const text of after) {
    const known = places.get(text);
    const place = known?.[lowerBound(known, at)];
    if (place === undefined) {
      fresh.push(text);
      continue;
    }
    flush(place);
    lines.push(uniform(place, text, 'kept'));
    at = place + 1;
  }
  flush(before.length);
  return lines;
}

function lowerBound(values: readonly number[], bound: number): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle]! < bound) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What lies between the common ends of two lines is gone and new. */
function changed(line: number, before: string, after: string): DocumentLine {
  const [old, now] = [Array.from(before), Array.from(after)];
  const most = Math.min(old.length, now.length);
  let head = 0;
  while (head < most && old[head] === now[head]) head++;
  let tail = 0;
  while (tail < most - head && old.at(-1 - tail) === now.at(-1 - tail)) tail++;
  const parts: LinePart[] = [];
  const push = (kind: LinePart[0], text: readonly string[]): void => {
    if (text.length > 0) parts.push([kind, text.join('')]);
  };
  push('same', old.slice(0, head));
  push('gone', old.slice(head, old.length - tail));
  push('new', now.slice(head, now.length - tail));
  push('same', old.slice(old.length - tail));
  return { line, state: 'changed', parts };
}
