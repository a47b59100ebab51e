/**
 * The ledger of a run: what was planned, what is committed, and how a crash is survived.
 *
 *     out/
 *       part-00000.parquet …              committed units: rows kept, edited and failed
 *       dropped/part-00000.parquet …      committed units: rows dropped
 *       _gristmill/run.json               identity of the run (see run-identity.ts)
 *       _gristmill/units/00000.json       one record per committed unit
 *       _gristmill/scores/part-00000.scores  scores of its rows, where they are kept (src/scores/)
 *       _gristmill/tmp/00000/…            files of units in flight
 *       _gristmill/lock                   the process that writes (work/lease.ts)
 *
 * Invariants
 *  1. A unit's files are written and synced under tmp/. Renaming its record into units/ commits it: one rename.
 *  2. Only then are its files renamed to their public names. A crash in between is finished by {@link openLedger}.
 *     So every public file belongs to a committed unit, and every committed unit's files come to be public.
 *  3. Whatever lies under tmp/ without a record is thrown away and done again.
 *  4. rows in = kept + edited + dropped + failed, checked before a record is written.
 *  5. Records are checked when they are read again (check-record.ts). A unit whose files were cut or removed since is
 *     done again: it is a function of the inputs.
 *  6. What has produced nothing blocks nothing: a run without a committed unit gives way to one with other settings.
 */
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readLedgerJson, syncFolder, writeDurably } from '../durable-files.ts';
import { GristmillError } from '../errors.ts';
import { makeFolder } from '../local-path.ts';
import { type Lease, type TakeLeaseOptions, takeLease } from '../work/lease.ts';
import { compareIdentity, type RunIdentity } from './run-identity.ts';
import { filesOf, type PlannedUnit, type UnitRecord, unitName } from './unit-record.ts';

/** An open ledger; one process at a time holds it. */
export interface Ledger {
  readonly out: string;
  /** Committed units by index. */
  readonly committed: ReadonlyMap<number, UnitRecord>;
  /** A fresh, empty folder for the files of a unit in flight. */
  beginUnit(unit: number): string;
  /** Commits a unit whose files lie in its folder under their base names prefixed by role. */
  commitUnit(record: UnitRecord): void;
  /** Throws a unit in flight away. */
  abandonUnit(unit: number): void;
  /** What a failure means: RUN_LEASE_LOST where another process has taken the folder over, else itself. */
  explain(error: unknown): unknown;
  /** Gives the lease back. */
  close(): void;
}

/** Options of {@link openLedger}. */
export interface OpenLedgerOptions extends TakeLeaseOptions {
  /** What records are held against, by unit; without it only against themselves. */
  readonly units?: readonly PlannedUnit[];
}

const FOLDER = '_gristmill';

/** Where a unit's file lies before its unit is committed. */
export function pendingPath(out: string, unit: number, publicPath: string): string {
  return join(out, FOLDER, 'tmp', unitName(unit), publicPath.replaceAll('/', '__'));
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
  const folder = join(out, FOLDER);
  let lease: Lease | null = null;
  try {
    const foreign = existsSync(out) && readdirSync(out).some((name) => name !== FOLDER);
    if (foreign && !existsSync(join(folder, 'run.json'))) {
      throw new GristmillError('RUN_OUTPUT_FOREIGN', { out });
    }
    lease = await takeLease(out, join(folder, 'lock'), options);
    for (const part of ['units', 'tmp']) makeFolder(join(folder, part));
    claim(out, identity);
    const committed = await readRecords(out, identity, options);
    rmSync(join(folder, 'tmp'), { recursive: true, force: true });
    makeFolder(join(folder, 'tmp'));
    return ledgerOver(out, folder, committed, lease);
  } catch (error) {
    lease?.release();
    throw outputError(out, error);
  }
}

function claim(out: string, identity: RunIdentity): void {
  const runFile = join(out, FOLDER, 'run.json');
  const hasProduced =
    readdirSync(join(out, FOLDER, 'units')).some((name) => RECORD_NAME.test(name)) ||
    readdirSync(out).some((name) => name !== FOLDER);
  if (hasProduced) {
    const changes = compareIdentity(readLedgerJson(runFile) as RunIdentity, identity);
    if (changes.length === 0) return;
    throw new GristmillError('RUN_CHANGED', { out, changes: changes.join('; ') });
  }
  writeDurably(runFile, `${JSON.stringify(identity, null, 2)}\n`);
}

function ledgerOver(
  out: string,
  folder: string,
  committed: Map<number, UnitRecord>,
  lease: Lease,
): Ledger {
  const pendingFolder = (unit: number): string => join(folder, 'tmp', unitName(unit));
  return {
    out,
    committed,
    beginUnit(unit) {
      // A holder that has lost its lease must not empty the folder of the one that has it.
      lease.check();
      const pending = pendingFolder(unit);
      try {
        rmSync(pending, { recursive: true, force: true });
        makeFolder(pending);
      } catch (error) {
        throw outputError(pending, error);
      }
      return pending;
    },
    commitUnit(record) {
      const { rowsIn, kept, edited, dropped, failed } = record.counts;
      if (rowsIn !== kept + edited + dropped + failed) {
        throw new GristmillError('RUN_CONSERVATION', { ...record.counts, unit: record.unit });
      }
      try {
        syncFolder(pendingFolder(record.unit));
        lease.check();
        const name = `${unitName(record.unit)}.json`;
        const pending = join(folder, 'tmp', name);
        writeDurably(pending, `${JSON.stringify(record, null, 2)}\n`);
        renameSync(pending, join(folder, 'units', name));
        syncFolder(join(folder, 'units'));
        committed.set(record.unit, record);
        publish(out, record);
        rmSync(pendingFolder(record.unit), { recursive: true, force: true });
      } catch (error) {
        throw outputError(join(out, record.files[0]?.path ?? ''), error);
      }
    },
    abandonUnit(unit) {
      rmSync(pendingFolder(unit), { recursive: true, force: true });
    },
    explain: (error) => lease.explain(error),
    close: () => lease.release(),
  };
}

/**
 * Gives the files of a committed unit their public names; does nothing for those that have them.
 *
 * @returns the path of a file that is not as it was committed; null when all are
 */
function publish(out: string, record: UnitRecord): string | null {
  for (const file of filesOf(record)) {
    const target = join(out, file.path);
    const pending = pendingPath(out, record.unit, file.path);
    if (existsSync(pending)) {
      makeFolder(dirname(target));
      renameSync(pending, target);
      syncFolder(dirname(target));
    }
    if (statSync(target, { throwIfNoEntry: false })?.size !== file.bytes) return file.path;
  }
  return null;
}

const RECORD_NAME = /^\d+\.json$/;

/** @throws RUN_LEDGER_INVALID for a record that no run of this plan has written */
async function readRecords(
  out: string,
  { units: nUnits }: RunIdentity,
  { units, onNotice }: OpenLedgerOptions,
): Promise<Map<number, UnitRecord>> {
  const records = new Map<number, UnitRecord>();
  const folder = join(out, FOLDER, 'units');
  const names = readdirSync(folder).filter((name) => RECORD_NAME.test(name));
  if (names.length === 0) return records;
  // A new run has none, and its start is spared the schemas.
  const { checkRecord } = await import('./check-record.ts');
  for (const name of names.sort()) {
    const file = join(folder, name);
    const record = checkRecord(readLedgerJson(file), { file, name, nUnits, units });
    const damaged = publish(out, record);
    if (damaged === null) {
      records.set(record.unit, record);
      continue;
    }
    onNotice?.(`${join(out, damaged)} is not as it was written: unit ${record.unit} is done again`);
    rmSync(file);
    syncFolder(folder);
  }
  return records;
}

function outputError(path: string, error: unknown): unknown {
  if (error instanceof GristmillError) return error;
  const reason = (error as Error).message;
  return new GristmillError('RUN_OUTPUT_FAILED', { path, reason }, { cause: error });
}
