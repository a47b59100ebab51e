/**
 * Blind tests: a person sees lines (or documents) without being told what became of them, and says whether they should stay.
 * From the answers follows how often the refiner was right on this corpus, with an interval.
 *
 * Documents are drawn alike among those of the kind, by seed; of each one a line is drawn, kept or removed by the toss of a
 * coin. So a figure is of "a line of a document drawn at random", not weighted by how many lines a document has. The same seed
 * asks the same items in the same order.
 */
import { seededRandom } from '../seeded.ts';
import type { BlindEntry } from './judgement-types.ts';

/** What was answered of one kind. */
export interface BlindFigure {
  /** Answers besides "unsure". */
  readonly asked: number;
  readonly right: number;
  readonly unsure: number;
  /** Share that was right; null without answers. */
  readonly share: number | null;
  /** 95 % interval. */
  readonly low: number | null;
  readonly high: number | null;
}

/** Two-sided 95 %. */
const Z = 1.959963984540054;

/**
 * Wilson's interval of a share.
 *
 * @see E. B. Wilson (1927), Probable inference, the law of succession, and statistical inference
 */
export function wilsonInterval(
  right: number,
  asked: number,
  z = Z,
): readonly [low: number, high: number] {
  if (asked === 0) return [0, 1];
  const share = right / asked;
  const spread = (z * z) / asked;
  const middle = (share + spread / 2) / (1 + spread);
  const half = (z / (1 + spread)) * Math.sqrt((share * (1 - share)) / asked + spread / asked / 4);
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

/** Figures from answers: removed is right where it should go, kept where it should stay. The last answer to an item counts. */
export function blindFigures(
  entries: readonly BlindEntry[],
  what: BlindEntry['what'],
): { readonly kept: BlindFigure; readonly removed: BlindFigure } {
  const last = new Map<string, BlindEntry>();
  for (const entry of entries) {
    if (entry.what === what) {
      last.set(`${entry.unit}:${entry.position}:${entry.line}`, entry);
    }
  }
  const figure = (was: BlindEntry['was']): BlindFigure => {
    const own = [...last.values()].filter((entry) => entry.was === was);
    const wanted = was === 'kept' ? 'stay' : 'go';
    const asked = own.filter(({ answer }) => answer !== 'unsure').length;
    const right = own.filter(({ answer }) => answer === wanted).length;
    const [low, high] = wilsonInterval(right, asked);
    const isKnown = asked > 0;
    return {
      ...{ asked, right, unsure: own.length - asked },
      share: isKnown ? right / asked : null,
      low: isKnown ? low : null,
      high: isKnown ? high : null,
    };
  };
  return { kept: figure('kept'), removed: figure('removed') };
}

/** Numbers in [0, 1) for one item of one seed. */
export function itemRandom(seed: number, item: number): () => number {
  const random = seededRandom((Math.imul(seed, 0x9e3779b1) ^ Math.imul(item + 1, 0x85ebca6b)) | 0);
  // Neighbouring seeds begin alike.
  for (let warmUp = 0; warmUp < 4; warmUp++) random();
  return random;
}
