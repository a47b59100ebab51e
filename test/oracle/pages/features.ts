/**
 * What can be counted about each line of a page: its shape, its place, its repetition, its neighbours.
 *
 * These are the classic cues of boilerplate removal (text and stop-word density of a block and of the blocks around
 * it: Kohlschütter et al. 2010, Pomikálek 2011; the stretch of the page that holds the text: Pasternack and Roth
 * 2009). A model that reads words cannot count, so the same numbers serve the regression, the trees and the line
 * headers of neural refiners. All depend on the lines alone; language and URL are not needed.
 *
 * A line is *prose* when it is at least {@link PROSE_CHARS} characters long (characters of unspaced scripts count
 * three times) and has three stop words, two commas or a sentence end. Logarithms are log2(1 + x).
 */
import { CODE, characterTables, DIGIT, LETTER, SENTENCE_END, UPPER } from './characters.ts';
import { COUNTS, N_COUNTS, type PageScan } from './page-scan.ts';
import { addStructure, STRUCTURE_FEATURES } from './structure.ts';

/** From this length on a line can be prose. */
export const PROSE_CHARS = 80;

/** Features of the line itself. */
const OWN = [
  'logChars',
  'logWords',
  'meanWordChars',
  'letterShare',
  'upperShare',
  'digitShare',
  'markShare',
  'capitalWordShare',
  'numberWordShare',
  'stopShare',
  'logStopWords',
  'endKind',
  'startKind',
  'logSentenceEnds',
  'commasPerWord',
  'logSeparators',
  'logCodeMarks',
  'hasAt',
  'colons',
  'isProse',
] as const;

/** Features of the page and of the line's place in it. */
const PLACE = [
  'logPageLines',
  'logPageChars',
  'pageProseShare',
  'pageMeanLogChars',
  'lineShare',
  'charShare',
  'logLinesBefore',
  'logLinesAfter',
  'logProseBefore',
  'logProseAfter',
  'proseShareBefore',
  'logToProseBefore',
  'logToProseAfter',
  'logCopies',
  'isFirstCopy',
  'logToCopy',
  'topicShare',
  'logShortRun',
  'logProseGap',
  'inBestStretch',
  'logToBestStretch',
] as const;

/** Own features repeated for the lines around. */
const NEIGHBOUR_FEATURES = [
  'logChars',
  'stopShare',
  'endKind',
  'capitalWordShare',
  'logSeparators',
] as const;
const NEIGHBOUR_OFFSETS = [-3, -2, -1, 1, 2, 3] as const;

/** Signals averaged over the lines around, without the line itself. */
const WINDOW_SIGNALS = [
  'logChars',
  'stopShare',
  'endKind',
  'capitalWordShare',
  'isProse',
  'logCopies',
  'digitShare',
] as const;
/** Lines on each side: [before, after]. */
const WINDOWS = [
  [2, 2],
  [5, 5],
  [12, 12],
  [30, 30],
  [8, 0],
  [0, 8],
] as const;

/** Names of all features, in the order of their columns. */
export const LINE_FEATURES: readonly string[] = [
  ...OWN,
  ...PLACE,
  ...NEIGHBOUR_OFFSETS.flatMap((offset) =>
    NEIGHBOUR_FEATURES.map((name) => `${name}[${offset > 0 ? '+' : ''}${offset}]`),
  ),
  ...WINDOWS.flatMap(([before, after]) =>
    WINDOW_SIGNALS.map((name) => `${name}[-${before}..+${after}]`),
  ),
  ...STRUCTURE_FEATURES,
];

/** Columns of {@link lineFeatures}. */
export const N_LINE_FEATURES = LINE_FEATURES.length;

const COLUMN = Object.fromEntries(LINE_FEATURES.map((name, column) => [name, column])) as Record<
  (typeof OWN)[number] | (typeof PLACE)[number],
  number
>;

/** How a line ends: {@link LINE_FEATURES} `endKind`. */
export const END_KINDS = { other: 0, word: 1, digit: 2, comma: 3, colon: 4, sentence: 5 } as const;

/**
 * Features of all non-blank lines of a page.
 *
 * @returns `[nLines × N_LINE_FEATURES]`, row-major
 */
export function lineFeatures(scan: PageScan): Float32Array {
  const features = new Float32Array(scan.nLines * N_LINE_FEATURES);
  addOwn(scan, features);
  const isProse = prose(features, scan.nLines);
  addPlace(scan, features, isProse);
  addCopies(scan, features);
  addTopic(scan, features, isProse);
  addBestStretch(scan, features, isProse);
  addNeighbours(features, scan.nLines);
  addWindows(features, scan.nLines);
  const first = N_LINE_FEATURES - STRUCTURE_FEATURES.length;
  addStructure(
    scan,
    (line) => ({
      logChars: features[line * N_LINE_FEATURES + COLUMN.logChars]!,
      startKind: features[line * N_LINE_FEATURES + COLUMN.startKind]!,
      endKind: features[line * N_LINE_FEATURES + COLUMN.endKind]!,
    }),
    (line, column, value) => {
      features[line * N_LINE_FEATURES + first + column] = value;
    },
  );
  return features;
}

function log(value: number): number {
  return Math.log2(1 + value);
}

function addOwn(scan: PageScan, features: Float32Array): void {
  const { counts, starts, nLines } = scan;
  for (let line = 0; line < nLines; line++) {
    const at = line * N_COUNTS;
    const row = line * N_LINE_FEATURES;
    const chars = counts[at + COUNTS.chars]!;
    const unspaced = counts[at + COUNTS.unspaced]!;
    const letters = counts[at + COUNTS.letters]!;
    const digits = counts[at + COUNTS.digits]!;
    const nStop = counts[at + COUNTS.stopWords]!;
    const nWords = starts[line + 1]! - starts[line]!;
    const words = Math.max(1, nWords);
    const visible = Math.max(1, chars - counts[at + COUNTS.spaces]!);
    const length = chars + 2 * unspaced;
    const ends = counts[at + COUNTS.sentenceEnds]!;
    const commas = counts[at + COUNTS.commas]!;
    features[row + COLUMN.logChars] = log(length);
    features[row + COLUMN.logWords] = log(nWords);
    features[row + COLUMN.meanWordChars] = (letters + digits) / words;
    features[row + COLUMN.letterShare] = letters / visible;
    features[row + COLUMN.upperShare] = counts[at + COUNTS.uppers]! / Math.max(1, letters);
    features[row + COLUMN.digitShare] = digits / visible;
    features[row + COLUMN.markShare] = (visible - letters - digits) / visible;
    features[row + COLUMN.capitalWordShare] = counts[at + COUNTS.capitalWords]! / words;
    features[row + COLUMN.numberWordShare] = counts[at + COUNTS.numberWords]! / words;
    features[row + COLUMN.stopShare] = nStop / words;
    features[row + COLUMN.logStopWords] = log(nStop);
    features[row + COLUMN.endKind] = endKind(counts[at + COUNTS.lastUnit]!);
    features[row + COLUMN.startKind] = startKind(counts[at + COUNTS.firstUnit]!);
    features[row + COLUMN.logSentenceEnds] = log(ends);
    features[row + COLUMN.commasPerWord] = commas / words;
    features[row + COLUMN.logSeparators] = log(counts[at + COUNTS.separators]!);
    features[row + COLUMN.logCodeMarks] = log(counts[at + COUNTS.codeMarks]!);
    features[row + COLUMN.hasAt] = Math.min(1, counts[at + COUNTS.ats]!);
    features[row + COLUMN.colons] = Math.min(4, counts[at + COUNTS.colons]!);
    const isProse = length >= PROSE_CHARS && (nStop >= 3 || commas >= 2 || ends >= 1);
    features[row + COLUMN.isProse] = isProse ? 1 : 0;
  }
}

function endKind(unit: number): number {
  const bits = characterTables().classes[unit]!;
  if ((bits & SENTENCE_END) !== 0) return END_KINDS.sentence;
  if (unit === 58 || unit === 0xff1a) return END_KINDS.colon;
  if (unit === 44 || unit === 59 || unit === 0x3001) return END_KINDS.comma;
  // Closing quotes stand after the full stop as often as before it.
  if (unit === 34 || unit === 0x201d || unit === 0x2019 || unit === 0xbb) return END_KINDS.sentence;
  if ((bits & DIGIT) !== 0) return END_KINDS.digit;
  return (bits & LETTER) !== 0 ? END_KINDS.word : END_KINDS.other;
}

/** 0 marks, 1 code marks, 2 digit, 3 lower case, 4 upper case. */
function startKind(unit: number): number {
  const bits = characterTables().classes[unit]!;
  if ((bits & UPPER) !== 0) return 4;
  if ((bits & LETTER) !== 0) return 3;
  if ((bits & DIGIT) !== 0) return 2;
  return (bits & CODE) !== 0 ? 1 : 0;
}

function prose(features: Float32Array, nLines: number): Uint8Array {
  const isProse = new Uint8Array(nLines);
  for (let line = 0; line < nLines; line++) {
    isProse[line] = features[line * N_LINE_FEATURES + COLUMN.isProse]!;
  }
  return isProse;
}

function addPlace(scan: PageScan, features: Float32Array, isProse: Uint8Array): void {
  const { nLines, counts } = scan;
  let pageChars = 0;
  let pageProse = 0;
  let sumLogChars = 0;
  for (let line = 0; line < nLines; line++) {
    const chars = counts[line * N_COUNTS + COUNTS.chars]!;
    pageChars += chars;
    if (isProse[line] === 1) pageProse += chars;
    sumLogChars += features[line * N_LINE_FEATURES + COLUMN.logChars]!;
  }
  let charsBefore = 0;
  let proseBefore = 0;
  let lastProse = -1;
  let shortRun = 0;
  for (let line = 0; line < nLines; line++) {
    const row = line * N_LINE_FEATURES;
    const chars = counts[line * N_COUNTS + COUNTS.chars]!;
    const ownProse = isProse[line] === 1 ? chars : 0;
    features[row + COLUMN.logPageLines] = log(nLines);
    features[row + COLUMN.logPageChars] = log(pageChars);
    features[row + COLUMN.pageProseShare] = pageProse / Math.max(1, pageChars);
    features[row + COLUMN.pageMeanLogChars] = sumLogChars / nLines;
    features[row + COLUMN.lineShare] = line / nLines;
    features[row + COLUMN.charShare] = charsBefore / Math.max(1, pageChars);
    features[row + COLUMN.logLinesBefore] = log(line);
    features[row + COLUMN.logLinesAfter] = log(nLines - 1 - line);
    features[row + COLUMN.logProseBefore] = log(proseBefore);
    features[row + COLUMN.logProseAfter] = log(pageProse - proseBefore - ownProse);
    features[row + COLUMN.proseShareBefore] = proseBefore / Math.max(1, pageProse);
    features[row + COLUMN.logToProseBefore] = lastProse < 0 ? 12 : log(line - lastProse);
    charsBefore += chars;
    proseBefore += ownProse;
    if (ownProse > 0) lastProse = line;
  }
  let nextProse = -1;
  for (let line = nLines - 1; line >= 0; line--) {
    const row = line * N_LINE_FEATURES;
    const distance = nextProse < 0 ? -1 : nextProse - line;
    features[row + COLUMN.logToProseAfter] = distance < 0 ? 12 : log(distance);
    if (isProse[line] === 1) nextProse = line;
    const before = features[row + COLUMN.logToProseBefore]!;
    features[row + COLUMN.logProseGap] = before + features[row + COLUMN.logToProseAfter]!;
  }
  // Runs of lines of fewer than 40 characters: menus, tables, verses.
  const shortLog = log(40);
  for (let line = 0; line <= nLines; line++) {
    const isShort = line < nLines && features[line * N_LINE_FEATURES + COLUMN.logChars]! < shortLog;
    if (isShort) {
      shortRun++;
      continue;
    }
    for (let back = line - shortRun; back < line; back++) {
      features[back * N_LINE_FEATURES + COLUMN.logShortRun] = log(shortRun);
    }
    shortRun = 0;
  }
}

/** Lines whose words another line of the page has too. */
function addCopies(scan: PageScan, features: Float32Array): void {
  const nCopies = new Map<number, number>();
  const lastSeen = new Map<number, number>();
  for (const hash of scan.lineHashes) nCopies.set(hash, (nCopies.get(hash) ?? 0) + 1);
  for (let line = 0; line < scan.nLines; line++) {
    const hash = scan.lineHashes[line]!;
    const row = line * N_LINE_FEATURES;
    const before = lastSeen.get(hash);
    features[row + COLUMN.logCopies] = log(nCopies.get(hash)! - 1);
    features[row + COLUMN.isFirstCopy] = before === undefined ? 1 : 0;
    features[row + COLUMN.logToCopy] = before === undefined ? 12 : log(line - before);
    lastSeen.set(hash, line);
  }
}

/** Share of the line's words, stop words apart, that stand in prose lines other than itself. */
function addTopic(scan: PageScan, features: Float32Array, isProse: Uint8Array): void {
  const { nLines, starts, words, isStop } = scan;
  const lastProse = new Map<number, number>();
  const several = new Set<number>();
  for (let line = 0; line < nLines; line++) {
    if (isProse[line] === 0) continue;
    for (let word = starts[line]!; word < starts[line + 1]!; word++) {
      if (isStop[word] === 1) continue;
      const hash = words[word]!;
      const seen = lastProse.get(hash);
      if (seen === undefined) lastProse.set(hash, line);
      else if (seen !== line) several.add(hash);
    }
  }
  for (let line = 0; line < nLines; line++) {
    let nWords = 0;
    let nShared = 0;
    for (let word = starts[line]!; word < starts[line + 1]!; word++) {
      if (isStop[word] === 1) continue;
      nWords++;
      const hash = words[word]!;
      const seen = lastProse.get(hash);
      if (seen !== undefined && (seen !== line || several.has(hash))) nShared++;
    }
    features[line * N_LINE_FEATURES + COLUMN.topicShare] = nWords === 0 ? -1 : nShared / nWords;
  }
}

/**
 * The stretch of lines with the largest sum of (prose characters, else a cost a line), as maximum subsequence
 * segmentation does it: the place of the main text.
 */
function addBestStretch(scan: PageScan, features: Float32Array, isProse: Uint8Array): void {
  const { nLines, counts } = scan;
  const LINE_COST = 40;
  let best = 0;
  let bestStart = 0;
  let bestEnd = 0;
  let sum = 0;
  let start = 0;
  for (let line = 0; line < nLines; line++) {
    sum += isProse[line] === 1 ? counts[line * N_COUNTS + COUNTS.chars]! : -LINE_COST;
    if (sum <= 0) {
      sum = 0;
      start = line + 1;
    } else if (sum > best) {
      best = sum;
      bestStart = start;
      bestEnd = line + 1;
    }
  }
  for (let line = 0; line < nLines; line++) {
    const row = line * N_LINE_FEATURES;
    const inside = line >= bestStart && line < bestEnd;
    const outside = line < bestStart ? bestStart - line : line - bestEnd + 1;
    features[row + COLUMN.inBestStretch] = inside ? 1 : 0;
    // Signed: before the stretch is negative.
    const distance = bestEnd === 0 ? 12 : log(outside);
    features[row + COLUMN.logToBestStretch] = inside ? 0 : line < bestStart ? -distance : distance;
  }
}

function addNeighbours(features: Float32Array, nLines: number): void {
  let column = OWN.length + PLACE.length;
  for (const offset of NEIGHBOUR_OFFSETS) {
    for (const name of NEIGHBOUR_FEATURES) {
      const from = COLUMN[name];
      for (let line = 0; line < nLines; line++) {
        const other = line + offset;
        features[line * N_LINE_FEATURES + column] =
          other < 0 || other >= nLines ? -1 : features[other * N_LINE_FEATURES + from]!;
      }
      column++;
    }
  }
}

function addWindows(features: Float32Array, nLines: number): void {
  const first = OWN.length + PLACE.length + NEIGHBOUR_OFFSETS.length * NEIGHBOUR_FEATURES.length;
  const sums = new Float64Array(nLines + 1);
  WINDOW_SIGNALS.forEach((name, signal) => {
    const from = COLUMN[name];
    for (let line = 0; line < nLines; line++) {
      sums[line + 1] = sums[line]! + features[line * N_LINE_FEATURES + from]!;
    }
    WINDOWS.forEach(([before, after], window) => {
      const column = first + window * WINDOW_SIGNALS.length + signal;
      for (let line = 0; line < nLines; line++) {
        const start = Math.max(0, line - before);
        const end = Math.min(nLines, line + after + 1);
        const own = features[line * N_LINE_FEATURES + from]!;
        const others = end - start - 1;
        features[line * N_LINE_FEATURES + column] =
          others <= 0 ? -1 : (sums[end]! - sums[start]! - own) / others;
      }
    });
  });
}
