/** Hashes of words: FNV-1a over UTF-16 units, 32 bits, and a mixer for sequences and namespaces. */

/** Where a word's hash begins. */
export const FNV_BASE = 0x811c9dc5 | 0;
/** What each unit multiplies by. */
export const FNV_PRIME = 0x01000193;

/** Hash of a word in the form the scan gives it: lower case, digits as `0`. */
export function hashWord(word: string): number {
  let hash = FNV_BASE;
  for (let at = 0; at < word.length; at++) {
    hash = Math.imul(hash ^ word.charCodeAt(at), FNV_PRIME);
  }
  return hash;
}

/** Hash of an ordered pair of hashes. */
export function mixHashes(left: number, right: number): number {
  let mixed = Math.imul(left ^ (right + 0x9e3779b9 + (left << 6)), 0x85ebca6b);
  mixed ^= mixed >>> 13;
  return Math.imul(mixed, 0xc2b2ae35);
}
