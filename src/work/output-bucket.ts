/**
 * An output in a bucket: the store of a shared ledger (output-store.ts) over conditional writes.
 *
 *     OUT/_gristmill/NAME                      objects
 *     OUT/_gristmill/tmp/00017.ATTEMPT/state   `open`, `committing` or `discarded`
 *     OUT/_gristmill/tmp/00017.ATTEMPT/…       files of an attempt, `/` of their public paths as `__`
 *
 * Why rule 2 of the store holds, with nothing to rename: an attempt commits by two writes. `state` goes from `open` to
 * `committing` (`If-Match`), then its record is made (`If-None-Match: *`). Who discards puts `discarded` in the place of
 * `open` under the same condition: of the two exactly one wins. An attempt that is found `committing` is left alone with
 * all its files while its unit has no record: its process may be about to make it, and then it counts. With another one's
 * record there it can never commit, and goes.
 *
 * Files get their public names by copies inside of the storage, which anybody may make, and make again.
 */
import { S3Objects } from '../corpus/storage/s3-objects.ts';
import { GristmillError } from '../errors.ts';
import { leaseObject } from './lease-object.ts';
import { REFINE_LAYOUT, recordName } from './output-folder.ts';
import type { Attempt, LedgerLayout, OutputStore, StoredFile } from './output-store.ts';

const STATE = 'state';
const OPEN = 'open';
const COMMITTING = 'committing';
const DISCARDED = 'discarded';
/** Copies and removals under way at a time. */
const AT_ONCE = 8;

/** The store over `s3://BUCKET/PREFIX`. */
export function outputBucket(address: string, layout: LedgerLayout = REFINE_LAYOUT): OutputStore {
  const out = address.replace(/\/+$/, '');
  const ledger = layout.folder === '' ? `${out}/` : `${out}/${layout.folder}/`;
  const tmp = `${ledger}tmp/`;
  const objects = new S3Objects();
  const at = (name: string): string => `${ledger}${name}`;
  const folderOf = ({ unit, name }: Attempt): string => `${tmp}${unit}.${name}/`;
  const stateOf = (attempt: Attempt): string => `${folderOf(attempt)}${STATE}`;
  const pathOf = (attempt: Attempt, path: string): string =>
    `${folderOf(attempt)}${path.replaceAll('/', '__')}`;
  /** Looked at once, before anything is written. */
  let checked: Promise<void> | null = null;
  const writable = (): Promise<void> => {
    checked ??= objects.checkConditions(ledger);
    return checked;
  };
  const removeAll = async (paths: AsyncIterable<string>): Promise<void> => {
    let few: string[] = [];
    const removeFew = async (): Promise<void> => {
      await Promise.all(few.map((path) => objects.remove(path)));
      few = [];
    };
    for await (const path of paths) if (few.push(path) === AT_ONCE) await removeFew();
    await removeFew();
  };
  const read = async (name: string): Promise<string | null> =>
    (await objects.read(at(name)))?.content ?? null;
  async function* namesIn(folder: string): AsyncGenerator<string> {
    const prefix = folder === '' ? ledger : at(`${folder}/`);
    for await (const path of objects.list(prefix, true)) yield path.slice(prefix.length);
  }
  return {
    out,
    layout,
    prepare: writable,
    async hasPublicFiles() {
      for await (const path of objects.list(`${out}/`)) {
        if (!path.startsWith(ledger)) return true;
      }
      return false;
    },
    async *publicFiles() {
      for (const folder of layout.results) {
        const prefix = folder === '' ? `${out}/` : `${out}/${folder}/`;
        for await (const path of objects.list(prefix, true)) {
          const name = path.slice(prefix.length);
          if (layout.resultName.test(name)) yield path.slice(out.length + 1);
        }
      }
    },
    removePublic: (path) => objects.remove(`${out}/${path}`),

    read,
    async create(name, content) {
      await writable();
      return (await objects.putIf(at(name), content, { ifAbsent: true })) !== null;
    },
    async replace(name, content) {
      await writable();
      await objects.put(at(name), content);
    },
    remove: (name) => objects.remove(at(name)),
    async removeIf(name, content) {
      const found = await objects.read(at(name));
      return found?.content === content && (await objects.removeIf(at(name), found.version));
    },
    async list(folder) {
      const names: string[] = [];
      for await (const name of namesIn(folder)) names.push(name);
      return names.sort();
    },
    names: namesIn,
    lease: (name) => leaseObject(objects, at(name), writable),

    async begin(attempt) {
      await writable();
      // Under its condition: a question that was given up may be done later, when the attempt is committing.
      if ((await objects.putIf(stateOf(attempt), OPEN, { ifAbsent: true })) !== null) return;
      // Our own earlier try, whose commit has failed on its way.
      const left = await objects.read(stateOf(attempt));
      const condition = left && { ifVersion: left.version };
      if (condition && (await objects.putIf(stateOf(attempt), OPEN, condition)) !== null) return;
      const reason = 'an attempt of this name is there already';
      throw new GristmillError('RUN_OUTPUT_FAILED', { path: folderOf(attempt), reason });
    },
    pathOf,
    async commit(attempt, name, record) {
      const state = await objects.read(stateOf(attempt));
      const isOpen = state?.content === OPEN;
      const mayCommit =
        isOpen &&
        (await objects.putIf(stateOf(attempt), COMMITTING, { ifVersion: state.version })) !== null;
      if (mayCommit) return (await objects.putIf(at(name), record, { ifAbsent: true })) !== null;
      // It was discarded: by the winner, where there is one.
      if ((await read(name)) !== null) return false;
      const reason = 'this attempt was discarded by another process';
      throw new GristmillError('RUN_OUTPUT_FAILED', { path: folderOf(attempt), reason });
    },
    async publish(attempt, files) {
      let damaged: string | null = null;
      for (const file of files) {
        if (!(await publishOne(file, attempt))) damaged ??= file.path;
      }
      if (damaged === null && attempt) await removeAll(objects.list(folderOf(attempt)));
      return damaged;
    },
    async discard(attempt) {
      const record = await read(recordName(layout, attempt.unit));
      if (record !== null && attemptIn(record) === attempt.name) return;
      const state = await objects.read(stateOf(attempt));
      if (record === null && state !== null && state.content !== DISCARDED) {
        if (state.content === COMMITTING) return;
        const condition = { ifVersion: state.version };
        if ((await objects.putIf(stateOf(attempt), DISCARDED, condition)) === null) return;
      }
      // Its state goes last: what is left of a removal that was cut is found by it again.
      const own = stateOf(attempt);
      await removeAll(without(objects.list(folderOf(attempt)), own));
      await objects.remove(own);
    },
    async attempts(wanted) {
      const found = new Map<string, Attempt>();
      const prefix = wanted === undefined ? tmp : `${tmp}${wanted}.`;
      for await (const path of objects.list(prefix)) {
        const [, unit, name] = /^([\w-][\w.-]*)\.([\w-]+)\//.exec(path.slice(tmp.length)) ?? [];
        if (unit === undefined || name === undefined) continue;
        if (wanted === undefined || unit === wanted) found.set(`${unit}.${name}`, { unit, name });
      }
      return [...found.values()];
    },
    sweep: () => removeAll(objects.list(tmp)),
  };

  /** @returns whether the file has its public name, whole */
  async function publishOne(file: StoredFile, attempt: Attempt | null): Promise<boolean> {
    const target = `${out}/${file.path}`;
    if ((await objects.bytesOf(target)) === file.bytes) return true;
    if (!attempt) return false;
    if ((await objects.bytesOf(pathOf(attempt, file.path))) !== file.bytes) return false;
    if (!(await objects.copy(pathOf(attempt, file.path), target, file.bytes))) {
      // Somebody else has published it, and removed what it came from.
      return (await objects.bytesOf(target)) === file.bytes;
    }
    return true;
  }
}

async function* without(paths: AsyncIterable<string>, left: string): AsyncGenerator<string> {
  for await (const path of paths) if (path !== left) yield path;
}

function attemptIn(record: string): unknown {
  try {
    return (JSON.parse(record) as { attempt?: unknown } | null)?.attempt;
  } catch {
    return undefined;
  }
}
