/**
 * GGUF files with tensors (version 3, little-endian), written in pieces: see tensor-stream.ts.
 *
 *     head, entries (gguf-write.ts) | per tensor: name, u32 dimensions, u64 extents (innermost first), u32 type, u64 offset
 *     | padding to 32 | data of the tensors, each padded to 32
 */
import { GGUF_ALIGNMENT, type GgufEntries, ggufHead, ggufString, u32, u64 } from '../gguf-write.ts';
import type { ConvertedType } from '../hub-cache.ts';
import { aligned, TensorStream } from '../tensor-stream.ts';

/** A tensor to come. */
export interface TensorInfo {
  readonly name: string;
  /** Outermost first. */
  readonly shape: readonly number[];
  readonly type: ConvertedType;
}

/** Numbers of the storage types in a file. */
export const GGUF_TYPES = Object.freeze({ f32: 0, f16: 1, q8_0: 8, bf16: 30 } as const);
/** Bytes of 32 values. */
const BLOCK_BYTES = { f32: 128, f16: 64, q8_0: 34, bf16: 64 } as const;

/** Bytes of a tensor; rows of q8_0 are multiples of 32. */
export function tensorBytes(nValues: number, type: ConvertedType): number {
  return (nValues / 32) * BLOCK_BYTES[type];
}

/**
 * Starts a file: everything but the data.
 *
 * @throws MODEL_WRITE_FAILED
 */
export function createGguf(
  path: string,
  entries: GgufEntries,
  tensors: readonly TensorInfo[],
): Promise<TensorStream> {
  const parts = [ggufHead(entries, tensors.length)];
  let offset = 0;
  const extents = tensors.map(({ name, shape, type }) => {
    parts.push(ggufString(name), u32(shape.length));
    for (const extent of [...shape].reverse()) parts.push(u64(extent));
    parts.push(u32(GGUF_TYPES[type]), u64(offset));
    const bytes = tensorBytes(product(shape), type);
    offset = aligned(offset + bytes, GGUF_ALIGNMENT);
    return { name, bytes };
  });
  return TensorStream.create(path, Buffer.concat(parts), extents, GGUF_ALIGNMENT);
}

function product(shape: readonly number[]): number {
  return shape.reduce((all, extent) => all * extent, 1);
}
