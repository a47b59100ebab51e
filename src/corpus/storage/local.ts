/** Files of the local file system. */
import { type FileHandle, open as openHandle, stat } from 'node:fs/promises';
import { GristmillError } from '../../errors.ts';
import type { RangedFile, ReadStorage, StoredFile } from './types.ts';

function readFailed(file: string, cause: unknown): GristmillError {
  const reason = (cause as Error).message;
  return new GristmillError('CORPUS_READ_FAILED', { file, reason }, { cause });
}

/** Whether a failure of the file system says that there is nothing. */
function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** Opens a path. @throws CORPUS_READ_FAILED */
export async function openLocal(path: string): Promise<RangedFile> {
  let handle: FileHandle;
  try {
    handle = await openHandle(path, 'r');
  } catch (cause) {
    throw readFailed(path, cause);
  }
  const { size, mtimeNs, ino, dev } = await handle.stat({ bigint: true });
  return {
    path,
    bytes: Number(size),
    version: `${mtimeNs}-${dev}-${ino}`,
    sha256: null,
    changedMs: Math.round(Number(mtimeNs) / 1e6),
    async read(start, length) {
      const bytes = new Uint8Array(Math.max(0, length));
      let done = 0;
      while (done < length) {
        const { bytesRead } = await handle.read(bytes, done, length - done, start + done);
        if (bytesRead === 0) return bytes.subarray(0, done);
        done += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}

/** The local file system. Its folders are walked by walk.ts, which knows links and special files. */
export const localStorage: ReadStorage = {
  async stat(path): Promise<StoredFile | null> {
    try {
      const { size, mtimeNs, ino, dev } = await stat(path, { bigint: true });
      return { path, bytes: Number(size), version: `${mtimeNs}-${dev}-${ino}`, sha256: null };
    } catch (error) {
      if (isMissing(error)) return null;
      throw readFailed(path, error);
    }
  },
  open: ({ path }) => openLocal(path),
  list: null,
};
