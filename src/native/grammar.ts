/**
 * The grammar of a dialect as plain data: what a refiner may write for one window.
 *
 * The engine compiles it, with the model's vocabulary, into a token automaton (native/engine), so that no
 * malformed program can be decoded: line numbers lie inside the window and source strings occur in it.
 *
 *     program := whole | op (separator op)*          at most maxOps ops, then end of sequence
 *     op      := part part …
 */

/** One piece of an op: literal text, or an argument that is bounded by the window. */
export type GrammarPart =
  /** Literal bytes. */
  | { readonly kind: 'literal'; readonly text: string }
  /**
   * A line number inside the window, in the dialect's numbering. Opens a range or selects a line. `ascending`: it lies
   * behind the last line of every earlier `ascending` range of the program, so that these ranges ascend and no two
   * share a line; an op is not offered when no such line is left. At most one in an op. Default false.
   */
  | { readonly kind: 'lineFrom'; readonly ascending?: boolean }
  /** A line number from the op's `lineFrom` up to the window's last line. */
  | { readonly kind: 'lineTo' }
  /**
   * A non-empty substring of one line: of any line of the window, or of the line that `lineFrom` selected.
   * It holds no quote, backslash or line break, so that it needs no escapes.
   */
  | { readonly kind: 'source'; readonly scope: 'window' | 'line'; readonly quote: '"' | "'" }
  /** Free text without quote, backslash or line break, at most `maxBytes` bytes. */
  | { readonly kind: 'target'; readonly quote: '"' | "'"; readonly maxBytes: number };

/** One function with its arguments. */
export interface GrammarOp {
  readonly name: string;
  readonly parts: readonly GrammarPart[];
}

/** The grammar of one dialect. */
export interface ProgramGrammar {
  /** Programs that stand alone, e.g. `keep_chunk()`. */
  readonly whole: readonly string[];
  readonly ops: readonly GrammarOp[];
  /** Bytes between two ops. */
  readonly separator: string;
  /** Most ops in one program, at least 1. */
  readonly maxOps: number;
  /** Number of the document's (or window's) first line: 0 for prox, 1 for ultrax. */
  readonly firstLine: 0 | 1;
}
