/** Files that commands of the continual room leave: whole or not there, and coded when they cannot be written. */
import { writeResultAs } from '../durable-files.ts';

/**
 * Writes a file whole or not at all; its folder is made where it is missing.
 *
 * @param content text, bytes, or pieces of text one after the other
 * @throws CONTINUAL_WRITE_FAILED
 */
export function writeResult(path: string, content: string | Uint8Array | Iterable<string>): void {
  writeResultAs('CONTINUAL_WRITE_FAILED', path, content);
}
