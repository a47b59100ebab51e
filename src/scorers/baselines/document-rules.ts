/**
 * Rules for whole documents that published corpora were cleaned with, written from the papers. Scores are 0 or 1; both
 * were made for English web pages.
 *
 * - `c4` (Raffel et al. 2020, section 2.2), behind its line rules: at least 5 sentences are left; no brace, no "lorem
 *   ipsum". Its list of bad words is left out.
 * - `gopher`: the quality rules of MassiveText (Rae et al. 2021, appendix A1.1) and what FineWeb adds (Penedo et al.
 *   2024, section 3.6): at least 12 % of the lines end in punctuation, less than 67 % are shorter than 30 characters, less
 *   than a tenth of the characters stand in lines that occurred before. MassiveText's repetition of word sequences is
 *   left out.
 */
import type { DocumentRefiner } from '../eval-documents.ts';
import { passesC4 } from './rules.ts';

/** C4's rules. */
export const c4Documents: DocumentRefiner = ruleOf('c4', passesC4Document);

/** The rules of MassiveText and FineWeb. */
export const gopherDocuments: DocumentRefiner = ruleOf('gopher', passesGopherDocument);

function ruleOf(name: string, passes: (text: string) => boolean): DocumentRefiner {
  return {
    name,
    trainable: false,
    fit: () => ({ name, threshold: 0.5, scoreDocument: (text) => (passes(text) ? 1 : 0) }),
  };
}

const C4_MIN_SENTENCES = 5;

/** True when C4 keeps the page. */
export function passesC4Document(text: string): boolean {
  if (text.includes('{') || text.toLowerCase().includes('lorem ipsum')) return false;
  let nSentences = 0;
  for (const line of text.split('\n')) {
    if (passesC4(line)) nSentences += sentencesOf(line);
  }
  return nSentences >= C4_MIN_SENTENCES;
}

/** Ends of sentences; a line that passes C4 ends one at least. */
function sentencesOf(line: string): number {
  let count = 0;
  for (const _ of line.matchAll(/[.!?]+(?=["'”’)]?(?:\s|$))/gu)) count++;
  return Math.max(1, count);
}

const GOPHER = {
  minWords: 50,
  maxWords: 100_000,
  minWordChars: 3,
  maxWordChars: 10,
  maxSymbolsPerWord: 0.1,
  maxBulletLines: 0.9,
  maxEllipsisLines: 0.3,
  minAlphabeticWords: 0.8,
  minStopWords: 2,
} as const;
const STOP_WORDS = new Set(['the', 'be', 'to', 'of', 'and', 'that', 'have', 'with']);
const FINEWEB = {
  minEndedLines: 0.12,
  maxShortLines: 0.67,
  shortChars: 30,
  maxCopied: 0.1,
} as const;

/** True when the rules of MassiveText and FineWeb keep the document. */
export function passesGopherDocument(text: string): boolean {
  const words = text.split(/\s+/).filter((word) => word !== '');
  if (words.length < GOPHER.minWords || words.length > GOPHER.maxWords) return false;
  const mean = words.reduce((sum, { length }) => sum + length, 0) / words.length;
  if (mean < GOPHER.minWordChars || mean > GOPHER.maxWordChars) return false;
  let nSymbols = 0;
  for (const _ of text.matchAll(/#|\.\.\.|…/g)) nSymbols++;
  if (nSymbols > GOPHER.maxSymbolsPerWord * words.length) return false;
  const nAlphabetic = words.filter((word) => /\p{L}/u.test(word)).length;
  if (nAlphabetic < GOPHER.minAlphabeticWords * words.length) return false;
  const found = new Set(
    words.map((word) => word.toLowerCase()).filter((word) => STOP_WORDS.has(word)),
  );
  return found.size >= GOPHER.minStopWords && passesLines(text);
}

function passesLines(text: string): boolean {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const share = (holds: (line: string) => boolean): number =>
    lines.filter(holds).length / lines.length;
  if (share((line) => /^[-*•·‣◦–]/u.test(line)) > GOPHER.maxBulletLines) return false;
  if (share((line) => /(?:\.\.\.|…)$/u.test(line)) > GOPHER.maxEllipsisLines) return false;
  if (share((line) => /[.!?"'”’]$/u.test(line)) < FINEWEB.minEndedLines) return false;
  if (share(({ length }) => length < FINEWEB.shortChars) >= FINEWEB.maxShortLines) return false;
  const seen = new Set<string>();
  let nChars = 0;
  let nCopied = 0;
  for (const line of lines) {
    nChars += line.length;
    if (seen.has(line)) nCopied += line.length;
    seen.add(line);
  }
  return nCopied < FINEWEB.maxCopied * nChars;
}
