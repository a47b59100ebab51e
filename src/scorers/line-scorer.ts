/**
 * What gives every line of a page a keep score: rules, regressions, trees and neural refiners alike.
 *
 * A scorer sees one page's lines (split at LF) and nothing else of the page. It must not remember pages: the scores
 * of a page depend on that page alone.
 */
import type { GoldPage } from './gold.ts';

/** Scores lines. */
export interface LineScorer {
  readonly name: string;
  /** Lines that score below it are removed, 0..1. */
  readonly threshold: number;
  /**
   * Keep scores in 0..1, higher is surer content; one for each line.
   *
   * @param lines the page's text split at LF, empty lines included
   */
  scoreLines(lines: readonly string[]): Float32Array | Promise<Float32Array>;
  /** Frees what the scorer owns, if anything. */
  dispose?(): void | Promise<void>;
}

/** Something that scores lines after training; rules need none. */
export interface LineRefiner {
  readonly name: string;
  /** False: {@link fit} ignores its pages. */
  readonly trainable: boolean;
  /** A scorer made from labelled pages. Deterministic. */
  fit(
    pages: readonly GoldPage[],
    options?: { readonly signal?: AbortSignal | undefined },
  ): LineScorer | Promise<LineScorer>;
}

/** A refiner that needs no training, from a function that gives the scores. */
export function ruleRefiner(
  name: string,
  scoreLines: (lines: readonly string[]) => Float32Array,
): LineRefiner {
  return { name, trainable: false, fit: () => ({ name, threshold: 0.5, scoreLines }) };
}
