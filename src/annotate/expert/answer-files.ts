/** Answers in a folder of the file system, and which of the two an address means. */
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { remoteScheme } from '../../corpus/storage/addresses.ts';
import { localPath, makeFolder } from '../../local-path.ts';
import { type AnswerFolder, answerFiles, nextNumber, numbered } from './answer-folder.ts';

/** The folder of a path, made where it is missing, or what lies below an address of a bucket. @throws PATH_REMOTE */
export async function openAnswerFolder(path: string): Promise<AnswerFolder> {
  if (remoteScheme(path) !== 's3') return localAnswers(localPath(path, 'output', '--cache'));
  return (await import('./answer-objects.ts')).answerObjects(path);
}

function localAnswers(folder: string): AnswerFolder {
  const readers = new Map<string, FileHandle>();
  makeFolder(folder);
  return {
    async *files() {
      for (const name of answerFiles(await readdir(folder))) {
        const file = join(folder, name);
        yield { file, chunks: createReadStream(file, { highWaterMark: 1 << 20 }) };
      }
    },
    async read(file, offset, length) {
      let handle = readers.get(file);
      if (!handle) {
        handle = await open(file, 'r');
        // Two callers may have opened it at once: the later one gives way.
        const other = readers.get(file);
        if (other) {
          await handle.close();
          handle = other;
        } else readers.set(file, handle);
      }
      const bytes = Buffer.alloc(length);
      for (let done = 0; done < length; ) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0) throw new Error('it has become shorter');
        done += bytesRead;
      }
      return bytes;
    },
    async begin(header) {
      const { file, handle } = await createNext(folder);
      await writeAll(handle, header);
      let offset = header.length;
      return {
        async append(lines) {
          await writeAll(handle, lines);
          await handle.datasync();
          const at = { file, offset };
          offset += lines.length;
          return at;
        },
        close: () => handle.close(),
      };
    },
    async close() {
      for (const handle of readers.values()) await handle.close();
      readers.clear();
    },
  };
}

async function createNext(
  folder: string,
): Promise<{ readonly file: string; readonly handle: FileHandle }> {
  for (let number = nextNumber(await readdir(folder)); ; number++) {
    const file = join(folder, `answers-${numbered(number)}.jsonl`);
    try {
      return { file, handle: await open(file, 'wx') };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

async function writeAll(handle: FileHandle, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done, bytes.length - done)).bytesWritten;
  }
}
