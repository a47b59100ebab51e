/**
 * From sources to a token store: `gristmill mix tokenize`, once for all proxies, and the first thing that
 * `gristmill continue run` does.
 *
 * Sources are the units: the folder of a finished one gets its name by one rename, and a call that comes back goes on
 * with the next. The index is written last. Under the name of a store that is whole nothing is ever changed.
 *
 *     building.json        what makes it this store; another configuration is refused
 *     source-00000/        a finished source: record.json and a folder for every domain
 *     domains.json         names and training tokens, as `mix sample` reads them
 */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { readLedgerJson, syncFolder, writeDurably } from '../durable-files.ts';
import { GristmillError } from '../errors.ts';
import { makeFolder } from '../local-path.ts';
import { isTokenizer, trainTokenizer } from '../model/tokenizer-training.ts';
import { native } from '../native/index.ts';
import type { NativeTokenizer } from '../native/tokenizer.ts';
import {
  abortSignal,
  anObject,
  callback,
  checkOptions,
  either,
  listOf,
  name,
  number,
  type OptionTable,
} from '../options.ts';
import { changedKeys, hashOf } from '../same-run.ts';
import { type Lease, withLease } from '../work/lease.ts';
import {
  checkSources,
  type DomainSource,
  fingerprintsOf,
  type PlannedSource,
  planSources,
  readDomainTexts,
} from './sources.ts';
import { openTokenStore, STORE_INDEX, type StoredDomain, type StoreIndex } from './token-store.ts';
import { idBytesOf, TokenWriter } from './token-writer.ts';

/** Options of `tokenizeDomains`. */
export interface TokenizeDomainsOptions {
  readonly sources: readonly DomainSource[];
  /** A GGUF file with a vocabulary, or the size of one that is trained on the texts of all domains together. */
  readonly tokenizer: string | { readonly trainSize: number };
  /** Folder of the store. */
  readonly out: string;
  /** Share of the documents that is held out for validation, above 0 and below 1. Default 0.05. */
  readonly validationShare?: number;
  /** Domains, named by their sources, that are held out whole; no tokenizer is trained on them. Default none. */
  readonly heldOut?: readonly string[];
  readonly onProgress?: (progress: TokenizeProgress) => void;
  /** One line that a person should see: a wait for a lease, files that are passed over. */
  readonly onNotice?: ((line: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How far a store is. */
export interface TokenizeProgress {
  /** Sources that are finished. */
  readonly nSources: number;
  readonly totalSources: number;
  readonly nDocs: number;
  readonly nTokens: number;
}

/** What a source gave. */
interface SourceRecord {
  readonly domains: readonly StoredDomain[];
  readonly nSkipped: number;
}

const OPTION_TABLE: OptionTable<TokenizeDomainsOptions> = {
  sources: listOf(anObject, 1),
  tokenizer: either(name, anObject),
  out: name,
  validationShare: number,
  heldOut: listOf(name),
  onProgress: callback,
  onNotice: callback,
  signal: abortSignal,
};

/**
 * Tokenizes domains; the same call again goes on, or reports what is there.
 *
 * @throws TRAIN_SOURCES_INVALID, TRAIN_STORE_CHANGED, TRAIN_STORE_INVALID, ENGINE_MODEL_*, CORPUS_*, OPTION_INVALID,
 *   RUN_OUTPUT_IN_USE, RUN_LEASE_LOST, RUN_LEDGER_INVALID, TRAIN_WRITE_FAILED, ABORTED
 */
export async function tokenizeDomains(options: TokenizeDomainsOptions): Promise<StoreIndex> {
  checkOptions<TokenizeDomainsOptions>('tokenizeDomains', options, OPTION_TABLE, [
    'sources',
    'tokenizer',
    'out',
  ]);
  const { out, tokenizer, validationShare = 0.05, heldOut, signal } = options;
  if (!(validationShare > 0 && validationShare < 1)) {
    const expected = 'a number above 0 and below 1';
    throw new GristmillError('OPTION_INVALID', {
      option: 'validationShare',
      expected,
      received: validationShare,
    });
  }
  const sources = checkSources({ domains: options.sources });
  const planned = await planSources(sources, signal, options.onNotice);
  const identity = {
    format: 1,
    sources,
    inputs: fingerprintsOf(planned),
    validationShare,
    heldOut,
    tokenizer: typeof tokenizer === 'string' ? await vocabularyOf(tokenizer) : tokenizer,
  };
  makeFolder(out, 'TRAIN_WRITE_FAILED');
  return withLease(out, join(out, 'lock'), 'TRAIN_WRITE_FAILED', options, async (lease) => {
    claim(out, identity);
    if (existsSync(join(out, STORE_INDEX))) {
      using store = openTokenStore(out);
      return store.index;
    }
    const path = typeof tokenizer === 'string' ? tokenizer : join(out, 'tokenizer.gguf');
    if (typeof tokenizer !== 'string' && !(await isTokenizer(path))) {
      const trained = planned.filter(({ source }) => !isHeldOutWhole(source, heldOut));
      const texts = allTexts(trained, signal);
      const vocabSize = tokenizer.trainSize;
      await trainTokenizer({ texts, vocabSize, path, ...(signal && { signal }) });
    }
    const opened = await native().openTokenizer(path);
    try {
      const { domains, nSkipped } = await writeSources(planned, opened, lease, options);
      const { nTokens, eos } = opened.info;
      const index: StoreIndex = {
        format: 1,
        tokenizer: {
          path: typeof tokenizer === 'string' ? resolve(tokenizer) : 'tokenizer.gguf',
          sha256: await hashOf(path),
          nTokens,
          eos,
        },
        idBytes: idBytesOf(nTokens),
        validationShare,
        inputs: identity.inputs,
        domains,
        nSkipped,
      };
      lease.check();
      const sizes = domains.map(({ name, train }) => ({ name, tokens: train.nTokens }));
      writeDurably(join(out, 'domains.json'), `${JSON.stringify(sizes, null, 2)}\n`);
      writeDurably(join(out, STORE_INDEX), `${JSON.stringify(index, null, 2)}\n`);
      return index;
    } finally {
      opened.dispose();
    }
  });
}

function isHeldOutWhole(source: DomainSource, heldOut: readonly string[] = []): boolean {
  return 'name' in source && heldOut.includes(source.name);
}

/** A vocabulary by what it holds: its file may move. @throws CORPUS_READ_FAILED */
async function vocabularyOf(path: string): Promise<{ readonly sha256: string }> {
  return { sha256: await hashOf(path) };
}

function claim(out: string, identity: object): void {
  const file = join(out, 'building.json');
  const now = JSON.parse(JSON.stringify(identity)) as object;
  if (!existsSync(file)) {
    if (existsSync(join(out, STORE_INDEX))) {
      throw new GristmillError('TRAIN_STORE_INVALID', { path: out, reason: `no ${file}` });
    }
    writeDurably(file, `${JSON.stringify(now, null, 2)}\n`);
    return;
  }
  const hasProduced = readdirSync(out).some((name) => /^source-\d+$/.test(name));
  if (!hasProduced && !existsSync(join(out, STORE_INDEX))) {
    // What has produced nothing blocks nothing; a vocabulary that it trained is of its texts.
    if (changedKeys(recordedIdentity(file), now).length === 0) return;
    rmSync(join(out, 'tokenizer.gguf'), { force: true });
    writeDurably(file, `${JSON.stringify(now, null, 2)}\n`);
    return;
  }
  const changes = changedKeys(readLedgerJson(file), now);
  if (changes.length === 0) return;
  throw new GristmillError('TRAIN_STORE_CHANGED', { out, changes: changes.slice(0, 8).join(', ') });
}

/** Null for a damaged file. */
function recordedIdentity(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

async function* allTexts(
  planned: readonly PlannedSource[],
  signal?: AbortSignal,
): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const names = new Set<string>();
  for (const source of planned) {
    for await (const { text, domains } of readDomainTexts(source, names, signal)) {
      for (const [row, domain] of domains.entries()) {
        if (domain === null) continue;
        yield decoder.decode(text.data.subarray(text.offsets[row], text.offsets[row + 1]));
      }
    }
  }
}

async function writeSources(
  planned: readonly PlannedSource[],
  tokenizer: NativeTokenizer,
  lease: Lease,
  options: TokenizeDomainsOptions,
): Promise<SourceRecord> {
  const { out, onProgress } = options;
  const names = new Set<string>();
  const domains: StoredDomain[] = [];
  let nSkipped = 0;
  let nDocs = 0;
  let nTokens = 0;
  for (const [sourceIndex, source] of planned.entries()) {
    const folder = `source-${String(sourceIndex).padStart(5, '0')}`;
    const recordFile = join(out, folder, 'record.json');
    const report = (docs: number, tokens: number, done: number): void =>
      onProgress?.({
        nSources: sourceIndex + done,
        totalSources: planned.length,
        nDocs: nDocs + docs,
        nTokens: nTokens + tokens,
      });
    const record = existsSync(recordFile)
      ? (JSON.parse(readFileSync(recordFile, 'utf8')) as SourceRecord)
      : await writeSource(source, { folder, names, tokenizer, lease, options, report });
    for (const domain of record.domains) {
      names.add(domain.name);
      domains.push(domain);
      for (const part of [domain.train, domain.validation]) {
        nDocs += part.nDocs;
        nTokens += part.nTokens;
      }
    }
    nSkipped += record.nSkipped;
    report(0, 0, 1);
  }
  return { domains, nSkipped };
}

async function writeSource(
  planned: PlannedSource,
  {
    folder,
    names,
    tokenizer,
    lease,
    options: { out, validationShare: share = 0.05, heldOut, signal },
    report,
  }: {
    readonly folder: string;
    readonly names: Set<string>;
    readonly tokenizer: NativeTokenizer;
    readonly lease: Lease;
    readonly options: TokenizeDomainsOptions;
    readonly report: (nDocs: number, nTokens: number, done: number) => void;
  },
): Promise<SourceRecord> {
  const partial = join(out, `${folder}.partial`);
  lease.check();
  rmSync(partial, { recursive: true, force: true });
  makeFolder(partial);
  const { eos, nTokens: nVocab } = tokenizer.info;
  const validationShare = isHeldOutWhole(planned.source, heldOut) ? 1 : share;
  const writers = new Map<string, { readonly writer: TokenWriter; readonly folder: string }>();
  let nSkipped = 0;
  let nDocs = 0;
  let nTokens = 0;
  try {
    for await (const { text, domains } of readDomainTexts(planned, names, signal)) {
      const { ids, starts } = await tokenizer.encode(text);
      for (const [row, name] of domains.entries()) {
        if (name === null) {
          nSkipped++;
          continue;
        }
        let own = writers.get(name);
        if (!own) {
          const domainFolder = String(writers.size).padStart(5, '0');
          const settings = { idBytes: idBytesOf(nVocab), eos, validationShare };
          const writer = new TokenWriter({ folder: join(partial, domainFolder), ...settings });
          own = { writer, folder: `${folder}/${domainFolder}` };
          writers.set(name, own);
        }
        const bytes = text.data.subarray(text.offsets[row], text.offsets[row + 1]);
        own.writer.add(bytes, ids.subarray(starts[row], starts[row + 1]));
        nDocs++;
        nTokens += starts[row + 1]! - starts[row]!;
      }
      report(nDocs, nTokens, 0);
    }
  } catch (error) {
    for (const { writer } of writers.values()) writer.abandon();
    throw error;
  }
  const domains = [...writers]
    .map(([name, { writer, folder: own }]) => ({ name, folder: own, ...writer.finish() }))
    .sort((left, right) => (left.name < right.name ? -1 : 1));
  const record = { domains, nSkipped };
  lease.check();
  writeDurably(join(partial, 'record.json'), `${JSON.stringify(record, null, 2)}\n`);
  rmSync(join(out, folder), { recursive: true, force: true });
  renameSync(partial, join(out, folder));
  syncFolder(out);
  return record;
}
