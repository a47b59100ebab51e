/**
 * Numbers of byte strings that repeat (statuses, reasons, domains): a hash table over the bytes, so that no string is made of
 * a value but the first time that it is met. A million rows have four such columns, and their strings were half of what an
 * index cost.
 *
 *     slots     hash & mask ──► entry + 1, 0: free; the next slot where another value has it
 *     entries   hash, number, and where in `arena` the bytes lie
 */
import { Buffer } from 'node:buffer';

/** Distinct values that are remembered, and bytes of theirs; what comes after is asked for again each time. */
const MAX_ENTRIES = 100_000;
const MAX_ARENA_BYTES = 16 * 2 ** 20;
const FIRST_SLOTS = 256;
/** Bytes of each end that a hash covers: long values that agree in them are told apart by comparing. */
const HASHED_END = 64;

/** See the file's header. */
export class ByteNumbers {
  readonly #make: (value: string) => number;
  #slots = new Int32Array(FIRST_SLOTS);
  #hashes = new Int32Array(FIRST_SLOTS);
  #numbers = new Int32Array(FIRST_SLOTS);
  #starts = new Int32Array(FIRST_SLOTS + 1);
  #arena = Buffer.allocUnsafeSlow(4096);
  #nEntries = 0;

  /** @param make the number of a value, asked for once while there is room to remember it */
  constructor(make: (value: string) => number) {
    this.#make = make;
  }

  /** The number of the value at `data[start .. end)`. */
  numberOf(data: Uint8Array, start: number, end: number): number {
    const hash = hashOf(data, start, end);
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const entry = this.#slots[slot]! - 1;
      if (entry < 0) break;
      if (this.#hashes[entry] === hash && this.#isAt(entry, data, start, end)) {
        return this.#numbers[entry]!;
      }
      slot = (slot + 1) & mask;
    }
    const number = this.#make(Buffer.from(data.subarray(start, end)).toString());
    this.#remember(hash, number, data.subarray(start, end));
    return number;
  }

  #isAt(entry: number, data: Uint8Array, start: number, end: number): boolean {
    const from = this.#starts[entry]!;
    if (this.#starts[entry + 1]! - from !== end - start) return false;
    const arena = this.#arena;
    for (let at = start; at < end; at++) if (data[at] !== arena[from + at - start]) return false;
    return true;
  }

  #remember(hash: number, number: number, bytes: Uint8Array): void {
    const start = this.#starts[this.#nEntries]!;
    const end = start + bytes.byteLength;
    if (this.#nEntries >= MAX_ENTRIES || end > MAX_ARENA_BYTES) return;
    if (this.#nEntries * 2 >= this.#slots.length) this.#grow();
    if (end > this.#arena.byteLength) {
      const larger = Buffer.allocUnsafeSlow(Math.max(end, this.#arena.byteLength * 2));
      larger.set(this.#arena.subarray(0, start));
      this.#arena = larger;
    }
    this.#arena.set(bytes, start);
    this.#hashes[this.#nEntries] = hash;
    this.#numbers[this.#nEntries] = number;
    this.#nEntries++;
    this.#starts[this.#nEntries] = end;
    this.#place(this.#nEntries);
  }

  /** @param entry one behind its index */
  #place(entry: number): void {
    const mask = this.#slots.length - 1;
    let slot = this.#hashes[entry - 1]! & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = entry;
  }

  #grow(): void {
    const size = this.#slots.length * 2;
    const larger = (from: Int32Array, length: number) => {
      const into = new Int32Array(length);
      into.set(from);
      return into;
    };
    this.#hashes = larger(this.#hashes, size);
    this.#numbers = larger(this.#numbers, size);
    this.#starts = larger(this.#starts, size + 1);
    this.#slots = new Int32Array(size);
    for (let entry = 1; entry <= this.#nEntries; entry++) this.#place(entry);
  }
}

/** FNV-1a, with its bits mixed at the end as the lowest ones choose the slot. */
function hashOf(data: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5 ^ (end - start);
  const isLong = end - start > 2 * HASHED_END;
  const stop = isLong ? start + HASHED_END : end;
  for (let at = start; at < stop; at++) hash = Math.imul(hash ^ data[at]!, 0x01000193);
  if (isLong) {
    for (let at = end - HASHED_END; at < end; at++) hash = Math.imul(hash ^ data[at]!, 0x01000193);
  }
  return hash ^ (hash >>> 15);
}
