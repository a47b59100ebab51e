/**
 * GGUF files as values that tests change and write back: offsets, counts and padding follow, so that what is wrong with a file
 * is what a test made wrong.
 */
import { readFileSync } from 'node:fs';

/** A value with its type number; arrays (9) name the type of their elements. */
export interface GgufValue {
  type: number;
  inner?: number;
  value: unknown;
}

export interface GgufTensor {
  name: string;
  /** Innermost first, as stored. */
  extents: bigint[];
  type: number;
  bytes: Buffer;
}

export interface GgufFile {
  version: number;
  entries: Map<string, GgufValue>;
  tensors: GgufTensor[];
}

const WIDTHS = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];

/** Reads a whole file. */
export function parseGguf(path: string): GgufFile {
  const file = readFileSync(path);
  let at = 0;
  const take = (bytes: number): Buffer => {
    at += bytes;
    return file.subarray(at - bytes, at);
  };
  const u32 = () => take(4).readUInt32LE();
  const u64 = () => take(8).readBigUInt64LE();
  const text = () => take(Number(u64())).toString('latin1');
  const scalar = (type: number): unknown => {
    switch (type) {
      case 4:
        return u32();
      case 5:
        return take(4).readInt32LE();
      case 6:
        return take(4).readFloatLE();
      case 7:
        return take(1)[0] === 1;
      case 8:
        return text();
      default:
        return take(WIDTHS[type]!);
    }
  };
  take(4);
  const version = u32();
  const nTensors = Number(u64());
  const nEntries = Number(u64());
  const entries = new Map<string, GgufValue>();
  for (let entry = 0; entry < nEntries; entry++) {
    const key = text();
    const type = u32();
    if (type !== 9) {
      entries.set(key, { type, value: scalar(type) });
      continue;
    }
    const inner = u32();
    const value = Array.from({ length: Number(u64()) }, () => scalar(inner));
    entries.set(key, { type, inner, value });
  }
  const infos = Array.from({ length: nTensors }, () => {
    const name = text();
    const extents = Array.from({ length: u32() }, u64);
    return { name, extents, type: u32(), offset: Number(u64()) };
  });
  const start = Math.ceil(at / 32) * 32;
  const tensors = infos.map(({ offset, ...info }, index) => {
    const end = infos[index + 1]?.offset ?? file.length - start;
    return { ...info, bytes: file.subarray(start + offset, start + end) };
  });
  return { version, entries, tensors };
}

/** The bytes of a file; `offsets` are those of the tensors' data unless given. */
export function formatGguf(file: GgufFile, alignment = 32): Buffer {
  const parts: Buffer[] = [];
  const put = (bytes: Buffer) => void parts.push(bytes);
  const u32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value >>> 0);
    put(bytes);
  };
  const u64 = (value: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
    put(bytes);
  };
  const text = (value: string) => {
    const bytes = Buffer.from(value, 'latin1');
    u64(BigInt(bytes.length));
    put(bytes);
  };
  const scalar = (type: number, value: unknown) => {
    if (Buffer.isBuffer(value)) return put(value);
    if (type === 8) return text(String(value));
    const bytes = Buffer.alloc(WIDTHS[type] ?? 4);
    if (type === 6) bytes.writeFloatLE(Number(value));
    else if (type === 12) bytes.writeDoubleLE(Number(value));
    else {
      const whole = BigInt.asUintN(64, BigInt(Math.trunc(Number(value) || 0)));
      for (let byte = 0; byte < bytes.length; byte++) {
        bytes[byte] = Number((whole >> BigInt(8 * byte)) & 255n);
      }
    }
    put(bytes);
  };
  put(Buffer.from('GGUF'));
  u32(file.version);
  u64(BigInt(file.tensors.length));
  u64(BigInt(file.entries.size));
  for (const [key, { type, inner, value }] of file.entries) {
    text(key);
    u32(type);
    if (type !== 9) {
      scalar(type, value);
      continue;
    }
    const values = value as unknown[];
    u32(inner!);
    u64(BigInt(values.length));
    for (const element of values) scalar(inner!, element);
  }
  let offset = 0n;
  for (const { name, extents, type, bytes } of file.tensors) {
    text(name);
    u32(extents.length);
    for (const extent of extents) u64(extent);
    u32(type);
    u64(offset);
    offset += BigInt(Math.ceil(bytes.length / alignment) * alignment);
  }
  const pad = (length: number) => Buffer.alloc((alignment - (length % alignment)) % alignment);
  const head = Buffer.concat(parts);
  const data = file.tensors.flatMap(({ bytes }) => [bytes, pad(bytes.length)]);
  return Buffer.concat([head, pad(head.length), ...data]);
}
