/** What a finished run has counted of its sites, for those who look at it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { remoteScheme } from '../corpus/storage/addresses.ts';
import { isGristmillError } from '../errors.ts';
import { openSites, type Sites } from '../sites/site-file.ts';
import { LEDGER_FOLDER } from '../work/output-folder.ts';
import type { FinishedRun } from './finished-run.ts';
import { SITES_FILE } from './run-sites.ts';

/**
 * Opens the counts that a run has made of its inputs. Null for a run without them, with ones that were given (they lie
 * elsewhere), in a bucket, and where the file is damaged: what a run shows besides does not hang on it. Dispose of them.
 */
export async function sitesOfRun({
  out,
  identity,
}: Pick<FinishedRun, 'out' | 'identity'>): Promise<Sites | null> {
  if (!identity.sites || remoteScheme(out) !== null) return null;
  const file = join(out, LEDGER_FOLDER, SITES_FILE);
  if (!existsSync(file)) return null;
  try {
    return await openSites(file);
  } catch (error) {
    if (isGristmillError(error)) return null;
    throw error;
  }
}
