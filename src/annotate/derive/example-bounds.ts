/** What an example may be at most, apart from the check (check-example.ts): the help of the command names it. */

/** Bounds of an example; checkExample() holds it to them. */
export interface ExampleBounds {
  /** Ops of a program, at most; ≥ 1. Default 12. */
  readonly maxOps: number;
  /** UTF-16 units of a source string, at most. Default 150 (UltraX). */
  readonly maxSourceChars: number;
  /** UTF-16 units of a window, at least. Default 20. */
  readonly minChars: number;
  /** Share of a window's characters that may go, 0..1. Default 1. */
  readonly maxRemovedShare: number;
}

/** Defaults of {@link ExampleBounds}. */
export const EXAMPLE_BOUNDS: ExampleBounds = Object.freeze({
  maxOps: 12,
  maxSourceChars: 150,
  minChars: 20,
  maxRemovedShare: 1,
});
