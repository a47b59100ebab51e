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
  /** Lines by code, of one page at a time. */
  readonly #counts = new Uint32Array(256);
  /** Log-odds of "remove" that a line of a code has at the least and at the most, as far as above 0. */
  readonly #least: Float64Array;
  readonly #most: Float64Array;
  /** Codes from here on have no evidence. */
  readonly #end: number;

  /** @param edges of lines; null where only documents are scored */
  constructor(edges: readonly number[] | null) {
    const all = edges ?? [];
    const against = (score: number): number => Math.max(0, Math.log((1 - score) / score));
    this.#coder = edges && new ScoreCoder(edges);
    this.#least = Float64Array.from({ length: 256 }, (_, code) => against(all[code] ?? 1));
    this.#most = Float64Array.from({ length: 256 }, (_, code) => against(all[code - 1] ?? 0));
    const end = all.findIndex((edge) => edge >= 0.5);
    this.#end = end < 0 ? all.length : Math.min(end + 1, all.length);
  }

  pack({ failed, document, lines }: RawScores): BatchScores {
    const nRows = failed.length;
    const coder = this.#coder;
    const counts = this.#counts;
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
      counts.fill(0);
      coder.encode(own, codes, lineStarts[row]!, counts);
      actsFrom[row] = this.#actsFrom(own, coder.edges);
    }
    return { nRows, state, document, lineStarts, codes, actsFrom };
  }

  /** The codes tell it of most pages; of the others the scores do. At edge k those count whose code is at most k. */
  #actsFrom(scores: Float32Array, edges: readonly number[]): number {
    const counts = this.#counts;
    let [atLeast, atMost] = [0, 0];
    for (let code = 0; code < this.#end; code++) {
      const nLines = counts[code]!;
      if (nLines === 0) continue;
      atLeast += nLines * this.#least[code]!;
      atMost += nLines * this.#most[code]!;
      if (atMost < LEAST_EVIDENCE - ROUNDING) continue;
      const isClear = atLeast > LEAST_EVIDENCE + ROUNDING;
      if (isClear || evidenceAgainst(scores, edges[code]!) >= LEAST_EVIDENCE) return code;
    }
    return NEVER;
  }
}

/** Index of `fell`. */
export const FELL = ROW_STATES.indexOf('fell');

/** Whether a page's lines below an edge go at all. */
export function isActedOn(actsFrom: number, edge: number): boolean {
  return actsFrom <= edge && actsFrom !== NEVER;
}
