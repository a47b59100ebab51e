/**
 * What a shared ledger asks of the place that an output lies in: small objects with an exclusive create, and the files of
 * units in attempts, one of which wins.
 *
 *     begin ─► pathOf … (a sink writes) ─► commit ─┬─ true:  publish
 *                                                  └─ false: another attempt has won; discard
 *
 * Rules
 *  1. {@link OutputStore.commit} is conditional: of all attempts at a unit at most one ever gets `true`, whoever else
 *     runs, stands still or wakes up late (an exclusive link on a file system; `If-None-Match: *` on a bucket).
 *  2. {@link OutputStore.discard} is a fence: an attempt that is discarded before it commits never commits, though its
 *     process should wake up at that very moment; one that has committed is not discarded.
 *  3. Files have their public names only by {@link OutputStore.publish}, which anybody may do, and repeat, from the record
 *     alone: whoever finds a committed unit finishes what its winner could not.
 *
 * Names of objects are relative to the ledger's folder and have `/` between their parts, on every system.
 */
import type { LeaseStore } from './lease-store.ts';

/** What a ledger and its results are called in their output; each kind of work has names of its own. */
export interface LedgerLayout {
  /** Folder of the ledger in its output; empty where the output is the ledger. */
  readonly folder: string;
  /** Folder of the records of units, `UNIT.json`, in the ledger. */
  readonly records: string;
  /** What makes it this run, in the ledger. */
  readonly runFile: string;
  /** Folders of the output that files of units come to lie in. */
  readonly results: readonly string[];
  /** Names of files of units in them. */
  readonly resultName: RegExp;
}

/** One try of one worker at one unit. */
export interface Attempt {
  /** Name of the unit: letters, digits, `.`, `-` and `_`, the first no `.`. */
  readonly unit: string;
  /** Name that no other attempt at the unit has: letters, digits, `-` and `_`. */
  readonly name: string;
}

/** A file of a unit, as its record has it. */
export interface StoredFile {
  /** Public path relative to the output. */
  readonly path: string;
  readonly bytes: number;
}

/** See the file's header. */
export interface OutputStore {
  /** The output as messages name it. */
  readonly out: string;
  readonly layout: LedgerLayout;

  /** Makes what readers of a ledger look for, once somebody is to write it. */
  prepare(): Promise<void>;
  /** Whether the output holds anything besides the ledger. */
  hasPublicFiles(): Promise<boolean>;
  /** Public files by relative path that look like files of units. */
  publicFiles(): AsyncIterable<string>;
  removePublic(path: string): Promise<void>;

  /** An object's content; null where there is none. */
  read(name: string): Promise<string | null>;
  /** Makes an object if none has its name; it lasts when this resolves. @returns whether it is ours */
  create(name: string, content: string): Promise<boolean>;
  /** Makes an object or puts it in the place of another, whole. */
  replace(name: string, content: string): Promise<void>;
  remove(name: string): Promise<void>;
  /**
   * Removes an object that is `content` still; one that another has put in its place since is left alone.
   *
   * @returns whether it was
   */
  removeIf(name: string, content: string): Promise<boolean>;
  /** Names of the objects right in a folder, without it, sorted; empty where there is none. For folders of few. */
  list(folder: string): Promise<string[]>;
  /** The same one after the other, in any order, however many there are. */
  names(folder: string): AsyncIterable<string>;
  /** Where the lease `name` is kept. */
  lease(name: string): LeaseStore;

  /** Makes room for an attempt. */
  begin(attempt: Attempt): Promise<void>;
  /** Where a sink writes a file of an attempt. */
  pathOf(attempt: Attempt, publicPath: string): string;
  /** Puts `record` under `name`, if nothing is there and the attempt was not discarded. */
  commit(attempt: Attempt, name: string, record: string): Promise<boolean>;
  /** @returns the public path of a file that is not as it was committed; null when all are */
  publish(attempt: Attempt | null, files: readonly StoredFile[]): Promise<string | null>;
  /** Throws an attempt away. */
  discard(attempt: Attempt): Promise<void>;
  /** Attempts that were begun and neither discarded nor published; of one unit, or of all. */
  attempts(unit?: string): Promise<Attempt[]>;
  /** Removes all that attempts and discards have left; nobody else is at work then. */
  sweep(): Promise<void>;
}
