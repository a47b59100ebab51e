/** Files that commands of the continual room leave: whole or not there, and coded when they cannot be written. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { writeDurably } from '../durable-files.ts';
import { GristmillError } from '../errors.ts';

/**
 * Writes a file whole or not at all; its folder is made where it is missing.
 *
 * @param content text, bytes, or pieces of text one after the other
 * @throws CONTINUAL_WRITE_FAILED
 */
export function writeResult(path: string, content: string | Uint8Array | Iterable<string>): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeDurably(path, content);
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new GristmillError('CONTINUAL_WRITE_FAILED', { path, reason }, { cause });
  }
}
