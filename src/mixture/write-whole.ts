/** Small result files of the mixture room: whole or not there. */
import { writeResultAs } from '../durable-files.ts';

/**
 * Writes a file whole or not at all; its folder is made where it is missing.
 *
 * @throws MIXTURE_WRITE_FAILED
 */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  writeResultAs('MIXTURE_WRITE_FAILED', path, content);
}
