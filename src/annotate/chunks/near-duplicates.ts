/**
 * Near-duplicate windows by MinHash (Broder 1997) with banding: 64 hashes in 16 bands of 4.
 *
 * A window's set is its runs of three words (all its words, when it has fewer). Two windows that share a band are
 * compared by the share of equal hashes, an estimate of the Jaccard similarity of their sets (standard error 0.06 at
 * most); pairs at 0.8 share a band with probability 0.9998. Memory is 256 bytes a window and its 16 bands; a bucket of more
 * than {@link MAX_BUCKET} windows compares with the latest of them only, so that work stays linear.
 */
import { hashWord, mixHashes } from '../../lines/hash.ts';
import { forEachWord } from '../../scorers/words.ts';

const N_HASHES = 64;
const ROWS = 4;
const N_BANDS = N_HASHES / ROWS;
const MAX_BUCKET = 64;
const RUN_WORDS = 3;

/** Finds windows that are nearly the same as an earlier one. */
export class NearDuplicates {
  readonly #threshold: number;
  readonly #signatures: Int32Array[] = [];
  readonly #bands: Map<number, number[]>[] = Array.from({ length: N_BANDS }, () => new Map());

  /** @param threshold Jaccard similarity from which on two windows are the same, 0..1 */
  constructor(threshold: number) {
    this.#threshold = threshold;
  }

  /** True when an earlier text is nearly the same; a text that is new is remembered. */
  seen(text: string): boolean {
    const signature = signatureOf(text);
    const keys = Array.from({ length: N_BANDS }, (_, band) => bandKey(signature, band));
    for (const [band, key] of keys.entries()) {
      for (const other of this.#bands[band]!.get(key) ?? []) {
        if (similarity(signature, this.#signatures[other]!) >= this.#threshold) return true;
      }
    }
    const index = this.#signatures.push(signature) - 1;
    for (const [band, key] of keys.entries()) {
      const bucket = this.#bands[band]!.get(key);
      if (!bucket) this.#bands[band]!.set(key, [index]);
      else {
        if (bucket.length === MAX_BUCKET) bucket.shift();
        bucket.push(index);
      }
    }
    return false;
  }
}

/** The smallest value of each of 64 hash functions over the runs of words of a text. */
export function signatureOf(text: string): Int32Array {
  const signature = new Int32Array(N_HASHES).fill(0x7fffffff);
  const words: number[] = [];
  forEachWord(text, (word) => words.push(hashWord(word)));
  const length = Math.min(RUN_WORDS, Math.max(1, words.length));
  for (let at = 0; at + length <= words.length; at++) {
    let run = words[at]!;
    for (let next = 1; next < length; next++) run = mixHashes(run, words[at + next]!);
    for (let hash = 0; hash < N_HASHES; hash++) {
      const value = mixHashes(run, Math.imul(hash + 1, 0x9e3779b1));
      if (value < signature[hash]!) signature[hash] = value;
    }
  }
  return signature;
}

/** Share of equal hashes: the estimated Jaccard similarity, 0..1. */
export function similarity(one: Int32Array, other: Int32Array): number {
  let equal = 0;
  for (let hash = 0; hash < N_HASHES; hash++) if (one[hash] === other[hash]) equal++;
  return equal / N_HASHES;
}

function bandKey(signature: Int32Array, band: number): number {
  let key = band;
  for (let row = 0; row < ROWS; row++) key = mixHashes(key, signature[band * ROWS + row]!);
  return key;
}
