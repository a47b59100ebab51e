/**
 * The words of a line and of its neighbours as indices into a table of weights (feature hashing, Weinberger et al.
 * 2009): single words, pairs, the whole line, the first and last words; of the lines before and after their words
 * and the whole line.
 *
 *     ids      own own own | near near near || own own | near ...      sorted by line
 *     starts   0             ·                4                        first id of a line
 *     nearAt   3                              6                        first id of the neighbours
 */
import { mixHashes } from '../../../src/lines/hash.ts';
import type { HashedWords } from '../../../src/native/pages.ts';
import type { PageScan } from './page-scan.ts';

/** Words of a line that are looked at; the rest of a long paragraph tells nothing new. */
const MAX_OWN_WORDS = 64;
const MAX_NEAR_WORDS = 10;

const NAMESPACE = {
  word: 1,
  pair: 2,
  line: 3,
  first: 4,
  last: 5,
  count: 6,
  before: 7,
  lineBefore: 8,
  after: 9,
  lineAfter: 10,
  first2: 11,
} as const;

/**
 * Hashes the lines of a page.
 *
 * @param bits ids are below 2 ** bits
 */
export function hashLines(scan: PageScan, bits: number): HashedWords {
  const { nLines, starts, words, lineHashes } = scan;
  const mask = 2 ** bits - 1;
  const ids = new Int32Array(countIds(scan));
  const idStarts = new Int32Array(nLines + 1);
  const nearAt = new Int32Array(nLines);
  let at = 0;
  const put = (namespace: number, hash: number): void => {
    ids[at++] = mixHashes(namespace, hash) & mask;
  };
  const putNear = (line: number, namespace: number, lineNamespace: number): void => {
    if (line < 0 || line >= nLines) {
      put(lineNamespace, -1);
      return;
    }
    const start = starts[line]!;
    const end = Math.min(starts[line + 1]!, start + MAX_NEAR_WORDS);
    for (let word = start; word < end; word++) put(namespace, words[word]!);
    put(lineNamespace, lineHashes[line]!);
  };
  for (let line = 0; line < nLines; line++) {
    idStarts[line] = at;
    const start = starts[line]!;
    const stop = starts[line + 1]!;
    const end = Math.min(stop, start + MAX_OWN_WORDS);
    for (let word = start; word < end; word++) {
      put(NAMESPACE.word, words[word]!);
      if (word > start) put(NAMESPACE.pair, mixHashes(words[word - 1]!, words[word]!));
    }
    put(NAMESPACE.line, lineHashes[line]!);
    put(NAMESPACE.count, Math.min(12, stop - start));
    if (stop > start) {
      put(NAMESPACE.first, words[start]!);
      put(NAMESPACE.last, words[stop - 1]!);
      if (stop > start + 1) {
        put(NAMESPACE.first2, mixHashes(words[start]!, words[start + 1]!));
      }
    }
    nearAt[line] = at;
    putNear(line - 1, NAMESPACE.before, NAMESPACE.lineBefore);
    putNear(line + 1, NAMESPACE.after, NAMESPACE.lineAfter);
  }
  idStarts[nLines] = at;
  return { ids: ids.subarray(0, at), starts: idStarts, nearAt };
}

/** At least as many as {@link hashLines} puts. */
function countIds({ nLines, starts }: PageScan): number {
  let count = 0;
  for (let line = 0; line < nLines; line++) {
    const nWords = starts[line + 1]! - starts[line]!;
    count += 2 * Math.min(MAX_OWN_WORDS, nWords) + 7 + 2 * (MAX_NEAR_WORDS + 1);
  }
  return count;
}
