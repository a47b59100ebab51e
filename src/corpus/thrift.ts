/**
 * Thrift's compact protocol, reading side: what Parquet's footers and page headers are written in.
 *
 * Invariants
 *  1. Bytes are untrusted: every length is held against the bytes that are left before anything is made of it, and
 *     structs nest at most {@link MAX_DEPTH} deep.
 *  2. Fields and types that are not known yet are read and kept, never an error: formats grow.
 */

/** A value: integers of any width are bigints, strings and binaries are bytes. */
export type ThriftValue =
  | boolean
  | bigint
  | number
  | Uint8Array
  | readonly ThriftValue[]
  | ThriftStruct;

/** Fields of a struct by their id. */
export type ThriftStruct = ReadonlyMap<number, ThriftValue>;

/** The bytes are no such struct. */
export class ThriftError extends Error {}

const MAX_DEPTH = 64;

/** A list of the outermost struct whose elements are taken one by one as they are read, and not kept. */
export interface TakenList {
  readonly field: number;
  take(element: ThriftValue): void;
}

/**
 * A struct and the number of bytes it took.
 *
 * @param taken its field is empty in the result
 * @throws ThriftError; what `take` throws
 */
export function readThrift(
  bytes: Uint8Array,
  taken: TakenList | null = null,
): {
  readonly value: ThriftStruct;
  readonly size: number;
} {
  const reader = new Reader(bytes, taken);
  const value = reader.struct(0);
  return { value, size: reader.at };
}

class Reader {
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #taken: TakenList | null;

  constructor(bytes: Uint8Array, taken: TakenList | null) {
    this.#bytes = bytes;
    this.#taken = taken;
  }

  struct(depth: number): ThriftStruct {
    if (depth > MAX_DEPTH) throw new ThriftError('structs are nested too deep');
    const fields = new Map<number, ThriftValue>();
    let id = 0;
    for (;;) {
      const head = this.#byte();
      if (head === 0) return fields;
      id = head >> 4 === 0 ? Number(this.#zigzag()) : id + (head >> 4);
      const type = head & 15;
      if (depth === 0 && type === 9 && id === this.#taken?.field) {
        fields.set(id, this.#list(depth, this.#taken));
        continue;
      }
      // The field's head holds a boolean; elements of lists are bytes.
      fields.set(id, type === 1 || type === 2 ? type === 1 : this.#value(type, depth));
    }
  }

  #value(type: number, depth: number): ThriftValue {
    switch (type) {
      case 1:
      case 2:
        return this.#byte() === 1;
      case 3:
        return BigInt((this.#byte() << 24) >> 24);
      case 4:
      case 5:
      case 6:
        return this.#zigzag();
      case 7: {
        const { buffer, byteOffset } = this.#take(8);
        return new DataView(buffer, byteOffset, 8).getFloat64(0, true);
      }
      case 8:
        return this.#take(this.#length());
      case 9:
      case 10:
        return this.#list(depth);
      case 11:
        return this.#map(depth);
      case 12:
        return this.struct(depth + 1);
      case 13:
        return this.#take(16);
      default:
        throw new ThriftError(`a field of type ${type}`);
    }
  }

  #list(depth: number, taken: TakenList | null = null): ThriftValue[] {
    if (depth > MAX_DEPTH) throw new ThriftError('lists are nested too deep');
    const head = this.#byte();
    const length = head >> 4 === 15 ? this.#length() : head >> 4;
    // An element takes a byte at least.
    this.#check(length);
    const items: ThriftValue[] = [];
    for (let at = 0; at < length; at++) {
      const item = this.#value(head & 15, depth + 1);
      if (taken) taken.take(item);
      else items.push(item);
    }
    return items;
  }

  /** Keys and values in turn; Parquet has no maps so far. */
  #map(depth: number): ThriftValue[] {
    if (depth > MAX_DEPTH) throw new ThriftError('maps are nested too deep');
    const length = this.#length();
    this.#check(length);
    const items: ThriftValue[] = [];
    if (length === 0) return items;
    const types = this.#byte();
    for (let at = 0; at < length; at++) {
      items.push(this.#value(types >> 4, depth + 1), this.#value(types & 15, depth + 1));
    }
    return items;
  }

  #zigzag(): bigint {
    const value = this.#varint();
    return (value >> 1n) ^ -(value & 1n);
  }

  #varint(): bigint {
    let low = 0;
    // Up to 28 bits without bigints: nearly all there are.
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte();
      low |= (byte & 127) << shift;
      if (byte < 128) return BigInt(low);
    }
    let value = BigInt(low);
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return BigInt.asUintN(64, value);
    }
    throw new ThriftError('a number is too long');
  }

  #length(): number {
    const length = Number(this.#varint());
    this.#check(length);
    return length;
  }

  #check(length: number): void {
    if (length > this.#bytes.byteLength - this.at) throw new ThriftError('it is cut off');
  }

  #byte(): number {
    if (this.at >= this.#bytes.byteLength) throw new ThriftError('it is cut off');
    return this.#bytes[this.at++]!;
  }

  #take(length: number): Uint8Array {
    this.#check(length);
    this.at += length;
    return this.#bytes.subarray(this.at - length, this.at);
  }
}
