/**
 * The head of a GGUF file (versions 2 and 3, little-endian): its entries as bytes, and where its tensors lie.
 *
 *     "GGUF" | u32 version | u64 tensors | u64 entries | entries: key, u32 type, value
 *     | per tensor: name, u32 dimensions, u64 extents (innermost first), u32 type, u64 offset | padding | data
 *
 * Nothing in it is believed: every length is compared with the bytes that are there, names come once, and every tensor
 * lies within the file. Only types of plain numbers are taken; quantised weights are no numbers to average.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { GristmillError } from '../../errors.ts';
import { invalidFile } from '../convert/model-files.ts';
import type { SourceTensor, SourceType } from '../convert/safetensors.ts';
import { GGUF_ALIGNMENT } from '../gguf-write.ts';
import { aligned } from '../tensor-stream.ts';

/** A file's head. */
export interface GgufHead {
  /** Type and value of every entry, as they stand in the file; in its order. */
  readonly entries: ReadonlyMap<string, Uint8Array>;
  /** In the order of the file. */
  readonly tensors: readonly SourceTensor[];
}

/** Bound of a head; vocabularies of a million tokens have a tenth of it. */
const MAX_HEAD_BYTES = 512 * 2 ** 20;
const FIRST_READ_BYTES = 2 ** 20;
const MAX_ENTRIES = 65_536;
const MAX_TENSORS = 1_000_000;
const MAX_NAME_BYTES = 65_535;
const MAX_DIMENSIONS = 4;
const TYPES: ReadonlyMap<number, SourceType> = new Map([
  [0, 'f32'],
  [1, 'f16'],
  [30, 'bf16'],
]);
const TYPE_BYTES = { f32: 4, f16: 2, bf16: 2 } as const;
/** Names of ggml for what else is met. */
const OTHER_TYPES: ReadonlyMap<number, string> = new Map([
  [2, 'q4_0'],
  [3, 'q4_1'],
  [6, 'q5_0'],
  [7, 'q5_1'],
  [8, 'q8_0'],
  [10, 'q2_K'],
  [11, 'q3_K'],
  [12, 'q4_K'],
  [13, 'q5_K'],
  [14, 'q6_K'],
  [28, 'f64'],
]);
const STRING = 8;
const ARRAY = 9;
/** Bytes of the values of fixed size by type: 8, 16 and 32 bits, bool, 64 bits. */
const FIXED = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8] as const;

/** Reads a head. @throws MODEL_FILES_INVALID; MODEL_MERGE_REFUSED for types that cannot be averaged */
export function readGgufHead(file: string): GgufHead {
  let handle: number;
  try {
    handle = openSync(file, 'r');
  } catch (cause) {
    throw invalidFile(file, (cause as Error).message, cause);
  }
  try {
    return new HeadReader(file, handle).read();
  } finally {
    closeSync(handle);
  }
}

class HeadReader {
  readonly #file: string;
  readonly #handle: number;
  readonly #fileBytes: number;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(file: string, handle: number) {
    this.#file = file;
    this.#handle = handle;
    this.#fileBytes = fstatSync(handle).size;
  }

  read(): GgufHead {
    if (this.#take(4).toString('latin1') !== 'GGUF') throw this.#invalid('is no GGUF file');
    const version = this.#u32();
    if (version !== 2 && version !== 3)
      throw this.#invalid(`version ${version}, known are 2 and 3`);
    const nTensors = this.#count('tensors', MAX_TENSORS);
    const nEntries = this.#count('entries', MAX_ENTRIES);
    const entries = new Map<string, Uint8Array>();
    for (let entry = 0; entry < nEntries; entry++) {
      const key = this.#name('an entry');
      if (entries.has(key)) throw this.#invalid(`entry ${key} is there twice`);
      const start = this.#at;
      this.#skipValue(this.#u32());
      entries.set(key, Buffer.from(this.#bytes.subarray(start, this.#at)));
    }
    if (entries.has('split.count')) {
      throw this.#refused('split.count', 'a part of a model: join its files first');
    }
    return { entries, tensors: this.#tensors(nTensors, alignmentOf(entries)) };
  }

  #tensors(nTensors: number, alignment: number): SourceTensor[] {
    const found: { name: string; shape: number[]; type: SourceType; offset: number }[] = [];
    const names = new Set<string>();
    for (let tensor = 0; tensor < nTensors; tensor++) {
      const name = this.#name('a tensor');
      if (names.has(name)) throw this.#invalid(`tensor ${name} is there twice`);
      names.add(name);
      const nDimensions = this.#u32();
      if (nDimensions > MAX_DIMENSIONS) {
        throw this.#invalid(`tensor ${name} has ${nDimensions} dimensions, at most 4 are known`);
      }
      const shape = Array.from({ length: nDimensions }, () => this.#u64()).reverse();
      const number = this.#u32();
      const type = TYPES.get(number);
      if (!type) {
        const shown = OTHER_TYPES.get(number) ?? `number ${number} of ggml`;
        throw this.#refused(`tensor ${name}`, `type ${shown}; averaged are f32, f16 and bf16`);
      }
      found.push({ name, shape, type, offset: this.#u64() });
    }
    const start = aligned(this.#at, alignment);
    return found.map(({ name, shape, type, offset }) => {
      const bytes = shape.reduce((product, extent) => product * extent, TYPE_BYTES[type]);
      const end = start + offset + bytes;
      if (offset % alignment !== 0 || !Number.isSafeInteger(end) || end > this.#fileBytes) {
        throw this.#invalid(
          `tensor ${name}: ${bytes} bytes at ${start + offset} in a file of ${this.#fileBytes}`,
        );
      }
      return { name, file: this.#file, offset: start + offset, bytes, type, shape };
    });
  }

  #skipValue(type: number): void {
    if (type === STRING) {
      this.#take(this.#u64());
      return;
    }
    if (type !== ARRAY) {
      this.#take(this.#fixed(type));
      return;
    }
    const inner = this.#u32();
    const count = this.#u64();
    if (inner === STRING) for (let each = 0; each < count; each++) this.#take(this.#u64());
    // Arrays of arrays are written by nobody.
    else this.#take(this.#fixed(inner) * count);
  }

  #fixed(type: number): number {
    const bytes = FIXED[type];
    if (!bytes) throw this.#invalid(`a value of type ${type}, which is not known`);
    return bytes;
  }

  #name(what: string): string {
    const length = this.#u64();
    if (length > MAX_NAME_BYTES) throw this.#invalid(`the name of ${what} has ${length} bytes`);
    return this.#take(length).toString('utf8');
  }

  #count(what: string, maximum: number): number {
    const count = this.#u64();
    if (count > maximum) throw this.#invalid(`${count} ${what}, the bound is ${maximum}`);
    return count;
  }

  #u32(): number {
    return this.#take(4).readUInt32LE();
  }

  #u64(): number {
    const value = Number(this.#take(8).readBigUInt64LE());
    if (!Number.isSafeInteger(value)) throw this.#invalid(`a number of ${value}`);
    return value;
  }

  #take(bytes: number): Buffer {
    const end = this.#at + bytes;
    if (end > this.#fileBytes) throw this.#invalid('is cut short');
    if (end > MAX_HEAD_BYTES) {
      throw this.#invalid(`a head of more than ${MAX_HEAD_BYTES} bytes`);
    }
    if (end > this.#bytes.length) this.#grow(end);
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  #grow(needed: number): void {
    const wanted = Math.max(FIRST_READ_BYTES, 2 * this.#bytes.length, needed);
    const grown = Buffer.alloc(Math.min(this.#fileBytes, MAX_HEAD_BYTES, wanted));
    this.#bytes.copy(grown);
    for (let at = this.#bytes.length; at < grown.length; ) {
      const read = readSync(this.#handle, grown, at, grown.length - at, at);
      if (read === 0) throw this.#invalid('became shorter while it was read');
      at += read;
    }
    this.#bytes = grown;
  }

  #invalid(reason: string): GristmillError {
    return invalidFile(this.#file, reason);
  }

  #refused(what: string, reason: string): GristmillError {
    return new GristmillError('MODEL_MERGE_REFUSED', { file: this.#file, what, reason });
  }
}

function alignmentOf(entries: ReadonlyMap<string, Uint8Array>): number {
  const entry = entries.get('general.alignment');
  const [U32, bytes] = [4, entry && Buffer.from(entry)];
  const value = bytes?.length === 8 && bytes.readUInt32LE() === U32 ? bytes.readUInt32LE(4) : 0;
  return value >= 8 && value % 8 === 0 ? value : GGUF_ALIGNMENT;
}

/** An entry in words: a number or a text as it is, an array by its length. */
export function entryText(entry: Uint8Array | undefined): string {
  if (!entry) return 'nothing';
  const bytes = Buffer.from(entry.buffer, entry.byteOffset, entry.byteLength);
  const type = bytes.readUInt32LE();
  switch (type) {
    case 4:
      return String(bytes.readUInt32LE(4));
    case 5:
      return String(bytes.readInt32LE(4));
    case 6:
      return String(bytes.readFloatLE(4));
    case 7:
      return bytes[4] === 0 ? 'false' : 'true';
    case STRING:
      return JSON.stringify(bytes.toString('utf8', 12, 12 + MAX_SHOWN_BYTES));
    case ARRAY:
      return `an array of ${bytes.readBigUInt64LE(8)}`;
    default:
      return `${bytes.length - 4} bytes of type ${type}`;
  }
}

const MAX_SHOWN_BYTES = 200;
