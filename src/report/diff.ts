/**
 * Before and after of a document by lines, for terminals and pages: what stays, what went, and lines that were changed with
 * the characters that went and came.
 *
 * Lines are aligned by the shortest edit script (the package `diff`), as `normalize` and `replace_str` change lines in place and
 * everything behind one would count as changed otherwise. Texts are untrusted: lines, characters and the length of the script
 * are bounded, and what is beyond is said to be.
 */
import { diffArrays, diffChars } from 'diff';

/** A stretch of a line. */
export interface DiffPart {
  readonly kind: 'same' | 'removed' | 'added';
  readonly text: string;
}

/** A line of both texts, or of one. */
export interface DiffLine {
  readonly kind: 'same' | 'removed' | 'added' | 'changed';
  readonly parts: readonly DiffPart[];
}

/** Lines that are not shown, or a line. */
export type ShownLine = DiffLine | { readonly kind: 'fold'; readonly nLines: number };

/** A diff. */
export interface TextDiff {
  readonly lines: readonly DiffLine[];
  /** Lines of the text before, and how many of them went or were changed. */
  readonly nBefore: number;
  readonly nRemoved: number;
  readonly nChanged: number;
  /** Whether more of the texts is left out. */
  readonly isCut: boolean;
}

/** Bounds of a diff; work grows with their product. */
export const DIFF_BOUNDS = Object.freeze({
  maxLines: 5_000,
  maxChars: 1_000_000,
  maxEdits: 1_200,
  /** Of a line that is compared by characters. */
  maxLineChars: 4_000,
  maxLineEdits: 600,
});

/** Removed and added lines in a row beyond which none are paired. */
const MAX_PAIRED = 60;
/** Share of pairs of letters that two lines have in common to be one that was changed. */
const LEAST_ALIKE = 0.4;

/** Compares two texts. */
export function lineDiff(before: string, after: string): TextDiff {
  const [old, oldCut] = boundedLines(before);
  const [fresh, freshCut] = boundedLines(after);
  const lines: DiffLine[] = [];
  let removed: string[] = [];
  let added: string[] = [];
  const flush = (): void => {
    lines.push(...paired(removed, added));
    removed = [];
    added = [];
  };
  for (const { kind, values } of script(old, fresh)) {
    if (kind === 'removed') removed.push(...values);
    else if (kind === 'added') added.push(...values);
    else {
      flush();
      lines.push(...values.map((text): DiffLine => ({ kind, parts: [{ kind, text }] })));
    }
  }
  flush();
  const count = (kind: DiffLine['kind']): number =>
    lines.reduce((sum, line) => sum + (line.kind === kind ? 1 : 0), 0);
  return {
    lines,
    nBefore: old.length,
    nRemoved: count('removed'),
    nChanged: count('changed'),
    isCut: oldCut || freshCut,
  };
}

/** Long stretches that stay are folded; `context` lines beside what changed are shown. */
export function foldedLines(
  lines: readonly DiffLine[],
  { context, maxLines }: { readonly context: number; readonly maxLines: number },
): { readonly shown: readonly ShownLine[]; readonly isCut: boolean } {
  const near = new Uint8Array(lines.length);
  for (const [at, { kind }] of lines.entries()) {
    if (kind !== 'same') near.fill(1, Math.max(0, at - context), at + context + 1);
  }
  const shown: ShownLine[] = [];
  for (let at = 0; at < lines.length; ) {
    if (shown.length >= maxLines) return { shown, isCut: true };
    if (near[at] === 1) {
      shown.push(lines[at]!);
      at++;
      continue;
    }
    const start = at;
    while (at < lines.length && near[at] === 0) at++;
    // A fold of one line takes as much room as the line.
    if (at - start === 1) shown.push(lines[start]!);
    else shown.push({ kind: 'fold', nLines: at - start });
  }
  return { shown, isCut: false };
}

function boundedLines(text: string): readonly [lines: string[], isCut: boolean] {
  const isLong = text.length > DIFF_BOUNDS.maxChars;
  const lines = (isLong ? text.slice(0, DIFF_BOUNDS.maxChars) : text).split('\n');
  if (lines.length <= DIFF_BOUNDS.maxLines) return [lines, isLong];
  return [lines.slice(0, DIFF_BOUNDS.maxLines), true];
}

interface Step {
  readonly kind: 'same' | 'removed' | 'added';
  readonly values: readonly string[];
}

function script(old: string[], fresh: string[]): Step[] {
  const found = diffArrays(old, fresh, { maxEditLength: DIFF_BOUNDS.maxEdits });
  if (!found) return subsequence(old, fresh);
  return found.map(({ added, removed, value }) => ({
    kind: removed ? 'removed' : added ? 'added' : 'same',
    values: value,
  }));
}

/** Where a script would be too long: what is mostly removals is a subsequence, which one pass finds. */
function subsequence(old: readonly string[], fresh: readonly string[]): Step[] {
  const steps: Step[] = [];
  let next = 0;
  for (const line of old) {
    const stays = next < fresh.length && line === fresh[next];
    if (stays) next++;
    steps.push({ kind: stays ? 'same' : 'removed', values: [line] });
  }
  steps.push({ kind: 'added', values: fresh.slice(next) });
  return steps;
}

/** Lines that went and lines that came in one place: those that are alike are one line that was changed. */
function paired(removed: readonly string[], added: readonly string[]): DiffLine[] {
  const gone = (text: string): DiffLine => ({
    kind: 'removed',
    parts: [{ kind: 'removed', text }],
  });
  const come = (text: string): DiffLine => ({ kind: 'added', parts: [{ kind: 'added', text }] });
  if (removed.length === 0 || added.length === 0 || removed.length + added.length > MAX_PAIRED) {
    return [...removed.map(gone), ...added.map(come)];
  }
  const lines: DiffLine[] = [];
  let next = 0;
  for (const text of added) {
    const rest = removed.slice(next);
    const likeness = rest.map((other) => alike(other, text));
    const best = likeness.indexOf(Math.max(...likeness));
    if (best < 0 || likeness[best]! < LEAST_ALIKE) {
      lines.push(come(text));
      continue;
    }
    lines.push(...rest.slice(0, best).map(gone), changedLine(rest[best]!, text));
    next += best + 1;
  }
  return [...lines, ...removed.slice(next).map(gone)];
}

/** Dice's coefficient of the pairs of letters, of the beginnings of lines. */
function alike(one: string, other: string): number {
  if (one === '' || other === '') return 0;
  const pairsOf = (text: string): Map<string, number> => {
    const pairs = new Map<string, number>();
    const start = ` ${text.slice(0, 400)}`;
    for (let at = 0; at + 1 < start.length; at++) {
      const pair = start.slice(at, at + 2);
      pairs.set(pair, (pairs.get(pair) ?? 0) + 1);
    }
    return pairs;
  };
  const [left, right] = [pairsOf(one), pairsOf(other)];
  let common = 0;
  for (const [pair, n] of left) common += Math.min(n, right.get(pair) ?? 0);
  const total = Math.min(one.length, 400) + Math.min(other.length, 400);
  return (2 * common) / total;
}

function changedLine(before: string, after: string): DiffLine {
  const whole: DiffPart[] = [
    { kind: 'removed', text: before },
    { kind: 'added', text: after },
  ];
  const isLong = Math.max(before.length, after.length) > DIFF_BOUNDS.maxLineChars;
  const found = isLong
    ? undefined
    : diffChars(before, after, { maxEditLength: DIFF_BOUNDS.maxLineEdits });
  const parts = found?.map(({ added, removed, value }): DiffPart => {
    return { kind: removed ? 'removed' : added ? 'added' : 'same', text: value };
  });
  return { kind: 'changed', parts: parts ?? whole };
}
