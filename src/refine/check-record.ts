/** What is asked of a record that is read again: one that parses is not yet one that this run has written. */
import * as z from 'zod';
import { GristmillError } from '../errors.ts';
import { unitName } from '../work/output-folder.ts';
import { count, recordFields } from '../work/record-schema.ts';
import { type PlannedUnit, scoresPath, type UnitRecord } from './unit-record.ts';

const unitFile = z.object({ path: z.string(), rows: count, bytes: count, sha256: z.string() });
const schema = z.object({
  ...recordFields,
  counts: z.object({
    rowsIn: count,
    kept: count,
    edited: count,
    dropped: count,
    failed: count,
    charsIn: count,
    charsOut: count,
    windows: count,
    windowsSkipped: count,
    promptTokens: count,
    newTokens: count,
    reasons: z.record(z.string(), count),
  }),
  files: z.array(unitFile),
  scores: unitFile.optional(),
  endedAt: z.number().optional(),
});

/**
 * Holds a record against itself and the plan: its number, the sums of its rows, its rows against those of its files and
 * of its input, the names of its files.
 *
 * @throws RUN_LEDGER_INVALID
 */
export function checkRecord(
  value: unknown,
  {
    file,
    name,
    nUnits,
    plannedOf,
  }: {
    readonly file: string;
    readonly name: string;
    readonly nUnits: number;
    readonly plannedOf?: ((unit: number) => PlannedUnit | undefined) | undefined;
  },
): UnitRecord {
  const refuse = (what: string): never => {
    const reason = `no record of this run: ${what}; without this file its unit is done again`;
    throw new GristmillError('RUN_LEDGER_INVALID', { file, reason });
  };
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return refuse(`${issue?.path.join('.') || 'it'}: ${issue?.message}`);
  }
  const record = value as UnitRecord;
  const { unit, input, counts, files, scores } = record;
  if (`${unitName(unit)}.json` !== name) refuse(`it is of unit ${unit}`);
  if (unit >= nUnits) refuse(`unit ${unit} of ${nUnits}`);
  const { rowsIn, kept, edited, dropped, failed } = counts;
  if (rowsIn !== kept + edited + dropped + failed) {
    refuse(`rows in ${rowsIn} are not ${kept} + ${edited} + ${dropped} + ${failed}`);
  }
  const publicName = new RegExp(`^(?:dropped/|rejected/)?part-${unitName(unit)}\\.[a-z.]+$`);
  for (const { path, rows } of files) {
    if (!publicName.test(path)) refuse(`no file of unit ${unit} has the name ${path}`);
    if (path.startsWith('dropped/') && rows !== dropped) {
      refuse(`${path} has ${rows} rows, not ${dropped}`);
    }
  }
  if (scores && (scores.path !== scoresPath(unit) || scores.rows > rowsIn)) {
    refuse(`${scores.path} of ${scores.rows} rows holds no scores of unit ${unit}`);
  }
  const written = files.reduce((sum, { rows }) => sum + rows, 0);
  if (written !== rowsIn) refuse(`its files have ${written} rows, not ${rowsIn}`);
  const planned = plannedOf?.(unit);
  if (planned && planned.input !== input) refuse(`its input is ${input}, not ${planned.input}`);
  if (planned?.nRows != null && rowsIn > planned.nRows) {
    refuse(`${rowsIn} rows of an input of ${planned.nRows}`);
  }
  return record;
}
