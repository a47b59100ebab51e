/**
 * A store of tokenized domains: written once, read by any number of processes.
 *
 *     store.json                  index: sizes and hashes of everything; it is there only when the store is whole
 *     tokenizer.gguf              where the tokenizer was trained with the store
 *     <domain>/train.tokens       ids, packed: uint16 up to a vocabulary of 65,536, else uint32; little-endian
 *     <domain>/train.starts       first token of each document and the end: uint64
 *     <domain>/validation.*       the same of the documents held out
 *
 * Every document ends with the tokenizer's end-of-document token, where it has one. A document is held out by the hash
 * of its text, so that copies of a text are never on both sides.
 *
 * Tokens are read by position through the operating system's page cache, which all proxies on a machine share without
 * a byte copied at their start and without a limit by memory: Node has no memory maps, and a SharedArrayBuffer would
 * bind the runs to one process, which a trainer's abort would take down with it. A sequence costs one `pread`.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { GristmillError } from '../errors.ts';

/** Documents on one side of the split. */
export interface StoredPart {
  readonly nTokens: number;
  readonly nDocs: number;
  /** Bytes of the texts. */
  readonly nBytes: number;
  /** Of the tokens as they lie in the file. */
  readonly sha256: string;
}

/** Names of the parts. */
export type PartName = 'train' | 'validation';

/** A domain of a store. */
export interface StoredDomain {
  readonly name: string;
  /** Folder, relative to the store. */
  readonly folder: string;
  readonly train: StoredPart;
  readonly validation: StoredPart;
}

/** What store.json holds. */
export interface StoreIndex {
  readonly format: 1;
  readonly tokenizer: {
    /** Relative to the store where it lies in it. */
    readonly path: string;
    readonly sha256: string;
    readonly nTokens: number;
    /** −1 where there is none. */
    readonly eos: number;
  };
  /** Bytes of a token: 2 or 4. */
  readonly idBytes: 2 | 4;
  readonly validationShare: number;
  /** Files that were read, with what tells whether they changed. */
  readonly inputs: Readonly<Record<string, string>>;
  readonly domains: readonly StoredDomain[];
  /** Rows without a text or a domain. */
  readonly nSkipped: number;
}

/** Name of the index. */
export const STORE_INDEX = 'store.json';

/** An open store; see {@link openTokenStore}. */
export class TokenStore {
  readonly path: string;
  readonly index: StoreIndex;
  /** Of what the store holds, wherever it lies and whatever files it was made from. */
  readonly sha256: string;
  readonly #files = new Map<string, number>();
  #disposed = false;

  /** Use {@link openTokenStore}. */
  constructor(path: string, index: StoreIndex, sha256: string) {
    this.path = path;
    this.index = index;
    this.sha256 = sha256;
  }

  /**
   * Tokens `start .. start + count - 1` of a part.
   *
   * @throws TRAIN_STORE_INVALID when they are not there, DISPOSED
   */
  read(domain: number, part: PartName, start: number, count: number): Int32Array {
    const { idBytes } = this.index;
    const bytes = new Uint8Array(count * idBytes);
    const file = this.#file(domain, part);
    let done = 0;
    while (done < bytes.length) {
      const position = start * idBytes + done;
      const nRead = readSync(file, bytes, done, bytes.length - done, position);
      if (nRead === 0) {
        throw new GristmillError('TRAIN_STORE_INVALID', {
          path: join(this.path, this.index.domains[domain]!.folder, `${part}.tokens`),
          reason: `no tokens ${start}..${start + count - 1}`,
        });
      }
      done += nRead;
    }
    const { buffer } = bytes;
    return Int32Array.from(idBytes === 2 ? new Uint16Array(buffer) : new Uint32Array(buffer));
  }

  /** Closes the files; again: does nothing. */
  dispose(): void {
    this.#disposed = true;
    for (const file of this.#files.values()) closeSync(file);
    this.#files.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #file(domain: number, part: PartName): number {
    if (this.#disposed) throw new GristmillError('DISPOSED', { object: 'the token store' });
    const key = `${domain} ${part}`;
    const known = this.#files.get(key);
    if (known !== undefined) return known;
    const path = join(this.path, this.index.domains[domain]!.folder, `${part}.tokens`);
    const file = openSync(path, 'r');
    this.#files.set(key, file);
    return file;
  }
}

/**
 * Opens a store; every file must be there in its size.
 *
 * @throws TRAIN_STORE_INVALID
 */
export function openTokenStore(path: string): TokenStore {
  let text: string;
  try {
    text = readFileSync(join(path, STORE_INDEX), 'utf8');
  } catch (cause) {
    throw noIndex(path, cause);
  }
  const index = parseStoreIndex(path, text);
  for (const { name, bytes } of filesOf(index)) {
    const file = join(path, name);
    checkSize(file, bytes, statSync(file, { throwIfNoEntry: false })?.size ?? 0);
  }
  return indexedStore(path, index);
}

/** A store by its index alone: what it has is known, wherever its tokens lie. */
export function indexedStore(path: string, index: StoreIndex): TokenStore {
  const { idBytes, domains } = index;
  const { path: _, ...tokenizer } = index.tokenizer;
  const content = JSON.stringify({ idBytes, tokenizer, domains });
  return new TokenStore(path, index, createHash('sha256').update(content).digest('hex'));
}

/** A file of tokens of a store. */
export interface TokenFile {
  /** Relative to the store, with `/`. */
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Files of tokens that an index tells of. */
export function filesOf({ domains, idBytes }: StoreIndex): TokenFile[] {
  return domains.flatMap((domain) =>
    (['train', 'validation'] as const).map((part) => ({
      name: `${domain.folder}/${part}.tokens`,
      bytes: domain[part].nTokens * idBytes,
      sha256: domain[part].sha256,
    })),
  );
}

/** The index in a text. @param path of the store @throws TRAIN_STORE_INVALID */
export function parseStoreIndex(path: string, text: string): StoreIndex {
  let index: StoreIndex;
  try {
    index = JSON.parse(text) as StoreIndex;
  } catch (cause) {
    throw noIndex(path, cause);
  }
  if (index?.format === 1 && Array.isArray(index.domains)) return index;
  const reason = `expected an index of format 1, received ${String(index?.format)}`;
  throw new GristmillError('TRAIN_STORE_INVALID', { path, reason });
}

/** @throws TRAIN_STORE_INVALID */
export function checkSize(path: string, expected: number, received: number): void {
  if (received === expected) return;
  const reason = `expected ${expected} bytes, received ${received}`;
  throw new GristmillError('TRAIN_STORE_INVALID', { path, reason });
}

function noIndex(path: string, cause: unknown): GristmillError {
  const reason = `no index that could be read: ${(cause as Error).message}`;
  return new GristmillError('TRAIN_STORE_INVALID', { path, reason }, { cause });
}
