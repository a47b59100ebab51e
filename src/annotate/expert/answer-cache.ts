/**
 * Answers on disk, by the hash of their request.
 *
 *     <folder>/answers-00000.jsonl    a header line, then one answer a line; only ever appended to
 *     <folder>/answers-00001.jsonl    every run that has something to store begins a file of its own
 *
 * Invariants
 *  1. Each file has one writer, and it writes whole lines: only the last line of a file can be torn, by a crash, and a
 *     last line without a line break is left out. So nothing is repaired, and runs may share a folder.
 *  2. `put` resolves when the line is on the disk. Lines that wait for the disk are written together.
 *  3. Files hold hashes and answers: no prompts, no keys. In memory are the places of the answers only.
 */
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { GristmillError } from '../../errors.ts';
import { makeFolder } from '../../local-path.ts';

/** An answer as it is stored. */
export interface StoredAnswer {
  readonly text: string;
  readonly finish: 'stop' | 'length';
  readonly promptTokens: number;
  readonly answerTokens: number;
}

/** Where an answer lies. */
interface Place {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

const HEADER = '{"format":"gristmill answers","version":1}';
/** Answers are bounded by the bodies that experts are read to (16 MiB), escaped as JSON. */
const MAX_LINE_BYTES = 128 * 2 ** 20;

/** See the file's header. */
export class AnswerCache {
  readonly #folder: string;
  readonly #places = new Map<string, Place>();
  readonly #readers = new Map<string, FileHandle>();
  #writer: { readonly file: string; readonly handle: FileHandle; offset: number } | null = null;
  #waiting: { readonly hash: string; readonly line: Buffer; done(error?: unknown): void }[] = [];
  #writing: Promise<void> | null = null;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Opens a folder, which is made where it is missing, and reads what it holds.
   *
   * @throws ANNOTATE_CACHE_INVALID for a file that is damaged elsewhere than at its end; ANNOTATE_CACHE_FAILED
   */
  static async open(folder: string): Promise<AnswerCache> {
    const cache = new AnswerCache(folder);
    try {
      makeFolder(folder);
      for (const name of answerFiles(await readdir(folder))) await cache.#index(join(folder, name));
    } catch (error) {
      throw failed(folder, error);
    }
    return cache;
  }

  /** Answers stored. */
  get size(): number {
    return this.#places.size;
  }

  has(hash: string): boolean {
    return this.#places.has(hash);
  }

  /**
   * An answer that is there.
   *
   * @throws ANNOTATE_CACHE_FAILED, ANNOTATE_CACHE_INVALID
   */
  async get(hash: string): Promise<StoredAnswer> {
    const place = this.#places.get(hash);
    if (!place) throw damaged(this.#folder, hash, 'no such answer');
    const bytes = Buffer.alloc(place.length);
    try {
      let handle = this.#readers.get(place.file);
      if (!handle) {
        handle = await open(place.file, 'r');
        // Two callers may have opened it at once: the later one gives way.
        const other = this.#readers.get(place.file);
        if (other) {
          await handle.close();
          handle = other;
        } else this.#readers.set(place.file, handle);
      }
      for (let done = 0; done < bytes.length; ) {
        const { bytesRead } = await handle.read(
          bytes,
          done,
          bytes.length - done,
          place.offset + done,
        );
        if (bytesRead === 0) throw new Error('it has become shorter');
        done += bytesRead;
      }
    } catch (error) {
      throw failed(place.file, error);
    }
    const { hash: found, ...answer } = parse(bytes, place.file, `byte ${place.offset}`);
    if (found !== hash) throw damaged(place.file, `byte ${place.offset}`, 'another answer');
    return answer;
  }

  /** @throws ANNOTATE_CACHE_FAILED */
  put(hash: string, answer: StoredAnswer): Promise<void> {
    const { text, finish, promptTokens, answerTokens } = answer;
    const record = { hash, finish, promptTokens, answerTokens, text };
    const line = Buffer.from(`${JSON.stringify(record)}\n`);
    return new Promise((resolve, reject) => {
      const done = (error?: unknown): void =>
        error === undefined ? resolve() : reject(failed(this.#folder, error));
      this.#waiting.push({ hash, line, done });
      this.#writing ??= this.#write();
    });
  }

  /** Waits for what is being stored, then closes. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#writer?.handle.close();
    for (const handle of this.#readers.values()) await handle.close();
    this.#readers.clear();
    this.#writer = null;
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        this.#writer ??= await this.#begin();
        const writer = this.#writer;
        await writeAll(writer.handle, Buffer.concat(group.map(({ line }) => line)));
        await writer.handle.datasync();
        for (const { hash, line, done } of group) {
          const { file, offset } = writer;
          this.#places.set(hash, { file, offset, length: line.length - 1 });
          writer.offset += line.length;
          done();
        }
      } catch (error) {
        // The file's end is unknown now: what comes next goes into another one.
        await this.#writer?.handle.close().catch(() => undefined);
        this.#writer = null;
        for (const { done } of group) done(error);
      }
    }
    // In the same step as the last look at what waits: a later put must find nobody writing.
    this.#writing = null;
  }

  /** A file that no other run has. */
  async #begin() {
    const header = Buffer.from(`${HEADER}\n`);
    const last = answerFiles(await readdir(this.#folder)).at(-1);
    for (let number = last === undefined ? 0 : numberOf(last) + 1; ; number++) {
      const file = join(this.#folder, `answers-${String(number).padStart(5, '0')}.jsonl`);
      try {
        const handle = await open(file, 'wx');
        await writeAll(handle, header);
        return { file, handle, offset: header.length };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
  }

  /** Notes the places of a file's answers. */
  async #index(file: string): Promise<void> {
    let rest: Buffer[] = [];
    let restBytes = 0;
    let offset = 0;
    let line = 0;
    for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
      let bytes = chunk as Buffer;
      for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10)) {
        const whole = Buffer.concat([...rest, bytes.subarray(0, end)]);
        line++;
        this.#note(whole, { file, offset, length: whole.length }, line);
        offset += whole.length + 1;
        rest = [];
        restBytes = 0;
        bytes = bytes.subarray(end + 1);
      }
      if (bytes.length > 0) rest.push(bytes);
      restBytes += bytes.length;
      if (restBytes > MAX_LINE_BYTES) {
        throw damaged(file, `line ${line + 1}`, `longer than ${MAX_LINE_BYTES} bytes`);
      }
    }
  }

  #note(bytes: Buffer, place: Place, line: number): void {
    const where = `line ${line}`;
    if (line === 1) {
      if (bytes.toString('utf8') !== HEADER) throw damaged(place.file, where, 'not our header');
      return;
    }
    this.#places.set(parse(bytes, place.file, where).hash, place);
  }
}

function answerFiles(names: readonly string[]): string[] {
  return names
    .filter((name) => /^answers-\d{5,15}\.jsonl$/.test(name))
    .sort((left, right) => numberOf(left) - numberOf(right));
}

function numberOf(name: string): number {
  return Number(name.slice('answers-'.length, -'.jsonl'.length));
}

function parse(
  bytes: Buffer,
  file: string,
  where: string,
): StoredAnswer & { readonly hash: string } {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw damaged(file, where, 'no JSON');
  }
  const { hash, text, finish, promptTokens, answerTokens } = value ?? {};
  const good =
    typeof hash === 'string' &&
    /^[0-9a-f]{64}$/.test(hash) &&
    typeof text === 'string' &&
    (finish === 'stop' || finish === 'length') &&
    Number.isSafeInteger(promptTokens) &&
    Number.isSafeInteger(answerTokens);
  if (!good) throw damaged(file, where, 'no answer');
  return {
    hash,
    text,
    finish,
    promptTokens: promptTokens as number,
    answerTokens: answerTokens as number,
  };
}

async function writeAll(handle: FileHandle, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done, bytes.length - done)).bytesWritten;
  }
}

function damaged(file: string, place: string, reason: string): GristmillError {
  return new GristmillError('ANNOTATE_CACHE_INVALID', { file, place, reason });
}

function failed(path: string, cause: unknown): unknown {
  if (cause instanceof GristmillError) return cause;
  const reason = (cause as Error).message;
  return new GristmillError('ANNOTATE_CACHE_FAILED', { path, reason }, { cause });
}
