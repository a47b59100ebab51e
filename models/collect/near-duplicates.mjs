/**
 * Texts that are nearly the same as one taken before: shingles of five words, the 64 smallest hashes of each text, and
 * a share of them in common. Scripts without spaces count a character as a word.
 */

const SHINGLE = 5;
const SKETCH = 64;
/** Hashes of a sketch that a text is looked up by. */
const LOOKED_UP = 12;

/** Remembers texts and says whether a new one is nearly one of them. */
export class NearDuplicates {
  #sketches = [];
  #byHash = new Map();
  #minShare;

  /** @param minShare share of two sketches in common from which on texts are nearly the same */
  constructor(minShare = 0.5) {
    this.#minShare = minShare;
  }

  /** Whether the text is new; it is remembered then. */
  isNew(text) {
    const sketch = sketchOf(text);
    const probes = sketch.slice(0, LOOKED_UP);
    const candidates = new Set(probes.flatMap((hash) => this.#byHash.get(hash) ?? []));
    for (const at of candidates) {
      if (sharedShare(sketch, this.#sketches[at]) >= this.#minShare) return false;
    }
    for (const hash of probes) {
      const known = this.#byHash.get(hash);
      if (known === undefined) this.#byHash.set(hash, [this.#sketches.length]);
      // A phrase of hundreds of texts (a badge, a licence's sentence) finds nothing that another phrase would not.
      else if (known.length < 200) known.push(this.#sketches.length);
    }
    this.#sketches.push(sketch);
    return true;
  }
}

function sketchOf(text) {
  const words =
    text
      .toLowerCase()
      .match(
        /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{M}\p{N}]+/gu,
      ) ?? [];
  const hashes = new Set();
  for (let at = 0; at + SHINGLE <= Math.max(words.length, SHINGLE); at++) {
    hashes.add(hashOf(words.slice(at, at + SHINGLE).join(' ')));
  }
  return [...hashes].sort((left, right) => left - right).slice(0, SKETCH);
}

/** FNV-1a over UTF-16 units, stirred. */
function hashOf(text) {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 12)) >>> 0;
}

/** Of the smallest hashes of both together, the share that both hold: an estimate of their overlap. */
function sharedShare(left, right) {
  const inRight = new Set(right);
  const union = [...new Set([...left, ...right])]
    .sort((one, other) => one - other)
    .slice(0, Math.min(SKETCH, Math.max(left.length, right.length)));
  const inLeft = new Set(left);
  return union.filter((hash) => inLeft.has(hash) && inRight.has(hash)).length / union.length;
}
