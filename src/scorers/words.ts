/**
 * The words of the line measures: NFKC, lower case, runs of letters and digits; a token for every character of Han,
 * kana and Thai. The labels of the gold data were aligned on the same words.
 */

const UNSPACED = '[\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}]';
const LETTER = '[\\p{L}\\p{N}]';
/** Marks of the scripts themselves (Thai vowel signs) are no letters, so no words. */
const WORD = new RegExp(`(?=${LETTER})${UNSPACED}|(?:(?!${UNSPACED})${LETTER})+`, 'gu');
const ASCII_WORD = /[a-z0-9]+/g;
const NON_ASCII = /[\u0080-\uffff]/;

/** Calls `take` with every word of `text`, in order. */
export function forEachWord(text: string, take: (word: string) => void): void {
  const ascii = !NON_ASCII.test(text);
  const folded = ascii ? text.toLowerCase() : text.normalize('NFKC').toLowerCase();
  for (const [word] of folded.matchAll(ascii ? ASCII_WORD : WORD)) take(word);
}

/** How often each word occurs in `text`. */
export function countWords(
  text: string,
  into: Map<string, number> = new Map(),
): Map<string, number> {
  forEachWord(text, (word) => into.set(word, (into.get(word) ?? 0) + 1));
  return into;
}

/**
 * F1 of two bags of words: 2 × shared / (all of one + all of the other). Two empty bags agree (1).
 */
export function bagF1(
  kept: ReadonlyMap<string, number>,
  gold: ReadonlyMap<string, number>,
): number {
  let shared = 0;
  let total = 0;
  for (const [word, count] of kept) {
    total += count;
    shared += Math.min(count, gold.get(word) ?? 0);
  }
  for (const count of gold.values()) total += count;
  return total === 0 ? 1 : (2 * shared) / total;
}
