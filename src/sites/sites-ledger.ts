/**
 * The ledger of a count by site (work/ledger.ts): which units are counted. It lies beside the file that is made, and goes
 * when that is whole.
 *
 *     FILE.counting/run.json                 what makes it this count
 *     FILE.counting/units/00000.json         one record per unit: counts, no texts
 *     FILE.counting/parts/part-00000.counts  its lines by site (native/sites/part_file.h)
 */
import * as z from 'zod';
import { fileKind } from '../work/file-kind.ts';
import { idOfSame } from '../work/ledger-kind.ts';
import { unitName } from '../work/output-folder.ts';
import type { LedgerLayout, StoredFile } from '../work/output-store.ts';
import { count, recordFields } from '../work/record-schema.ts';

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

/** Where a unit's part comes to lie. */
export function partPath(unit: number): string {
  return `parts/part-${unitName(unit)}.counts`;
}

/** Names a count: equal for counts of the same inputs. */
export function countIdOf(identity: CountIdentity): string {
  return idOfSame(identity);
}

/** A count as ledgers know it. */
export const COUNT_KIND = fileKind<CountRecord, CountIdentity>({
  ...{ command: 'sites count', layout: LAYOUT, schema: recordSchema, pathOf: partPath },
});
