/**
 * The ledger of a count by site (work/ledger.ts): which units are counted. It lies beside the file that is made, and goes
 * when that is whole.
 *
 *     FILE.counting/run.json                 what makes it this count
 *     FILE.counting/units/00000.json         one record per unit: counts, no texts
 *     FILE.counting/parts/part-00000.counts  its lines by site (native/sites/part_file.h)
 */
import * as z from 'zod';
import { GristmillError } from '../errors.ts';
import { changedKeys } from '../same-run.ts';
import { idOfSame, type LedgerKind } from '../work/ledger-kind.ts';
import { unitName } from '../work/output-folder.ts';
import type { LedgerLayout, StoredFile } from '../work/output-store.ts';
import { count, recordFields } from '../work/record-schema.ts';
import { UnitSet } from '../work/unit-set.ts';

/** What makes a count the same one. */
export interface CountIdentity {
  readonly format: 1;
  readonly versions: { readonly gristmill: string };
  readonly siteColumn: string;
  readonly textColumn: string;
  readonly unitRows: number;
  readonly textPer?: 'file' | 'line';
  readonly inputs: readonly {
    readonly path: string;
    readonly bytes: number;
    readonly fingerprint: string;
  }[];
  readonly units: number;
}

/** A unit that is counted. */
export interface CountRecord {
  readonly unit: number;
  readonly attempt?: string;
  readonly input: string;
  readonly seconds: number;
  /** Rows that have a site, and their lines. */
  readonly pages: number;
  readonly lines: number;
  readonly file: StoredFile;
}

const recordSchema = z.object({
  ...recordFields,
  pages: count,
  lines: count,
  file: z.object({ path: z.string(), bytes: count }),
});

const LAYOUT: LedgerLayout = Object.freeze({
  folder: '',
  records: 'units',
  runFile: 'run.json',
  results: ['parts'],
  resultName: /^part-\d{5,}\.counts$/,
});
const MAX_NAMED = 8;
const RECORD_NAME = /^\d+\.json$/;

/** Where a unit's part comes to lie. */
export function partPath(unit: number): string {
  return `parts/part-${unitName(unit)}.counts`;
}

/** Names a count: equal for counts of the same inputs. */
export function countIdOf(identity: CountIdentity): string {
  return idOfSame(identity);
}

/** A count as ledgers know it. */
export const COUNT_KIND: LedgerKind<number, CountRecord, CountIdentity> = Object.freeze({
  command: 'sites count',
  layout: LAYOUT,
  nameOf: unitName,
  keyOf: ({ unit }: CountRecord) => unit,
  noUnits: () => new UnitSet(),
  isRecordName: (name: string) => RECORD_NAME.test(name),
  recordIn(value: unknown, { file, name }: { readonly file: string; readonly name: string }) {
    const parsed = recordSchema.safeParse(value);
    const refuse = (reason: string): never => {
      throw new GristmillError('RUN_LEDGER_INVALID', { file, reason });
    };
    if (!parsed.success) return refuse(parsed.error.issues[0]!.message);
    const record = parsed.data as CountRecord;
    if (`${unitName(record.unit)}.json` !== name) return refuse(`it is of unit ${record.unit}`);
    if (record.file.path !== partPath(record.unit)) return refuse('it names a file of others');
    return record;
  },
  filesOf: ({ file }: CountRecord) => [file],
  redoesDamaged: true,
  checkNew: () => undefined,
  runIdOf: countIdOf,
  changes: (before: Partial<CountIdentity>, now: CountIdentity) =>
    changedKeys(before, JSON.parse(JSON.stringify(now))).slice(0, MAX_NAMED),
  sharesOutput: true,
  hasResults: async () => false,
  changed: (out: string, changes: readonly string[]) =>
    new GristmillError('RUN_CHANGED', { out, changes: changes.join('; ') }),
  failed: (path: string, reason: string, cause: unknown) =>
    new GristmillError('RUN_OUTPUT_FAILED', { path, reason }, { cause }),
});
