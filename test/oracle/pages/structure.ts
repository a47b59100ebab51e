/**
 * What repeats in the form of a page's lines: records of listings, posts of forums, rows of tables, items of menus.
 *
 * A line's *shape* is how long it is, how many words it has, how it begins and ends, and whether it holds digits, a price,
 * a separator or a link. Shapes that come again in the same order are records; what stands alone is text.
 * All columns are functions of the page's own lines; none depends on the words of a language.
 */
import { mixHashes } from '../../../src/lines/hash.ts';
import { COUNTS, N_COUNTS, type PageScan } from './page-scan.ts';

/** What a line holds, 0 or 1 each. */
const FLAGS = [
  'hasPrice',
  'hasYear',
  'hasJoined',
  'hasUrl',
  'hasQuestion',
  'isBullet',
  'isShort',
] as const;
/** Lines on each side over which flags are averaged. */
const FLAG_WINDOWS = [4, 15] as const;
/** Lines on each side in which repeated triples are counted. */
const TRIPLE_WINDOWS = [10, 30] as const;

/** Names of the columns of {@link addStructure}. */
export const STRUCTURE_FEATURES: readonly string[] = [
  'logShapeCopies',
  'logPairCopies',
  'logTripleCopies',
  'logFiveCopies',
  'logToLastTriple',
  'logToNextTriple',
  'isRegular',
  'logShapeRun',
  'shapeShare',
  ...TRIPLE_WINDOWS.map((lines) => `repeatedTriples[${lines}]`),
  'repeatedTriples',
  'distinctShapes',
  ...FLAGS,
  ...FLAG_WINDOWS.flatMap((lines) => FLAGS.map((name) => `${name}[${lines}]`)),
];

const FAR = 12;

/** What the shape of a line is made of besides its counts. */
export interface LineForm {
  readonly logChars: number;
  readonly startKind: number;
  readonly endKind: number;
}

/**
 * Writes the columns of all lines.
 *
 * @param formOf own features of a line
 * @param put called with line, column (of {@link STRUCTURE_FEATURES}) and value
 */
export function addStructure(
  scan: PageScan,
  formOf: (line: number) => LineForm,
  put: (line: number, column: number, value: number) => void,
): void {
  const { nLines } = scan;
  const shapes = new Int32Array(nLines);
  for (let line = 0; line < nLines; line++) shapes[line] = shapeOf(scan, line, formOf(line));
  const pairs = sequences(shapes, 2);
  const triples = sequences(shapes, 3);
  const fives = sequences(shapes, 5);
  const tripleCounts = countsOf(triples);
  const columns = [countsOf(shapes), countsOf(pairs), tripleCounts, countsOf(fives)];
  columns.forEach((counts, column) => {
    for (let line = 0; line < nLines; line++) put(line, column, Math.log2(counts[line]!));
  });
  putDistances(triples, put);
  putRuns(shapes, put);
  const nDistinct = new Set(shapes).size;
  const repeated = prefixSums(nLines, (line) => (tripleCounts[line]! > 1 ? 1 : 0));
  for (let line = 0; line < nLines; line++) {
    put(line, 8, columns[0]![line]! / nLines);
    TRIPLE_WINDOWS.forEach((around, window) => {
      put(line, 9 + window, meanAround(repeated, line, around));
    });
    put(line, 11, repeated[nLines]! / nLines);
    put(line, 12, nDistinct / nLines);
  }
  putFlags(scan, formOf, put);
}

function shapeOf({ counts, starts }: PageScan, line: number, form: LineForm): number {
  const at = line * N_COUNTS;
  const nWords = starts[line + 1]! - starts[line]!;
  const length = Math.min(15, Math.round(form.logChars * 1.5));
  const words = nWords > 12 ? 13 : nWords > 6 ? 7 : nWords > 3 ? 4 : nWords;
  const marks =
    (counts[at + COUNTS.digits]! > 0 ? 1 : 0) |
    (counts[at + COUNTS.currencies]! > 0 ? 2 : 0) |
    (counts[at + COUNTS.separators]! > 0 ? 4 : 0) |
    (counts[at + COUNTS.joinedDigits]! > 0 ? 8 : 0);
  return (((length * 16 + words) * 8 + form.startKind) * 8 + form.endKind) * 16 + marks;
}

/** Hash of each line's shape and those after it; near the page's end of fewer. */
function sequences(shapes: Int32Array, length: number): Int32Array {
  return shapes.map((shape, line) => {
    let hash = shape;
    for (let next = 1; next < length; next++) hash = mixHashes(hash, shapes[line + next] ?? -next);
    return hash;
  });
}

function countsOf(hashes: Int32Array): Int32Array {
  const found = new Map<number, number>();
  for (const hash of hashes) found.set(hash, (found.get(hash) ?? 0) + 1);
  return hashes.map((hash) => found.get(hash)!);
}

type Put = (line: number, column: number, value: number) => void;

function putDistances(triples: Int32Array, put: Put): void {
  const nLines = triples.length;
  const toLast = new Int32Array(nLines).fill(-1);
  const toNext = new Int32Array(nLines).fill(-1);
  const last = new Map<number, number>();
  for (let line = 0; line < nLines; line++) {
    const before = last.get(triples[line]!);
    if (before !== undefined) {
      toLast[line] = line - before;
      toNext[before] = line - before;
    }
    last.set(triples[line]!, line);
  }
  for (let line = 0; line < nLines; line++) {
    put(line, 4, toLast[line]! < 0 ? FAR : Math.log2(1 + toLast[line]!));
    put(line, 5, toNext[line]! < 0 ? FAR : Math.log2(1 + toNext[line]!));
    put(line, 6, toLast[line]! > 0 && toLast[line] === toNext[line] ? 1 : 0);
  }
}

/** Lines in a row that look alike. */
function putRuns(shapes: Int32Array, put: Put): void {
  for (let start = 0; start < shapes.length; ) {
    let end = start + 1;
    while (end < shapes.length && shapes[end] === shapes[start]) end++;
    for (let line = start; line < end; line++) put(line, 7, Math.log2(end - start));
    start = end;
  }
}

const SHORT_LOG = Math.log2(41);

function putFlags(scan: PageScan, formOf: (line: number) => LineForm, put: Put): void {
  const { counts, nLines } = scan;
  const has = (line: number, count: number): number =>
    counts[line * N_COUNTS + count]! > 0 ? 1 : 0;
  const values = [
    (line: number) => has(line, COUNTS.currencies),
    (line: number) => has(line, COUNTS.years),
    (line: number) => has(line, COUNTS.joinedDigits),
    (line: number) => has(line, COUNTS.urls),
    (line: number) => has(line, COUNTS.questions),
    (line: number) => (isBullet(counts[line * N_COUNTS + COUNTS.firstUnit]!) ? 1 : 0),
    (line: number) => (formOf(line).logChars < SHORT_LOG ? 1 : 0),
  ];
  const first = STRUCTURE_FEATURES.indexOf(FLAGS[0]);
  values.forEach((signalOf, flag) => {
    const sums = prefixSums(nLines, signalOf);
    for (let line = 0; line < nLines; line++) {
      put(line, first + flag, signalOf(line));
      FLAG_WINDOWS.forEach((around, window) => {
        const column = first + FLAGS.length * (1 + window) + flag;
        put(line, column, meanAround(sums, line, around));
      });
    }
  });
}

/** - – * • ‣ ◦ · and check marks at the start of a line. */
function isBullet(unit: number): boolean {
  return [45, 42, 0xb7, 0x2013, 0x2014, 0x2022, 0x2023, 0x25e6, 0x25aa, 0x25cf, 0x2713].includes(
    unit,
  );
}

function prefixSums(nLines: number, signalOf: (line: number) => number): Float64Array {
  const sums = new Float64Array(nLines + 1);
  for (let line = 0; line < nLines; line++) sums[line + 1] = sums[line]! + signalOf(line);
  return sums;
}

/** Mean over a line and those around it. */
function meanAround(sums: Float64Array, line: number, around: number): number {
  const start = Math.max(0, line - around);
  const end = Math.min(sums.length - 1, line + around + 1);
  return (sums[end]! - sums[start]!) / (end - start);
}
