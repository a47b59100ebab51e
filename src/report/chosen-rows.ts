/**
 * Documents of a finished run that somebody wants to see: those that meet some conditions, a seeded sample of them, with their
 * texts. A first pass looks at columns without texts and keeps positions alone; texts are read of what was chosen.
 */
import { GristmillError } from '../errors.ts';
import { counting, type OnProgress } from '../progress.ts';
import { type FinishedRow, FinishedRun } from '../refine/finished-run.ts';
import { OriginalTexts } from '../refine/original-texts.ts';
import { seededRandom } from '../seeded.ts';

/** A condition: a field of a row (`status`, `reason`, `id`, `score`, `row`) or a column, and what it has to be. */
export interface RowCondition {
  readonly field: string;
  readonly operator: '=' | '!=' | '<' | '>';
  readonly value: string;
}

/** What is wanted. */
export interface ChosenOptions {
  readonly where?: readonly RowCondition[];
  /** Documents, drawn from those that meet all conditions. Default 10. */
  readonly sample?: number;
  /** Default 1. */
  readonly seed?: number;
  /** Order of the documents. Default: that of the input. */
  readonly sort?: 'row' | 'score' | 'share';
  /** Told how many rows are looked at. */
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A document with its texts. */
export interface ChosenRow {
  readonly row: FinishedRow;
  readonly before: string | null;
  readonly after: string | null;
  /** Of the characters before that went; null without a text before. */
  readonly removedShare: number | null;
}

/** Rows between two documents that are read through. */
const NEAR_ROWS = 500;
const FIELDS = ['status', 'reason', 'id', 'score', 'row', 'program'];
const CONDITION = /^([^=!<>]+)(=|!=|<|>)(.*)$/s;

/** Reads `field=value`, `field!=value`, `field<number`, `field>number`. @throws OPTION_INVALID */
export function rowCondition(text: string): RowCondition {
  const found = CONDITION.exec(text);
  const [, field, operator, value] = found ?? [];
  const isNumeric = operator === '<' || operator === '>';
  if (!found || (isNumeric && !Number.isFinite(Number(value === '' ? 'x' : value)))) {
    const expected = 'field=value, field!=value, field<number or field>number';
    throw new GristmillError('OPTION_INVALID', { option: '--where', expected, received: text });
  }
  return { field: field!.trim(), operator: operator as RowCondition['operator'], value: value! };
}

/**
 * Documents of the refine run in a folder, local or in a bucket, before and after.
 *
 *     const edited = await showRun('refined', { where: [rowCondition('status=edited')], sample: 3 });
 *
 * @throws RUN_NOT_FOUND, RUN_LEDGER_INVALID, RUN_ORIGINAL_GONE, CORPUS_*, STORAGE_*, PATH_REMOTE, ABORTED
 */
export async function showRun(dir: string, options: ChosenOptions = {}): Promise<ChosenRow[]> {
  return chosenRows(await FinishedRun.open(dir, options.signal), options);
}

/** Chooses documents of a run. @throws RUN_ORIGINAL_GONE, CORPUS_*, ABORTED */
export async function chosenRows(
  run: FinishedRun,
  options: ChosenOptions = {},
): Promise<ChosenRow[]> {
  const { where = [], sample = 10, seed = 1, sort = 'row', signal } = options;
  const columns = [...new Set(where.map(({ field }) => field))].filter(
    (name) => !FIELDS.includes(name),
  );
  const random = seededRandom(seed);
  const places: { unit: number; position: number }[] = [];
  let seen = 0;
  const total = run.counts.rowsIn;
  const tell = counting(options.onProgress, { phase: 'looking through', unit: 'rows', total });
  for (const { unit } of run.units) {
    for await (const rows of run.rows(unit, { columns, signal })) {
      for (const row of rows) {
        if (!where.every((condition) => meets(row, condition))) continue;
        seen++;
        const place = places.length < sample ? places.length : Math.floor(random() * seen);
        if (place < sample) places[place] = { unit, position: row.position };
      }
      tell(rows.length);
    }
  }
  places.sort((one, other) => one.unit - other.unit || one.position - other.position);
  await using originals = new OriginalTexts(run, signal);
  const chosen: ChosenRow[] = [];
  for (const stretch of stretchesOf(places)) {
    const [first, last] = [stretch[0]!, stretch.at(-1)!];
    const wanted = new Set(stretch.map(({ position }) => position));
    const range = { from: first.position, to: last.position + 1, text: true, signal };
    for await (const batch of run.rows(first.unit, range)) {
      const rows = batch.filter(({ position }) => wanted.has(position));
      const texts = await originals.of(rows);
      chosen.push(...rows.map((row, at) => withTexts(row, texts[at] ?? null)));
    }
  }
  return sorted(chosen, sort);
}

/** Places of one unit that are near each other: one reading of its files costs less than one for each. */
function stretchesOf<Place extends { readonly unit: number; readonly position: number }>(
  places: readonly Place[],
): Place[][] {
  const stretches: Place[][] = [];
  for (const place of places) {
    const before = stretches.at(-1)?.at(-1);
    const isNear = before?.unit === place.unit && place.position - before.position <= NEAR_ROWS;
    if (isNear) stretches.at(-1)!.push(place);
    else stretches.push([place]);
  }
  return stretches;
}

function withTexts(row: FinishedRow, before: string | null): ChosenRow {
  const after = row.status === 'dropped' ? null : row.text;
  const isKnown = before !== null && before !== '';
  const removedShare = isKnown ? Math.max(0, 1 - (after ?? '').length / before.length) : null;
  return { row, before, after, removedShare };
}

/** Greatest first, but for the order of the input. */
function sorted(rows: readonly ChosenRow[], sort: NonNullable<ChosenOptions['sort']>): ChosenRow[] {
  if (sort === 'row') return [...rows];
  const keyOf = ({ row, removedShare }: ChosenRow): number =>
    (sort === 'score' ? row.score : removedShare) ?? -1;
  return rows.toSorted((one, other) => keyOf(other) - keyOf(one));
}

function meets(row: FinishedRow, { field, operator, value }: RowCondition): boolean {
  const found = FIELDS.includes(field)
    ? row[field as 'status' | 'reason' | 'id' | 'score' | 'row' | 'program']
    : row.values[field];
  if (operator === '<' || operator === '>') {
    if (typeof found !== 'number' && typeof found !== 'bigint') return false;
    return operator === '<' ? Number(found) < Number(value) : Number(found) > Number(value);
  }
  const isEqual = found === null || found === undefined ? value === '' : String(found) === value;
  return isEqual === (operator === '=');
}
