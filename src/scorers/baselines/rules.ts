/**
 * Line rules that published corpora were cleaned with, written from the papers.
 *
 * - `keep-all`: nothing is removed.
 * - `c4` (Raffel et al. 2020, section 2.2): lines stay that end in a terminal mark (`.`, `!`, `?` or an end quotation
 *   mark) and have at least 3 words; lines that name Javascript go, and lines of cookie and privacy notices. An
 *   ellipsis is no terminal mark. The rules for whole pages (5 sentences, bad words, lorem ipsum, braces) do not
 *   judge lines and are left out.
 * - `gopher`: the rules of MassiveText (Rae et al. 2021, appendix A1.1), RefinedWeb (Penedo et al. 2023, appendix
 *   G.2) and FineWeb (Penedo et al. 2024, section 3.6) as far as they speak of lines. A line goes when it repeats an
 *   earlier line of the page; when it is mainly upper case, only numbers, a counter ("3 likes") or a single word;
 *   when fewer than 80 % of its words have a letter or more than 0.1 symbols (#, ellipsis) come on a word; when it
 *   ends in an ellipsis; or when it is shorter than 30 characters without a terminal mark. The papers apply the last
 *   three to whole pages with thresholds on the share of such lines; judging each line by them is our reading.
 *
 * Scores are 0 or 1. Both were made for English.
 */
import { type LineRefiner, ruleRefiner } from '../line-scorer.ts';

/** Keeps every line. */
export const keepAll: LineRefiner = ruleRefiner('keep-all', (lines) =>
  new Float32Array(lines.length).fill(1),
);

/** C4's line rules. */
export const c4: LineRefiner = ruleRefiner('c4', (lines) =>
  Float32Array.from(lines, (line) => (passesC4(line) ? 1 : 0)),
);

/** The line rules of MassiveText, RefinedWeb and FineWeb. */
export const gopher: LineRefiner = ruleRefiner('gopher', (lines) => {
  const seen = new Set<string>();
  return Float32Array.from(lines, (line) => {
    const key = line.trim().toLowerCase();
    const isRepeated = seen.has(key);
    seen.add(key);
    return !isRepeated && passesGopher(line) ? 1 : 0;
  });
});

const C4_MIN_WORDS = 3;
const C4_TERMINAL = /[.!?"'”’]$/u;
const C4_POLICIES = [
  'terms of use',
  'privacy policy',
  'cookie policy',
  'uses cookies',
  'use of cookies',
  'use cookies',
];

/** True when C4's rules keep `line`. */
export function passesC4(line: string): boolean {
  const text = line.trim();
  if (!C4_TERMINAL.test(text) || text.endsWith('...')) return false;
  if (wordsOf(text).length < C4_MIN_WORDS) return false;
  const lower = text.toLowerCase();
  return !lower.includes('javascript') && !C4_POLICIES.some((policy) => lower.includes(policy));
}

const SHORT_LINE_CHARS = 30;
const MIN_ALPHABETIC_SHARE = 0.8;
const MAX_SYMBOLS_PER_WORD = 0.1;
const MAX_UPPER_SHARE = 0.5;
const COUNTER =
  /^\d[\d.,]*\s?[kKmM]?\s(?:likes?|shares?|comments?|retweets?|reposts?|views?|replies|followers?)$/;
const ONLY_NUMBERS = /^[\p{N}\p{P}\p{S}\s]*$/u;

/** True when the line rules of MassiveText, RefinedWeb and FineWeb keep `line`, repetition apart. */
export function passesGopher(line: string): boolean {
  const text = line.trim();
  const words = wordsOf(text);
  if (words.length < 2 || ONLY_NUMBERS.test(text) || COUNTER.test(text.toLowerCase())) return false;
  if (text.endsWith('...') || text.endsWith('…')) return false;
  const isTerminated = /[.!?"”:]$/u.test(text);
  if (text.length < SHORT_LINE_CHARS && !isTerminated) return false;
  const nLetters = count(text, /\p{L}/gu);
  if (count(text, /\p{Lu}/gu) > MAX_UPPER_SHARE * nLetters) return false;
  const nAlphabetic = words.filter((word) => /\p{L}/u.test(word)).length;
  if (nAlphabetic < MIN_ALPHABETIC_SHARE * words.length) return false;
  return count(text, /#|\.\.\.|…/g) <= MAX_SYMBOLS_PER_WORD * words.length;
}

function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

function count(text: string, pattern: RegExp): number {
  let found = 0;
  for (const _ of text.matchAll(pattern)) found++;
  return found;
}
