/**
 * Which line of a rewritten text comes from which line of the original (UltraX, arXiv 2607.08646, line alignment).
 *
 *     original            rewritten
 *     0  Home | About     0  The bridge is closed.      0 → −1   removed
 *     1  The bridge is closed. Share    1  It opens in May.   1 → 0, 2 → −1, 3 → 1
 *     2  Advertisement
 *     3  It opens in May.
 *
 * Matches never cross. Equal lines at both ends are matched first; between them the matching of the largest sum of
 * scores is found by dynamic programming. A pair's score is 0.6 × content + 0.2 × context + 0.2 × position, the
 * published weights; pairs with content below 0.4 do not match. Content is the share of the rewritten line's words that
 * the original has, times (1 + share of the original's words that stay) / 2, so that a long deletion still matches and
 * a line with other words does not. Context is the mean content of both pairs of neighbours.
 */
import { forEachWord } from '../../scorers/words.ts';

const WEIGHTS = { content: 0.6, context: 0.2, position: 0.2 } as const;
const MIN_CONTENT = 0.4;
/** Pairs of lines compared at most: the work is bounded whatever an expert answers. */
const MAX_PAIRS = 4_000_000;

/**
 * Matches lines.
 *
 * @returns for each original line the index of its rewritten line, −1 where it has none; null when the texts have too
 *   many lines that differ
 */
export function alignLines(
  original: readonly string[],
  rewritten: readonly string[],
): Int32Array | null {
  const match = new Int32Array(original.length).fill(-1);
  const shorter = Math.min(original.length, rewritten.length);
  let head = 0;
  while (head < shorter && original[head] === rewritten[head]) {
    match[head] = head;
    head++;
  }
  let tail = 0;
  while (tail < shorter - head && original.at(-1 - tail) === rewritten.at(-1 - tail)) {
    match[original.length - 1 - tail] = rewritten.length - 1 - tail;
    tail++;
  }
  const rows = original.slice(head, original.length - tail);
  const columns = rewritten.slice(head, rewritten.length - tail);
  if (rows.length === 0 || columns.length === 0) return match;
  if (rows.length * columns.length > MAX_PAIRS) return null;
  bestMatching(rows, columns).forEach((column, row) => {
    if (column >= 0) match[head + row] = head + column;
  });
  return match;
}

function bestMatching(rows: readonly string[], columns: readonly string[]): Int32Array {
  const nColumns = columns.length;
  const content = contents(rows, columns);
  const at = (row: number, column: number): number =>
    row < 0 || column < 0 || row >= rows.length || column >= nColumns
      ? 0
      : content[row * nColumns + column]!;
  const width = nColumns + 1;
  const best = new Float64Array((rows.length + 1) * width);
  const score = (row: number, column: number): number => {
    const own = at(row, column);
    if (own < MIN_CONTENT) return 0;
    const context = (at(row - 1, column - 1) + at(row + 1, column + 1)) / 2;
    const position = 1 - Math.abs(row / rows.length - column / nColumns);
    return WEIGHTS.content * own + WEIGHTS.context * context + WEIGHTS.position * position;
  };
  for (let row = rows.length - 1; row >= 0; row--) {
    for (let column = nColumns - 1; column >= 0; column--) {
      const skip = Math.max(best[(row + 1) * width + column]!, best[row * width + column + 1]!);
      const own = score(row, column);
      const taken = own > 0 ? own + best[(row + 1) * width + column + 1]! : 0;
      best[row * width + column] = Math.max(skip, taken);
    }
  }
  const matched = new Int32Array(rows.length).fill(-1);
  for (let row = 0, column = 0; row < rows.length && column < nColumns; ) {
    const own = score(row, column);
    const here = best[row * width + column]!;
    if (own > 0 && here === own + best[(row + 1) * width + column + 1]!) {
      matched[row++] = column++;
    } else if (here === best[(row + 1) * width + column]) {
      row++;
    } else {
      column++;
    }
  }
  return matched;
}

/** Content of every pair, row-major. Equal lines have 1, also those without words. */
function contents(rows: readonly string[], columns: readonly string[]): Float32Array {
  const ids = new Map<string, number>();
  const rowWords = rows.map((line) => sortedWords(line, ids));
  const columnWords = columns.map((line) => sortedWords(line, ids));
  const content = new Float32Array(rows.length * columns.length);
  rowWords.forEach((own, row) => {
    columnWords.forEach((other, column) => {
      const place = row * columns.length + column;
      if (rows[row] === columns[column]) {
        content[place] = 1;
      } else if (own.length > 0 && other.length > 0) {
        const shared = sharedWords(own, other);
        content[place] = (shared / other.length) * (0.5 + shared / (2 * own.length));
      }
    });
  });
  return content;
}

function sortedWords(line: string, ids: Map<string, number>): Int32Array {
  const words: number[] = [];
  forEachWord(line, (word) => {
    const id = ids.get(word) ?? ids.size;
    ids.set(word, id);
    words.push(id);
  });
  return Int32Array.from(words).sort();
}

/** Size of the intersection of two sorted bags. */
function sharedWords(one: Int32Array, other: Int32Array): number {
  let shared = 0;
  for (let left = 0, right = 0; left < one.length && right < other.length; ) {
    const difference = one[left]! - other[right]!;
    if (difference === 0) shared++;
    if (difference <= 0) left++;
    if (difference >= 0) right++;
  }
  return shared;
}
