/**
 * Where sinks write: a file (fsync before it counts as written), an object of a bucket, or a stream. Bytes are counted on
 * the way, and hashed but for those of a stream.
 * The caller gives a temporary name and renames; nothing here ever has the final name.
 */
import { createHash } from 'node:crypto';
import { type FileHandle, open, rm, stat } from 'node:fs/promises';
import { GristmillError } from '../errors.ts';
import { PENDING_FLAGS } from '../pending-file.ts';
import { remoteScheme } from './storage/addresses.ts';
import type { S3Upload } from './storage/s3-upload.ts';

/** Bytes and hash of an output. */
export interface OutputResult {
  readonly bytes: number;
  /** Of a stream, whose bytes nobody asks about again: empty. */
  readonly sha256: string;
}

/** An output that is open. */
export class OutputFile {
  /** Bytes handed over so far. */
  offset = 0;
  readonly #name: string;
  readonly #handle: FileHandle | null;
  readonly #stream: NodeJS.WritableStream | null;
  readonly #upload: S3Upload | null;
  readonly #hash = createHash('sha256');
  #closed = false;

  private constructor(
    name: string,
    handle: FileHandle | null,
    stream: NodeJS.WritableStream | null,
    upload: S3Upload | null = null,
  ) {
    this.#name = name;
    this.#handle = handle;
    this.#stream = stream;
    this.#upload = upload;
  }

  /** @throws CORPUS_WRITE_FAILED */
  static async create(target: {
    path?: string;
    stream?: NodeJS.WritableStream;
  }): Promise<OutputFile> {
    if (target.stream) {
      const output = new OutputFile('standard output', null, target.stream);
      target.stream.on('error', (error) => {
        output.#streamError = error;
      });
      return output;
    }
    const path = target.path ?? '';
    try {
      if (remoteScheme(path) === 's3') {
        const { S3Upload } = await import('./storage/s3-upload.ts');
        return new OutputFile(path, null, null, new S3Upload(path));
      }
      return new OutputFile(path, await openAnew(path), null);
    } catch (cause) {
      throw failed(path, cause);
    }
  }

  #streamError: Error | null = null;

  /** @throws CORPUS_WRITE_FAILED */
  async write(bytes: Uint8Array): Promise<void> {
    if (this.#closed) throw new GristmillError('DISPOSED', { object: `output ${this.#name}` });
    if (!this.#stream) this.#hash.update(bytes);
    this.offset += bytes.byteLength;
    try {
      if (this.#handle) await writeAll(this.#handle, bytes);
      else if (this.#upload) await this.#upload.write(bytes);
      else await this.#toStream(bytes);
    } catch (cause) {
      throw failed(this.#name, cause);
    }
  }

  async #toStream(bytes: Uint8Array): Promise<void> {
    if (this.#streamError) throw this.#streamError;
    const stream = this.#stream!;
    // Waits until the stream has handed them on: the caller reuses its buffer, and an answer is to be there when this resolves.
    await new Promise<void>((resolve, reject) => {
      stream.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
    if (this.#streamError) throw this.#streamError;
  }

  /** Everything is on the disk, or in the bucket, when this resolves. @throws CORPUS_WRITE_FAILED */
  async close(): Promise<OutputResult> {
    if (this.#closed) throw new GristmillError('DISPOSED', { object: `output ${this.#name}` });
    this.#closed = true;
    try {
      await this.#upload?.close();
      if (this.#handle) {
        const { handle } = { handle: this.#handle };
        try {
          await handle.sync().catch((error: NodeJS.ErrnoException) => {
            // Pipes and devices cannot be synced; that is no loss of data.
            if (error.code !== 'EINVAL' && error.code !== 'ENOTSUP') throw error;
          });
        } finally {
          await handle.close();
        }
      }
    } catch (cause) {
      throw failed(this.#name, cause);
    }
    return { bytes: this.offset, sha256: this.#stream ? '' : this.#hash.digest('hex') };
  }

  /** Gives up; a regular file is removed. */
  async abort(): Promise<void> {
    if (!this.#closed) {
      this.#closed = true;
      await this.#upload?.abort();
      await this.#handle?.close().catch(() => undefined);
    }
    if (!this.#handle) return;
    const found = await stat(this.#name).catch(() => null);
    if (found?.isFile()) await rm(this.#name, { force: true });
  }
}

/** A new file; what lay there is removed, never written through. Devices and pipes are written to. */
async function openAnew(path: string): Promise<FileHandle> {
  const found = await stat(path).catch(() => null);
  if (found && !found.isFile()) return open(path, 'w');
  await rm(path, { force: true });
  return open(path, PENDING_FLAGS);
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.byteLength) {
    done += (await handle.write(bytes, done, bytes.byteLength - done)).bytesWritten;
  }
}

function failed(file: string, cause: unknown): GristmillError {
  const error = cause as NodeJS.ErrnoException;
  const reason = error.code === 'ENOSPC' ? `the disk is full (${error.message})` : error.message;
  return new GristmillError('CORPUS_WRITE_FAILED', { file, reason }, { cause });
}
