/**
 * A reader of flatbuffers that trusts nothing: every offset, vtable, length and count is held against the bytes that
 * are there before it is followed.
 *
 * Invariants
 *  1. No read lies outside the buffer; a reference that would is an {@link ArrowFault}.
 *  2. The work is linear in the buffer: tables may be shared, so a damaged buffer could otherwise be walked forever.
 *  3. `end` is the last byte that anything read so far occupies: what lies behind it is padding.
 *
 * @see https://flatbuffers.dev/internals/
 */

/** What a stream is refused for: damage, or (`unsupported`) a valid form that is not read. */
export class ArrowFault extends Error {
  readonly unsupported: boolean;
  constructor(message: string, unsupported = false) {
    super(message);
    this.unsupported = unsupported;
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** How often bytes may be walked over: builders share strings and vtables, never more. */
const MAX_WALKS = 16;

/** A flatbuffer and what was seen of it. */
export class FlatBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** First byte behind everything that was read. */
  end = 4;
  #workLeft: number;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#workLeft = bytes.byteLength * MAX_WALKS + 1024;
  }

  root(): FlatTable {
    this.claim(0, 4, 'the root offset');
    return new FlatTable(this, this.view.getUint32(0, true));
  }

  /** Says that `[at, at + length)` is about to be read. */
  claim(at: number, length: number, what: string): void {
    const size = this.bytes.byteLength;
    if (at < 0 || at + length > size) {
      throw new ArrowFault(`${what} lies at bytes ${at}..${at + length} of ${size}`);
    }
    this.#workLeft -= length;
    if (this.#workLeft < 0) throw new ArrowFault('its metadata refers to itself without end');
    this.end = Math.max(this.end, at + length);
  }
}

/** A table: fields are asked for by their position in the schema; absent ones have defaults. */
export class FlatTable {
  readonly #buffer: FlatBuffer;
  readonly #at: number;
  readonly #vtable: number;
  readonly #vtableBytes: number;
  readonly #tableBytes: number;

  constructor(buffer: FlatBuffer, at: number) {
    buffer.claim(at, 4, 'a table');
    const { view } = buffer;
    this.#buffer = buffer;
    this.#at = at;
    this.#vtable = at - view.getInt32(at, true);
    buffer.claim(this.#vtable, 4, 'a vtable');
    this.#vtableBytes = view.getUint16(this.#vtable, true);
    this.#tableBytes = view.getUint16(this.#vtable + 2, true);
    if (this.#vtableBytes < 4 || this.#vtableBytes % 2 !== 0 || this.#tableBytes < 4) {
      throw new ArrowFault(`a vtable of ${this.#vtableBytes} and a table of ${this.#tableBytes}`);
    }
    buffer.claim(this.#vtable, this.#vtableBytes, 'a vtable');
    buffer.claim(at, this.#tableBytes, 'a table');
  }

  has(field: number): boolean {
    return this.#slot(field, 1) >= 0;
  }

  uint8(field: number, missing = 0): number {
    const at = this.#slot(field, 1);
    return at < 0 ? missing : this.#buffer.view.getUint8(at);
  }

  bool(field: number): boolean {
    const value = this.uint8(field);
    if (value > 1) throw new ArrowFault(`a flag is ${value}`);
    return value === 1;
  }

  int16(field: number, missing = 0): number {
    const at = this.#slot(field, 2);
    return at < 0 ? missing : this.#buffer.view.getInt16(at, true);
  }

  int32(field: number, missing = 0): number {
    const at = this.#slot(field, 4);
    return at < 0 ? missing : this.#buffer.view.getInt32(at, true);
  }

  /** A length or offset: not negative, and within what a number counts exactly. */
  count(field: number, what: string): number {
    const at = this.#slot(field, 8);
    return at < 0 ? 0 : countOf(this.#buffer.view, at, what);
  }

  int64(field: number): bigint {
    const at = this.#slot(field, 8);
    return at < 0 ? 0n : this.#buffer.view.getBigInt64(at, true);
  }

  string(field: number): string | null {
    const at = this.#slot(field, 4);
    if (at < 0) return null;
    const [start, length] = this.#vector(at, 1, 'a string');
    try {
      return decoder.decode(this.#buffer.bytes.subarray(start, start + length));
    } catch {
      throw new ArrowFault(`the string at byte ${start} of the metadata is not UTF-8`);
    }
  }

  table(field: number): FlatTable | null {
    const at = this.#slot(field, 4);
    return at < 0 ? null : new FlatTable(this.#buffer, this.#follow(at));
  }

  tables(field: number): FlatTable[] {
    const at = this.#slot(field, 4);
    if (at < 0) return [];
    const [start, length] = this.#vector(at, 4, 'a vector of tables');
    return Array.from({ length }, (_, index) => {
      return new FlatTable(this.#buffer, this.#follow(start + index * 4));
    });
  }

  /** Positions of the elements of a vector of structs or numbers of `width` bytes. */
  structs<T>(field: number, width: number, read: (view: DataView, at: number) => T): T[] {
    const at = this.#slot(field, 4);
    if (at < 0) return [];
    const [start, length] = this.#vector(at, width, 'a vector');
    return Array.from({ length }, (_, index) => read(this.#buffer.view, start + index * width));
  }

  #slot(field: number, size: number): number {
    const entry = 4 + field * 2;
    if (entry + 2 > this.#vtableBytes) return -1;
    const offset = this.#buffer.view.getUint16(this.#vtable + entry, true);
    if (offset === 0) return -1;
    if (offset < 4 || offset + size > this.#tableBytes) {
      throw new ArrowFault(
        `field ${field} lies at byte ${offset} of a table of ${this.#tableBytes}`,
      );
    }
    return this.#at + offset;
  }

  #follow(at: number): number {
    return at + this.#buffer.view.getUint32(at, true);
  }

  #vector(at: number, width: number, what: string): [start: number, length: number] {
    const start = this.#follow(at);
    this.#buffer.claim(start, 4, what);
    const length = this.#buffer.view.getUint32(start, true);
    this.#buffer.claim(start + 4, length * width, what);
    return [start + 4, length];
  }
}

/** A 64-bit length or offset inside a vector of structs. */
export function countOf(view: DataView, at: number, what: string): number {
  const value = view.getBigInt64(at, true);
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new ArrowFault(`${what} is ${value}`);
  }
  return Number(value);
}
