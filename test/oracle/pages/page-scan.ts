/**
 * One pass over the lines of a page: word hashes and counts that every line feature is made of.
 *
 * Blank lines are left out, so that neighbours are lines with something in them; {@link spreadScores} gives them
 * scores again. A word is hashed (FNV-1a, 32 bit) in lower case with digits as `0`.
 *
 *     words    w w w | w | w w        hashes of all words, line after line
 *     starts   0       3   4     6    one more than there are lines
 */

import { FNV_BASE, FNV_PRIME, mixHashes } from '../../../src/lines/hash.ts';
import {
  CODE,
  characterTables,
  DIGIT,
  LETTER,
  SENTENCE_END,
  SEPARATOR,
  SPACE,
  UNSPACED,
  UPPER,
} from './characters.ts';
import { isStopWord } from './stop-words.ts';

/** Counts of one line, columns of {@link PageScan.counts}. */
export const COUNTS = {
  chars: 0,
  letters: 1,
  uppers: 2,
  digits: 3,
  spaces: 4,
  unspaced: 5,
  sentenceEnds: 6,
  separators: 7,
  codeMarks: 8,
  commas: 9,
  capitalWords: 10,
  stopWords: 11,
  numberWords: 12,
  lastUnit: 13,
  firstUnit: 14,
  ats: 15,
  colons: 16,
  /** Signs of money. */
  currencies: 17,
  questions: 18,
  slashes: 19,
  /** Words of four digits from 1900 to 2099. */
  years: 20,
  /** Digits on both sides of a colon, a full stop, a comma or a hyphen. */
  joinedDigits: 21,
  /** `://` or `www.`. */
  urls: 22,
} as const;

/** Columns a line. */
export const N_COUNTS = 23;

/** A page's non-blank lines, measured. */
export interface PageScan {
  readonly nLines: number;
  /** Index of each non-blank line among all lines. */
  readonly lineOf: Int32Array;
  /** Hashes of the words of all lines. */
  readonly words: Int32Array;
  /** 1 for a stop word, by word. */
  readonly isStop: Uint8Array;
  /** First word of each line, and the end. */
  readonly starts: Int32Array;
  /** `[nLines × N_COUNTS]`, see {@link COUNTS}. */
  readonly counts: Int32Array;
  /** Hash of all words of each line, in order. */
  readonly lineHashes: Int32Array;
}

/** Scans a page. */
export function scanPage(lines: readonly string[]): PageScan {
  const lineOf = new Int32Array(lines.length);
  let nLines = 0;
  let nUnits = 0;
  for (let line = 0; line < lines.length; line++) {
    const text = lines[line]!;
    if (text.trim() === '') continue;
    lineOf[nLines++] = line;
    nUnits += text.length;
  }
  // Most words take four units and more; the buffer can grow.
  const writer = new ScanWriter(nLines, (nUnits >> 2) + 64);
  for (let index = 0; index < nLines; index++) writer.add(index, lines[lineOf[index]!]!);
  return {
    nLines,
    lineOf: lineOf.subarray(0, nLines),
    words: writer.words.subarray(0, writer.nWords),
    isStop: writer.isStop.subarray(0, writer.nWords),
    starts: writer.starts,
    counts: writer.counts,
    lineHashes: writer.lineHashes,
  };
}

/** `:` `.` `,` `-` `/` between digits: times, prices, dates, ratings. */
function isJoint(unit: number): boolean {
  return unit === 58 || (unit >= 44 && unit <= 47);
}

class ScanWriter {
  words: Int32Array;
  isStop: Uint8Array;
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  readonly lineHashes: Int32Array;
  nWords = 0;

  constructor(nLines: number, capacity: number) {
    this.words = new Int32Array(capacity);
    this.isStop = new Uint8Array(capacity);
    this.starts = new Int32Array(nLines + 1);
    this.counts = new Int32Array(nLines * N_COUNTS);
    this.lineHashes = new Int32Array(nLines);
  }

  add(line: number, text: string): void {
    const { classes, folded, plain } = characterTables();
    const at = line * N_COUNTS;
    let hash = FNV_BASE;
    let wordLength = 0;
    let wordIsCapital = false;
    let wordIsNumber = true;
    let nLetters = 0;
    let nUppers = 0;
    let nDigits = 0;
    let nSpaces = 0;
    let nUnspaced = 0;
    let nEnds = 0;
    let nSeparators = 0;
    let nCode = 0;
    let nCommas = 0;
    let nCapital = 0;
    let nNumbers = 0;
    let nAts = 0;
    let nColons = 0;
    let nCurrencies = 0;
    let nQuestions = 0;
    let nSlashes = 0;
    let nYears = 0;
    let nJoined = 0;
    let nUrls = 0;
    let number = 0;
    let first = 0;
    let last = 0;
    // The unit before `last`, spaces included.
    let before = 0;
    let beforeThat = 0;
    const { length } = text;
    for (let unitIndex = 0; unitIndex <= length; unitIndex++) {
      const unit = unitIndex < length ? plain[text.charCodeAt(unitIndex)]! : 32;
      const bits = classes[unit]!;
      const inWord = (bits & (LETTER | DIGIT)) !== 0;
      if (wordLength > 0 && (!inWord || (bits & UNSPACED) !== 0)) {
        if (wordIsCapital) nCapital++;
        if (wordIsNumber) {
          nNumbers++;
          if (wordLength === 4 && number >= 1900 && number < 2100) nYears++;
        }
        this.#push(hash);
        wordLength = 0;
      }
      if (unitIndex === length) break;
      if ((bits & DIGIT) !== 0 && isJoint(before) && (classes[beforeThat]! & DIGIT) !== 0)
        nJoined++;
      if (unit === 47 && before === 47 && beforeThat === 58) nUrls++;
      else if (unit === 46 && before === 119 && beforeThat === 119) nUrls++;
      beforeThat = before;
      before = unit;
      if ((bits & SPACE) !== 0) {
        nSpaces++;
        if (unit === 9) nSeparators++;
        continue;
      }
      if (first === 0) first = unit;
      last = unit;
      if (!inWord) {
        if ((bits & SENTENCE_END) !== 0) nEnds++;
        else if (unit === 44 || unit === 0x3001 || unit === 0x60c) nCommas++;
        else if (unit === 58) nColons++;
        else if ((bits & SEPARATOR) !== 0) nSeparators++;
        if (unit === 64) nAts++;
        else if (unit === 47) nSlashes++;
        else if (unit === 63 || unit === 0x61f) nQuestions++;
        else if (
          unit === 36 ||
          (unit >= 0xa2 && unit <= 0xa5) ||
          (unit >= 0x20a0 && unit <= 0x20c0)
        ) {
          nCurrencies++;
        }
        if ((bits & CODE) !== 0) nCode++;
        continue;
      }
      if ((bits & LETTER) !== 0) nLetters++;
      if ((bits & DIGIT) !== 0) nDigits++;
      if ((bits & UPPER) !== 0) nUppers++;
      if ((bits & UNSPACED) !== 0) {
        nUnspaced++;
        this.#push(Math.imul(FNV_BASE ^ folded[unit]!, FNV_PRIME));
        continue;
      }
      if (wordLength === 0) {
        hash = FNV_BASE;
        wordIsCapital = (bits & UPPER) !== 0;
        wordIsNumber = true;
        number = 0;
      }
      if ((bits & DIGIT) === 0) wordIsNumber = false;
      else if (wordLength < 4) number = number * 10 + (unit - 48);
      hash = Math.imul(hash ^ folded[unit]!, FNV_PRIME);
      wordLength++;
    }
    const start = this.starts[line]!;
    this.starts[line + 1] = this.nWords;
    let lineHash = this.nWords - start;
    let nStop = 0;
    for (let word = start; word < this.nWords; word++) {
      lineHash = mixHashes(lineHash, this.words[word]!);
      nStop += this.isStop[word]!;
    }
    this.lineHashes[line] = lineHash;
    const { counts } = this;
    counts[at + COUNTS.chars] = length;
    counts[at + COUNTS.letters] = nLetters;
    counts[at + COUNTS.uppers] = nUppers;
    counts[at + COUNTS.digits] = nDigits;
    counts[at + COUNTS.spaces] = nSpaces;
    counts[at + COUNTS.unspaced] = nUnspaced;
    counts[at + COUNTS.sentenceEnds] = nEnds;
    counts[at + COUNTS.separators] = nSeparators;
    counts[at + COUNTS.codeMarks] = nCode;
    counts[at + COUNTS.commas] = nCommas;
    counts[at + COUNTS.capitalWords] = nCapital;
    counts[at + COUNTS.stopWords] = nStop;
    counts[at + COUNTS.numberWords] = nNumbers;
    counts[at + COUNTS.lastUnit] = last;
    counts[at + COUNTS.firstUnit] = first;
    counts[at + COUNTS.ats] = nAts;
    counts[at + COUNTS.colons] = nColons;
    counts[at + COUNTS.currencies] = nCurrencies;
    counts[at + COUNTS.questions] = nQuestions;
    counts[at + COUNTS.slashes] = nSlashes;
    counts[at + COUNTS.years] = nYears;
    counts[at + COUNTS.joinedDigits] = nJoined;
    counts[at + COUNTS.urls] = nUrls;
  }

  #push(hash: number): void {
    if (this.nWords === this.words.length) {
      const words = new Int32Array(this.words.length * 2);
      words.set(this.words);
      this.words = words;
      const isStop = new Uint8Array(words.length);
      isStop.set(this.isStop);
      this.isStop = isStop;
    }
    this.isStop[this.nWords] = isStopWord(hash) ? 1 : 0;
    this.words[this.nWords++] = hash;
  }
}

/**
 * Scores of all lines from the scores of the non-blank ones: a blank line scores like the better of its
 * neighbours, so that a break between two paragraphs stays and one inside a menu goes.
 */
export function spreadScores(
  scan: Pick<PageScan, 'lineOf' | 'nLines'>,
  scores: Float32Array,
  nAllLines: number,
): Float32Array {
  if (scan.nLines === nAllLines) return scores;
  const all = new Float32Array(nAllLines);
  let next = 0;
  for (let line = 0; line < nAllLines; line++) {
    if (next < scan.nLines && scan.lineOf[next] === line) {
      all[line] = scores[next++]!;
      continue;
    }
    const before = next > 0 ? scores[next - 1]! : 0;
    const after = next < scan.nLines ? scores[next]! : 0;
    // A page of blank lines has nothing to lose.
    all[line] = scan.nLines === 0 ? 1 : Math.max(before, after);
  }
  return all;
}
