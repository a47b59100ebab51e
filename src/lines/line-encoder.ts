/**
 * A page's lines as bags of rows of an embedding table: what a neural line scorer reads.
 *
 *     rows   | bins of feature 0 | bins of feature 1 | … | 2 ** hashBits hashed words |
 *     line   one row for each feature, weight 1; its words, weight min(1, 2/√n)
 *
 * A line is one position of the model: what a reader would count (length, shape, place, repetition) is told by the
 * bins, what it says by its words, and the lines around it by attention. The words of a line share one unit of
 * influence, else long lines would be decided by their length.
 *
 * Here for training, which drops rows of bags; scoring makes its bags in native/pages.
 */
import type { HashedWords } from '../native/pages.ts';
import { type Bins, binRows } from './bins.ts';
import { N_LINE_FEATURES } from './feature-names.ts';
import { wordScale } from './logistic.ts';
import { type MeasuredPage, measurePage } from './measure.ts';
import {
  type LineStack,
  type StackLogits,
  stackHashBits,
  stackLogits,
  stackRows,
} from './stack.ts';

/** What turns lines into bags; part of a trained model. */
export interface LineEncoder {
  /** Of the features, and of the stack's log-odds behind them. */
  readonly bins: Bins;
  /** The table has 2 ** hashBits rows for words. */
  readonly hashBits: number;
  /** Models whose opinion is told; null for none. Their words have at least `hashBits` bits. */
  readonly stack: LineStack | null;
}

/** Rows of lines or of documents, encoded. */
export interface EncodedRows {
  /** `[nRows × nFeatures]`, row-major. */
  readonly binned: Uint8Array;
  readonly words: HashedWords;
}

/** A page, encoded; a row is a line that is not blank. */
export interface EncodedPage extends EncodedRows {
  readonly page: MeasuredPage;
}

/** Bags of consecutive positions: bag `position` is `starts[position] .. starts[position + 1] - 1`. */
export interface Bags {
  readonly starts: Int32Array;
  readonly ids: Int32Array;
  readonly weights: Float32Array;
}

/** Rows of the embedding table. */
export function tableRows({ bins, hashBits }: LineEncoder): number {
  return bins.nFeatures * bins.maxBins + 2 ** hashBits;
}

/**
 * Encodes a page's non-blank lines.
 *
 * @param logits what to take for the stack's opinion; without it the stack is asked
 */
export function encodePage(
  lines: readonly string[],
  { bins, hashBits, stack }: LineEncoder,
  logits?: StackLogits,
): EncodedPage {
  const page = measurePage(lines, stack ? stackHashBits(stack) : hashBits);
  const { features, words } = page;
  if (!stack) return { page, binned: binRows(features, bins), words };
  const { first, second } = logits ?? stackLogits(stack, page);
  return { page, binned: binRows(stackRows(features, first, second), bins), words };
}

/** Collects bags; training drops some of their rows on the way. */
export class BagWriter {
  readonly #starts: Int32Array;
  #ids: Int32Array;
  #weights: Float32Array;
  #nBags = 0;
  #nIds = 0;

  /** @param nBags bags that {@link finish} gives; those not written are empty */
  constructor(nBags: number) {
    this.#starts = new Int32Array(nBags + 1);
    this.#ids = new Int32Array(nBags * (N_LINE_FEATURES + 32));
    this.#weights = new Float32Array(this.#ids.length);
  }

  /**
   * The next bag: a row.
   *
   * @param keep says of each row whether it stays; all stay without it
   */
  add({ binned, words }: EncodedRows, line: number, encoder: LineEncoder, keep?: Keep): void {
    const { nFeatures, maxBins } = encoder.bins;
    const start = words.starts[line]!;
    const end = words.nearAt[line]!;
    this.#reserve(nFeatures + end - start);
    for (let feature = 0; feature < nFeatures; feature++) {
      if (keep && !keep.feature()) continue;
      this.#put(feature * maxBins + binned[line * nFeatures + feature]!, keep?.scale ?? 1);
    }
    const scale = wordScale(end - start);
    const firstWord = nFeatures * maxBins;
    // Hashes of more bits serve the stack; the lower ones are those of fewer bits.
    const mask = 2 ** encoder.hashBits - 1;
    for (let at = start; at < end; at++) {
      if (keep && !keep.word()) continue;
      this.#put(firstWord + (words.ids[at]! & mask), scale);
    }
    this.#nBags++;
    this.#starts[this.#nBags] = this.#nIds;
  }

  /** Lets bags up to `nBags` be empty. */
  skipTo(nBags: number): void {
    while (this.#nBags < nBags) this.#starts[++this.#nBags] = this.#nIds;
  }

  finish(): Bags {
    this.skipTo(this.#starts.length - 1);
    return {
      starts: this.#starts,
      ids: this.#ids.slice(0, this.#nIds),
      weights: this.#weights.slice(0, this.#nIds),
    };
  }

  #put(id: number, weight: number): void {
    this.#ids[this.#nIds] = id;
    this.#weights[this.#nIds++] = weight;
  }

  #reserve(nMore: number): void {
    if (this.#nIds + nMore <= this.#ids.length) return;
    const capacity = Math.max(this.#nIds + nMore, this.#ids.length * 2);
    const ids = new Int32Array(capacity);
    ids.set(this.#ids);
    this.#ids = ids;
    const weights = new Float32Array(capacity);
    weights.set(this.#weights);
    this.#weights = weights;
  }
}

/** Dropout of rows; see {@link BagWriter.add}. */
export interface Keep {
  readonly feature: () => boolean;
  readonly word: () => boolean;
  /** Makes up for the features that fall away. */
  readonly scale: number;
}
