/**
 * The ledger of a run of any kind (ledger-kind.ts): what was planned, what is committed, and how a crash is survived.
 *
 *     FOLDER/RUN_FILE                   identity of the run
 *     FOLDER/RECORDS/UNIT.json          one record per committed unit
 *     FOLDER/tmp/UNIT.ATTEMPT/…         files of units in flight
 *     FOLDER/lock                       the process that writes alone (lease.ts)
 *     FOLDER/workers/NAME.lock          one of the processes that write side by side
 *
 * Invariants
 *  1. A unit's files are written and synced in a place of their attempt. Its record commits it: it is made where none is
 *     (output-store.ts), so that of all who finish a unit exactly one wins, and the others' files go.
 *  2. Only then do its files get their public names. A crash in between is finished by whoever comes next.
 *     So every public file belongs to a committed unit, and every committed unit's files come to be public.
 *  3. Attempts without a record are thrown away and done again.
 *  4. What its kind asks of a record is checked before it is written, and when it is read again. Where the kind says so,
 *     a unit whose files were cut or removed since is done again: it is a function of the inputs.
 *  5. What has produced nothing blocks nothing: a run without a committed unit gives way to one with other settings, unless
 *     somebody is at work on it.
 *  6. A process works alone, or side by side with others that are members of the same run (ledger-claim.ts).
 *  7. What is kept in memory of a committed unit is that it is committed. Records are read one after the other and told to
 *     whoever adds them up ({@link OpenLedgerOptions.onRecord}), so that a run may have millions of units.
 */
import { randomBytes } from 'node:crypto';
import { below } from '../corpus/storage/addresses.ts';
import { GristmillError, isGristmillError } from '../errors.ts';
import type { Lease, TakeLeaseOptions } from './lease.ts';
import {
  type AnyKind,
  changed,
  changesOf,
  claim,
  claimBeside,
  type LedgerMember,
  nameIn,
  parse,
  takeMembership,
  takeWhole,
  textOf,
  WORKERS,
} from './ledger-claim.ts';
import type { LedgerKind, LedgerRecord } from './ledger-kind.ts';
import { recordName } from './output-folder.ts';
import type { Attempt, OutputStore } from './output-store.ts';
import type { GrowingUnits, Units } from './unit-set.ts';

/** An open ledger. */
export interface Ledger<Key, Kept extends LedgerRecord> {
  readonly out: string;
  /** Committed units, as far as this process knows of them. */
  readonly committed: Units<Key>;
  /** The record of a committed unit, read again; null for one that is not. */
  recordOf(unit: Key): Promise<Kept | null>;
  /** Whether the unit is committed by now; one that somebody else has committed is known of from then on. */
  isCommitted(unit: Key): Promise<boolean>;
  /** Makes room for the files of a unit. */
  beginUnit(unit: Key): Promise<void>;
  /** Where a unit's file lies before its unit is committed. */
  pendingPath(unit: Key, publicPath: string): string;
  /**
   * Commits a unit whose files lie at their pending paths.
   *
   * @returns false when another process has committed it
   * @throws RUN_UNIT_UNDONE where it is nobody's after all
   */
  commitUnit(record: Kept): Promise<boolean>;
  /** Throws a unit in flight away. */
  abandonUnit(unit: Key): Promise<void>;
  /** Leaves a summary for whoever finishes the run, where this process works beside others. */
  leave(summary: unknown): Promise<void>;
  /** What a failure means: RUN_LEASE_LOST where another process has taken the place over, else itself. */
  explain(error: unknown): unknown;
  /** Gives the lease back. */
  close(): Promise<void>;
}

/** Options of {@link openLedger}. */
export interface OpenLedgerOptions<Key, Kept> extends TakeLeaseOptions {
  /** Works beside others; default: alone. */
  readonly member?: LedgerMember<Key> | undefined;
  /** Told of the record of every committed unit once: when this process comes to know of it. */
  readonly onRecord?: ((record: Kept) => void) | undefined;
}

/**
 * Opens the ledger in an output, creating it or resuming the run that lies there.
 *
 * @throws RUN_OUTPUT_IN_USE, RUN_OUTPUT_FOREIGN, RUN_LEDGER_INVALID, ABORTED; the kind's for a run that is another one and
 *   for what cannot be written
 */
export async function openLedger<Key, Kept extends LedgerRecord, Identity extends object>(
  store: OutputStore,
  kind: LedgerKind<Key, Kept, Identity>,
  identity: Identity,
  options: OpenLedgerOptions<Key, Kept> = {},
): Promise<Ledger<Key, Kept>> {
  const { out, layout } = store;
  const { member, onNotice, onRecord } = options;
  let lease: Lease | null = null;
  try {
    if (!kind.sharesOutput && (await store.read(layout.runFile)) === null) {
      if (await store.hasPublicFiles()) throw new GristmillError('RUN_OUTPUT_FOREIGN', { out });
    }
    lease = member
      ? await takeMembership(store, kind.runIdOf(identity), member, options)
      : await takeWhole(store, options);
    await store.prepare();
    if (member) await claimBeside(store, kind, identity, member, options);
    else await claim(store, kind, identity);
    const reader: RecordReader<Key, Kept> = { store, kind, onNotice };
    const known = new KnownUnits(kind, onRecord);
    const names = member ? namesOf(kind, member.units) : recordNames(store, kind);
    for await (const record of readRecords(reader, names)) known.add(record);
    if (member) await discardOwn(store, member);
    else await discardAll(store);
    return ledgerOver(reader, known, lease, { member, identity });
  } catch (error) {
    await lease?.release();
    throw outputError(kind, out, error);
  }
}

/** Records that are asked for side by side: a bucket answers each after a while. */
const READS_AT_ONCE = 16;

/** Names of units, as {@link readRecords} has them. */
export function* namesOf<Key>(
  kind: { nameOf(unit: Key): string },
  units: Iterable<Key>,
): Generator<string> {
  for (const unit of units) yield kind.nameOf(unit);
}

/** Units that are committed, as far as this process knows; whoever listens is told of each once. */
class KnownUnits<Key, Kept extends LedgerRecord> {
  readonly units: GrowingUnits<Key>;
  readonly #keyOf: (record: Kept) => Key;
  readonly #onRecord: ((record: Kept) => void) | undefined;

  constructor(
    kind: Pick<LedgerKind<Key, Kept, never>, 'keyOf' | 'noUnits'>,
    onRecord: ((record: Kept) => void) | undefined,
  ) {
    this.units = kind.noUnits();
    this.#keyOf = kind.keyOf;
    this.#onRecord = onRecord;
  }

  add(record: Kept): void {
    const unit = this.#keyOf(record);
    if (this.units.has(unit)) return;
    this.units.add(unit);
    this.#onRecord?.(record);
  }
}

/** Who else is there, as a ledger has to know it. */
interface Company<Key, Identity> {
  readonly member: LedgerMember<Key> | undefined;
  readonly identity: Identity;
}

function ledgerOver<Key, Kept extends LedgerRecord, Identity extends object>(
  reader: RecordReader<Key, Kept>,
  known: KnownUnits<Key, Kept>,
  lease: Lease,
  { member, identity }: Company<Key, Identity>,
): Ledger<Key, Kept> {
  const { store, kind } = reader;
  const { out, layout } = store;
  const name = `${member?.name ?? 'run'}-${randomBytes(4).toString('hex')}`;
  const attemptAt = (unit: Key): Attempt => ({ unit: kind.nameOf(unit), name });
  let hasCommitted = member === undefined;
  const isKnown = async (unit: Key): Promise<boolean> => {
    if (known.units.has(unit)) return true;
    if (!member) return false;
    const record = await readRecord(reader, kind.nameOf(unit));
    if (record) known.add(record);
    return record !== null;
  };
  // Until something is committed the run may give way to another, also to one that did not see this process begin.
  const checkRun = async (undo?: () => Promise<void>): Promise<void> => {
    if (hasCommitted) return;
    const changes = changesOf(store, kind, await store.read(layout.runFile), identity);
    if (changes.length === 0) return;
    await undo?.();
    throw changed(store, kind, changes);
  };
  return {
    out,
    committed: known.units,
    recordOf: (unit) => readRecord(reader, kind.nameOf(unit)),
    isCommitted: isKnown,
    async beginUnit(unit) {
      // A holder that has lost its lease begins nothing.
      lease.check();
      try {
        await store.discard(attemptAt(unit));
        await store.begin(attemptAt(unit));
      } catch (error) {
        throw writeError(kind, store.pathOf(attemptAt(unit), ''), error);
      }
    },
    pendingPath: (unit, path) => store.pathOf(attemptAt(unit), path),
    async commitUnit(record) {
      kind.checkNew(record);
      const unit = kind.keyOf(record);
      const attempt = attemptAt(unit);
      const object = recordName(layout, attempt.unit);
      const signed: Kept = { ...record, attempt: name };
      try {
        lease.check();
        await checkRun();
        if (!(await store.commit(attempt, object, textOf(signed)))) {
          await store.discard(attempt);
          // Else it is nobody's: what had won it has lost its files, and its record.
          if (!(await isKnown(unit))) throw undone(out, attempt);
          return false;
        }
        await checkRun(async () => void (await store.removeIf(object, textOf(signed))));
        hasCommitted = true;
        const damaged = await store.publish(attempt, kind.filesOf(record));
        if (damaged !== null && kind.redoesDamaged) {
          await store.removeIf(object, textOf(signed));
          throw undone(out, attempt, damaged);
        }
        known.add(signed);
        if (member) await discardOthers(store, attempt);
        return true;
      } catch (error) {
        throw writeError(kind, below(out, kind.filesOf(record)[0]?.path ?? ''), error);
      }
    },
    abandonUnit: (unit) => store.discard(attemptAt(unit)),
    async leave(summary) {
      if (!member) return;
      const name = `${WORKERS}/${member.name}.json`;
      try {
        await store.replace(name, textOf(summary));
      } catch (error) {
        throw writeError(kind, nameIn(store, name), error);
      }
    },
    explain: (error) => lease.explain(error),
    close: async () => lease.release(),
  };
}

function undone(out: string, { unit }: Attempt, path: string | null = null): GristmillError {
  const file = path === null ? 'a file of another worker' : below(out, path);
  return new GristmillError('RUN_UNIT_UNDONE', { unit, file });
}

/** Tries of others at a unit that is committed: they cannot win any more. */
async function discardOthers(store: OutputStore, winner: Attempt): Promise<void> {
  for (const attempt of await store.attempts(winner.unit)) {
    if (attempt.name !== winner.name) await store.discard(attempt);
  }
}

/** What an earlier process of the same name had in flight. */
async function discardOwn(store: OutputStore, { name }: Pick<LedgerMember, 'name'>): Promise<void> {
  const prefix = `${name}-`;
  for (const attempt of await store.attempts()) {
    const isOwn = attempt.name.startsWith(prefix);
    if (isOwn && /^[0-9a-f]{8}$/.test(attempt.name.slice(prefix.length))) {
      await store.discard(attempt);
    }
  }
}

/** Where nobody else is at work. */
export async function discardAll(store: OutputStore): Promise<void> {
  for (const attempt of await store.attempts()) await store.discard(attempt);
  await store.sweep();
}

/** Names of units that have a record, in any order. */
export async function* recordNames<Identity extends object>(
  store: OutputStore,
  kind: AnyKind<Identity>,
): AsyncGenerator<string> {
  for await (const name of store.names(store.layout.records)) {
    if (kind.isRecordName(name)) yield name.slice(0, -JSON_END.length);
  }
}

const JSON_END = '.json';

/** What records are read with. */
export interface RecordReader<Key, Kept extends LedgerRecord> {
  readonly store: OutputStore;
  // biome-ignore lint/suspicious/noExplicitAny: records do not say of which identity they are
  readonly kind: LedgerKind<Key, Kept, any>;
  readonly onNotice?: ((line: string) => void) | undefined;
}

/**
 * Reads records in the order of their names, and passes over those that are none any more; see {@link readRecord}.
 *
 * @throws RUN_LEDGER_INVALID
 */
export async function* readRecords<Key, Kept extends LedgerRecord>(
  reader: RecordReader<Key, Kept>,
  names: AsyncIterable<string> | Iterable<string>,
): AsyncGenerator<Kept> {
  const under: Promise<Kept | null>[] = [];
  try {
    for await (const name of names) {
      const reading = readRecord(reader, name);
      // Told when its turn comes.
      reading.catch(() => undefined);
      under.push(reading);
      if (under.length < READS_AT_ONCE) continue;
      const record = await under.shift();
      if (record) yield record;
    }
    for (const reading of under.splice(0)) {
      const record = await reading;
      if (record) yield record;
    }
  } finally {
    await Promise.allSettled(under);
  }
}

/**
 * Reads the record of a unit and finishes what its winner could not; a unit whose files are not as they were written
 * loses its record, where its kind is done again then.
 *
 * @returns null for a unit that is to be done
 * @throws RUN_LEDGER_INVALID for a record that no run of this plan has written
 */
export async function readRecord<Key, Kept extends LedgerRecord>(
  { store, kind, onNotice }: RecordReader<Key, Kept>,
  unit: string,
): Promise<Kept | null> {
  const object = recordName(store.layout, unit);
  const file = nameIn(store, object);
  for (;;) {
    const text = await store.read(object);
    if (text === null) return null;
    const record = await kind.recordIn(parse(file, text), { file, name: `${unit}${JSON_END}` });
    const { attempt } = record;
    const made = attempt === undefined ? null : { unit, name: attempt };
    const damaged = await store.publish(made, kind.filesOf(record));
    if (damaged === null || !kind.redoesDamaged) return record;
    // Another may have removed it and committed the unit anew meanwhile: that one is read then. Each round is a commit of theirs.
    if (!(await store.removeIf(object, text))) continue;
    onNotice?.(`${below(store.out, damaged)} is not as it was written: unit ${unit} is done again`);
    return null;
  }
}

function outputError(kind: AnyKind<object>, path: string, error: unknown): unknown {
  if (error instanceof GristmillError) return error;
  return kind.failed(path, (error as Error).message, error);
}

/** A storage that an output cannot be written to ends the run; one that an input cannot be read from, a unit. */
function writeError(kind: AnyKind<object>, path: string, error: unknown): unknown {
  const isStorage = isGristmillError(error) && error.code.startsWith('STORAGE_');
  if (!isStorage) return outputError(kind, path, error);
  return kind.failed(path, error.message, error);
}
