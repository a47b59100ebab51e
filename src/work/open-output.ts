/** The store of an output by its address; what buckets need is loaded with the first of them. */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
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

/** An output as a board of runs names it: the same from every working folder, and without what it takes to get in. */
export function placeOf(out: string): string {
  return remoteScheme(out) === null ? resolve(out) : outputAddress(out);
}

/** Names a run of any kind in its output. @param runId as its ledger has it; see LedgerKind.runIdOf */
export function runNameAt(runId: string, out: string): string {
  return createHash('sha256')
    .update(`${runId}\n${placeOf(out)}`)
    .digest('hex')
    .slice(0, 12);
}
