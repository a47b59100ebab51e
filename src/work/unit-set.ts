/**
 * Units of a plan as a set of bits: a million of them take 125 kB, where a set of numbers takes forty times that. Grows with
 * the largest unit that is added.
 */

/** What is asked of a set of units of any kind. */
export interface Units<Key> extends Iterable<Key> {
  readonly size: number;
  has(unit: Key): boolean;
}

/** A set of units that is still growing; every set is one. */
export interface GrowingUnits<Key> extends Units<Key> {
  add(unit: Key): unknown;
}

const FIRST_BYTES = 1024;

/** See the file's header. Units come in their order. */
export class UnitSet implements GrowingUnits<number> {
  #bits = new Uint8Array(FIRST_BYTES);
  #size = 0;

  /** @param units a unit is a whole number from 0 */
  constructor(units: Iterable<number> = []) {
    for (const unit of units) this.add(unit);
  }

  get size(): number {
    return this.#size;
  }

  has(unit: number): boolean {
    return (((this.#bits[Math.floor(unit / 8)] ?? 0) >> (unit % 8)) & 1) === 1;
  }

  add(unit: number): this {
    if (this.has(unit)) return this;
    const at = Math.floor(unit / 8);
    if (at >= this.#bits.length) {
      const grown = new Uint8Array(Math.max(at + 1, this.#bits.length * 2));
      grown.set(this.#bits);
      this.#bits = grown;
    }
    this.#bits[at]! |= 1 << (unit % 8);
    this.#size++;
    return this;
  }

  *[Symbol.iterator](): Generator<number> {
    for (const [at, byte] of this.#bits.entries()) {
      if (byte === 0) continue;
      for (let bit = 0; bit < 8; bit++) if ((byte >> bit) & 1) yield at * 8 + bit;
    }
  }
}
