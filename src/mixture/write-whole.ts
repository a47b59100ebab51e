/** Small result files of the mixture room: whole or not there, on a file system or in a bucket. */
import { OutputFile } from '../corpus/output-file.ts';
import { remoteScheme } from '../corpus/storage/addresses.ts';
import { writeResultAs } from '../durable-files.ts';
import { GristmillError } from '../errors.ts';

/**
 * Writes a file whole or not at all; its folder is made where it is missing.
 *
 * @throws MIXTURE_WRITE_FAILED
 */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  if (remoteScheme(path) !== 's3') return writeResultAs('MIXTURE_WRITE_FAILED', path, content);
  try {
    const output = await OutputFile.create({ path });
    await output.write(typeof content === 'string' ? Buffer.from(content) : content);
    await output.close();
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new GristmillError('MIXTURE_WRITE_FAILED', { path, reason }, { cause });
  }
}
