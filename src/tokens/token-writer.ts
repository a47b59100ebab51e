/**
 * Writes the tokens of one domain of a store (token-store.ts), split into training and validation by document.
 */
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from '../local-path.ts';
import { createFresh, writeWholly } from '../pending-file.ts';
import type { PartName, StoredPart } from './token-store.ts';

const BUFFER_BYTES = 2 ** 18;

/** Bytes of a token for a vocabulary. */
export function idBytesOf(nTokens: number): 2 | 4 {
  return nTokens <= 2 ** 16 ? 2 : 4;
}

/** True for the share of all texts that is held out: a function of the text alone. */
export function isHeldOut(text: Uint8Array, share: number): boolean {
  return createHash('sha256').update(text).digest().readUInt32BE(0) < share * 2 ** 32;
}

/** Options of {@link TokenWriter}. */
export interface TokenWriterOptions {
  /** Folder of the domain; it is made. */
  readonly folder: string;
  readonly idBytes: 2 | 4;
  /** Put behind every document; −1 for nothing. */
  readonly eos: number;
  /** Share of the documents that is held out, 0..1. */
  readonly validationShare: number;
}

/** Takes documents in order; nothing is a result before {@link finish}. */
export class TokenWriter {
  readonly #options: TokenWriterOptions;
  readonly #parts: Record<PartName, PartFiles>;

  /** @throws Error of the file system */
  constructor(options: TokenWriterOptions) {
    makeFolder(options.folder);
    this.#options = options;
    this.#parts = {
      train: new PartFiles(options.folder, 'train'),
      validation: new PartFiles(options.folder, 'validation'),
    };
  }

  /** Adds a document. */
  add(text: Uint8Array, ids: Int32Array): void {
    const { idBytes, eos, validationShare } = this.#options;
    const part = this.#parts[isHeldOut(text, validationShare) ? 'validation' : 'train'];
    const length = ids.length + (eos >= 0 ? 1 : 0);
    const packed = idBytes === 2 ? new Uint16Array(length) : new Uint32Array(length);
    packed.set(ids);
    if (eos >= 0) packed[ids.length] = eos;
    part.add(new Uint8Array(packed.buffer), length, text.length);
  }

  /** Everything is on the disk when this returns. */
  finish(): Record<PartName, StoredPart> {
    return { train: this.#parts.train.finish(), validation: this.#parts.validation.finish() };
  }

  /** Closes the files of a writer that is given up. */
  abandon(): void {
    this.#parts.train.close();
    this.#parts.validation.close();
  }
}

class PartFiles {
  readonly #tokens: BufferedFile;
  readonly #starts: BufferedFile;
  #nTokens = 0;
  #nDocs = 0;
  #nBytes = 0;

  constructor(folder: string, name: PartName) {
    this.#tokens = new BufferedFile(join(folder, `${name}.tokens`));
    this.#starts = new BufferedFile(join(folder, `${name}.starts`));
    this.#start();
  }

  add(tokens: Uint8Array, nTokens: number, nBytes: number): void {
    this.#tokens.write(tokens);
    this.#nTokens += nTokens;
    this.#nDocs++;
    this.#nBytes += nBytes;
    this.#start();
  }

  finish(): StoredPart {
    this.#starts.finish();
    const sha256 = this.#tokens.finish();
    return { nTokens: this.#nTokens, nDocs: this.#nDocs, nBytes: this.#nBytes, sha256 };
  }

  close(): void {
    this.#tokens.close();
    this.#starts.close();
  }

  #start(): void {
    this.#starts.write(new Uint8Array(BigUint64Array.of(BigInt(this.#nTokens)).buffer));
  }
}

class BufferedFile {
  readonly #file: number;
  readonly #hash = createHash('sha256');
  #parts: Uint8Array[] = [];
  #nBytes = 0;
  #closed = false;

  constructor(path: string) {
    this.#file = createFresh(path);
  }

  write(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#nBytes += bytes.length;
    if (this.#nBytes >= BUFFER_BYTES) this.#flush();
  }

  finish(): string {
    this.#flush();
    fsyncSync(this.#file);
    this.close();
    return this.#hash.digest('hex');
  }

  close(): void {
    if (!this.#closed) closeSync(this.#file);
    this.#closed = true;
  }

  #flush(): void {
    const bytes = Buffer.concat(this.#parts);
    this.#hash.update(bytes);
    writeWholly(this.#file, bytes);
    this.#parts = [];
    this.#nBytes = 0;
  }
}
