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
export const MAX_COMPARED = 32;
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
        similarity(one.first, content, ratio) >= ratio,
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
 *
 * @param atLeast gives up, with 0, as soon as the measure cannot reach it; default 0: never
 */
export function similarity(left: string, right: string, atLeast = 0): number {
  const total = left.length + right.length;
  if (total === 0) return 1;
  const leftUnits = unitsOf(left);
  const rightUnits = unitsOf(right);
  let matched = 0;
  // Characters that the pending stretches could still match.
  let open = Math.min(left.length, right.length);
  const pending: Stretch[] = [[0, left.length, 0, right.length]];
  for (let next = pending.pop(); next; next = pending.pop()) {
    const [leftStart, leftEnd, rightStart, rightEnd] = next;
    open -= shorter(next);
    const [leftAt, rightAt, length] = longestBlock(leftUnits, rightUnits, next);
    if (length === 0) continue;
    matched += length;
    const before: Stretch = [leftStart, leftAt, rightStart, rightAt];
    const after: Stretch = [leftAt + length, leftEnd, rightAt + length, rightEnd];
    for (const stretch of [before, after]) {
      if (shorter(stretch) === 0) continue;
      open += shorter(stretch);
      pending.push(stretch);
    }
    if (2 * (matched + open) < atLeast * total) return 0;
  }
  return (2 * matched) / total;
}

function unitsOf(text: string): Uint16Array {
  return Uint16Array.from({ length: text.length }, (_, at) => text.charCodeAt(at));
}

/** A range of both texts. */
type Stretch = readonly [leftStart: number, leftEnd: number, rightStart: number, rightEnd: number];

function shorter([leftStart, leftEnd, rightStart, rightEnd]: Stretch): number {
  return Math.min(leftEnd - leftStart, rightEnd - rightStart);
}

/** The longest common block, its places and length; of equal ones the first in `left`, then the first in `right`. */
function longestBlock(
  left: Uint16Array,
  right: Uint16Array,
  [leftStart, leftEnd, rightStart, rightEnd]: Stretch,
): readonly [left: number, right: number, length: number] {
  let bestLeft = leftStart;
  let bestRight = rightStart;
  let best = 0;
  // Length of the block that ends at each column of the row above; from right to left, so that one array does.
  const lengths = new Uint16Array(rightEnd - rightStart + 1);
  for (let row = leftStart; row < leftEnd; row++) {
    const unit = left[row];
    for (let column = rightEnd - 1; column >= rightStart; column--) {
      const at = column - rightStart;
      const length = right[column] === unit ? lengths[at]! + 1 : 0;
      lengths[at + 1] = length;
      // `>=` in the row of the best block: columns come in descending order.
      if (length > best || (length === best && length > 0 && row - length + 1 === bestLeft)) {
        best = length;
        bestLeft = row - length + 1;
        bestRight = column - length + 1;
      }
    }
  }
  return [bestLeft, bestRight, best];
}
