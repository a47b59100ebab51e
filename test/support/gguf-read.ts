/** Reads GGUF files for tests: entries and the bytes of tensors, from what the format says. */
import { readFileSync } from 'node:fs';

export interface ReadTensor {
  /** Outermost first. */
  readonly shape: number[];
  readonly type: number;
  readonly bytes: Buffer;
}

export interface ReadGguf {
  readonly entries: Record<string, unknown>;
  readonly tensors: Map<string, ReadTensor>;
}

/** Bytes of 32 values by type: f32, f16, q8_0, bf16. */
const BLOCKS: Record<number, number> = { 0: 128, 1: 64, 8: 34, 30: 64 };

export function readGguf(path: string): ReadGguf {
  const file = readFileSync(path);
  let at = 0;
  const skip = (bytes: number): number => {
    at += bytes;
    return at - bytes;
  };
  const u32 = () => file.readUInt32LE(skip(4));
  const u64 = () => Number(file.readBigUInt64LE(skip(8)));
  const string = (): string => {
    const length = u64();
    const start = skip(length);
    return file.toString('utf8', start, start + length);
  };
  const value = (type: number): unknown => {
    switch (type) {
      case 4:
        return u32();
      case 5:
        return file.readInt32LE(skip(4));
      case 6:
        return file.readFloatLE(skip(4));
      case 7:
        return file[skip(1)] === 1;
      case 8:
        return string();
      case 9: {
        const inner = u32();
        return Array.from({ length: u64() }, () => value(inner));
      }
      default:
        throw new Error(`type ${type}`);
    }
  };
  if (file.toString('latin1', 0, 4) !== 'GGUF') throw new Error('no GGUF');
  at = 8;
  const nTensors = u64();
  const nEntries = u64();
  const entries: Record<string, unknown> = {};
  for (let entry = 0; entry < nEntries; entry++) {
    const key = string();
    entries[key] = value(u32());
  }
  const infos = Array.from({ length: nTensors }, () => {
    const name = string();
    const shape = Array.from({ length: u32() }, u64).reverse();
    return { name, shape, type: u32(), offset: u64() };
  });
  const start = Math.ceil(at / 32) * 32;
  const tensors = new Map<string, ReadTensor>();
  for (const { name, shape, type, offset } of infos) {
    if (offset % 32 !== 0) throw new Error(`${name} is not aligned`);
    const bytes = (shape.reduce((all, extent) => all * extent, 1) / 32) * BLOCKS[type]!;
    tensors.set(name, {
      shape,
      type,
      bytes: file.subarray(start + offset, start + offset + bytes),
    });
  }
  return { entries, tensors };
}
