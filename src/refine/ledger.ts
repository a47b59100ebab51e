/**
 * The ledger of a run: what was planned, what is committed, and how a crash is survived.
 *
 *     out/
 *       part-00000.parquet …              committed units: rows kept, edited and failed
 *       dropped/part-00000.parquet …      committed units: rows dropped
 *       _gristmill/run.json               identity of the run (see run-identity.ts)
 *       _gristmill/units/00000.json       one record per committed unit
 *       _gristmill/scores/part-00000.scores  scores of its rows, where they are kept (src/scores/)
 *       _gristmill/tmp/00000.ATTEMPT/…    files of units in flight
 *       _gristmill/lock                   the process that writes alone (work/lease.ts)
 *       _gristmill/workers/NAME.lock      one of the processes that write side by side
 *
 * Invariants
 *  1. A unit's files are written and synced in a place of their attempt. Its record commits it: it is made where none is
 *     (work/output-store.ts), so that of all who finish a unit exactly one wins, and the others' files go.
 *  2. Only then do its files get their public names. A crash in between is finished by whoever comes next.
 *     So every public file belongs to a committed unit, and every committed unit's files come to be public.
 *  3. Attempts without a record are thrown away and done again.
 *  4. rows in = kept + edited + dropped + failed, checked before a record is written.
 *  5. Records are checked when they are read again (check-record.ts). A unit whose files were cut or removed since is
 *     done again: it is a function of the inputs.
 *  6. What has produced nothing blocks nothing: a run without a committed unit gives way to one with other settings, unless
 *     somebody is at work on it.
 *  7. A process works alone, or side by side with others that are members of the same run (ledger-claim.ts).
 */
import { randomBytes } from 'node:crypto';
import { below } from '../corpus/storage/addresses.ts';
import { GristmillError, isGristmillError } from '../errors.ts';
import type { Lease, TakeLeaseOptions } from '../work/lease.ts';
import { outputStore } from '../work/open-output.ts';
import { recordName, unitName } from '../work/output-folder.ts';
import type { Attempt, OutputStore } from '../work/output-store.ts';
import {
  changed,
  changesOf,
  claim,
  claimBeside,
  type LedgerMember,
  nameIn,
  parse,
  RECORD_NAME,
  RUN_FILE,
  takeMembership,
  takeWhole,
  textOf,
  WORKERS,
} from './ledger-claim.ts';
import type { RunIdentity } from './run-identity.ts';
import { filesOf, type PlannedUnit, type UnitRecord } from './unit-record.ts';

/** An open ledger. */
export interface Ledger {
  readonly out: string;
  /** Committed units by index, as far as this process knows of them. */
  readonly committed: ReadonlyMap<number, UnitRecord>;
  /** Whether the unit is committed by now; one that somebody else has committed is known of from then on. */
  isCommitted(unit: number): Promise<boolean>;
  /** Makes room for the files of a unit. */
  beginUnit(unit: number): Promise<void>;
  /** Where a unit's file lies before its unit is committed. */
  pendingPath(unit: number, publicPath: string): string;
  /** Commits a unit whose files lie at their pending paths. @returns false when another process has committed it */
  commitUnit(record: UnitRecord): Promise<boolean>;
  /** Throws a unit in flight away. */
  abandonUnit(unit: number): Promise<void>;
  /** Leaves a summary for whoever finishes the run, where this process works beside others. */
  leave(summary: unknown): Promise<void>;
  /** What a failure means: RUN_LEASE_LOST where another process has taken the place over, else itself. */
  explain(error: unknown): unknown;
  /** Gives the lease back. */
  close(): Promise<void>;
}

/** Options of {@link openLedger}. */
export interface OpenLedgerOptions extends TakeLeaseOptions {
  /** What records are held against, by unit; without it only against themselves. */
  readonly units?: readonly PlannedUnit[];
  /** Works beside others; default: alone. */
  readonly member?: LedgerMember | undefined;
  /** Where the output lies; default: a folder. */
  readonly store?: OutputStore;
}

/**
 * Opens the ledger in `out`, creating it or resuming the run that lies there.
 *
 * @throws RUN_OUTPUT_IN_USE, RUN_OUTPUT_FOREIGN, RUN_CHANGED, RUN_LEDGER_INVALID, RUN_OUTPUT_FAILED, ABORTED
 */
export async function openLedger(
  out: string,
  identity: RunIdentity,
  options: OpenLedgerOptions = {},
): Promise<Ledger> {
  const store = options.store ?? (await outputStore(out));
  const { member } = options;
  let lease: Lease | null = null;
  try {
    if ((await store.read(RUN_FILE)) === null && (await store.hasPublicFiles())) {
      throw new GristmillError('RUN_OUTPUT_FOREIGN', { out });
    }
    lease = member
      ? await takeMembership(store, identity, member, options)
      : await takeWhole(store, options);
    await store.prepare();
    if (member) await claimBeside(store, identity, member, options);
    else await claim(store, identity);
    const reader: RecordReader = { store, nUnits: identity.units, ...options };
    const committed = new Map<number, UnitRecord>();
    const units = member ? member.units : await committedUnits(store);
    for (const unit of units) {
      const record = await readRecord(reader, unit);
      if (record) committed.set(unit, record);
    }
    if (member) await discardOwn(store, member);
    else await discardAll(store);
    return ledgerOver(reader, committed, lease, { member, identity });
  } catch (error) {
    await lease?.release();
    throw outputError(out, error);
  }
}

/** Who else is there, as a ledger has to know it. */
interface Company {
  readonly member: LedgerMember | undefined;
  readonly identity: RunIdentity;
}

function ledgerOver(
  reader: RecordReader,
  committed: Map<number, UnitRecord>,
  lease: Lease,
  { member, identity }: Company,
): Ledger {
  const { store } = reader;
  const { out } = store;
  const name = `${member?.name ?? 'run'}-${randomBytes(4).toString('hex')}`;
  const attemptAt = (unit: number): Attempt => ({ unit, name });
  let hasCommitted = member === undefined;
  const isKnown = async (unit: number): Promise<boolean> => {
    if (committed.has(unit)) return true;
    if (!member) return false;
    const record = await readRecord(reader, unit);
    if (record) committed.set(unit, record);
    return record !== null;
  };
  // Until something is committed the run may give way to another, also to one that did not see this process begin.
  const checkRun = async (undo?: () => Promise<void>): Promise<void> => {
    if (hasCommitted) return;
    const changes = changesOf(out, await store.read(RUN_FILE), identity);
    if (changes.length === 0) return;
    await undo?.();
    throw changed(out, changes);
  };
  return {
    out,
    committed,
    isCommitted: isKnown,
    async beginUnit(unit) {
      // A holder that has lost its lease begins nothing.
      lease.check();
      try {
        await store.discard(attemptAt(unit));
        await store.begin(attemptAt(unit));
      } catch (error) {
        throw writeError(store.pathOf(attemptAt(unit), ''), error);
      }
    },
    pendingPath: (unit, path) => store.pathOf(attemptAt(unit), path),
    async commitUnit(record) {
      const { unit, counts, files } = record;
      const { rowsIn, kept, edited, dropped, failed } = counts;
      if (rowsIn !== kept + edited + dropped + failed) {
        throw new GristmillError('RUN_CONSERVATION', { ...counts, unit });
      }
      const attempt = attemptAt(unit);
      const { unit: _, ...rest } = record;
      const signed: UnitRecord = { unit, attempt: name, ...rest };
      try {
        lease.check();
        await checkRun();
        if (!(await store.commit(attempt, recordName(unit), textOf(signed)))) {
          await store.discard(attempt);
          await isKnown(unit);
          return false;
        }
        await checkRun(async () => store.remove(recordName(unit)));
        hasCommitted = true;
        committed.set(unit, signed);
        await store.publish(attempt, filesOf(record));
        if (member) await discardOthers(store, attempt);
        return true;
      } catch (error) {
        throw writeError(below(out, files[0]?.path ?? ''), error);
      }
    },
    abandonUnit: (unit) => store.discard(attemptAt(unit)),
    async leave(summary) {
      if (!member) return;
      const name = `${WORKERS}/${member.name}.json`;
      try {
        await store.replace(name, textOf(summary));
      } catch (error) {
        throw writeError(nameIn(out, name), error);
      }
    },
    explain: (error) => lease.explain(error),
    close: async () => lease.release(),
  };
}

/** Tries of others at a unit that is committed: they cannot win any more. */
async function discardOthers(store: OutputStore, winner: Attempt): Promise<void> {
  for (const attempt of await store.attempts()) {
    if (attempt.unit === winner.unit && attempt.name !== winner.name) await store.discard(attempt);
  }
}

/** What an earlier process of the same name had in flight. */
async function discardOwn(store: OutputStore, { name }: LedgerMember): Promise<void> {
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

/** Units that have a record, in their order. */
export async function committedUnits(store: OutputStore): Promise<number[]> {
  const names = (await store.list('units')).filter((name) => RECORD_NAME.test(name));
  return names.map((name) => Number(name.slice(0, -'.json'.length))).sort((a, b) => a - b);
}

/** What records are read with. */
export interface RecordReader {
  readonly store: OutputStore;
  /** Units of the plan. */
  readonly nUnits: number;
  readonly units?: readonly PlannedUnit[];
  readonly onNotice?: ((line: string) => void) | undefined;
}

/**
 * Reads the record of a unit and finishes what its winner could not; a unit whose files are not as they were written
 * loses its record.
 *
 * @returns null for a unit that is to be done
 * @throws RUN_LEDGER_INVALID for a record that no run of this plan has written
 */
export async function readRecord(
  { store, nUnits, units, onNotice }: RecordReader,
  unit: number,
): Promise<UnitRecord | null> {
  const text = await store.read(recordName(unit));
  if (text === null) return null;
  const file = nameIn(store.out, recordName(unit));
  const name = `${unitName(unit)}.json`;
  // A new run has none, and its start is spared the schemas.
  const { checkRecord } = await import('./check-record.ts');
  const record = checkRecord(parse(file, text), { file, name, nUnits, units });
  const { attempt } = record;
  const made = attempt === undefined ? null : { unit, name: attempt };
  const damaged = await store.publish(made, filesOf(record));
  if (damaged === null) return record;
  onNotice?.(`${below(store.out, damaged)} is not as it was written: unit ${unit} is done again`);
  await store.remove(recordName(unit));
  return null;
}

function outputError(path: string, error: unknown): unknown {
  if (error instanceof GristmillError) return error;
  const reason = (error as Error).message;
  return new GristmillError('RUN_OUTPUT_FAILED', { path, reason }, { cause: error });
}

/** A storage that an output cannot be written to ends the run; one that an input cannot be read from, a unit. */
function writeError(path: string, error: unknown): unknown {
  const isStorage = isGristmillError(error) && error.code.startsWith('STORAGE_');
  if (!isStorage) return outputError(path, error);
  return new GristmillError('RUN_OUTPUT_FAILED', { path, reason: error.message }, { cause: error });
}
