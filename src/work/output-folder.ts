/**
 * An output on a file system: the store of a shared ledger (output-store.ts) in a folder.
 *
 *     out/_gristmill/NAME                     objects
 *     out/_gristmill/tmp/00017.ATTEMPT/…      files of an attempt, `/` of their public paths as `__`
 *     out/_gristmill/tmp/00017.ATTEMPT/record a record on its way to its name
 *     out/_gristmill/tmp/.gone.…               a discarded attempt, or a removed record, on its way out
 *
 * Why rule 2 of the store holds: a record is linked from inside of its attempt's folder, and discarding renames that folder
 * first. A process that was stopped between its last look and its link finds nothing to link. One that linked before the
 * rename has committed: the folder goes back to where {@link OutputStore.publish} looks for it. Where a file system has no
 * hard links the record is made in place, and a stop right there is not fenced.
 *
 * A record is removed by content: moved aside, looked at there, and put back where it is another's by then.
 */
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  opendirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { writeDurably } from '../durable-files.ts';
import { makeFolder } from '../local-path.ts';
import { syncFolder } from '../pending-file.ts';
import { createExclusively } from './exclusive-file.ts';
import { leaseFile } from './lease-file.ts';
import type { Attempt, LedgerLayout, OutputStore, StoredFile } from './output-store.ts';

/** The folder of a ledger in the output of a refined corpus. */
export const LEDGER_FOLDER = '_gristmill';

/** Names of a refined corpus. */
export const REFINE_LAYOUT: LedgerLayout = Object.freeze({
  folder: LEDGER_FOLDER,
  records: 'units',
  runFile: 'run.json',
  results: ['', 'dropped', 'rejected', `${LEDGER_FOLDER}/scores`],
  resultName: /^part-\d{5,}\.[a-z.]+$/,
});

const TMP = 'tmp';
const ATTEMPT = /^([\w-][\w.-]*)\.([\w-]+)$/;
/** Units have no names that begin so. */
const GONE = '.gone.';
/** Somebody else may be publishing the same file, or putting a folder back. */
const PUBLISH_TRIES = 20;
const PUBLISH_WAIT_MS = 10;
const NAMES_AT_ONCE = 1024;

/** Five digits and more: sorts by name up to 99,999 units. */
export function unitName(unit: number): string {
  return String(unit).padStart(5, '0');
}

/** Where the record of a unit lies in its ledger. */
export function recordName({ records }: LedgerLayout, unit: string): string {
  return `${records}/${unit}.json`;
}

/** The store over the folder `out`, which need not be there yet. */
export function outputFolder(out: string, layout: LedgerLayout = REFINE_LAYOUT): OutputStore {
  const ledger = join(out, layout.folder);
  const at = (name: string): string => join(ledger, ...name.split('/'));
  const tmp = join(ledger, TMP);
  const folderOf = ({ unit, name }: Attempt): string => join(tmp, `${unit}.${name}`);
  const pathOf = (attempt: Attempt, path: string): string =>
    join(folderOf(attempt), path.replaceAll('/', '__'));
  const isOf = (attempt: Attempt, content: string | null): boolean =>
    content !== null && attemptIn(content) === attempt.name;
  const read = (name: string): string | null => ifThere(() => readFileSync(at(name), 'utf8'));
  return {
    out,
    layout,
    async prepare() {
      for (const folder of [layout.records, TMP]) makeFolder(join(ledger, folder));
    },
    async hasPublicFiles() {
      for await (const name of eachNameIn(out)) if (name !== layout.folder) return true;
      return false;
    },
    async *publicFiles() {
      for (const folder of layout.results) {
        for await (const name of eachNameIn(join(out, folder))) {
          if (layout.resultName.test(name)) yield folder === '' ? name : `${folder}/${name}`;
        }
      }
    },
    removePublic: async (path) => rmSync(join(out, path), { force: true }),

    read: async (name) => read(name),
    async create(name, content) {
      makeFolder(dirname(at(name)));
      const isOurs = createExclusively(at(name), content, { isDurable: true });
      syncFolder(dirname(at(name)));
      return isOurs;
    },
    async replace(name, content) {
      makeFolder(dirname(at(name)));
      writeDurably(at(name), content);
    },
    async remove(name) {
      rmSync(at(name), { force: true });
      if (existsSync(dirname(at(name)))) syncFolder(dirname(at(name)));
    },
    async removeIf(name, content) {
      if (read(name) !== content) return false;
      makeFolder(tmp);
      const aside = join(tmp, `${GONE}record.${randomBytes(8).toString('hex')}`);
      try {
        renameSync(at(name), aside);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
        throw error;
      }
      const moved = readFileSync(aside, 'utf8');
      const isSame = moved === content;
      // Another was put there since it was read: it goes back, where nobody has made a third.
      if (!isSame) createExclusively(at(name), moved, { isDurable: true });
      rmSync(aside, { force: true });
      syncFolder(dirname(at(name)));
      return isSame;
    },
    list: async (folder) => namesIn(at(folder)).sort(),
    names: (folder) => eachNameIn(at(folder)),
    lease(name) {
      makeFolder(dirname(at(name)));
      return leaseFile(at(name));
    },

    begin: async (attempt) => makeFolder(folderOf(attempt)),
    pathOf,
    async commit(attempt, name, record) {
      makeFolder(dirname(at(name)));
      const pending = join(folderOf(attempt), 'record');
      try {
        syncFolder(folderOf(attempt));
        const isOurs = createExclusively(at(name), record, { isDurable: true, pending });
        syncFolder(dirname(at(name)));
        return isOurs;
      } catch (error) {
        // It was discarded: by the winner, where there is one.
        const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT';
        if (isGone && existsSync(at(name))) return false;
        throw error;
      }
    },
    async publish(attempt, files) {
      for (let tries = 0; ; tries++) {
        const damaged = publishOnce(out, attempt && ((path) => pathOf(attempt, path)), files);
        if (damaged === null && attempt) {
          rmSync(folderOf(attempt), { recursive: true, force: true });
        }
        // Without its folder nothing of it is on its way.
        const mayCome = attempt !== null && namesIn(tmp).some((name) => isOnItsWay(name, attempt));
        if (damaged === null || !mayCome || tries === PUBLISH_TRIES) return damaged;
        await new Promise((resolve) => setTimeout(resolve, PUBLISH_WAIT_MS));
      }
    },
    async discard(attempt) {
      const isCommitted = (): boolean => isOf(attempt, read(recordName(layout, attempt.unit)));
      const folder = folderOf(attempt);
      if (isCommitted()) return;
      const gone = join(tmp, goneName(attempt));
      try {
        renameSync(folder, gone);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
        throw error;
      }
      if (isCommitted()) renameSync(gone, folder);
      else rmSync(gone, { recursive: true, force: true });
    },
    async attempts(wanted) {
      const found: Attempt[] = [];
      for (const entry of namesIn(tmp)) {
        if (wanted !== undefined && !entry.startsWith(`${wanted}.`)) continue;
        const [, unit, name] = ATTEMPT.exec(entry) ?? [];
        if (unit === undefined || name === undefined) continue;
        if (wanted === undefined || unit === wanted) found.push({ unit, name });
      }
      return found;
    },
    async sweep() {
      rmSync(tmp, { recursive: true, force: true });
      makeFolder(tmp);
    },
  };
}

function goneName({ unit, name }: Attempt): string {
  return `${GONE}${unit}.${name}.${randomBytes(4).toString('hex')}`;
}

function isOnItsWay(entry: string, { unit, name }: Attempt): boolean {
  const folder = `${unit}.${name}`;
  return entry === folder || entry.startsWith(`${GONE}${folder}.`);
}

function attemptIn(record: string): unknown {
  try {
    return (JSON.parse(record) as { attempt?: unknown } | null)?.attempt;
  } catch {
    return undefined;
  }
}

function publishOnce(
  out: string,
  pendingOf: ((path: string) => string) | null,
  files: readonly StoredFile[],
): string | null {
  for (const file of files) {
    const target = join(out, file.path);
    const pending = pendingOf?.(file.path);
    if (pending !== undefined && existsSync(pending)) {
      makeFolder(dirname(target));
      try {
        renameSync(pending, target);
      } catch (error) {
        // Somebody else has just done it.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
      syncFolder(dirname(target));
    }
    if (statSync(target, { throwIfNoEntry: false })?.size !== file.bytes) return file.path;
  }
  return null;
}

function namesIn(folder: string): string[] {
  return ifThere(() => readdirSync(folder)) ?? [];
}

/** The same one after the other: a folder of a million files is never in memory. */
async function* eachNameIn(folder: string): AsyncGenerator<string> {
  const open = ifThere(() => opendirSync(folder, { bufferSize: NAMES_AT_ONCE }));
  if (!open) return;
  try {
    for (let entry = open.readSync(); entry !== null; entry = open.readSync()) yield entry.name;
  } finally {
    open.closeSync();
  }
}

/** Null for what is not there. */
function ifThere<T>(look: () => T): T | null {
  try {
    return look();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
