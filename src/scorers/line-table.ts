/**
 * Labelled lines of many pages as one table for learners: features, hashed words, labels and weights by row.
 *
 * Rows are the pages' non-blank lines in order; unscored lines are in the table (neighbours need them) with
 * weight 0.
 */
import { N_LINE_FEATURES } from '../lines/feature-names.ts';
import { type MeasuredPage, measurePage } from '../lines/measure.ts';
import type { HashedWords } from '../native/pages.ts';
import { type GoldPage, KEEP, UNSCORED } from './gold.ts';

/** The table. */
export interface LineTable {
  readonly nRows: number;
  /** First row of each page, and the end. */
  readonly pageStarts: Int32Array;
  /** `[nRows × N_LINE_FEATURES]`, row-major. */
  readonly features: Float32Array;
  readonly words: HashedWords;
  /** 1 keep, 0 remove. */
  readonly labels: Uint8Array;
  /** Weight in training; 0 for lines without a label. */
  readonly weights: Float32Array;
}

/** How lines weigh in training. */
export interface LineWeights {
  /**
   * A line of c characters weighs 1 + `perLogChars` × log2(1 + c / 40): the cost of an error grows with the text it
   * takes. 0 weighs all lines alike.
   */
  readonly perLogChars: number;
  /** A line of a page of n lines weighs 1/n^pagePower: at 1 pages count alike, at 0 (default) lines do. */
  readonly pagePower?: number;
}

/**
 * Builds the table of `pages`.
 *
 * @param pageWeights factor of each page's lines; all 1 without it. With them or `pagePower`, labelled lines weigh 1 on
 *   average.
 */
export function buildLineTable(
  pages: readonly GoldPage[],
  { hashBits, perLogChars, pagePower = 0 }: LineWeights & { readonly hashBits: number },
  pageWeights: readonly number[] | null = null,
): LineTable {
  const measured = pages.map(({ lines }) => measurePage(lines, hashBits));
  const pageStarts = new Int32Array(pages.length + 1);
  let nIds = 0;
  measured.forEach(({ nLines, words }, page) => {
    pageStarts[page + 1] = pageStarts[page]! + nLines;
    nIds += words.ids.length;
  });
  const nRows = pageStarts[pages.length]!;
  const features = new Float32Array(nRows * N_LINE_FEATURES);
  const ids = new Int32Array(nIds);
  const starts = new Int32Array(nRows + 1);
  const nearAt = new Int32Array(nRows);
  const labels = new Uint8Array(nRows);
  const weights = new Float32Array(nRows);
  let idAt = 0;
  measured.forEach(({ nLines, lineOf, chars, features: own, words }, page) => {
    const first = pageStarts[page]!;
    features.set(own, first * N_LINE_FEATURES);
    ids.set(words.ids, idAt);
    const scale = (pageWeights?.[page] ?? 1) / Math.max(1, nLines) ** pagePower;
    for (let line = 0; line < nLines; line++) {
      const row = first + line;
      starts[row] = idAt + words.starts[line]!;
      nearAt[row] = idAt + words.nearAt[line]!;
      const label = pages[page]!.labels[lineOf[line]!]!;
      labels[row] = label === KEEP ? 1 : 0;
      const length = Math.log2(1 + chars[line]! / 40);
      weights[row] = label === UNSCORED ? 0 : scale * (1 + perLogChars * length);
    }
    idAt += words.ids.length;
  });
  starts[nRows] = idAt;
  if (pagePower !== 0 || pageWeights) toMeanOne(weights);
  return { nRows, pageStarts, features, words: { ids, starts, nearAt }, labels, weights };
}

/** One page of the table as views, without copying. */
export function pageOf(
  { pageStarts, features, words }: LineTable,
  page: number,
): Pick<MeasuredPage, 'features' | 'words'> {
  const start = pageStarts[page]!;
  const end = pageStarts[page + 1]!;
  return {
    features: features.subarray(start * N_LINE_FEATURES, end * N_LINE_FEATURES),
    words: {
      ids: words.ids,
      starts: words.starts.subarray(start, end + 1),
      nearAt: words.nearAt.subarray(start, end),
    },
  };
}

function toMeanOne(weights: Float32Array): void {
  let sum = 0;
  let count = 0;
  for (const weight of weights) {
    if (weight === 0) continue;
    sum += weight;
    count++;
  }
  for (let row = 0; row < weights.length; row++) weights[row]! *= count / (sum || 1);
}
