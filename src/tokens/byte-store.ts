/**
 * A token store (token-store.ts) whose tokens are the bytes of the texts: no tokenizer, so that synthetic data and small
 * experiments need nothing else. Documents end with the token 256.
 */
import { join } from 'node:path';
import { writeDurably } from '../durable-files.ts';
import { makeFolder } from '../local-path.ts';
import { openTokenStore, STORE_INDEX, type StoreIndex, type TokenStore } from './token-store.ts';
import { TokenWriter } from './token-writer.ts';

/** Options of {@link writeByteStore}. */
export interface ByteStoreOptions {
  /** Folder of the store. */
  readonly out: string;
  /** Documents by domain. */
  readonly texts: Readonly<Record<string, readonly string[]>>;
  /** Share of the documents that is held out, 0..1. Default 0.05. */
  readonly validationShare?: number;
}

/** Writes a store and opens it. @throws Error of the file system */
export function writeByteStore(options: ByteStoreOptions): TokenStore {
  const { out, texts, validationShare = 0.05 } = options;
  const eos = 256;
  makeFolder(out);
  const domains = Object.entries(texts).map(([name, documents], domain) => {
    const folder = String(domain).padStart(5, '0');
    const writer = new TokenWriter({ folder: join(out, folder), idBytes: 2, eos, validationShare });
    for (const text of documents) {
      const bytes = Buffer.from(text);
      writer.add(bytes, Int32Array.from(bytes));
    }
    return { name, folder, ...writer.finish() };
  });
  const index: StoreIndex = {
    format: 1,
    tokenizer: { path: '', sha256: '', nTokens: eos + 1, eos },
    idBytes: 2,
    validationShare,
    inputs: {},
    domains,
    nSkipped: 0,
  };
  writeDurably(join(out, STORE_INDEX), `${JSON.stringify(index, null, 2)}\n`);
  return openTokenStore(out);
}
