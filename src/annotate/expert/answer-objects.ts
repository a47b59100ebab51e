/**
 * Answers in a bucket. Objects do not grow: the one that is being filled is written anew with every group of lines, whole each time,
 * until it has {@link FULL_BYTES}; then the next one begins. So nothing is torn, what was answered for is there, and a run
 * that is killed leaves objects like any other.
 *
 *     <address>/answers-00017-<16 hexadecimal digits of its run>.jsonl
 *
 * An object is read whole: it is small, and answers of neighbours are asked for together.
 */
import { randomBytes } from 'node:crypto';
import { below, shownAddress } from '../../corpus/storage/addresses.ts';
import { readWhole } from '../../corpus/storage/folders.ts';
import { S3Objects } from '../../corpus/storage/s3-objects.ts';
import { storageOf } from '../../corpus/storage/storages.ts';
import {
  type AnswerFolder,
  type AnswerWriter,
  answerFiles,
  nextNumber,
  numbered,
} from './answer-folder.ts';

/** Every group of lines writes the object again: half of this on average, beside answers that took seconds. */
const FULL_BYTES = 2 ** 20;
/** Objects in memory that were read last. */
const KEPT_OBJECTS = 32;
/** Objects that are read side by side when all are looked at. */
const READS_AT_ONCE = 8;

/** Answers below `s3://BUCKET/PREFIX`. */
export function answerObjects(address: string): AnswerFolder {
  const folder = shownAddress(address).replace(/\/+$/, '');
  const objects = new S3Objects();
  const kept = new Map<string, Promise<Buffer>>();
  const names = async (): Promise<string[]> => {
    const found: string[] = [];
    const prefix = `${folder}/`;
    for await (const path of objects.list(prefix, true)) found.push(path.slice(prefix.length));
    return found;
  };
  const fetchWhole = async (file: string): Promise<Buffer> => {
    const found = await (await storageOf(file)).stat(file);
    if (!found) throw new Error('it is gone');
    return readWhole(found);
  };
  const wholeOf = (file: string): Promise<Buffer> => {
    const known = kept.get(file) ?? fetchWhole(file);
    kept.delete(file);
    kept.set(file, known);
    known.catch(() => kept.delete(file));
    if (kept.size > KEPT_OBJECTS) kept.delete(kept.keys().next().value!);
    return known;
  };
  return {
    async *files() {
      const all = answerFiles(await names()).map((name) => below(folder, name));
      const under: Promise<Buffer>[] = [];
      for (const [at, file] of all.entries()) {
        while (under.length < READS_AT_ONCE && at + under.length < all.length) {
          const reading = fetchWhole(all[at + under.length]!);
          reading.catch(() => undefined);
          under.push(reading);
        }
        const bytes = await under.shift()!;
        yield { file, chunks: only(bytes) };
      }
    },
    async read(file, offset, length) {
      let whole = await wholeOf(file);
      if (whole.length < offset + length) {
        // It has grown since: its run is still at work.
        kept.delete(file);
        whole = await wholeOf(file);
      }
      if (whole.length < offset + length) throw new Error('it has become shorter');
      return whole.subarray(offset, offset + length);
    },
    async begin(header): Promise<AnswerWriter> {
      const run = randomBytes(8).toString('hex');
      let number = nextNumber(await names());
      let file = '';
      let content: Buffer = header;
      const next = (): void => {
        file = below(folder, `answers-${numbered(number++)}-${run}.jsonl`);
        content = header;
      };
      next();
      return {
        async append(lines) {
          if (content.length > header.length && content.length + lines.length > FULL_BYTES) next();
          const longer = Buffer.concat([content, lines]);
          await objects.put(file, longer);
          const at = { file, offset: content.length };
          content = longer;
          kept.set(file, Promise.resolve(longer));
          return at;
        },
        close: async () => undefined,
      };
    },
    close: async () => kept.clear(),
  };
}

async function* only(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
