/**
 * Where the lines of a byte string start. A line ends at LF and nowhere else.
 *
 * The text is scanned no further than the highest line that was asked for. One index is reused for all
 * documents of an executor: no allocation per document.
 *
 *     text   a b LF c LF LF d          starts 0 3 5 6, nLines 4, and past the last line: 8
 */
import type { ByteString } from './byte-string.ts';

const FIRST_CAPACITY = 1024;

/** Line starts of one text at a time. */
export class LineIndex {
  #text: ByteString = '';
  #starts = new Int32Array(FIRST_CAPACITY);
  #nKnown = 1;
  /** Set once the last line is known. */
  #nLines = -1;

  /** Begins a new text. */
  reset(text: ByteString): void {
    this.#text = text;
    this.#nKnown = 1;
    this.#nLines = -1;
  }

  /** Number of lines; scans the whole text. */
  get nLines(): number {
    while (this.#nLines < 0) this.#scanTo(this.#nKnown * 2 + 64);
    return this.#nLines;
  }

  /**
   * Offset of line `line`. One past the last line it is `text.length + 1`, as if the text ended with a
   * line feed; further on it is -1.
   */
  startOf(line: number): number {
    if (line >= this.#nKnown) this.#scanTo(line);
    if (line < this.#nKnown) return this.#starts[line]!;
    return line === this.#nLines ? this.#text.length + 1 : -1;
  }

  /** The line that holds byte `offset` of the text. */
  lineOf(offset: number): number {
    while (this.#nLines < 0 && this.#starts[this.#nKnown - 1]! <= offset) {
      this.#scanTo(this.#nKnown * 2);
    }
    let low = 0;
    let high = this.#nKnown;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return low;
  }

  #scanTo(line: number): void {
    if (this.#nLines >= 0) return;
    let start = this.#starts[this.#nKnown - 1]!;
    while (this.#nKnown <= line) {
      const lineFeed = this.#text.indexOf('\n', start);
      if (lineFeed < 0) {
        this.#nLines = this.#nKnown;
        return;
      }
      start = lineFeed + 1;
      if (this.#nKnown === this.#starts.length) this.#grow();
      this.#starts[this.#nKnown++] = start;
    }
  }

  #grow(): void {
    const grown = new Int32Array(this.#starts.length * 2);
    grown.set(this.#starts);
    this.#starts = grown;
  }
}
