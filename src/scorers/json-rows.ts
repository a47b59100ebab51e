/**
 * JSON values of a file with the line that each begins on: one value a line, or the items of one array over all lines,
 * as sets of instructions are often published. An array is cut into its items as it is read, never held as a whole.
 *
 * Cutting looks at strings and brackets alone; what lies between is for the parser to judge.
 */
import type { ByteLine } from '../corpus/byte-lines.ts';

/** Bytes of a value. */
export interface JsonItem {
  readonly bytes: Buffer;
  /** From 1. */
  readonly line: number;
  /** Why the bytes are no value, where that is known before they are parsed. */
  readonly fault?: string;
}

const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT, COMMA, QUOTE, BACKSLASH] = Buffer.from(
  '[]{},"\\',
) as unknown as [number, number, number, number, number, number, number];
const LINE_FEED = Buffer.from('\n');

/**
 * Values of the groups that `readLines` gives.
 *
 * @param maxItemBytes longest value; a longer one has a fault in place of its bytes and is the last
 */
export async function* jsonItems(
  groups: AsyncIterable<readonly ByteLine[]>,
  maxItemBytes: number,
): AsyncGenerator<JsonItem> {
  let cutter: ArrayCutter | null = null;
  let isFirst = true;
  for await (const group of groups) {
    for (const { bytes, byteLength, line } of group) {
      if (byteLength > bytes.byteLength) {
        yield faulty(line, `a line of ${byteLength} bytes; at most ${maxItemBytes} are read`);
        return;
      }
      if (isFirst && firstByte(bytes) === OPEN_ARRAY) cutter = new ArrayCutter(maxItemBytes);
      isFirst = false;
      if (!cutter) yield { bytes, line };
      else {
        for (const item of cutter.cut(bytes, line)) {
          yield item;
          if (item.fault) return;
        }
      }
    }
  }
  const fault = cutter?.end();
  if (fault) yield fault;
}

class ArrayCutter {
  readonly #maxItemBytes: number;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #hasEnded = false;
  #nItems = 0;
  #parts: Buffer[] = [];
  #nBytes = 0;
  #firstLine = 1;
  #lastLine = 1;

  constructor(maxItemBytes: number) {
    this.#maxItemBytes = maxItemBytes;
  }

  *cut(bytes: Buffer, line: number): Generator<JsonItem> {
    this.#lastLine = line;
    let start = 0;
    for (const [at, byte] of bytes.entries()) {
      // What stands behind the end is looked at below.
      if (this.#hasEnded) break;
      if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === BACKSLASH) this.#escaped = true;
        else if (byte === QUOTE) this.#inString = false;
      } else if (byte === QUOTE) this.#inString = true;
      else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) {
        if (this.#depth++ === 0) start = at + 1;
      } else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
        if (--this.#depth > 0) continue;
        this.#keep(bytes.subarray(start, at), line);
        yield* this.#finish(byte === CLOSE_ARRAY && this.#nItems === 0);
        this.#hasEnded = true;
        start = at + 1;
      } else if (byte === COMMA && this.#depth === 1) {
        this.#keep(bytes.subarray(start, at), line);
        yield* this.#finish(false);
        start = at + 1;
      }
    }
    this.#keep(bytes.subarray(start), line);
    if (this.#hasEnded && this.#nBytes > 0) yield faulty(line, 'something behind the array');
    if (this.#nBytes > this.#maxItemBytes) yield this.#tooLong();
  }

  #tooLong(): JsonItem {
    const what = `an item of more than ${this.#maxItemBytes} bytes, the most that is read`;
    return faulty(this.#firstLine, what);
  }

  end(): JsonItem | null {
    return this.#hasEnded ? null : faulty(this.#lastLine, 'an array without its end');
  }

  #keep(bytes: Buffer, line: number): void {
    const isBlank = firstByte(bytes) === undefined;
    if (this.#parts.length === 0) {
      if (isBlank) return;
      this.#firstLine = line;
    }
    this.#parts.push(bytes, LINE_FEED);
    this.#nBytes += bytes.byteLength + 1;
  }

  /** @param mayBeNothing an array may be empty, but no item of it may */
  *#finish(mayBeNothing: boolean): Generator<JsonItem> {
    if (this.#parts.length === 0) {
      if (!mayBeNothing) yield faulty(this.#lastLine, 'nothing between two items of the array');
      return;
    }
    yield this.#nBytes > this.#maxItemBytes
      ? this.#tooLong()
      : { bytes: Buffer.concat(this.#parts), line: this.#firstLine };
    this.#nItems++;
    this.#parts = [];
    this.#nBytes = 0;
  }
}

function faulty(line: number, fault: string): JsonItem {
  return { bytes: Buffer.alloc(0), line, fault };
}

/** The first byte that is no white space of JSON. */
function firstByte(bytes: Buffer): number | undefined {
  return bytes.find((byte) => byte !== 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d);
}
