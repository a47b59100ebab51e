/**
 * The printable alphabet of byte-level BPE (Radford et al. 2019): one character for each byte, so that every text has
 * tokens and every token is a string. Printable Latin-1 bytes stand for themselves, the others for U+0100 and up.
 */

/** Character of each byte, by byte. */
export const BYTE_CHARACTERS: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  String.fromCharCode(isPrintable(byte) ? byte : 256 + othersBelow(byte)),
);

/** A text's UTF-8 bytes in the alphabet; lone surrogates become U+FFFD. */
export function toByteCharacters(text: string): string {
  let characters = '';
  for (const byte of Buffer.from(text, 'utf8')) characters += BYTE_CHARACTERS[byte]!;
  return characters;
}

function isPrintable(byte: number): boolean {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

function othersBelow(byte: number): number {
  let count = 0;
  for (let other = 0; other < byte; other++) if (!isPrintable(other)) count++;
  return count;
}
