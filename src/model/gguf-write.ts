/**
 * The head of GGUF files (version 3, little-endian), and files of metadata alone: what a tokenizer is stored in.
 *
 *     "GGUF" | u32 version | u64 tensors | u64 entries | entries: key, u32 type, value
 *     string   u64 bytes, UTF-8          array   u32 element type, u64 count, elements
 *
 * A file that is there is whole (pending-file.ts). Files with tensors: convert/gguf-stream.ts.
 */
import { writeDurably } from '../durable-files.ts';
import { GristmillError } from '../errors.ts';

/** A value of an entry. */
export type GgufValue =
  | { readonly type: 'u32'; readonly value: number }
  | { readonly type: 'i32'; readonly value: number }
  | { readonly type: 'f32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'u8s'; readonly value: Uint8Array }
  | { readonly type: 'i32s'; readonly value: Int32Array }
  | { readonly type: 'f32s'; readonly value: Float32Array }
  /** Type and value as another file has them. */
  | { readonly type: 'raw'; readonly value: Uint8Array };

/** Entries in the order in which they are written. */
export type GgufEntries = Readonly<Record<string, GgufValue>>;

const TYPE = { u8: 0, u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;
const VERSION = 3;
/** Tensor data, and each tensor in it, begin at a multiple of this. */
export const GGUF_ALIGNMENT = 32;

/**
 * Writes a file of metadata.
 *
 * @throws MODEL_WRITE_FAILED
 */
export function writeGgufMetadata(path: string, entries: GgufEntries): void {
  const head = ggufHead(entries, 0);
  const padding = Buffer.alloc((GGUF_ALIGNMENT - (head.length % GGUF_ALIGNMENT)) % GGUF_ALIGNMENT);
  try {
    writeDurably(path, Buffer.concat([head, padding]));
  } catch (cause) {
    throw new GristmillError(
      'MODEL_WRITE_FAILED',
      { path, reason: (cause as Error).message },
      { cause },
    );
  }
}

/** Magic, counts and entries; what describes the tensors follows. */
export function ggufHead(entries: GgufEntries, nTensors: number): Buffer {
  const parts: Buffer[] = [
    Buffer.from('GGUF'),
    u32(VERSION),
    u64(nTensors),
    u64(Object.keys(entries).length),
  ];
  for (const [key, value] of Object.entries(entries)) {
    parts.push(ggufString(key), encode(value));
  }
  return Buffer.concat(parts);
}

function encode(entry: GgufValue): Buffer {
  switch (entry.type) {
    case 'u32':
      return Buffer.concat([u32(TYPE.u32), u32(entry.value)]);
    case 'i32': {
      const value = Buffer.alloc(4);
      value.writeInt32LE(entry.value);
      return Buffer.concat([u32(TYPE.i32), value]);
    }
    case 'f32': {
      const value = Buffer.alloc(4);
      value.writeFloatLE(entry.value);
      return Buffer.concat([u32(TYPE.f32), value]);
    }
    case 'bool':
      return Buffer.concat([u32(TYPE.bool), Buffer.of(entry.value ? 1 : 0)]);
    case 'string':
      return Buffer.concat([u32(TYPE.string), ggufString(entry.value)]);
    case 'strings':
      return array(TYPE.string, entry.value.length, strings(entry.value));
    case 'u8s':
      return array(TYPE.u8, entry.value.length, Buffer.from(entry.value));
    case 'i32s': {
      const values = Buffer.alloc(entry.value.length * 4);
      for (const [index, value] of entry.value.entries()) values.writeInt32LE(value, index * 4);
      return array(TYPE.i32, entry.value.length, values);
    }
    case 'f32s': {
      const values = Buffer.alloc(entry.value.length * 4);
      for (const [index, value] of entry.value.entries()) values.writeFloatLE(value, index * 4);
      return array(TYPE.f32, entry.value.length, values);
    }
    case 'raw':
      return Buffer.from(entry.value);
  }
}

function array(type: number, count: number, elements: Buffer): Buffer {
  return Buffer.concat([u32(TYPE.array), u32(type), u64(count), elements]);
}

/** Hundreds of thousands of short strings: one buffer, not three for each. */
function strings(values: readonly string[]): Buffer {
  const lengths = values.map((value) => Buffer.byteLength(value));
  const bytes = Buffer.alloc(lengths.reduce((sum, length) => sum + length + 8, 0));
  let at = 0;
  for (const [index, value] of values.entries()) {
    at = bytes.writeBigUInt64LE(BigInt(lengths[index]!), at);
    at += bytes.write(value, at);
  }
  return bytes;
}

/** A number of 32 bits. */
export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** A number of 64 bits. */
export function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

/** A length and UTF-8. */
export function ggufString(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([u64(bytes.length), bytes]);
}
