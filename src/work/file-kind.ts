/**
 * Kinds of work whose units are numbered and leave one file each: ranges that an expert is asked about, parts of a count.
 * What such a kind has of its own is its layout, its record and where a unit's file lies.
 */
import type * as z from 'zod';
import { GristmillError } from '../errors.ts';
import { changedKeys } from '../same-run.ts';
import { idOfSame, type LedgerKind } from './ledger-kind.ts';
import { unitName } from './output-folder.ts';
import type { LedgerLayout, StoredFile } from './output-store.ts';
import { UnitSet } from './unit-set.ts';

/** What is kept of a unit, at least. */
export interface FileRecord {
  readonly unit: number;
  readonly attempt?: string;
  readonly file: StoredFile;
}

/** What a kind has of its own; see the file's header. */
export interface FileKind<Kept extends FileRecord> {
  readonly command: string;
  readonly layout: LedgerLayout;
  /** Of a record. */
  readonly schema: z.ZodType;
  /** Where a unit's file comes to lie. */
  pathOf(unit: number): Kept['file']['path'];
}

/** Of what differs between two runs so many are named. */
const MAX_NAMED = 8;
const RECORD_NAME = /^\d+\.json$/;

/** Such a kind, as ledgers know it. Others are refused as RUN_CHANGED, damaged records as RUN_LEDGER_INVALID. */
export function fileKind<Kept extends FileRecord, Identity extends object>({
  command,
  layout,
  schema,
  pathOf,
}: FileKind<Kept>): LedgerKind<number, Kept, Identity> {
  return Object.freeze({
    ...{ command, layout },
    nameOf: unitName,
    keyOf: ({ unit }: Kept) => unit,
    noUnits: () => new UnitSet(),
    isRecordName: (name: string) => RECORD_NAME.test(name),
    recordIn(value: unknown, { file, name }: { readonly file: string; readonly name: string }) {
      const parsed = schema.safeParse(value);
      const refuse = (reason: string): never => {
        throw new GristmillError('RUN_LEDGER_INVALID', { file, reason });
      };
      if (!parsed.success) return refuse(parsed.error.issues[0]!.message);
      const record = parsed.data as Kept;
      if (`${unitName(record.unit)}.json` !== name) return refuse(`it is of unit ${record.unit}`);
      if (record.file.path !== pathOf(record.unit)) return refuse('it names a file of others');
      return record;
    },
    filesOf: ({ file }: Kept) => [file],
    redoesDamaged: true,
    checkNew: () => undefined,
    runIdOf: idOfSame,
    changes: (before: Partial<Identity>, now: Identity) =>
      changedKeys(before, JSON.parse(JSON.stringify(now))).slice(0, MAX_NAMED),
    sharesOutput: true,
    hasResults: async () => false,
    changed: (out: string, changes: readonly string[]) =>
      new GristmillError('RUN_CHANGED', { out, changes: changes.join('; ') }),
    failed: (path: string, reason: string, cause: unknown) =>
      new GristmillError('RUN_OUTPUT_FAILED', { path, reason }, { cause }),
  });
}
