/**
 * What can be counted about a document: its length, its form, the kind of its lines.
 */

import { mixHashes } from '../../../src/lines/hash.ts';
import { LINE_FEATURES, lineFeatures, N_LINE_FEATURES } from './features.ts';
import { COUNTS, N_COUNTS, type PageScan, scanPage } from './page-scan.ts';

/** What can be counted about a document; see DOCUMENT_FEATURES of src/lines/feature-names.ts. */
export function documentFeatures(text: string): Float64Array {
  return featuresOfScan(scanPage(text.split('\n')), text.length);
}

/** The same from a scan of the document's lines and its UTF-16 length. */
export function featuresOfScan(
  scan: PageScan,
  nUnits: number,
  lines: Float32Array = lineFeatures(scan),
): Float64Array {
  const { nLines, words, isStop } = scan;
  const column = (name: string): number => LINE_FEATURES.indexOf(name);
  const mean = (name: string, byChars = false, of = (value: number) => value): number => {
    const at = column(name);
    let sum = 0;
    let weights = 0;
    for (let line = 0; line < nLines; line++) {
      const weight = byChars ? 2 ** lines[line * N_LINE_FEATURES]! : 1;
      sum += weight * of(lines[line * N_LINE_FEATURES + at]!);
      weights += weight;
    }
    return weights === 0 ? 0 : sum / weights;
  };
  const meanLog = mean('logChars');
  const nWords = words.length;
  const nStop = isStop.reduce((sum, flag) => sum + flag, 0);
  // The share of distinct words falls with length: Guiraud's root form does so less.
  const distinct = new Set(words).size / Math.sqrt(Math.max(1, nWords));
  const nSentences = mean('logSentenceEnds', false, (value) => 2 ** value - 1) * nLines;
  return Float64Array.of(
    Math.log2(1 + nUnits),
    Math.log2(1 + nLines),
    Math.log2(1 + nWords),
    meanLog,
    Math.sqrt(mean('logChars', false, (value) => (value - meanLog) ** 2)),
    mean('isProse'),
    mean('isProse', true),
    nStop / Math.max(1, nWords),
    mean('endKind', false, (kind) => (kind === 5 ? 1 : 0)),
    mean('logChars', false, (value) => (value < Math.log2(31) ? 1 : 0)),
    mean('letterShare', true),
    mean('upperShare', true),
    mean('digitShare', true),
    mean('markShare', true),
    mean('capitalWordShare', true),
    mean('meanWordChars', true),
    mean('isFirstCopy', false, (value) => 1 - value),
    distinct,
    mean('logSeparators'),
    mean('logCodeMarks'),
    Math.log2(1 + nWords / Math.max(1, nSentences)),
    mean('repeatedTriples'),
    mean('distinctShapes'),
    mean('hasPrice'),
    mean('hasYear'),
    mean('hasUrl'),
    mean('hasQuestion'),
    mean('isBullet'),
    topWordShare(scan),
    copiedPairShare(scan),
    longest(lines, nLines),
    countShare(scan, COUNTS.unspaced),
  );
}

/** Share of the commonest word that is no stop word: lists of keywords say one thing again and again. */
function topWordShare({ words, isStop }: PageScan): number {
  const counts = new Map<number, number>();
  let top = 0;
  for (let word = 0; word < words.length; word++) {
    if (isStop[word] === 1) continue;
    const count = (counts.get(words[word]!) ?? 0) + 1;
    counts.set(words[word]!, count);
    if (count > top) top = count;
  }
  return top / Math.max(1, words.length);
}

/** Share of the pairs of words that stood in the document before. */
function copiedPairShare({ words }: PageScan): number {
  const seen = new Set<number>();
  let copied = 0;
  for (let word = 1; word < words.length; word++) {
    const pair = mixHashes(words[word - 1]!, words[word]!);
    if (seen.has(pair)) copied++;
    else seen.add(pair);
  }
  return copied / Math.max(1, words.length - 1);
}

function longest(lines: Float32Array, nLines: number): number {
  let found = 0;
  for (let line = 0; line < nLines; line++) {
    found = Math.max(found, lines[line * N_LINE_FEATURES]!);
  }
  return found;
}

function countShare({ counts, nLines }: PageScan, column: number): number {
  let part = 0;
  let whole = 0;
  for (let line = 0; line < nLines; line++) {
    part += counts[line * N_COUNTS + column]!;
    whole += counts[line * N_COUNTS + COUNTS.chars]!;
  }
  return part / Math.max(1, whole);
}
