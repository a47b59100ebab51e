/**
 * What other thresholds would do, from kept scores: sums by document score and line score, so that any pair of thresholds is a
 * sum over a few thousand numbers, whatever the corpus.
 *
 *     by document code d          rows, lines, bytes of their texts
 *     by d and line code l        lines (and their bytes) that go from edge l on, documents that lose their first line there
 *
 * A document stays above the edge kd when d > kd; of those that stay, a line goes at the edge kl when its l <= kl, where l is its
 * code, or `actsFrom` of its page where that is more (batch-scores.ts) and thresholds follow from a retention. Bytes need texts, and come later than the rest. What
 * the executor does beside (a document that would lose nearly everything is dropped) is not in the sums.
 */
import { FELL, NEVER } from '../scores/batch-scores.ts';
import { countUpTo } from '../scores/edges.ts';
import type { ScoreLayout } from '../scores/layout.ts';
import type { ScoreBlock } from '../scores/score-file.ts';

const LF = 10;
const BY_DOCUMENT = 5;
const BY_LINE = 3;

/** Edges of both stages; see the file's header. */
export interface GridEdges {
  /** Ascending; empty where documents are not scored. */
  readonly documents: readonly number[];
  readonly lines: readonly number[];
  /** Whether pages with next to no evidence against their lines stay as they are (scores/verdict.ts). */
  readonly isFromRetention: boolean;
}

/** What a pair of thresholds makes of the rows that have scores. */
export interface GridFigures {
  readonly rows: number;
  readonly dropped: number;
  /** Documents that lose a line, among those that stay. */
  readonly edited: number;
  readonly lines: number;
  readonly linesGone: number;
  /** Rows whose texts have been measured, their bytes, and those that go with documents and with lines. */
  readonly sizedRows: number;
  readonly bytes: number;
  readonly bytesDropped: number;
  readonly bytesGone: number;
  /** Documents that stay and have no scores of lines, as the run has dropped them. */
  readonly unscored: number;
}

/** The edges of a run's grid. */
export function gridEdges(
  layout: ScoreLayout,
  used: number | null,
  isFromRetention: boolean,
): GridEdges {
  const documents = new Set<number>();
  if (layout.documents) {
    if (used !== null) documents.add(used);
    for (const { threshold } of layout.documents.thresholds) documents.add(threshold);
    for (let hundredth = 1; hundredth < 100; hundredth++) documents.add(hundredth / 100);
  }
  return {
    documents: [...documents].sort((left, right) => left - right),
    lines: layout.lines?.edges ?? [],
    isFromRetention,
  };
}

/** See the file's header. */
export class ScoreGrid {
  readonly edges: GridEdges;
  readonly buffer: SharedArrayBuffer;
  readonly #byDocument: Float64Array;
  readonly #byLine: Float64Array;
  readonly #nLine: number;

  constructor(edges: GridEdges, buffer: SharedArrayBuffer | null = null) {
    this.edges = edges;
    const nDocument = edges.documents.length + 1;
    this.#nLine = edges.lines.length + 1;
    const byDocument = nDocument * BY_DOCUMENT;
    const byLine = nDocument * this.#nLine * BY_LINE;
    this.buffer = buffer ?? new SharedArrayBuffer(8 * (byDocument + byLine));
    this.#byDocument = new Float64Array(this.buffer, 0, byDocument);
    this.#byLine = new Float64Array(this.buffer, 8 * byDocument, byLine);
  }

  /** Code of a document's score; one without a score stays at every edge. */
  documentCode(score: number): number {
    const { documents } = this.edges;
    return Number.isNaN(score) ? documents.length : countUpTo(documents, score);
  }

  /** Adds the rows of a sidecar's block. */
  addScores({ nRows, state, document, lineStarts, codes, actsFrom }: ScoreBlock): void {
    const nEdges = this.edges.lines.length;
    for (let row = 0; row < nRows; row++) {
      const at = this.documentCode(document[row]!);
      const [start, end] = [lineStarts[row]!, lineStarts[row + 1]!];
      const own = this.#byDocument;
      own[at * BY_DOCUMENT]!++;
      own[at * BY_DOCUMENT + 1]! += end - start;
      if (state[row] === FELL && nEdges > 0) own[at * BY_DOCUMENT + 2]!++;
      const acts = this.edges.isFromRetention ? actsFrom[row]! : 0;
      if (acts === NEVER) continue;
      let first = nEdges;
      for (let line = start; line < end; line++) {
        const edge = Math.max(codes[line]!, acts);
        if (edge >= nEdges) continue;
        this.#byLine[(at * this.#nLine + edge) * BY_LINE]!++;
        if (edge < first) first = edge;
      }
      if (first < nEdges) this.#byLine[(at * this.#nLine + first) * BY_LINE + 2]!++;
    }
  }

  /** Adds the bytes of a row's text and lines, where it has as many lines as scores. */
  addText(
    block: ScoreBlock,
    row: number,
    data: Uint8Array,
    [start, end]: readonly [number, number],
  ): void {
    const at = this.documentCode(block.document[row]!);
    this.#byDocument[at * BY_DOCUMENT + 3]!++;
    this.#byDocument[at * BY_DOCUMENT + 4]! += end - start;
    const acts = this.edges.isFromRetention ? block.actsFrom[row]! : 0;
    if (acts === NEVER) return;
    const nEdges = this.edges.lines.length;
    let line = block.lineStarts[row]!;
    const last = block.lineStarts[row + 1]!;
    for (let from = start; from <= end && line < last; line++) {
      let to = data.indexOf(LF, from);
      if (to < 0 || to > end) to = end;
      const edge = Math.max(block.codes[line]!, acts);
      // With its line feed, which the last line does not have.
      const bytes = to < end ? to - from + 1 : to - from;
      if (edge < nEdges) this.#byLine[(at * this.#nLine + edge) * BY_LINE + 1]! += bytes;
      from = to + 1;
    }
  }

  /**
   * What a pair of thresholds does.
   *
   * @param documentEdge index of the edge below which documents go; -1 for none
   * @param lineEdge the same of lines
   */
  figures(documentEdge: number, lineEdge: number): GridFigures {
    const sums = { rows: 0, dropped: 0, edited: 0, lines: 0, linesGone: 0 };
    const bytes = { sizedRows: 0, bytes: 0, bytesDropped: 0, bytesGone: 0, unscored: 0 };
    for (let at = 0; at <= this.edges.documents.length; at++) {
      const place = at * BY_DOCUMENT;
      const [rows, lines, unscored, sizedRows, size] = this.#byDocument.subarray(
        place,
        place + BY_DOCUMENT,
      ) as unknown as [number, number, number, number, number];
      sums.rows += rows;
      bytes.sizedRows += sizedRows;
      bytes.bytes += size;
      if (at <= documentEdge) {
        sums.dropped += rows;
        bytes.bytesDropped += size;
        continue;
      }
      sums.lines += lines;
      bytes.unscored += unscored;
      for (let edge = 0; edge <= lineEdge; edge++) {
        const cell = (at * this.#nLine + edge) * BY_LINE;
        sums.linesGone += this.#byLine[cell]!;
        bytes.bytesGone += this.#byLine[cell + 1]!;
        sums.edited += this.#byLine[cell + 2]!;
      }
    }
    return { ...sums, ...bytes };
  }
}
