/**
 * The folder of an annotated set: every file is written under `_annotate/` and gets its name when all are whole;
 * `statistics.json` goes first and comes last, so that a folder without it is no set.
 */
import {
  createWriteStream,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  type WriteStream,
} from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { writeDurably as writeWhole } from '../durable-files.ts';
import { GristmillError, isGristmillError } from '../errors.ts';
import type { Lease, TakeLeaseOptions } from '../work/lease.ts';
import { takeWhole } from '../work/ledger-claim.ts';
import { outputFolder } from '../work/output-folder.ts';
import type { LedgerLayout } from '../work/output-store.ts';

/** Name of the file that says the set is complete. */
export const STATISTICS_FILE = 'statistics.json';

const WORK_FOLDER = '_annotate';

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
  return join(out, WORK_FOLDER);
}

/** Where a file is written before it is published. */
export function pendingFile(out: string, name: string): string {
  return join(workFolder(out), `${name}.partial`);
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
  const lease = await coded(out, () => takeWhole(outputFolder(out, ASKED_LAYOUT), options));
  try {
    // What others were writing: a holder that wakes up again must not write into files of this one.
    for (const name of readdirSync(workFolder(out))) {
      if (name.endsWith('.partial')) rmSync(join(workFolder(out), name), { recursive: true });
    }
    await claimKind(out, kind);
    return lease;
  } catch (error) {
    lease.release();
    throw error;
  }
}

/** Says in a folder what is annotated there. @throws RUN_OUTPUT_FAILED; ANNOTATE_OUTPUT_OTHER where a set of the other kind lies */
export async function claimKind(out: string, kind: AnnotatedKind): Promise<void> {
  const file = join(workFolder(out), 'kind');
  const noted = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
  if (noted === kind) return;
  const other = recordedKind(out, noted);
  if (other !== null && other !== kind && hasProduced(out)) {
    throw new GristmillError('ANNOTATE_OUTPUT_OTHER', { out, other, kind });
  }
  await coded(file, async () => writeWhole(file, `${kind}\n`));
}

/** What is annotated. */
export type AnnotatedKind = 'documents' | 'chunks';

/** What the folder says of itself; a note that is torn says nothing, but the files of a set do. */
function recordedKind(out: string, noted: string): AnnotatedKind | null {
  if (noted === 'documents' || noted === 'chunks') return noted;
  if (existsSync(join(out, 'documents.parquet'))) return 'documents';
  return existsSync(join(out, 'chunks.parquet')) ? 'chunks' : null;
}

function hasProduced(out: string): boolean {
  const answers = join(workFolder(out), 'answers');
  return (
    existsSync(join(out, STATISTICS_FILE)) ||
    (existsSync(answers) && readdirSync(answers).length > 0)
  );
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
  await coded(join(out, STATISTICS_FILE), () => rm(join(out, STATISTICS_FILE), { force: true }));
  for (const name of names) {
    await coded(join(out, name), () => rename(pendingFile(out, name), join(out, name)));
  }
  await syncFolder(out);
  await coded(join(out, STATISTICS_FILE), () => rename(last, join(out, STATISTICS_FILE)));
  await syncFolder(out);
}

/** Takes pending files away. */
export async function discard(out: string, names: readonly string[]): Promise<void> {
  for (const name of names) await rm(pendingFile(out, name), { force: true });
}

/** Writes a file that is on the disk when this resolves. @throws RUN_OUTPUT_FAILED */
export async function writeDurably(path: string, text: string): Promise<void> {
  await coded(path, async () => writeWhole(path, text));
}

/** A file of JSON lines, written in order. */
export class JsonLinesFile {
  readonly path: string;
  nRows = 0;
  readonly #stream: WriteStream;
  #failure: Error | null = null;

  constructor(path: string) {
    this.path = path;
    rmSync(path, { force: true });
    this.#stream = createWriteStream(path, { flush: true, flags: 'wx' });
    this.#stream.on('error', (error) => {
      this.#failure ??= error;
    });
  }

  get bytesWritten(): number {
    return this.#stream.bytesWritten;
  }

  /** Resolves when more may be written. @throws RUN_OUTPUT_FAILED */
  async write(row: object): Promise<void> {
    this.#check();
    this.nRows++;
    if (this.#stream.write(`${JSON.stringify(row)}\n`)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#stream.off('drain', done);
        this.#stream.off('close', done);
        resolve();
      };
      this.#stream.on('drain', done);
      this.#stream.on('close', done);
    });
    this.#check();
  }

  /** The file is on the disk when this resolves. @throws RUN_OUTPUT_FAILED */
  async close(): Promise<void> {
    this.#stream.end();
    await finished(this.#stream).catch((error: Error) => {
      this.#failure ??= error;
    });
    this.#check();
  }

  #check(): void {
    if (this.#failure === null) return;
    const { path } = this;
    throw new GristmillError(
      'RUN_OUTPUT_FAILED',
      { path, reason: this.#failure.message },
      { cause: this.#failure },
    );
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
    if (isGristmillError(cause)) throw cause;
    const reason = (cause as Error).message;
    throw new GristmillError('RUN_OUTPUT_FAILED', { path, reason }, { cause });
  }
}
