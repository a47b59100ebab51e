/**
 * Typed face of the featuriser of pages (native/binding/pages.cc): what training asks of it, at once and on this thread.
 * Scoring is native/lines.ts.
 */
import { fromNative } from './error.ts';

/** Hashed words of the rows of a table. */
export interface HashedWords {
  readonly ids: Int32Array;
  /** First id of each row, and the end. */
  readonly starts: Int32Array;
  /** First id of the neighbours of each row. */
  readonly nearAt: Int32Array;
}

/** What a page's lines are judged by; blank lines are left out. */
export interface PageMeasures extends HashedWords {
  /** Index of each line among all lines. */
  readonly lineOf: Int32Array;
  /** UTF-16 units of each line. */
  readonly chars: Int32Array;
  /** `[nLines × N_LINE_FEATURES]`, row-major. */
  readonly features: Float32Array;
}

/** Words of a page's lines that are not blank. */
export interface PageWords {
  /** Index of each line among all lines. */
  readonly lineOf: Int32Array;
  /** First word of each line, and the end. */
  readonly starts: Int32Array;
  /** Hashes, line after line. */
  readonly words: Int32Array;
}

/** What a document is judged by. */
export interface DocumentMeasures {
  readonly features: Float32Array;
  /** Of its distinct words. */
  readonly ids: Int32Array;
}

/** Cut points of features, one after another. */
export interface NativeBins {
  readonly maxBins: number;
  /** Cuts of each feature. */
  readonly counts: Int32Array;
  readonly cuts: Float32Array;
}

/** A regression over bins and hashed words. */
export interface NativeRegression {
  readonly bins: NativeBins;
  readonly wordWeights: Float32Array;
  readonly binWeights: Float32Array;
}

/** Boosted trees; see BoostedTrees of lines/stack.ts. */
export interface NativeTrees {
  readonly base: number;
  readonly treeStarts: Int32Array;
  readonly features: Uint16Array;
  readonly cuts: Uint8Array;
  readonly lefts: Int16Array;
  readonly rights: Int16Array;
  readonly leafStarts: Int32Array;
  readonly leaves: Float32Array;
}

/** What is known of the characters of the basic plane, by UTF-16 unit. */
export interface CharacterTable {
  /** Version of Unicode. */
  readonly unicode: string;
  readonly plain: Uint16Array;
  readonly folded: Uint16Array;
  readonly classes: Uint8Array;
}

/** What the addon exports for training on pages. All of it throws OPTION_INVALID naming the argument. */
export interface NativePages {
  measureLines(text: Uint8Array, hashBits: number): PageMeasures;
  measureDocument(text: Uint8Array, hashBits: number): DocumentMeasures;
  pageWords(text: Uint8Array): PageWords;
  /**
   * What the odds of "keep" of each line are to be multiplied by, for what its site repeats (native/pages/site_evidence.h).
   *
   * @param pages of the site
   * @param linePages pages that hold each line
   */
  siteFactors(text: Uint8Array, pages: number, linePages: Int32Array): Float32Array;
  /** What the factors are made of: 1 half of a repeated line's neighbours repeat, 2 most, 4 all; 0 for lines that are spared. */
  siteSteps(text: Uint8Array, pages: number, linePages: Int32Array): Uint8Array;
  /** Bins of all values, `[nRows × nFeatures]` row-major. */
  binRows(bins: NativeBins, rows: Float32Array): Uint8Array;
  regressionLogits(
    model: NativeRegression,
    features: Float32Array,
    words: HashedWords,
  ): Float32Array;
  treeLogits(trees: NativeTrees, bins: NativeBins, rows: Float32Array): Float32Array;
  /** A model's log-odds around each line of one page, `[nLines × N_LOGIT_FEATURES]`. */
  logitColumns(logits: Float32Array, features: Float32Array): Float32Array;
  /** Titles of one page protected, and its doubt; from a stack's blended log-odds. */
  pageVerdict(
    logits: Float32Array,
    features: Float32Array,
  ): { readonly logits: Float32Array; readonly doubt: number };
  /** Scores of all lines from those of lines that are not blank. */
  spreadScores(lineOf: Int32Array, scores: Float32Array, nAllLines: number): Float32Array;
  /** Floats of which `words` are the upper halves. */
  floatsOfBf16(words: Uint16Array): Float32Array;
  /** Whether no value is infinite or no number. */
  areFinite(values: Float32Array): boolean;
  characterTable(): CharacterTable;
}

/** The same with coded errors. */
export function pagesWith(addon: NativePages): NativePages {
  const coded =
    <Arguments extends unknown[], Result>(call: (...given: Arguments) => Result) =>
    (...given: Arguments): Result => {
      try {
        return call(...given);
      } catch (error) {
        throw fromNative(error);
      }
    };
  return {
    measureLines: coded(addon.measureLines),
    measureDocument: coded(addon.measureDocument),
    pageWords: coded(addon.pageWords),
    siteFactors: coded(addon.siteFactors),
    siteSteps: coded(addon.siteSteps),
    binRows: coded(addon.binRows),
    regressionLogits: coded(addon.regressionLogits),
    treeLogits: coded(addon.treeLogits),
    logitColumns: coded(addon.logitColumns),
    pageVerdict: coded(addon.pageVerdict),
    spreadScores: coded(addon.spreadScores),
    floatsOfBf16: coded(addon.floatsOfBf16),
    areFinite: coded(addon.areFinite),
    characterTable: coded(addon.characterTable),
  };
}
