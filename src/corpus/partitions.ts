/**
 * Columns from the names of folders: `lang=en/year=2024/part.parquet`, as Hive, Spark, DuckDB and pyarrow lay data out.
 *
 * Names and values are URL-decoded; `__HIVE_DEFAULT_PARTITION__` is null. A column is a date where every value is one, a
 * 64-bit integer where every value is one in its shortest form (so `007` stays text), else a string. Folders count as the
 * path is given: what stands above the input is not looked at.
 */
import { flatColumn, stringColumn } from './schema.ts';
import type { CorpusColumn, PlainValue } from './types.ts';

/** Value of a folder for rows that have none. */
const NO_VALUE = '__HIVE_DEFAULT_PARTITION__';

/** Folder names of a path that are `key=value`, decoded; of a repeated key the innermost holds. */
export function partitionOf(path: string): Map<string, string | null> {
  const found = new Map<string, string | null>();
  for (const folder of path.split('/').slice(0, -1)) {
    const at = folder.indexOf('=');
    if (at <= 0) continue;
    const value = decode(folder.slice(at + 1));
    found.set(decode(folder.slice(0, at)), value === NO_VALUE ? null : value);
  }
  return found;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A `%` that escapes nothing is one.
    return text;
  }
}

/** The column that holds all values of a key. */
export function partitionColumn(name: string, values: ReadonlySet<string | null>): CorpusColumn {
  const known = [...values].filter((value) => value !== null);
  const base = { name, repetition_type: 'OPTIONAL' as const };
  if (known.length === 0) return stringColumn(name);
  if (known.every((value) => integerOf(value) !== null))
    return flatColumn({ ...base, type: 'INT64' });
  if (known.every((value) => dayOf(value) !== null)) {
    const date = { converted_type: 'DATE', logical_type: { type: 'DATE' } } as const;
    return flatColumn({ ...base, type: 'INT32', ...date });
  }
  return stringColumn(name);
}

/** A folder's value as a value of its column. */
export function partitionValue(column: CorpusColumn, value: string | null): PlainValue {
  if (value === null) return null;
  const { type } = column.elements[0]!;
  if (type === 'INT64') return integerOf(value);
  return type === 'INT32' ? dayOf(value) : value;
}

function integerOf(text: string): bigint | null {
  if (!/^(0|-?[1-9]\d{0,18})$/.test(text)) return null;
  const value = BigInt(text);
  return value === BigInt.asIntN(64, value) ? value : null;
}

/** Days since 1970; null for what is no day of the calendar. */
function dayOf(text: string): number | null {
  if (!/^\d{4}-\d\d-\d\d$/.test(text)) return null;
  const millis = Date.parse(`${text}T00:00:00Z`);
  // 2023-02-30 is taken for March by some engines.
  if (Number.isNaN(millis) || new Date(millis).toISOString().slice(0, 10) !== text) return null;
  return millis / 86_400_000;
}
