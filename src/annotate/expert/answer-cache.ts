/**
 * Answers on disk or in a bucket (answer-folder.ts), by the hash of their request.
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
import { GristmillError } from '../../errors.ts';
import { openAnswerFolder } from './answer-files.ts';
import type { AnswerFolder, AnswerWriter } from './answer-folder.ts';

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
  readonly #path: string;
  readonly #folder: AnswerFolder;
  readonly #places = new Map<string, Place>();
  #writer: AnswerWriter | null = null;
  #waiting: { readonly hash: string; readonly line: Buffer; done(error?: unknown): void }[] = [];
  #writing: Promise<void> | null = null;

  private constructor(path: string, folder: AnswerFolder) {
    this.#path = path;
    this.#folder = folder;
  }

  /**
   * Opens a folder, which is made where it is missing, and reads what it holds.
   *
   * @throws ANNOTATE_CACHE_INVALID for a file that is damaged elsewhere than at its end; ANNOTATE_CACHE_FAILED
   */
  static async open(path: string): Promise<AnswerCache> {
    try {
      const folder = await openAnswerFolder(path);
      const cache = new AnswerCache(path, folder);
      for await (const { file, chunks } of folder.files()) await cache.#index(file, chunks);
      return cache;
    } catch (error) {
      throw failed(path, error);
    }
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
    if (!place) throw damaged(this.#path, hash, 'no such answer');
    let bytes: Buffer;
    try {
      bytes = await this.#folder.read(place.file, place.offset, place.length);
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
        error === undefined ? resolve() : reject(failed(this.#path, error));
      this.#waiting.push({ hash, line, done });
      this.#writing ??= this.#write();
    });
  }

  /** Waits for what is being stored, then closes. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#writer?.close();
    this.#writer = null;
    await this.#folder.close();
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        this.#writer ??= await this.#folder.begin(Buffer.from(`${HEADER}\n`));
        const appended = await this.#writer.append(Buffer.concat(group.map(({ line }) => line)));
        let { offset } = appended;
        for (const { hash, line, done } of group) {
          this.#places.set(hash, { file: appended.file, offset, length: line.length - 1 });
          offset += line.length;
          done();
        }
      } catch (error) {
        // The file's end is unknown now: what comes next goes into another one.
        await this.#writer?.close().catch(() => undefined);
        this.#writer = null;
        for (const { done } of group) done(error);
      }
    }
    // In the same step as the last look at what waits: a later put must find nobody writing.
    this.#writing = null;
  }

  /** Notes the places of a file's answers. */
  async #index(file: string, chunks: AsyncIterable<Buffer>): Promise<void> {
    let rest: Buffer[] = [];
    let restBytes = 0;
    let offset = 0;
    let line = 0;
    for await (const chunk of chunks) {
      let bytes = chunk;
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

function damaged(file: string, place: string, reason: string): GristmillError {
  return new GristmillError('ANNOTATE_CACHE_INVALID', { file, place, reason });
}

function failed(path: string, cause: unknown): unknown {
  if (cause instanceof GristmillError) return cause;
  const reason = (cause as Error).message;
  return new GristmillError('ANNOTATE_CACHE_FAILED', { path, reason }, { cause });
}
