/**
 * Lines that go only when the evidence against them is overwhelming: the first of a page and what heads a kept paragraph.
 *
 * A title costs a reader more than a line of its length, and looks like an item of a menu. Their log-odds are raised, so
 * that each needs several times the odds against it that other lines need. In validation with the largest source left out,
 * at 99 % of content kept, it spares three of four first lines and four of five headings that would have gone wrongly, for
 * two in a hundred of the noise.
 */
import { END_KINDS, LINE_FEATURES, N_LINE_FEATURES } from './features.ts';

/** Log-odds that are added. */
export const PROTECTION = 1;

/** A heading has at most as many characters (of unspaced scripts a third of them), */
const HEADING_CHARS = 100;
/** and what it heads at least as many */
const PARAGRAPH_CHARS = 60;
/** and as many times its own. */
const PARAGRAPH_TIMES = 2;

const LOG_CHARS = LINE_FEATURES.indexOf('logChars');
const END_KIND = LINE_FEATURES.indexOf('endKind');
const LOG_SEPARATORS = LINE_FEATURES.indexOf('logSeparators');

/**
 * Raises the log-odds of a page's protected lines.
 *
 * @param logits log-odds of "keep" by non-blank line
 * @param features `[nLines × N_LINE_FEATURES]`
 */
export function protectTitles(logits: Float32Array, features: Float32Array): Float32Array {
  const nLines = logits.length;
  const raised = Float32Array.from(logits);
  const at = (line: number, column: number): number => features[line * N_LINE_FEATURES + column]!;
  for (let line = 0; line < nLines; line++) {
    if (line === 0 || isHeading(line)) raised[line]! += PROTECTION;
  }
  return raised;

  function isHeading(line: number): boolean {
    const next = line + 1;
    if (next === nLines || !(logits[next]! >= 0)) return false;
    const end = at(line, END_KIND);
    if (end === END_KINDS.sentence || end === END_KINDS.comma || at(line, LOG_SEPARATORS) > 0) {
      return false;
    }
    const own = 2 ** at(line, LOG_CHARS) - 1;
    const below = 2 ** at(next, LOG_CHARS) - 1;
    return own <= HEADING_CHARS && below >= Math.max(PARAGRAPH_CHARS, PARAGRAPH_TIMES * own);
  }
}

/** Log-odds nearer to 0 than this leave a line undecided. */
const UNDECIDED = 1.5;

/**
 * How much of a page is undecided.
 *
 * @param logits log-odds by line
 * @param charsOf characters of a line
 * @returns share of the characters, 0..1
 */
export function doubtOf(logits: ArrayLike<number>, charsOf: (line: number) => number): number {
  let undecided = 0;
  let all = 0;
  for (let line = 0; line < logits.length; line++) {
    const chars = charsOf(line);
    all += chars;
    if (Math.abs(logits[line]!) < UNDECIDED) undecided += chars;
  }
  return all === 0 ? 0 : undecided / all;
}
