/**
 * What changed inside one line: the smallest set of replaced stretches, in whole words.
 *
 *     "Read the report Share on X today"  →  "Read the report today"      [16, 27) → ""
 *
 * A line is cut into words, runs of white space and single other characters; the longest common subsequence of these
 * pieces stays, what lies between is an edit. Work is bounded by {@link MAX_CELLS}.
 */

/** A stretch of a line and what stands in its place; offsets are UTF-16 units. */
export interface LineEdit {
  readonly start: number;
  readonly end: number;
  /** Empty for a deletion. */
  readonly replacement: string;
}

const PIECE = /[\p{L}\p{N}\p{M}]+|\s+|[\s\S]/gu;
const MAX_CELLS = 4_000_000;

/** Cuts a line into the pieces that edits are made of. */
export function piecesOf(line: string): string[] {
  return Array.from(line.matchAll(PIECE), ([piece]) => piece);
}

/**
 * Edits that turn `original` into `rewritten`, in order; null when the lines are too long to compare.
 */
export function lineEdits(original: string, rewritten: string): LineEdit[] | null {
  if (original === rewritten) return [];
  const left = piecesOf(original);
  const right = piecesOf(rewritten);
  const shorter = Math.min(left.length, right.length);
  let head = 0;
  while (head < shorter && left[head] === right[head]) head++;
  let tail = 0;
  while (tail < shorter - head && left.at(-1 - tail) === right.at(-1 - tail)) tail++;
  const rows = left.slice(head, left.length - tail);
  const columns = right.slice(head, right.length - tail);
  if ((rows.length + 1) * (columns.length + 1) > MAX_CELLS) return null;
  const edits: LineEdit[] = [];
  let start = left.slice(0, head).join('').length;
  let deleted = '';
  let inserted = '';
  const close = (): void => {
    if (deleted !== '' || inserted !== '') {
      edits.push({ start, end: start + deleted.length, replacement: inserted });
    }
    start += deleted.length;
    deleted = '';
    inserted = '';
  };
  for (const [kind, piece] of commonSequence(rows, columns)) {
    if (kind === 'delete') deleted += piece;
    else if (kind === 'insert') inserted += piece;
    else {
      close();
      start += piece.length;
    }
  }
  close();
  return edits;
}

/** Applies edits: the naive meaning of {@link lineEdits}. */
export function applyEdits(line: string, edits: readonly LineEdit[]): string {
  let output = '';
  let at = 0;
  for (const { start, end, replacement } of edits) {
    output += line.slice(at, start) + replacement;
    at = end;
  }
  return output + line.slice(at);
}

type Step = readonly ['keep' | 'delete' | 'insert', string];

function commonSequence(rows: readonly string[], columns: readonly string[]): Step[] {
  const width = columns.length + 1;
  const longest = new Int32Array((rows.length + 1) * width);
  for (let row = rows.length - 1; row >= 0; row--) {
    for (let column = columns.length - 1; column >= 0; column--) {
      longest[row * width + column] =
        rows[row] === columns[column]
          ? longest[(row + 1) * width + column + 1]! + rows[row]!.length
          : Math.max(longest[(row + 1) * width + column]!, longest[row * width + column + 1]!);
    }
  }
  const steps: Step[] = [];
  let row = 0;
  let column = 0;
  while (row < rows.length && column < columns.length) {
    if (rows[row] === columns[column]) {
      steps.push(['keep', rows[row]!]);
      row++;
      column++;
    } else if (longest[(row + 1) * width + column]! >= longest[row * width + column + 1]!) {
      steps.push(['delete', rows[row++]!]);
    } else {
      steps.push(['insert', columns[column++]!]);
    }
  }
  while (row < rows.length) steps.push(['delete', rows[row++]!]);
  while (column < columns.length) steps.push(['insert', columns[column++]!]);
  return steps;
}
