/** Seeded pseudo-random numbers for the example corpus: the same key gives the same stream on every machine. */

/** FNV-1a over UTF-16 units. @param {string} key */
function hash(key) {
  let state = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) {
    state = Math.imul(state ^ key.charCodeAt(at), 0x01000193);
  }
  return state >>> 0;
}

/** mulberry32 with the few draws that the corpus needs. */
export class Random {
  /** @type {number} */
  #state;

  /** @param {string} key */
  constructor(key) {
    this.#state = hash(key);
  }

  /** Uniform in [0, 1). */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  /** Integer in [low, high], both included. @param {number} low @param {number} high */
  int(low, high) {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  /** @param {number} probability */
  chance(probability) {
    return this.next() < probability;
  }

  /** @template T @param {readonly T[]} items @returns {T} */
  pick(items) {
    const item = items[this.int(0, items.length - 1)];
    if (item === undefined) throw new Error('pick from an empty pool');
    return item;
  }

  /** At most `count` different items, in random order. @template T @param {readonly T[]} items @param {number} count */
  sample(items, count) {
    const rest = [...items];
    for (let at = rest.length - 1; at > 0; at--) {
      const other = this.int(0, at);
      const held = /** @type {T} */ (rest[at]);
      rest[at] = /** @type {T} */ (rest[other]);
      rest[other] = held;
    }
    return rest.slice(0, count);
  }
}
