/**
 * The scores of a batch's rows as they are kept: of a document its score, of its lines a code each (edges.ts), and where
 * the evidence against them begins to suffice.
 *
 * Where the threshold of lines follows from a retention, a page with next to no evidence against its lines stays as it
 * is (evidence.ts). The evidence grows with the threshold, so that one number says it for all of them: `actsFrom`, the
 * first edge at which there is enough.
 */
import { ScoreCoder } from './edges.ts';
import { evidenceAgainst, LEAST_EVIDENCE } from './evidence.ts';

/** How far a row came. */
export const ROW_STATES = Object.freeze([
  /** Everything was scored that the refiner has a model for. */
  'scored',
  /** Its document fell, and its lines were not asked for. */
  'fell',
  'null_text',
  'invalid_utf8',
  'doc_prompt_too_long',
  'engine_crashed',
] as const);

/** One of {@link ROW_STATES}. */
export type RowState = (typeof ROW_STATES)[number];

/** `actsFrom` of pages with too little evidence at any edge. */
export const NEVER = 255;

/** Scores of rows; arrays have one entry per row. */
export interface BatchScores {
  readonly nRows: number;
  /** Indices into {@link ROW_STATES}. */
  readonly state: Uint8Array;
  /** Probability of keeping; NaN where there is none. */
  readonly document: Float64Array;
  /** First line of each row in `codes`, and the end. */
  readonly lineStarts: Int32Array;
  /** A code per line (LF, empty ones included). */
  readonly codes: Uint8Array;
  /** First edge at which enough speaks against the row's lines, or {@link NEVER}. */
  readonly actsFrom: Uint8Array;
}

/** What is packed: by row. */
export interface RawScores {
  /** Why a row failed; null where it did not. */
  readonly failed: readonly (string | null)[];
  readonly document: Float64Array;
  /** Probability of "keep" by line; null where lines were not scored. */
  readonly lines: readonly (Float32Array | null)[];
}

/** Sums in another order differ by less. */
const ROUNDING = 1e-9;

/** Packs scores of batches. */
export class ScorePacker {
  readonly #coder: ScoreCoder | null;
  /** Evidence by code, of one page at a time. */
  readonly #evidence = new Float64Array(256);

  /** @param edges of lines; null where only documents are scored */
  constructor(edges: readonly number[] | null) {
    this.#coder = edges && new ScoreCoder(edges);
  }

  pack({ failed, document, lines }: RawScores): BatchScores {
    const nRows = failed.length;
    const coder = this.#coder;
    const state = new Uint8Array(nRows);
    const actsFrom = new Uint8Array(nRows).fill(NEVER);
    const lineStarts = new Int32Array(nRows + 1);
    for (let row = 0; row < nRows; row++) {
      lineStarts[row + 1] = lineStarts[row]! + (lines[row]?.length ?? 0);
    }
    const codes = new Uint8Array(lineStarts[nRows]!);
    for (let row = 0; row < nRows; row++) {
      const reason = failed[row];
      const own = lines[row];
      if (reason) state[row] = ROW_STATES.indexOf(reason as RowState);
      else if (coder && !own) state[row] = FELL;
      if (!coder || !own) continue;
      const start = lineStarts[row]!;
      coder.encode(own, codes, start);
      actsFrom[row] = this.#actsFrom(own, codes, start, coder.edges);
    }
    return { nRows, state, document, lineStarts, codes, actsFrom };
  }

  #actsFrom(
    scores: Float32Array,
    codes: Uint8Array,
    start: number,
    edges: readonly number[],
  ): number {
    const evidence = this.#evidence;
    let lowest = 256;
    let highest = -1;
    for (let line = 0; line < scores.length; line++) {
      const score = scores[line]!;
      if (!(score < 0.5)) continue;
      const code = codes[start + line]!;
      evidence[code]! += Math.log((1 - score) / score);
      if (code < lowest) lowest = code;
      if (code > highest) highest = code;
    }
    let found = NEVER;
    let sum = 0;
    // At edge k those count whose code is at most k.
    for (let code = lowest; code <= highest; code++) {
      sum += evidence[code]!;
      evidence[code] = 0;
      if (found !== NEVER || code >= edges.length || sum < LEAST_EVIDENCE - ROUNDING) continue;
      const isClear = sum > LEAST_EVIDENCE + ROUNDING;
      if (isClear || evidenceAgainst(scores, edges[code]!) >= LEAST_EVIDENCE) found = code;
    }
    return found;
  }
}

/** Index of `fell`. */
export const FELL = ROW_STATES.indexOf('fell');

/** Whether a page's lines below an edge go at all. */
export function isActedOn(actsFrom: number, edge: number): boolean {
  return actsFrom <= edge && actsFrom !== NEVER;
}
