/**
 * The folder of an annotated set: every file is written under `_annotate/` and gets its name when all are whole;
 * `statistics.json` goes first and comes last, so that a folder without it is no set.
 */
import { createWriteStream, existsSync, readFileSync, rmSync, type WriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { lock, writeDurably as writeWhole } from '../durable-files.ts';
import { GristmillError } from '../errors.ts';
import { makeFolder } from '../local-path.ts';

/** Name of the file that says the set is complete. */
export const STATISTICS_FILE = 'statistics.json';

/** Folder of pending files and of the expert's answers. */
export function workFolder(out: string): string {
  return join(out, '_annotate');
}

/** Where a file is written before it is published. */
export function pendingFile(out: string, name: string): string {
  return join(workFolder(out), `${name}.partial`);
}

/**
 * Makes the folders, and says in them what is annotated: sets of documents and of chunks have files of the same names.
 *
 * @throws RUN_OUTPUT_FAILED; ANNOTATE_OUTPUT_OTHER where a set of the other kind lies
 */
export async function prepareFolder(out: string, kind: 'documents' | 'chunks'): Promise<void> {
  makeFolder(workFolder(out), 'RUN_OUTPUT_FAILED');
  const file = join(workFolder(out), 'kind');
  const other = existsSync(file) ? readFileSync(file, 'utf8').trim() : kind;
  if (other !== kind) throw new GristmillError('ANNOTATE_OUTPUT_OTHER', { out, other, kind });
  await writeDurably(file, `${kind}\n`);
}

/** Keeps other runs out of a prepared folder until it is disposed of. @throws RUN_OUTPUT_IN_USE */
export function lockFolder(out: string): Disposable {
  const unlock = lock(out, join(workFolder(out), 'lock'));
  return { [Symbol.dispose]: unlock };
}

/**
 * Gives finished files their names.
 *
 * @param statistics last of all, as JSON
 * @throws RUN_OUTPUT_FAILED
 */
export async function publish(
  out: string,
  names: readonly string[],
  statistics: object,
): Promise<void> {
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
    const reason = (cause as Error).message;
    throw new GristmillError('RUN_OUTPUT_FAILED', { path, reason }, { cause });
  }
}
