/**
 * Byte-pair merges of counted words (Sennrich, Haddow and Birch 2016): the most frequent pair of neighbours is merged
 * again and again. Ties go to the pair whose strings come first, so that the merges depend on the counts alone.
 *
 * Counts of pairs are kept up to date word by word, and a heap gives the most frequent; an entry of the heap whose
 * count has changed since is put back with its new count.
 */

/** A merge: two symbols that become one. */
export interface Merge {
  readonly left: string;
  readonly right: string;
}

interface Word {
  symbols: number[];
  readonly count: number;
}

/**
 * Learns merges.
 *
 * @param words counts of words in the byte alphabet
 * @param nMerges at most; fewer when no pair occurs `minCount` times
 * @param minCount smallest count of a pair, at least 1; default 2
 * @param signal checked before every merge
 */
export function learnMerges(
  words: ReadonlyMap<string, number>,
  nMerges: number,
  minCount = 2,
  signal?: AbortSignal,
): Merge[] {
  return new MergeLearner(words).learn(nMerges, minCount, signal);
}

class MergeLearner {
  readonly #names: string[] = [];
  readonly #ids = new Map<string, number>();
  readonly #words: Word[] = [];
  readonly #counts = new Map<number, number>();
  /** Words that held the pair when it was last seen; a superset of those that hold it. */
  readonly #places = new Map<number, Set<number>>();
  readonly #heap: { readonly pair: number; readonly count: number }[] = [];

  constructor(words: ReadonlyMap<string, number>) {
    for (const [text, count] of words) {
      const symbols = Array.from(text, (character) => this.#idOf(character));
      const index = this.#words.push({ symbols, count }) - 1;
      for (let at = 0; at + 1 < symbols.length; at++) {
        this.#add(symbols[at]!, symbols[at + 1]!, count, index);
      }
    }
    for (const [pair, count] of this.#counts) this.#push(pair, count);
  }

  learn(nMerges: number, minCount: number, signal: AbortSignal | undefined): Merge[] {
    const merges: Merge[] = [];
    while (merges.length < nMerges) {
      signal?.throwIfAborted();
      const top = this.#pop();
      if (!top || top.count < minCount) break;
      const count = this.#counts.get(top.pair) ?? 0;
      if (count !== top.count) {
        if (count > 0) this.#push(top.pair, count);
        continue;
      }
      const [left, right] = partsOf(top.pair);
      merges.push({ left: this.#names[left]!, right: this.#names[right]! });
      this.#merge(top.pair, left, right);
    }
    return merges;
  }

  #merge(pair: number, left: number, right: number): void {
    const merged = this.#idOf(this.#names[left]! + this.#names[right]!);
    const changed = new Set<number>();
    for (const index of this.#places.get(pair) ?? []) {
      const word = this.#words[index]!;
      const { symbols, count } = word;
      if (!holds(symbols, left, right)) continue;
      for (let at = 0; at + 1 < symbols.length; at++) {
        this.#remove(symbols[at]!, symbols[at + 1]!, count);
      }
      const next: number[] = [];
      for (let at = 0; at < symbols.length; at++) {
        if (symbols[at] === left && symbols[at + 1] === right) {
          next.push(merged);
          at++;
        } else {
          next.push(symbols[at]!);
        }
      }
      word.symbols = next;
      for (let at = 0; at + 1 < next.length; at++) {
        changed.add(this.#add(next[at]!, next[at + 1]!, count, index));
      }
    }
    this.#places.delete(pair);
    // Counts that fell are found out when they come up; those that rose must come up in time.
    for (const other of changed) this.#push(other, this.#counts.get(other)!);
  }

  #idOf(name: string): number {
    const known = this.#ids.get(name);
    if (known !== undefined) return known;
    const id = this.#names.push(name) - 1;
    this.#ids.set(name, id);
    return id;
  }

  #add(left: number, right: number, count: number, word: number): number {
    const pair = pairOf(left, right);
    this.#counts.set(pair, (this.#counts.get(pair) ?? 0) + count);
    const places = this.#places.get(pair);
    if (places) places.add(word);
    else this.#places.set(pair, new Set([word]));
    return pair;
  }

  #remove(left: number, right: number, count: number): void {
    const pair = pairOf(left, right);
    const remaining = this.#counts.get(pair)! - count;
    if (remaining > 0) this.#counts.set(pair, remaining);
    else this.#counts.delete(pair);
  }

  #before(one: { pair: number; count: number }, other: { pair: number; count: number }): boolean {
    if (one.count !== other.count) return one.count > other.count;
    if (one.pair === other.pair) return false;
    const [left, right] = partsOf(one.pair).map((id) => this.#names[id]!) as [string, string];
    const [otherLeft, otherRight] = partsOf(other.pair).map((id) => this.#names[id]!) as [
      string,
      string,
    ];
    return left === otherLeft ? right < otherRight : left < otherLeft;
  }

  #push(pair: number, count: number): void {
    const heap = this.#heap;
    const entry = { pair, count };
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(entry, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): { readonly pair: number; readonly count: number } | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (!top || !last || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#before(heap[child + 1]!, heap[child]!)) child++;
      if (!this.#before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

/** Two ids in one number: vocabularies are far below 2 ** 26. */
function pairOf(left: number, right: number): number {
  return left * 2 ** 26 + right;
}

function partsOf(pair: number): [number, number] {
  return [Math.floor(pair / 2 ** 26), pair % 2 ** 26];
}

function holds(symbols: readonly number[], left: number, right: number): boolean {
  for (let at = 0; at + 1 < symbols.length; at++) {
    if (symbols[at] === left && symbols[at + 1] === right) return true;
  }
  return false;
}
