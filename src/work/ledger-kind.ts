/**
 * What the ledger of a kind of work leaves to its room: what a unit is called, what its record holds, what makes two runs
 * the same. Refined corpora, sweeps of proxies and annotations have one each; leases, claims and commits are shared.
 */
import { createHash } from 'node:crypto';
import type { GristmillError } from '../errors.ts';
import type { LedgerLayout, OutputStore, StoredFile } from './output-store.ts';
import type { GrowingUnits } from './unit-set.ts';

/** Names what is the same run: equal for values that are. */
export function idOfSame(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);
}

/** What is kept of a committed unit. */
export interface LedgerRecord {
  /** The attempt that made it (output-store.ts). */
  readonly attempt?: string;
}

/** Where a record was found. */
export interface RecordPlace {
  /** As messages have it. */
  readonly file: string;
  /** Its name among the records. */
  readonly name: string;
}

/** A kind of work; see the file's header. */
export interface LedgerKind<Key, Kept extends LedgerRecord, Identity extends object> {
  /** The command that does it. */
  readonly command: string;
  readonly layout: LedgerLayout;
  /** Name of a unit: see Attempt in output-store.ts. */
  nameOf(unit: Key): string;
  keyOf(record: Kept): Key;
  /** A set of units to be filled. */
  noUnits(): GrowingUnits<Key>;
  /** Which names among the records are of records. */
  isRecordName(name: string): boolean;
  /** Holds a record that is read again against what this run may have written. @throws RUN_LEDGER_INVALID */
  recordIn(value: unknown, place: RecordPlace): Promise<Kept> | Kept;
  /** Files that are published with a record. */
  filesOf(record: Kept): readonly StoredFile[];
  /** Whether a unit is done again when one of its files is not as it was written. */
  readonly redoesDamaged: boolean;
  /** What must hold of a record before it is written. @throws what is wrong with it */
  checkNew(record: Kept): void;
  /** Equal for all that may write one output side by side. */
  runIdOf(identity: Identity): string;
  /** What differs between the run that lies there and another, in words. */
  changes(before: Partial<Identity>, now: Identity): string[];
  /** Whether an output that nothing of this kind has begun may hold other files. */
  readonly sharesOutput: boolean;
  /** Whether results lie there, besides records: such a run does not give way to another. */
  hasResults(store: OutputStore): Promise<boolean>;
  /** The errors of the room: another run lies there; a file cannot be written. */
  changed(out: string, changes: readonly string[]): GristmillError;
  failed(path: string, reason: string, cause: unknown): GristmillError;
}
