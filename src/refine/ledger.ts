/**
 * The ledger of a refined corpus: work/ledger.ts with its names, its records and what makes two runs the same.
 *
 *     out/
 *       part-00000.parquet …              committed units: rows kept, edited and failed
 *       dropped/part-00000.parquet …      committed units: rows dropped
 *       _gristmill/run.json               identity of the run (see run-identity.ts)
 *       _gristmill/units/00000.json       one record per committed unit
 *       _gristmill/scores/part-00000.scores  scores of its rows, where they are kept (src/scores/)
 *
 * rows in = kept + edited + dropped + failed, checked before a record is written.
 */
import { GristmillError } from '../errors.ts';
import type { TakeLeaseOptions } from '../work/lease.ts';
import {
  type Ledger as AnyLedger,
  namesOf,
  openLedger as openAny,
  readRecords as readAll,
  readRecord as readAny,
  recordNames,
} from '../work/ledger.ts';
import { identityIn, type LedgerMember } from '../work/ledger-claim.ts';
import { idOfSame, type LedgerKind } from '../work/ledger-kind.ts';
import { outputStore } from '../work/open-output.ts';
import { REFINE_LAYOUT, unitName } from '../work/output-folder.ts';
import type { OutputStore } from '../work/output-store.ts';
import { UnitSet } from '../work/unit-set.ts';
import { compareIdentity, type RunIdentity } from './run-identity.ts';
import { filesOf, type PlannedUnit, type UnitRecord } from './unit-record.ts';

/** An open ledger of a refined corpus; units are their indices. */
export type Ledger = AnyLedger<number, UnitRecord>;

/** Options of {@link openLedger}. */
export interface OpenLedgerOptions extends TakeLeaseOptions {
  /** What the record of a unit is held against; without it only against itself. */
  readonly plannedOf?: (unit: number) => PlannedUnit | undefined;
  /** Told of every committed unit once. */
  readonly onRecord?: ((record: UnitRecord) => void) | undefined;
  /** Works beside others; default: alone. */
  readonly member?: LedgerMember | undefined;
  /** Where the output lies; default: a folder. */
  readonly store?: OutputStore;
}

/** Units of the plan, as far as somebody has it. */
interface Planned {
  readonly nUnits: number;
  readonly plannedOf?: ((unit: number) => PlannedUnit | undefined) | undefined;
}

/** A kind of work as ledgers know it. */
export function refineKind(planned: Planned): LedgerKind<number, UnitRecord, RunIdentity> {
  return {
    command: 'refine',
    layout: REFINE_LAYOUT,
    nameOf: unitName,
    keyOf: ({ unit }) => unit,
    noUnits: () => new UnitSet(),
    isRecordName: (name) => /^\d+\.json$/.test(name),
    async recordIn(value, { file, name }) {
      // A new run has none, and its start is spared the schemas.
      const { checkRecord } = await import('./check-record.ts');
      return checkRecord(value, { file, name, ...planned });
    },
    filesOf,
    redoesDamaged: true,
    checkNew({ unit, counts }) {
      const { rowsIn, kept, edited, dropped, failed } = counts;
      if (rowsIn !== kept + edited + dropped + failed) {
        throw new GristmillError('RUN_CONSERVATION', { ...counts, unit });
      }
    },
    runIdOf,
    changes: compareIdentity,
    sharesOutput: false,
    hasResults: (store) => store.hasPublicFiles(),
    changed: (out, changes) =>
      new GristmillError('RUN_CHANGED', { out, changes: changes.join('; ') }),
    failed: (path, reason, cause) =>
      new GristmillError('RUN_OUTPUT_FAILED', { path, reason }, { cause }),
  };
}

/** Names a run: equal for all that may write one output side by side. */
export function runIdOf(identity: RunIdentity): string {
  const models = Object.entries(identity.models).map(([stage, model]) => [stage, model?.sha256]);
  const same = { ...identity, models, thresholds: null };
  return idOfSame(same);
}

/**
 * Opens the ledger in `out`, creating it or resuming the run that lies there.
 *
 * @throws RUN_OUTPUT_IN_USE, RUN_OUTPUT_FOREIGN, RUN_CHANGED, RUN_LEDGER_INVALID, RUN_OUTPUT_FAILED, ABORTED
 */
export async function openLedger(
  out: string,
  identity: RunIdentity,
  { store, plannedOf, ...options }: OpenLedgerOptions = {},
): Promise<Ledger> {
  const kind = refineKind({ nUnits: identity.units, plannedOf });
  return openAny(store ?? (await outputStore(out)), kind, identity, options);
}

/**
 * Units that have a record.
 *
 * @throws RUN_LEDGER_INVALID for a record that is of no unit of the plan
 */
export async function committedUnits(store: OutputStore, nUnits: number): Promise<UnitSet> {
  const units = new UnitSet();
  const kind = refineKind({ nUnits });
  for await (const name of recordNames(store, kind)) {
    const unit = Number(name);
    if (unit < nUnits) units.add(unit);
    else await readAny({ store, kind }, name);
  }
  return units;
}

/** What records are read with. */
export interface RecordReader extends Planned {
  readonly store: OutputStore;
  readonly onNotice?: ((line: string) => void) | undefined;
}

/**
 * Reads the record of a unit and finishes what its winner could not.
 *
 * @returns null for a unit that is to be done
 * @throws RUN_LEDGER_INVALID for a record that no run of this plan has written
 */
export function readRecord(
  { store, onNotice, ...planned }: RecordReader,
  unit: number,
): Promise<UnitRecord | null> {
  return readAny({ store, kind: refineKind(planned), onNotice }, unitName(unit));
}

/** Records of units one after the other, without those that are to be done; see {@link readRecord}. @throws RUN_LEDGER_INVALID */
export async function* readRecords(
  { store, onNotice, ...planned }: RecordReader,
  units: Iterable<number>,
): AsyncGenerator<UnitRecord> {
  const kind = refineKind(planned);
  yield* readAll({ store, kind, onNotice }, namesOf(kind, units));
}

/** The identity in the text of a run.json. @throws RUN_LEDGER_INVALID */
export function runFileOf(store: OutputStore, text: string): RunIdentity {
  return identityIn<RunIdentity>(store, text);
}
