/**
 * Measures of line refiners.
 *
 * Over scored lines, all documents pooled: precision, recall and F1 of "keep" and of "remove", macroF1 their mean;
 * contentCharsKept and noiseCharsRemoved the share of the characters (code points) of keep and of remove lines that
 * were kept and removed; docWordF1 the mean over documents of the bag-of-words F1 between what was kept of the text
 * (lines out of score follow the refiner too) and the gold text.
 *
 * noiseCharsRemovedAt asks for scores: one threshold for all documents, the highest that keeps the named share of
 * content characters. Lines with equal scores fall together, so a rule with two scores may have nothing between.
 */
import { TailEvaluation, type TailReport } from './eval-tail.ts';
import { type GoldPage, KEEP, UNSCORED } from './gold.ts';
import { noiseRemovedAt } from './noise-removed.ts';
import { bagF1, countWords } from './words.ts';

/** Shares of content characters at which the removed noise is reported. */
export const CONTENT_BOUNDS = [0.99, 0.98, 0.95] as const;

/** Shares of content characters that {@link LineReport.tradeOff} has a point for. */
export const TRADE_OFF_BOUNDS = [
  0.999, 0.998, 0.995, 0.99, 0.985, 0.98, 0.97, 0.96, 0.95, 0.93, 0.9, 0.85, 0.8, 0.7,
] as const;

/** A point of a curve: what may be lost, and what goes for it; shares of characters, 0..1. */
export interface TradeOff {
  readonly contentKept: number;
  readonly noiseRemoved: number;
}

/** Precision, recall and their harmonic mean, 0..1; a quotient by nothing is 0. */
export interface Agreement {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
}

/** Measures over a set of pages. */
export interface LineMeasures {
  readonly macroF1: number;
  readonly keep: Agreement;
  readonly remove: Agreement;
  readonly contentCharsKept: number;
  readonly noiseCharsRemoved: number;
  /** By the bound as text: "0.99", "0.98", "0.95". */
  readonly noiseCharsRemovedAt: Readonly<Record<string, number>>;
  /** Null when no page has a gold text. */
  readonly docWordF1: number | null;
  readonly nDocs: number;
  /** Scored lines. */
  readonly nLines: number;
}

/** Measures, their tail, and the same by source, by language and by type of page. */
export interface LineReport extends LineMeasures {
  readonly tail: TailReport;
  /** Noise removed for each of `TRADE_OFF_BOUNDS`. */
  readonly tradeOff: readonly TradeOff[];
  readonly byPageType: Readonly<Record<string, LineMeasures>>;
  readonly bySource: Readonly<Record<string, LineMeasures>>;
  readonly byLanguage: Readonly<Record<string, LineMeasures>>;
}

/** Collects verdicts page by page. Holds 9 bytes a scored line, no text. */
export class LineEvaluation {
  readonly #all = new Pool();
  readonly #bySource = new Map<string, Pool>();
  readonly #byLanguage = new Map<string, Pool>();
  readonly #byPageType = new Map<string, Pool>();
  readonly #tail = new TailEvaluation();

  /**
   * Adds a page.
   *
   * @param scores keep scores, one for each line
   * @param threshold lines that score below it count as removed
   */
  add(page: GoldPage, scores: Float32Array, threshold: number): void {
    const wordF1 = page.goldText === null ? null : keptWordF1(page, scores, threshold);
    const pools = [
      this.#all,
      pool(this.#bySource, page.source || 'unknown'),
      pool(this.#byLanguage, page.language || 'unknown'),
      pool(this.#byPageType, page.pageType || 'unknown'),
    ];
    const chars = page.lines.map(countCodePoints);
    for (const each of pools) each.add(page.labels, { scores, threshold, chars, wordF1 });
    this.#tail.add(page, { scores, threshold, chars });
  }

  /** The measures of all pages so far. */
  report(): LineReport {
    return {
      ...this.#all.measures(),
      bySource: measuresOf(this.#bySource),
      byLanguage: measuresOf(this.#byLanguage),
      byPageType: measuresOf(this.#byPageType),
      tail: this.#tail.report(),
      tradeOff: this.#all.tradeOff(),
    };
  }
}

interface Verdicts {
  readonly scores: Float32Array;
  readonly threshold: number;
  readonly chars: readonly number[];
  readonly wordF1: number | null;
}

class Pool {
  /** [label][verdict], 1 is keep: lines and their characters. */
  readonly #nLines = [0, 0, 0, 0];
  readonly #nChars = [0, 0, 0, 0];
  readonly #scores: number[] = [];
  /** Characters of the line; negative for a line to remove. */
  readonly #signedChars: number[] = [];
  #nDocs = 0;
  #wordF1 = 0;
  #nWordF1 = 0;

  add(labels: Uint8Array, { scores, threshold, chars, wordF1 }: Verdicts): void {
    this.#nDocs++;
    if (wordF1 !== null) {
      this.#wordF1 += wordF1;
      this.#nWordF1++;
    }
    for (let line = 0; line < labels.length; line++) {
      const label = labels[line]!;
      if (label === UNSCORED) continue;
      const score = scores[line]!;
      const cell = label * 2 + (score >= threshold ? 1 : 0);
      const nChars = chars[line]!;
      this.#nLines[cell]!++;
      this.#nChars[cell]! += nChars;
      this.#scores.push(score);
      this.#signedChars.push(label === KEEP ? nChars : -nChars);
    }
  }

  tradeOff(): TradeOff[] {
    const found = noiseRemovedAt(this.#scores, this.#signedChars, TRADE_OFF_BOUNDS);
    return TRADE_OFF_BOUNDS.map((contentKept) => ({
      contentKept,
      noiseRemoved: found[String(contentKept)]!,
    }));
  }

  measures(): LineMeasures {
    const [removed, wronglyKept, wronglyRemoved, kept] = this.#nLines as Cells;
    const [noiseRemoved, noiseKept, contentRemoved, contentKept] = this.#nChars as Cells;
    const keep = agreement(kept, wronglyKept, wronglyRemoved);
    const remove = agreement(removed, wronglyRemoved, wronglyKept);
    return {
      macroF1: (keep.f1 + remove.f1) / 2,
      keep,
      remove,
      contentCharsKept: ratio(contentKept, contentKept + contentRemoved),
      noiseCharsRemoved: ratio(noiseRemoved, noiseRemoved + noiseKept),
      noiseCharsRemovedAt: noiseRemovedAt(this.#scores, this.#signedChars, CONTENT_BOUNDS),
      docWordF1: this.#nWordF1 === 0 ? null : this.#wordF1 / this.#nWordF1,
      nDocs: this.#nDocs,
      nLines: removed + wronglyKept + wronglyRemoved + kept,
    };
  }
}

type Cells = [number, number, number, number];

/** Precision, recall and F1 from counts. */
export function agreement(hits: number, falseHits: number, misses: number): Agreement {
  const precision = ratio(hits, hits + falseHits);
  const recall = ratio(hits, hits + misses);
  return { precision, recall, f1: ratio(2 * hits, 2 * hits + falseHits + misses) };
}

function keptWordF1(
  { lines, goldText }: GoldPage,
  scores: Float32Array,
  threshold: number,
): number {
  const kept = new Map<string, number>();
  lines.forEach((line, index) => {
    if (scores[index]! >= threshold) countWords(line, kept);
  });
  return bagF1(kept, countWords(goldText ?? ''));
}

/** Unicode characters of a string; a surrogate pair is one. */
export function countCodePoints(text: string): number {
  let count = text.length;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit < 0xd800 || unit > 0xdbff || at + 1 >= text.length) continue;
    const low = text.charCodeAt(at + 1);
    if (low >= 0xdc00 && low <= 0xdfff) {
      count--;
      at++;
    }
  }
  return count;
}

function ratio(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}

function pool(pools: Map<string, Pool>, key: string): Pool {
  const known = pools.get(key);
  if (known) return known;
  const made = new Pool();
  pools.set(key, made);
  return made;
}

function measuresOf(pools: Map<string, Pool>): Record<string, LineMeasures> {
  const sorted = [...pools].sort(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(sorted.map(([key, each]) => [key, each.measures()]));
}
