/** What whoever finishes the run of several workers has to do with all kinds: what they left besides their units, what is missing. */
import { WORKERS } from './ledger-claim.ts';
import type { OutputStore } from './output-store.ts';

/** Missing units that are named. */
export const MAX_MISSING = 100;

/** Files that killed processes were writing; summaries of workers, once nothing is missing. */
export async function removeLeftovers(store: OutputStore, isComplete: boolean): Promise<void> {
  for (const folder of ['', WORKERS]) {
    for (const name of await store.list(folder)) {
      const isSummary = folder === WORKERS && name.endsWith('.json');
      if (!name.endsWith('.tmp') && !(isSummary && isComplete)) continue;
      await store.remove(folder === '' ? name : `${folder}/${name}`);
    }
  }
}

/**
 * Removes files that belong to no committed unit, or to one that was committed without them.
 *
 * @param isOf whether a file is one of a committed unit
 * @returns how many there were
 */
export async function removeOrphans(
  store: OutputStore,
  isOf: (path: string) => boolean,
): Promise<number> {
  const orphans: string[] = [];
  for await (const path of store.publicFiles()) if (!isOf(path)) orphans.push(path);
  for (const path of orphans) await store.removePublic(path);
  return orphans.length;
}
