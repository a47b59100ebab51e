/** Small result files: written beside their place, synced, renamed. */
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GristmillError } from '../errors.ts';

/**
 * Writes a file whole or not at all; its folder is made where it is missing.
 *
 * @throws MIXTURE_WRITE_FAILED
 */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  const partial = `${path}.partial`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const handle = await open(partial, 'w');
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, path);
  } catch (cause) {
    await rm(partial, { force: true }).catch(() => undefined);
    throw new GristmillError(
      'MIXTURE_WRITE_FAILED',
      { path, reason: (cause as Error).message },
      { cause },
    );
  }
}
