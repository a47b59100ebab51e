/**
 * A model file written from front to back in pieces: a head, then the data of its tensors, each at a multiple of the
 * format's alignment.
 *
 * Written beside its place; `commit` renames, `discard` removes (pending-file.ts). Sizes are checked: a tensor that got
 * other bytes than it declared is an error, never a file.
 */
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GristmillError } from '../errors.ts';
import {
  type OutputTarget,
  outputTarget,
  PENDING_FLAGS,
  pendingName,
  STREAM_FLAGS,
  sweepOnce,
} from '../pending-file.ts';

/** A tensor to come. */
export interface TensorExtent {
  readonly name: string;
  readonly bytes: number;
}

/** Writes a file; data comes in the order of the tensors. */
export class TensorStream {
  readonly #path: string;
  readonly #target: OutputTarget;
  /** Null where the target is written to as it is. */
  readonly #pending: string | null;
  readonly #file: FileHandle;
  readonly #tensors: readonly TensorExtent[];
  readonly #alignment: number;
  #tensor = -1;
  #tensorLeft = 0;
  #written = 0;

  private constructor(
    path: string,
    [target, pending, file]: readonly [OutputTarget, string | null, FileHandle],
    tensors: readonly TensorExtent[],
    alignment: number,
  ) {
    this.#path = path;
    this.#target = target;
    this.#pending = pending;
    this.#file = file;
    this.#tensors = tensors;
    this.#alignment = alignment;
    this.#next();
  }

  /**
   * Starts a file: everything but the data.
   *
   * @param alignment the head, and every tensor, is padded with zeros to a multiple of it
   * @throws MODEL_WRITE_FAILED
   */
  static async create(
    path: string,
    head: Uint8Array,
    tensors: readonly TensorExtent[],
    alignment: number,
  ): Promise<TensorStream> {
    const opened = await failing(path, async () => {
      const target = outputTarget(path);
      if (target.isStream) return [target, null, await open(target.path, STREAM_FLAGS)] as const;
      sweepOnce(dirname(target.path));
      const pending = pendingName(target.path);
      return [target, pending, await open(pending, PENDING_FLAGS)] as const;
    });
    const stream = new TensorStream(path, opened, tensors, alignment);
    try {
      await stream.#append(head);
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
    this.#next();
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
    await this.#append(new Uint8Array(aligned(this.#written, this.#alignment) - this.#written));
  }

  /** To the next tensor that has bytes. */
  #next(): void {
    do {
      this.#tensor++;
      this.#tensorLeft = this.#tensors[this.#tensor]?.bytes ?? 0;
    } while (this.#tensorLeft === 0 && this.#tensor < this.#tensors.length);
  }

  #failed(reason: string): GristmillError {
    return new GristmillError('MODEL_WRITE_FAILED', { path: this.#path, reason });
  }
}

/** The next multiple of an alignment. */
export function aligned(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}

async function failing<T>(path: string, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new GristmillError('MODEL_WRITE_FAILED', { path, reason }, { cause });
  }
}
