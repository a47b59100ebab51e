/**
 * The buffers of a message's body, in order: bounds, decompression, and typed views.
 *
 * Invariants
 *  1. Buffers lie inside the body, one after another and aligned: one that lies elsewhere was damaged.
 *  2. A compressed buffer that declares more than its codec can make of its bytes is refused before it is allocated.
 */
import { isGristmillError } from '../errors.ts';
import { fromNative, native } from '../native/index.ts';
import { ArrowFault } from './arrow-flatbuffer.ts';
import type { BatchLayout, BodyCodec } from './arrow-messages.ts';

/** Bytes that one compressed byte can stand for at most: runs of a block of 128 KiB, and lengths of 255. */
const MAX_RATIO = { zstd: 2 ** 17, lz4: 256 } as const;
const MAX_BUFFER_BYTES = 2 ** 32 - 1;
/** Buffers begin at a multiple of 8, of some writers 64, as soon as the one before has ended. */
const MAX_ALIGNMENT = 64;

/** Buffers of a body, each asked for once. */
export class BodyBuffers {
  readonly #body: Uint8Array;
  readonly #layout: BatchLayout;
  #next = 0;

  constructor(body: Uint8Array, layout: BatchLayout) {
    this.#body = body;
    this.#layout = layout;
    let end = 0;
    for (const [index, { offset, length }] of layout.buffers.entries()) {
      if (length === 0) continue;
      const isApart = offset >= end && offset - end < MAX_ALIGNMENT && offset % 8 === 0;
      if (!isApart || offset + length > body.byteLength) {
        const bound = `${end}..${body.byteLength}`;
        throw new ArrowFault(
          `buffer ${index} lies at bytes ${offset}..${offset + length} of ${bound}`,
        );
      }
      end = offset + length;
    }
    // A body that goes on would take the messages behind it with it.
    if (body.byteLength - end >= MAX_ALIGNMENT) {
      throw new ArrowFault(`its buffers end at byte ${end} of a body of ${body.byteLength}`);
    }
  }

  /** Bytes that all values together can take: lengths beyond are not believed where nothing else bounds them. */
  get bodyBytes(): number {
    return this.#body.byteLength;
  }

  /** True when every buffer was asked for. */
  get isUsedUp(): boolean {
    return this.#next === this.#layout.buffers.length;
  }

  /** The next buffer; it begins at a multiple of 8 bytes of its memory where that needs no copy. */
  take(): Uint8Array {
    const index = this.#next++;
    const buffer = this.#layout.buffers[index];
    if (!buffer) throw new ArrowFault(`${this.#layout.buffers.length} buffers are too few`);
    if (buffer.length === 0) return new Uint8Array(0);
    const bytes = this.#body.subarray(buffer.offset, buffer.offset + buffer.length);
    return this.#layout.codec === null ? bytes : decompress(this.#layout.codec, bytes, index);
  }
}

function decompress(codec: BodyCodec, bytes: Uint8Array, index: number): Uint8Array {
  if (bytes.byteLength < 8) {
    throw new ArrowFault(`buffer ${index}: ${bytes.byteLength} bytes hold no compressed buffer`);
  }
  const declared = new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0, true);
  const packed = bytes.subarray(8);
  // -1: compression did not pay, the bytes follow as they are.
  if (declared === -1n) return packed;
  const bound = Math.min(packed.byteLength * MAX_RATIO[codec], MAX_BUFFER_BYTES);
  if (declared < 0n || declared > BigInt(bound)) {
    throw new ArrowFault(
      `buffer ${index}: ${packed.byteLength} bytes of ${codec} cannot hold ${declared} bytes`,
    );
  }
  const output = new Uint8Array(Number(declared));
  try {
    native().decompress(codec === 'lz4' ? 'lz4_frame' : 'zstd', packed, output);
  } catch (cause) {
    const error = fromNative(cause);
    if (isGristmillError(error) && error.code === 'CORPUS_CODEC_FAILED') {
      throw new ArrowFault(`buffer ${index}: ${error.message}`);
    }
    throw error;
  }
  return output;
}

/** The typed arrays that values are read through. */
type Typed =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

interface TypedConstructor<T extends Typed> {
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): T;
  readonly BYTES_PER_ELEMENT: number;
}

/** The first `length` values of a buffer. @throws ArrowFault when it is shorter */
export function typedView<T extends Typed>(
  type: TypedConstructor<T>,
  bytes: Uint8Array,
  length: number,
  what: string,
): T {
  const width = type.BYTES_PER_ELEMENT;
  const needed = length * width;
  if (needed > bytes.byteLength) {
    throw new ArrowFault(`${what} takes ${needed} bytes, its buffer has ${bytes.byteLength}`);
  }
  const aligned = bytes.byteOffset % width === 0 ? bytes : bytes.slice(0, needed);
  return new type(aligned.buffer, aligned.byteOffset, length);
}

/** 64-bit offsets as numbers. @throws ArrowFault when one is no position in memory */
export function wideOffsets(bytes: Uint8Array, length: number, what: string): Float64Array {
  const halves = typedView(Uint32Array, bytes, length * 2, what);
  const offsets = new Float64Array(length);
  for (let index = 0; index < length; index++) {
    const high = halves[index * 2 + 1]!;
    if (high >= 2 ** 20) throw new ArrowFault(`${what}: offset ${index} is negative or too large`);
    offsets[index] = high * 2 ** 32 + halves[index * 2]!;
  }
  return offsets;
}
