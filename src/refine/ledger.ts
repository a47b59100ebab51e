/**
 * The ledger of a run: what was planned, what is committed, and how a crash is survived.
 *
 *     out/
 *       part-00000.parquet …              committed units: rows kept, edited and failed
 *       dropped/part-00000.parquet …      committed units: rows dropped
 *       _gristmill/run.json               identity of the run (see run-identity.ts)
 *       _gristmill/units/00000.json       one record per committed unit
 *       _gristmill/tmp/00000/…            files of units in flight
 *       _gristmill/lock                   the process that writes
 *
 * Invariants
 *  1. A unit's files are written and synced under tmp/. Renaming its record into units/ commits it: one rename.
 *  2. Only then are its files renamed to their public names. A crash in between is finished by {@link openLedger}.
 *     So every public file belongs to a committed unit, and every committed unit's files come to be public.
 *  3. Whatever lies under tmp/ without a record is thrown away and done again.
 *  4. rows in = kept + edited + dropped + failed, checked before a record is written.
 */
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { lock, readLedgerJson, syncFolder, writeDurably } from '../durable-files.ts';
import { GristmillError } from '../errors.ts';
import { makeFolder } from '../local-path.ts';
import { compareIdentity, type RunIdentity } from './run-identity.ts';
import type { RefineCounts } from './statistics.ts';

/** One file of a unit. */
export interface UnitFile {
  /** Public path relative to the output folder. */
  readonly path: string;
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
}

/** What is kept of a committed unit. */
export interface UnitRecord {
  readonly unit: number;
  readonly input: string;
  readonly counts: RefineCounts;
  readonly files: readonly UnitFile[];
  readonly seconds: number;
}

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
  /** Releases the lock. */
  close(): void;
}

const FOLDER = '_gristmill';

/** Five digits and more: sorts by name up to 99,999 units. */
export function unitName(unit: number): string {
  return String(unit).padStart(5, '0');
}

/** Where a unit's file lies before its unit is committed. */
export function pendingPath(out: string, unit: number, publicPath: string): string {
  return join(out, FOLDER, 'tmp', unitName(unit), publicPath.replaceAll('/', '__'));
}

/**
 * Opens the ledger in `out`, creating it or resuming the run that lies there.
 *
 * @throws RUN_OUTPUT_IN_USE, RUN_OUTPUT_FOREIGN, RUN_CHANGED, RUN_LEDGER_INVALID, RUN_OUTPUT_FAILED
 */
export function openLedger(out: string, identity: RunIdentity): Ledger {
  const folder = join(out, FOLDER);
  const runFile = join(folder, 'run.json');
  let unlock: () => void;
  try {
    if (
      !existsSync(runFile) &&
      existsSync(out) &&
      readdirSync(out).some((name) => name !== FOLDER)
    ) {
      throw new GristmillError('RUN_OUTPUT_FOREIGN', { out });
    }
    for (const part of ['units', 'tmp']) makeFolder(join(folder, part));
    unlock = lock(out, join(folder, 'lock'));
  } catch (error) {
    throw outputError(out, error);
  }
  try {
    if (existsSync(runFile)) {
      const changes = compareIdentity(readLedgerJson(runFile) as RunIdentity, identity);
      if (changes.length > 0) {
        throw new GristmillError('RUN_CHANGED', { out, changes: changes.join('; ') });
      }
    } else {
      writeDurably(runFile, `${JSON.stringify(identity, null, 2)}\n`);
    }
    const committed = readRecords(folder);
    for (const record of committed.values()) publish(out, record);
    rmSync(join(folder, 'tmp'), { recursive: true, force: true });
    makeFolder(join(folder, 'tmp'));
    return ledgerOver(out, folder, committed, unlock);
  } catch (error) {
    unlock();
    throw outputError(out, error);
  }
}

function ledgerOver(
  out: string,
  folder: string,
  committed: Map<number, UnitRecord>,
  unlock: () => void,
): Ledger {
  const pendingFolder = (unit: number): string => join(folder, 'tmp', unitName(unit));
  return {
    out,
    committed,
    beginUnit(unit) {
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
    close: unlock,
  };
}

/** Gives the files of a committed unit their public names; does nothing for those that have them. */
function publish(out: string, record: UnitRecord): void {
  for (const file of record.files) {
    const target = join(out, file.path);
    const pending = pendingPath(out, record.unit, file.path);
    if (existsSync(pending)) {
      makeFolder(dirname(target));
      renameSync(pending, target);
      syncFolder(dirname(target));
    } else if (!existsSync(target)) {
      throw new GristmillError('RUN_LEDGER_INVALID', {
        file: target,
        reason: `the record of unit ${record.unit} names it, but it is gone`,
      });
    }
  }
}

function readRecords(folder: string): Map<number, UnitRecord> {
  const records = new Map<number, UnitRecord>();
  for (const name of readdirSync(join(folder, 'units')).sort()) {
    if (!/^\d+\.json$/.test(name)) continue;
    const record = readLedgerJson(join(folder, 'units', name)) as UnitRecord;
    records.set(record.unit, record);
  }
  return records;
}

function outputError(path: string, error: unknown): unknown {
  if (error instanceof GristmillError) return error;
  const reason = (error as Error).message;
  return new GristmillError('RUN_OUTPUT_FAILED', { path, reason }, { cause: error });
}
