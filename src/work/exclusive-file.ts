/**
 * A file that one of many makes, whole, where nothing is: written under a name of its own, then linked. A link, unlike a
 * rename, never takes another file's place.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { writeWholly } from '../pending-file.ts';

/** Codes of a file system that has no hard links. */
const NO_LINKS = new Set(['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK']);
const MAX_ATTEMPTS = 100;

/** Options of {@link createExclusively}. */
export interface ExclusiveOptions {
  /** Put the content on the disk before the file has its name. Default false. */
  readonly isDurable?: boolean;
  /** Name under which it is written first; its folder must stay there for the file to be made. */
  readonly pending?: string;
}

/**
 * Makes `file` with `content`, if nothing has the name.
 *
 * @returns whether the file is ours now
 * @throws errors of the file system; ENOENT when the folder of `pending` is gone
 */
export function createExclusively(
  file: string,
  content: string,
  { isDurable = false, pending: given }: ExclusiveOptions = {},
): boolean {
  const own = `${file}.${process.pid}-${Math.random().toString(36).slice(2)}.tmp`;
  const pending = given ?? own;
  for (let attempt = 0; ; attempt++) {
    try {
      writeNew(pending, content, isDurable);
      linkSync(pending, file);
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A network file system may do it, lose its answer and try again.
      if (code === 'EEXIST') return contentOf(file) === content;
      // Another one's cleaning took the pending file, not the folder.
      const isSwept = code === 'ENOENT' && given === undefined && existsSync(dirname(file));
      if (isSwept && attempt < MAX_ATTEMPTS) continue;
      if (!NO_LINKS.has(code ?? '')) throw error;
      return createInPlace(file, content, isDurable);
    } finally {
      rmSync(pending, { force: true });
    }
  }
}

function createInPlace(file: string, content: string, isDurable: boolean): boolean {
  try {
    writeNew(file, content, isDurable);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function contentOf(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function writeNew(file: string, content: string, isDurable: boolean): void {
  const handle = openSync(file, 'wx');
  try {
    writeWholly(handle, Buffer.from(content));
    if (isDurable) fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
