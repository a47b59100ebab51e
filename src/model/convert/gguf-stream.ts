/**
 * A GGUF file with tensors, written from front to back in pieces (version 3, little-endian).
 *
 *     head, entries (gguf-write.ts) | per tensor: name, u32 dimensions, u64 extents (innermost first), u32 type, u64 offset
 *     | padding to 32 | data of the tensors, each padded to 32
 *
 * Written beside its place; `commit` renames, `discard` removes (pending-file.ts). Sizes are checked: a tensor that got other bytes than it
 * declared is an error, never a file.
 */
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GristmillError } from '../../errors.ts';
import {
  type OutputTarget,
  outputTarget,
  PENDING_FLAGS,
  pendingName,
  STREAM_FLAGS,
  sweepOnce,
} from '../../pending-file.ts';
import { GGUF_ALIGNMENT, type GgufEntries, ggufHead, ggufString, u32, u64 } from '../gguf-write.ts';
import type { ConvertedType } from '../hub-cache.ts';

/** A tensor to come. */
export interface TensorInfo {
  readonly name: string;
  /** Outermost first. */
  readonly shape: readonly number[];
  readonly type: ConvertedType;
}

const TYPES = { f32: 0, f16: 1, q8_0: 8, bf16: 30 } as const;
/** Bytes of 32 values. */
const BLOCK_BYTES = { f32: 128, f16: 64, q8_0: 34, bf16: 64 } as const;

/** Bytes of a tensor; rows of q8_0 are multiples of 32. */
export function tensorBytes(nValues: number, type: ConvertedType): number {
  return (nValues / 32) * BLOCK_BYTES[type];
}

/** Writes a file; data comes in the order of the tensors. */
export class GgufStream {
  readonly #path: string;
  readonly #target: OutputTarget;
  /** Null where the target is written to as it is. */
  readonly #pending: string | null;
  readonly #file: FileHandle;
  readonly #tensors: readonly TensorInfo[];
  #tensor = 0;
  #tensorLeft: number;
  #written = 0;

  private constructor(
    path: string,
    target: OutputTarget,
    pending: string | null,
    file: FileHandle,
    tensors: readonly TensorInfo[],
  ) {
    this.#path = path;
    this.#target = target;
    this.#pending = pending;
    this.#file = file;
    this.#tensors = tensors;
    this.#tensorLeft = this.#bytesOf(0);
  }

  /**
   * Starts a file: everything but the data.
   *
   * @throws MODEL_WRITE_FAILED
   */
  static async create(
    path: string,
    entries: GgufEntries,
    tensors: readonly TensorInfo[],
  ): Promise<GgufStream> {
    const parts = [ggufHead(entries, tensors.length)];
    let offset = 0;
    for (const { name, shape, type } of tensors) {
      parts.push(ggufString(name), u32(shape.length));
      for (const extent of [...shape].reverse()) parts.push(u64(extent));
      parts.push(u32(TYPES[type]), u64(offset));
      offset = aligned(offset + tensorBytes(product(shape), type));
    }
    const stream = await failing(path, async () => {
      const target = outputTarget(path);
      if (target.isStream) {
        return new GgufStream(path, target, null, await open(target.path, STREAM_FLAGS), tensors);
      }
      sweepOnce(dirname(target.path));
      const pending = pendingName(target.path);
      return new GgufStream(path, target, pending, await open(pending, PENDING_FLAGS), tensors);
    });
    try {
      await stream.#append(Buffer.concat(parts));
      await stream.#pad();
    } catch (error) {
      await stream.discard();
      throw error;
    }
    return stream;
  }

  /** The next bytes of the tensors' data, up to the end of one tensor. @throws MODEL_WRITE_FAILED */
  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length > this.#tensorLeft) {
      throw this.#failed(`tensor ${this.#tensors[this.#tensor]?.name} got too many bytes`);
    }
    await this.#append(bytes);
    this.#tensorLeft -= bytes.length;
    if (this.#tensorLeft > 0) return;
    await this.#pad();
    this.#tensor++;
    this.#tensorLeft = this.#bytesOf(this.#tensor);
  }

  /** Ends the file and gives it its name. @returns its bytes @throws MODEL_WRITE_FAILED */
  async commit(): Promise<number> {
    if (this.#tensor !== this.#tensors.length) {
      throw this.#failed(`tensor ${this.#tensors[this.#tensor]?.name} has no data`);
    }
    await failing(this.#path, async () => {
      if (this.#pending !== null) await this.#file.sync();
      await this.#file.close();
      if (this.#pending !== null) await rename(this.#pending, this.#target.path);
    });
    return this.#written;
  }

  /** Removes what was written. */
  async discard(): Promise<void> {
    await this.#file.close().catch(() => {});
    if (this.#pending !== null) await rm(this.#pending, { force: true });
  }

  async #append(bytes: Uint8Array): Promise<void> {
    await failing(this.#path, async () => {
      for (let at = 0; at < bytes.length; ) {
        at += (await this.#file.write(bytes, at, bytes.length - at)).bytesWritten;
      }
    });
    this.#written += bytes.length;
  }

  async #pad(): Promise<void> {
    await this.#append(new Uint8Array(aligned(this.#written) - this.#written));
  }

  #bytesOf(index: number): number {
    const tensor = this.#tensors[index];
    return tensor ? tensorBytes(product(tensor.shape), tensor.type) : 0;
  }

  #failed(reason: string): GristmillError {
    return new GristmillError('MODEL_WRITE_FAILED', { path: this.#path, reason });
  }
}

function aligned(offset: number): number {
  return Math.ceil(offset / GGUF_ALIGNMENT) * GGUF_ALIGNMENT;
}

function product(shape: readonly number[]): number {
  return shape.reduce((all, extent) => all * extent, 1);
}

async function failing<T>(path: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new GristmillError('MODEL_WRITE_FAILED', { path, reason }, { cause });
  }
}
