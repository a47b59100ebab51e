/**
 * Byte strings: UTF-8 text held in a JS string with one character per byte (latin1).
 *
 * Line and substring operations on them are exact: a line feed is never part of a longer UTF-8 sequence and
 * a whole UTF-8 needle only matches at character boundaries. V8 holds them with one byte per character, and
 * Buffers read and write them (`latin1`) at memory speed (measured 2.7 × the speed of UTF-16 strings end to end).
 */

/** A string whose characters are bytes of UTF-8 text. */
export type ByteString = string;

// biome-ignore lint/suspicious/noControlCharactersInRegex: the range is ASCII, whole
const NON_ASCII = /[^\u0000-\u007f]/;

/** Encodes a JS string; lone surrogates become U+FFFD. */
export function toByteString(text: string): ByteString {
  return NON_ASCII.test(text) ? Buffer.from(text, 'utf8').toString('latin1') : text;
}

/** Decodes a byte string; bytes that are not UTF-8 become U+FFFD. */
export function fromByteString(bytes: ByteString): string {
  return NON_ASCII.test(bytes) ? Buffer.from(bytes, 'latin1').toString('utf8') : bytes;
}

/** The methods under `toString('latin1')` and `write(…, 'latin1')`, without the choice of an encoding. */
interface Latin1Methods {
  latin1Slice(start: number, end: number): ByteString;
  latin1Write(bytes: ByteString, offset: number, length: number): number;
}

/** Reads bytes `[start, end)` of a buffer. */
export function readBytes(buffer: Buffer, start: number, end: number): ByteString {
  return (buffer as Buffer & Latin1Methods).latin1Slice(start, end);
}

/** Writes a byte string that fits. */
export function writeBytes(buffer: Buffer, bytes: ByteString, offset: number): void {
  (buffer as Buffer & Latin1Methods).latin1Write(bytes, offset, bytes.length);
}
