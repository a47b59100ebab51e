/**
 * Scores of lines in a byte each, so that every threshold anybody asks for still cuts where it would have cut.
 *
 * A code is a number of **edges**: of the ascending values `edges[0] < edges[1] < …` it counts those that are at most the
 * score. So codes are monotone in scores, and with `edges[k]` for a threshold
 *
 *     score < edges[k]  ⇔  code <= k
 *
 * exactly. Thresholds between two edges cut somewhere inside a code: they are refused ({@link edgeAt}), not guessed. The
 * edges of a model are chosen once per run: the threshold that the run used, all of the model's own table, retentions in
 * thousandths from .95 and in hundredths below, probabilities in hundredths, and then the tails by log-odds, for whoever
 * looks at scores.
 */
import { type RetentionThreshold, thresholdFor } from '../lines/calibration.ts';

/** Codes are bytes. */
export const MAX_EDGES = 255;

const TAIL_STEP = 0.25;
const TAIL_END = 9;
/** Where hundredths end: log-odds of .99. */
const TAIL_START = Math.log(0.99 / 0.01);

/**
 * The edges of a run.
 *
 * @param used threshold that the run judges by
 * @param thresholds the model's table
 */
export function scoreEdges(used: number, thresholds: readonly RetentionThreshold[]): number[] {
  const chosen = new Set<number>();
  const add = (edge: number): void => {
    if (chosen.size < MAX_EDGES) chosen.add(edge);
  };
  add(used);
  for (const { threshold } of thresholds) add(threshold);
  for (const retention of retentionGrid(thresholds)) add(thresholdFor(retention, thresholds));
  for (let hundredth = 0; hundredth <= 100; hundredth++) add(hundredth / 100);
  for (let odds = TAIL_START + TAIL_STEP; odds <= TAIL_END; odds += TAIL_STEP) {
    add(1 / (1 + Math.exp(-odds)));
    add(1 / (1 + Math.exp(odds)));
  }
  return [...chosen].sort((left, right) => left - right);
}

function retentionGrid(thresholds: readonly RetentionThreshold[]): number[] {
  const known = thresholds.map(({ retention }) => retention);
  const [lowest, highest] = [Math.min(...known), Math.max(...known)];
  const thousandths = Array.from({ length: 50 }, (_, at) => (999 - at) / 1000);
  const hundredths = Array.from({ length: 94 }, (_, at) => (94 - at) / 100);
  return [...thousandths, ...hundredths].filter((one) => one >= lowest && one <= highest);
}

/** What an edge is asked for. */
export type EdgeFound =
  | { readonly edge: number }
  /** The nearest edges; null where there is none. */
  | { readonly below: number | null; readonly above: number | null };

/** The edge that is a threshold, or the nearest ones. */
export function edgeAt(edges: readonly number[], threshold: number): EdgeFound {
  const at = countUpTo(edges, threshold);
  if (edges[at - 1] === threshold) return { edge: at - 1 };
  return { below: edges[at - 1] ?? null, above: edges[at] ?? null };
}

/** How many edges are at most a value. */
export function countUpTo(edges: readonly number[], value: number): number {
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (edges[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The middle of a code's scores, by log-odds: what is shown where the score itself is gone. */
export function scoreOfCode(edges: readonly number[], code: number): number {
  const below = edges[code - 1] ?? 0;
  const above = edges[code] ?? 1;
  if (below <= 0) return above / 2;
  if (above >= 1) return (1 + below) / 2;
  const odds = (value: number): number => Math.log(value / (1 - value));
  return 1 / (1 + Math.exp(-(odds(below) + odds(above)) / 2));
}

/** Upper halves of the bits of 0..1 as float32. */
const N_HEADS = 0x3f80 + 1;

/** Codes of float32 scores: a table over the first 16 bits, and a step or two from there. */
export class ScoreCoder {
  readonly edges: readonly number[];
  readonly #edges: Float64Array;
  readonly #heads: Uint8Array;

  constructor(edges: readonly number[]) {
    this.edges = edges;
    this.#edges = Float64Array.from(edges);
    const bits = new Uint32Array(1);
    const value = new Float32Array(bits.buffer);
    this.#heads = Uint8Array.from({ length: N_HEADS }, (_, head) => {
      bits[0] = head << 16;
      return countUpTo(edges, value[0]!);
    });
  }

  /**
   * @param scores in 0..1
   * @param counts lines by code, counted on; 256 numbers
   */
  encode(scores: Float32Array, into: Uint8Array, at: number, counts?: Uint32Array): void {
    const edges = this.#edges;
    const heads = this.#heads;
    const nEdges = edges.length;
    const bits = new Uint32Array(scores.buffer, scores.byteOffset, scores.length);
    for (let line = 0; line < bits.length; line++) {
      const score = scores[line]!;
      let code = heads[bits[line]! >>> 16] ?? 0;
      while (code < nEdges && edges[code]! <= score) code++;
      into[at + line] = code;
      if (counts) counts[code]!++;
    }
  }
}
