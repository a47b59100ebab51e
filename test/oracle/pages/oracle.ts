/** What native/pages says of a text, said by plain TypeScript over strings: the oracle of its tests. */
import { mixHashes } from '../../../src/lines/hash.ts';
import type { HashedWords } from '../../../src/native/pages.ts';
import { featuresOfScan } from './document-features.ts';
import { lineFeatures } from './features.ts';
import { hashLines } from './hashed-words.ts';
import { COUNTS, N_COUNTS, type PageScan, scanPage } from './page-scan.ts';

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The text of bytes, as the web platform decodes them. */
export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** A page and the document that it is, measured. */
export function measureText(text: string, hashBits: number, documentHashBits = hashBits) {
  const scan = scanPage(text.split('\n'));
  const words: HashedWords = hashLines(scan, hashBits);
  const chars = Int32Array.from(
    { length: scan.nLines },
    (_, line) => scan.counts[line * N_COUNTS + COUNTS.chars]!,
  );
  const features = lineFeatures(scan);
  const document = {
    features: Float32Array.from(featuresOfScan(scan, text.length, features)),
    ids: documentWords(scan, documentHashBits),
  };
  return { scan, chars, features, words, document };
}

/** Distinct words of a document that are looked at. */
const MAX_WORDS = 512;
const NAMESPACE = 21;

function documentWords({ words }: PageScan, hashBits: number): Int32Array {
  const mask = 2 ** hashBits - 1;
  const ids = new Set<number>();
  for (const word of words) {
    if (ids.size === MAX_WORDS) break;
    ids.add(mixHashes(NAMESPACE, word) & mask);
  }
  return Int32Array.from(ids);
}
