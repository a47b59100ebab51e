/** Which command has written a folder: told by what lies in it, as inputs are (corpus/own-folders.ts). */
import { readdirSync } from 'node:fs';
import { commandOf } from '../corpus/own-folders.ts';
import { remoteScheme } from '../corpus/storage/addresses.ts';
import { readableFolder } from '../corpus/storage/folders.ts';
import { GristmillError } from '../errors.ts';

/** Runs that are reported on. */
export type RunKind = 'refine' | 'train' | 'mix train' | 'mix apply' | 'continue run';

const KINDS: readonly RunKind[] = ['refine', 'train', 'mix train', 'mix apply', 'continue run'];

/** The kind of the run in a folder; only `refine` writes into buckets. @throws RUN_NOT_FOUND, PATH_REMOTE */
export async function runKindOf(dir: string): Promise<RunKind> {
  const folder = readableFolder(dir, 'the run');
  if (remoteScheme(folder) !== null) return 'refine';
  const lost = (cause?: unknown): GristmillError =>
    new GristmillError('RUN_NOT_FOUND', { path: dir, kinds: KINDS.join(', ') }, { cause });
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (cause) {
    throw lost(cause);
  }
  const present = new Set(names);
  // A run of a plan has no lineage before its first stage is finished.
  if (present.has('stages') && present.has('run.json')) return 'continue run';
  const command = await commandOf(folder, present);
  const kind = KINDS.find((one) => one === command);
  if (!kind) throw lost();
  return kind;
}
