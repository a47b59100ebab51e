/**
 * The folder of an annotated set, or what lies below an address of a bucket: every file is written under `_annotate/` and gets its
 * name when all are whole; `statistics.json` goes first and comes last, so that a folder without it is no set.
 */
import { open, rename, rm } from 'node:fs/promises';
import { OutputFile } from '../corpus/output-file.ts';
import { below, remoteScheme } from '../corpus/storage/addresses.ts';
import { storageOf } from '../corpus/storage/storages.ts';
import { writeDurably as writeWhole } from '../durable-files.ts';
import { GristmillError, isGristmillError } from '../errors.ts';
import type { Lease, TakeLeaseOptions } from '../work/lease.ts';
import { takeWhole } from '../work/ledger-claim.ts';
import { outputStore } from '../work/open-output.ts';
import type { LedgerLayout, OutputStore } from '../work/output-store.ts';

/** Name of the file that says the set is complete. */
export const STATISTICS_FILE = 'statistics.json';

const WORK_FOLDER = '_annotate';
const PARTIAL = '.partial';

/** Names of the ledger of those who ask side by side (ranges/asked-ledger.ts); its folder is that of one who works alone. */
export const ASKED_LAYOUT: LedgerLayout = Object.freeze({
  folder: WORK_FOLDER,
  records: 'units',
  runFile: 'run.json',
  results: [`${WORK_FOLDER}/asked`],
  resultName: /^part-\d{5,}\.jsonl$/,
});

/** Folder of pending files and of the expert's answers. */
export function workFolder(out: string): string {
  return below(out, WORK_FOLDER);
}

/** Where a file is written before it is published. */
export function pendingFile(out: string, name: string): string {
  return below(workFolder(out), `${name}${PARTIAL}`);
}

/**
 * Takes the folder of a set, and says in it what is annotated: sets of documents and of chunks have files of the same
 * names. What has produced nothing, neither a set nor an answer, blocks nothing.
 *
 * @returns its lease
 * @throws RUN_OUTPUT_FAILED, RUN_OUTPUT_IN_USE, ABORTED; ANNOTATE_OUTPUT_OTHER where a set of the other kind lies
 */
export async function takeFolder(
  out: string,
  kind: AnnotatedKind,
  options: TakeLeaseOptions = {},
): Promise<Lease> {
  const store = await coded(out, () => outputStore(out, ASKED_LAYOUT));
  const lease = await coded(out, () => takeWhole(store, options));
  try {
    // What others were writing: a holder that wakes up again must not write into files of this one.
    for (const name of await store.list('')) if (name.endsWith(PARTIAL)) await store.remove(name);
    await claimKind(store, kind);
    return lease;
  } catch (error) {
    await lease.release();
    throw error;
  }
}

const KIND = 'kind';

/** Says in a folder what is annotated there. @throws RUN_OUTPUT_FAILED; ANNOTATE_OUTPUT_OTHER where a set of the other kind lies */
export async function claimKind(store: OutputStore, kind: AnnotatedKind): Promise<void> {
  const { out } = store;
  const noted = (await store.read(KIND))?.trim() ?? '';
  if (noted === kind) return;
  const other = await recordedKind(out, noted);
  if (other !== null && other !== kind && (await hasProduced(store))) {
    throw new GristmillError('ANNOTATE_OUTPUT_OTHER', { out, other, kind });
  }
  await coded(below(workFolder(out), KIND), () => store.replace(KIND, `${kind}\n`));
}

/** What is annotated. */
export type AnnotatedKind = 'documents' | 'chunks';

/** What the folder says of itself; a note that is torn says nothing, but the files of a set do. */
async function recordedKind(out: string, noted: string): Promise<AnnotatedKind | null> {
  if (noted === 'documents' || noted === 'chunks') return noted;
  if (await isThere(below(out, 'documents.parquet'))) return 'documents';
  return (await isThere(below(out, 'chunks.parquet'))) ? 'chunks' : null;
}

async function hasProduced(store: OutputStore): Promise<boolean> {
  if (await isThere(below(store.out, STATISTICS_FILE))) return true;
  for await (const _ of store.names('answers')) return true;
  return false;
}

async function isThere(path: string): Promise<boolean> {
  return (await (await storageOf(path)).stat(path)) !== null;
}

/**
 * Gives finished files their names.
 *
 * @param lease of the folder
 * @param statistics last of all, as JSON
 * @throws RUN_OUTPUT_FAILED, RUN_LEASE_LOST
 */
export async function publish(
  out: string,
  lease: Lease,
  names: readonly string[],
  statistics: object,
): Promise<void> {
  lease.check();
  const last = pendingFile(out, STATISTICS_FILE);
  await writeDurably(last, `${JSON.stringify(statistics, null, 2)}\n`);
  const place = await placeOf(out);
  const at = (name: string): string => below(out, name);
  await coded(at(STATISTICS_FILE), () => place.remove(at(STATISTICS_FILE)));
  for (const name of names) {
    await coded(at(name), () => place.move(pendingFile(out, name), at(name)));
  }
  await place.sync();
  await coded(at(STATISTICS_FILE), () => place.move(last, at(STATISTICS_FILE)));
  await place.sync();
}

/** Takes pending files away. */
export async function discard(out: string, names: readonly string[]): Promise<void> {
  const place = await placeOf(out);
  for (const name of names) await place.remove(pendingFile(out, name));
}

/** What publishing asks of the place that a set lies in. */
interface SetPlace {
  remove(path: string): Promise<void>;
  /** Takes the place of what lies there. */
  move(from: string, to: string): Promise<void>;
  /** Names last when this resolves. */
  sync(): Promise<void>;
}

async function placeOf(out: string): Promise<SetPlace> {
  if (remoteScheme(out) === null) {
    return {
      remove: (path) => rm(path, { force: true }),
      move: rename,
      sync: () => syncFolder(out),
    };
  }
  const { S3Objects } = await import('../corpus/storage/s3-objects.ts');
  const objects = new S3Objects();
  return {
    remove: (path) => objects.remove(path),
    async move(from, to) {
      const bytes = await objects.bytesOf(from);
      if (bytes === null || !(await objects.copy(from, to, bytes))) {
        throw new Error(`${from} is gone`);
      }
      await objects.remove(from);
    },
    sync: async () => undefined,
  };
}

/** Writes a file that lasts when this resolves. @throws RUN_OUTPUT_FAILED */
export async function writeDurably(path: string, text: string): Promise<void> {
  await coded(path, async () => {
    if (remoteScheme(path) === null) {
      writeWhole(path, text);
      return;
    }
    const file = await OutputFile.create({ path });
    await file.write(Buffer.from(text));
    await file.close();
  });
}

/** Lines are handed on together: a write of each would be a call of the system. */
const PIECE_BYTES = 64 * 2 ** 10;

/** A file of JSON lines, written in order. */
export class JsonLinesFile {
  readonly path: string;
  nRows = 0;
  #bytes = 0;
  readonly #file: Promise<OutputFile>;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  #closing: Promise<void> | null = null;

  constructor(path: string) {
    this.path = path;
    this.#file = OutputFile.create({ path });
    // Told by the first write.
    this.#file.catch(() => undefined);
  }

  get bytesWritten(): number {
    return this.#bytes;
  }

  /** Resolves when more may be written. @throws RUN_OUTPUT_FAILED */
  async write(row: object): Promise<void> {
    this.nRows++;
    const line = Buffer.from(`${JSON.stringify(row)}\n`);
    this.#bytes += line.length;
    this.#pending.push(line);
    this.#pendingBytes += line.length;
    if (this.#pendingBytes >= PIECE_BYTES) await coded(this.path, () => this.#flush());
  }

  /** The file is on the disk, or in the bucket, when this resolves; again: says the same. @throws RUN_OUTPUT_FAILED */
  close(): Promise<void> {
    this.#closing ??= coded(this.path, async () => {
      try {
        await this.#flush();
      } catch (error) {
        await (await this.#file).abort();
        throw error;
      }
      await (await this.#file).close();
    });
    return this.#closing;
  }

  /** Pieces in their order, also of callers that do not wait for each other. */
  #flush(): Promise<void> {
    const piece = Buffer.concat(this.#pending, this.#pendingBytes);
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#writing = this.#writing.then(async () => {
      if (piece.length > 0) await (await this.#file).write(piece);
    });
    this.#writing.catch(() => undefined);
    return this.#writing;
  }
}

async function syncFolder(folder: string): Promise<void> {
  await coded(folder, async () => {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

async function coded<T>(path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    const isWrite = isGristmillError(cause) && /^(CORPUS_WRITE|STORAGE_)/.test(cause.code);
    if (isGristmillError(cause) && !isWrite) throw cause;
    const reason = isWrite
      ? String((cause as GristmillError).details['reason'] ?? cause.message)
      : (cause as Error).message;
    throw new GristmillError('RUN_OUTPUT_FAILED', { path, reason }, { cause });
  }
}
