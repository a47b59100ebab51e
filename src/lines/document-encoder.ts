/**
 * A document as one bag of rows of an embedding table: what a neural document scorer reads.
 *
 *     rows   | bins of feature 0 | bins of feature 1 | … | 2 ** hashBits hashed words |
 *
 * The same table as that of lines (line-encoder.ts), with features of the whole document and its distinct words.
 */
import { binRows } from './bins.ts';
import { DOCUMENT_FEATURES, featuresOfScan } from './document-features.ts';
import { mixHashes } from './hash.ts';
import type { HashedWords } from './hashed-words.ts';
import type { EncodedPage, LineEncoder } from './line-encoder.ts';
import { type PageScan, scanPage } from './page-scan.ts';

/** Distinct words that are looked at, the first ones of the document. */
const MAX_WORDS = 512;
/** Keeps hashes apart from those of other uses. */
const NAMESPACE = 21;

/** What a document is judged by. */
export interface MeasuredDocument {
  readonly scan: PageScan;
  readonly features: Float32Array;
  readonly words: HashedWords;
}

/** Measures a document; its distinct words are one line's. */
export function measureDocument(text: string, hashBits: number): MeasuredDocument {
  const scan = scanPage(text.split('\n'));
  const features = Float32Array.from(featuresOfScan(scan, text.length));
  const mask = 2 ** hashBits - 1;
  const ids = new Set<number>();
  for (const word of scan.words) {
    if (ids.size === MAX_WORDS) break;
    ids.add(mixHashes(NAMESPACE, word) & mask);
  }
  return {
    scan,
    features,
    words: {
      ids: Int32Array.from(ids),
      starts: Int32Array.of(0, ids.size),
      nearAt: Int32Array.of(ids.size),
    },
  };
}

/** Encodes a document as one position; `lineOf` and the counts of its scan are those of its lines. */
export function encodeDocument(text: string, { bins, hashBits }: LineEncoder): EncodedPage {
  const { scan, features, words } = measureDocument(text, hashBits);
  return { scan, binned: binRows(features, bins), words };
}

/** Features of a document encoder. */
export const N_DOCUMENT_FEATURES = DOCUMENT_FEATURES.length;
