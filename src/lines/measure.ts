/**
 * Pages and documents as features and hashed words: native/pages, which training and scoring share.
 *
 * A text of the caller's is measured as the UTF-8 that it becomes: half a surrogate pair is U+FFFD.
 */
import { native } from '../native/index.ts';
import type { HashedWords, PageMeasures, PageWords } from '../native/pages.ts';

const encoder = new TextEncoder();

/** A page's lines that are not blank, measured. */
export interface MeasuredPage {
  readonly nLines: number;
  /** Index of each among all lines. */
  readonly lineOf: Int32Array;
  /** UTF-16 units of each. */
  readonly chars: Int32Array;
  /** `[nLines × N_LINE_FEATURES]`, row-major. */
  readonly features: Float32Array;
  readonly words: HashedWords;
}

/** A document, measured; its distinct words are one row's. */
export interface MeasuredDocument {
  readonly features: Float32Array;
  readonly words: HashedWords;
}

/**
 * Measures a page.
 *
 * @param lines the page split at LF
 * @param hashBits ids of words are below 2 ** hashBits; 1..24
 */
export function measurePage(lines: readonly string[], hashBits: number): MeasuredPage {
  const text = encoder.encode(lines.join('\n'));
  const { lineOf, chars, features, ids, starts, nearAt }: PageMeasures = native().measureLines(
    text,
    hashBits,
  );
  return { nLines: lineOf.length, lineOf, chars, features, words: { ids, starts, nearAt } };
}

/** Measures a document. @param hashBits as for {@link measurePage} */
export function measureDocument(text: string, hashBits: number): MeasuredDocument {
  const { features, ids } = native().measureDocument(encoder.encode(text), hashBits);
  const nWords = ids.length;
  return {
    features,
    words: { ids, starts: Int32Array.of(0, nWords), nearAt: Int32Array.of(nWords) },
  };
}

/** The words of a page's lines that are not blank. @param lines the page split at LF */
export function wordsOf(lines: readonly string[]): PageWords {
  return native().pageWords(encoder.encode(lines.join('\n')));
}

/**
 * Scores of all lines from the scores of those that are not blank: a blank line scores like the better of its
 * neighbours, so that a break between two paragraphs stays and one inside a menu goes.
 */
export function spreadScores(
  { lineOf }: Pick<MeasuredPage, 'lineOf'>,
  scores: Float32Array,
  nAllLines: number,
): Float32Array {
  return native().spreadScores(lineOf, scores, nAllLines);
}
