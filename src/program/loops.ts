/**
 * Loops of UltraX's refiners, as its published post-processing tells them (arXiv 2607.08646): a model that has lost its
 * place adds the same line again, adds variants of it, or replaces the same string line after line.
 *
 * Removed lines and ops that are equal in every argument are plan.ts's: `maxRepeats`, for every dialect.
 *
 * Bounded work: similar contents are looked for among the first {@link MAX_COMPARED} added ones, by their first
 * {@link MAX_COMPARED_CHARS} characters. The published script compares all of all (its training data hold no added line
 * of 200 characters); a loop of longer or more additions than that still counts as one by the other rules.
 */
import type { ByteString } from './byte-string.ts';
import { toByteString } from './byte-string.ts';
import { Needle } from './find.ts';
import type { ResolvedOptions } from './options.ts';
import type { Statement } from './parse.ts';

/** A replacement that occurs more often than `maxSameReplaces`. */
export interface SuspectReplacement {
  readonly source: string;
  readonly count: number;
}

/** Added contents that are compared with one another. */
export const MAX_COMPARED = 64;
/** Characters of an added content that are compared; below 200, where difflib begins to leave common ones out. */
export const MAX_COMPARED_CHARS = 199;

/** True when added lines repeat or resemble one another more than the options allow. */
export function addsLoop(statements: readonly Statement[], options: ResolvedOptions): boolean {
  const places = new Map<string, Map<number, number>>();
  const contents: string[] = [];
  for (const { op } of statements) {
    if (op?.op !== 'add_line') continue;
    const at = places.get(op.content) ?? new Map<number, number>();
    const count = (at.get(op.line) ?? 0) + 1;
    if (count > options.maxSameAdds) return true;
    at.set(op.line, count);
    if (at.size > options.maxAddPlaces) return true;
    places.set(op.content, at);
    if (contents.length < MAX_COMPARED) contents.push(op.content.slice(0, MAX_COMPARED_CHARS));
  }
  if (contents.length <= options.maxSimilarAdds) return false;
  return resembleMoreThan(options.maxSimilarAdds, contents, options.addSimilarity);
}

/** Replacements that occur so often that only the text can tell whether they are meant. */
export function suspectReplacements(
  statements: readonly Statement[],
  { maxSameReplaces }: ResolvedOptions,
): SuspectReplacement[] {
  if (statements.length <= maxSameReplaces) return [];
  const counts = new Map<string, { source: string; count: number }>();
  for (const { op } of statements) {
    if (op?.op !== 'replace_str') continue;
    const key = `${op.source}\n${op.target}`;
    const entry = counts.get(key);
    if (entry) entry.count++;
    else counts.set(key, { source: op.source, count: 1 });
  }
  return [...counts.values()].filter(({ count }) => count > maxSameReplaces);
}

/** True when `text` holds some suspect's string too seldom, counted without overlaps. */
export function replacesLoop(
  text: ByteString,
  suspects: readonly SuspectReplacement[],
  { legitReplaceRatio }: ResolvedOptions,
): boolean {
  return suspects.some(({ source, count }) => {
    const needle = new Needle(toByteString(source));
    let found = 0;
    for (let at = needle.indexIn(text, 0); at >= 0 && found < count * legitReplaceRatio; found++) {
      at = needle.indexIn(text, at + needle.text.length);
    }
    return found < count * legitReplaceRatio;
  });
}

/** True when a group of more than `most` contents forms: each joins the first group whose first member it resembles. */
function resembleMoreThan(most: number, contents: readonly string[], ratio: number): boolean {
  const groups: { first: string; counts: Map<string, number>; size: number }[] = [];
  for (const content of contents) {
    const counts = countUnits(content);
    const group = groups.find(
      (one) =>
        upperBound(one.first, one.counts, content, counts) >= ratio &&
        similarity(one.first, content) >= ratio,
    );
    if (!group) groups.push({ first: content, counts, size: 1 });
    else if (++group.size > most) return true;
  }
  return false;
}

function countUnits(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (let at = 0; at < text.length; at++) {
    const unit = text.charAt(at);
    counts.set(unit, (counts.get(unit) ?? 0) + 1);
  }
  return counts;
}

/** What {@link similarity} cannot exceed: the characters that both have, in any order. */
function upperBound(
  left: string,
  leftCounts: ReadonlyMap<string, number>,
  right: string,
  rightCounts: ReadonlyMap<string, number>,
): number {
  if (left.length + right.length === 0) return 1;
  let shared = 0;
  for (const [unit, count] of leftCounts) shared += Math.min(count, rightCounts.get(unit) ?? 0);
  return (2 * shared) / (left.length + right.length);
}

/**
 * Ratcliff and Obershelp's measure as Python's difflib computes it: twice the characters of the longest common block
 * and, recursively, of the blocks to its left and right, over both lengths. 0..1.
 */
export function similarity(left: string, right: string): number {
  if (left.length + right.length === 0) return 1;
  let matched = 0;
  const pending: [number, number, number, number][] = [[0, left.length, 0, right.length]];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const [leftStart, leftEnd, rightStart, rightEnd] = next;
    const block = longestBlock(left, leftStart, leftEnd, right, rightStart, rightEnd);
    if (block.length === 0) continue;
    matched += block.length;
    pending.push([leftStart, block.left, rightStart, block.right]);
    pending.push([block.left + block.length, leftEnd, block.right + block.length, rightEnd]);
  }
  return (2 * matched) / (left.length + right.length);
}

/** The longest common block; of equal ones the first in `left`, then the first in `right`. */
function longestBlock(
  left: string,
  leftStart: number,
  leftEnd: number,
  right: string,
  rightStart: number,
  rightEnd: number,
): { left: number; right: number; length: number } {
  const best = { left: leftStart, right: rightStart, length: 0 };
  // Lengths of the blocks that end at the line above, by column.
  let above = new Uint16Array(rightEnd - rightStart + 1);
  for (let row = leftStart; row < leftEnd; row++) {
    const own = new Uint16Array(above.length);
    for (let column = rightStart; column < rightEnd; column++) {
      if (left.charCodeAt(row) !== right.charCodeAt(column)) continue;
      const length = above[column - rightStart]! + 1;
      own[column - rightStart + 1] = length;
      if (length > best.length) {
        Object.assign(best, { left: row - length + 1, right: column - length + 1, length });
      }
    }
    above = own;
  }
  return best;
}
