/** The store of an output by its address; what buckets need is loaded with the first of them. */
import { remoteScheme, withoutSecrets } from '../corpus/storage/addresses.ts';
import { localPath } from '../local-path.ts';
import { outputFolder, REFINE_LAYOUT } from './output-folder.ts';
import type { LedgerLayout, OutputStore } from './output-store.ts';

/**
 * A place for outputs.
 *
 * @throws PATH_REMOTE for addresses that are not written
 */
export async function outputStore(
  out: string,
  layout: LedgerLayout = REFINE_LAYOUT,
): Promise<OutputStore> {
  if (remoteScheme(out) !== 's3') return outputFolder(localPath(out, 'output', '--out'), layout);
  return (await import('./output-bucket.ts')).outputBucket(out, layout);
}

/** The address of an output as it may be seen, if outputs can lie there. @throws PATH_REMOTE */
export function outputAddress(out: string): string {
  return remoteScheme(out) === 's3'
    ? withoutSecrets(out).replace(/\/+$/, '')
    : localPath(out, 'output', '--out');
}
