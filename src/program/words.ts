/**
 * Counting words of byte strings, as far as a guard needs it.
 *
 * A word is a run of characters that are not white space (the set of Python's `str.split()`). In scripts
 * written without spaces (Han, kana, Thai, Lao, Khmer, Burmese) a run counts as the words that
 * `Intl.Segmenter` finds in it, at least one; the published executor counts such a document as one word
 * and drops it (research: ProX defect B24).
 *
 * Every count takes a limit and stops there. {@link maxWords} bounds a count from above by the size alone:
 * two neighbouring words have white space or a three-byte character between or in them.
 *
 * {@link listWords} gives the words themselves, for measures; it is not on the way of a refinement.
 */
import { type ByteString, fromByteString } from './byte-string.ts';

const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

/** Lead bytes from which on a character has three or more bytes, as all unspaced scripts have. */
const THREE_BYTE_LEAD = 0xe0;

/** 1 for white space of one byte, 2 for the lead byte of longer white space, else 0. */
const SPACE_KIND = makeSpaceKinds();

let segmenter: Intl.Segmenter | null = null;

/** Python's white space. */
const SPACES =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: U+001C..001F separate words in Python
  /[\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/u;

/** The words of a text, in order: as many as {@link countWords} counts. */
export function listWords(text: string): string[] {
  const words: string[] = [];
  for (const run of text.split(SPACES)) {
    if (run === '') continue;
    const before = words.length;
    if (UNSPACED.test(run)) {
      segmenter ??= new Intl.Segmenter('en', { granularity: 'word' });
      for (const { segment, isWordLike } of segmenter.segment(run)) {
        if (isWordLike) words.push(segment);
      }
    }
    if (words.length === before) words.push(run);
  }
  return words;
}

/** The most words a text of `nBytes` can have. */
export function maxWords(nBytes: number): number {
  return Math.floor((nBytes + 1) / 2);
}

/** Counts the runs between white space, as Python's `len(text.split())`, up to `limit`. */
export function countRuns(text: ByteString, limit: number): number {
  return count(text, limit, false);
}

/** Counts the words of `text`, up to `limit`. */
export function countWords(text: ByteString, limit: number): number {
  return count(text, limit, true);
}

function count(text: ByteString, limit: number, segmented: boolean): number {
  let nWords = 0;
  let runStart = -1;
  let longest = 0;
  const { length } = text;
  for (let at = 0; at < length; ) {
    const code = text.charCodeAt(at);
    const kind = SPACE_KIND[code]!;
    const width = kind < 2 ? kind : longSpaceWidth(text, at, code);
    if (width === 0) {
      if (runStart < 0) {
        if (!segmented && nWords + 1 >= limit) return limit;
        runStart = at;
      }
      if (code > longest) longest = code;
      at++;
      continue;
    }
    if (runStart >= 0) {
      nWords += runWords(text, runStart, at, longest, limit - nWords, segmented);
      if (nWords >= limit) return limit;
      runStart = -1;
      longest = 0;
    }
    at += width;
  }
  if (runStart >= 0) {
    nWords += runWords(text, runStart, length, longest, limit - nWords, segmented);
  }
  return Math.min(nWords, limit);
}

function runWords(
  text: ByteString,
  start: number,
  end: number,
  longest: number,
  limit: number,
  segmented: boolean,
): number {
  if (!segmented || longest < THREE_BYTE_LEAD) return 1;
  const run = fromByteString(text.slice(start, end));
  if (!UNSPACED.test(run)) return 1;
  segmenter ??= new Intl.Segmenter('en', { granularity: 'word' });
  let nWords = 0;
  for (const { isWordLike } of segmenter.segment(run)) {
    if (isWordLike && ++nWords >= limit) break;
  }
  return Math.max(nWords, 1);
}

/** Bytes of the white-space character of two or three bytes at `at`, or 0. */
function longSpaceWidth(text: ByteString, at: number, lead: number): number {
  const second = text.charCodeAt(at + 1);
  if (lead === 0xc2) return second === 0x85 || second === 0xa0 ? 2 : 0;
  const third = text.charCodeAt(at + 2);
  if (lead === 0xe1) return second === 0x9a && third === 0x80 ? 3 : 0;
  if (lead === 0xe3) return second === 0x80 && third === 0x80 ? 3 : 0;
  if (second === 0x81) return third === 0x9f ? 3 : 0;
  if (second !== 0x80) return 0;
  return (third >= 0x80 && third <= 0x8a) || third === 0xa8 || third === 0xa9 || third === 0xaf
    ? 3
    : 0;
}

function makeSpaceKinds(): Uint8Array {
  const kinds = new Uint8Array(256);
  // U+0009..000D and, unlike JS, U+001C..001F
  for (const code of [9, 10, 11, 12, 13, 28, 29, 30, 31, 32]) kinds[code] = 1;
  // U+0085 U+00A0 | U+1680 | U+2000..200A U+2028 U+2029 U+202F U+205F | U+3000
  for (const lead of [0xc2, 0xe1, 0xe2, 0xe3]) kinds[lead] = 2;
  return kinds;
}
