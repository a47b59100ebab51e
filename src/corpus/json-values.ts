/**
 * What the values of a JSON field were, and the column that holds them all without changing one.
 *
 * Numbers become INT64, else UINT64, else DOUBLE, else a decimal, each only where every number fits exactly; what fits
 * none of them, and what is of several kinds, stays the JSON text it was.
 */
import type { SchemaElement } from 'hyparquet';
import {
  decimalDigits,
  integerOf,
  isExactDouble,
  isInt64,
  isUint64,
  MAX_DECIMAL_DIGITS,
} from './json-number.ts';
import { flatColumn, stringColumn } from './schema.ts';
import type { CorpusColumn, JsonValues } from './types.ts';

/** Kind of a value. */
export type JsonKind = 'string' | 'number' | 'boolean' | 'nested';

/** Kind of a value's JSON text; null for `null`, which fits every column. */
export function kindOf(raw: string): JsonKind | null {
  const first = raw[0];
  if (first === '"') return 'string';
  if (first === 'n') return null;
  if (first === 't' || first === 'f') return 'boolean';
  return first === '{' || first === '[' ? 'nested' : 'number';
}

/** Nothing seen yet, or nothing but nulls. */
export const NO_VALUES: JsonValues = Object.freeze({
  string: false,
  boolean: false,
  nested: false,
  number: false,
  int64: true,
  uint64: true,
  double: true,
  decimal: true,
  wholeDigits: 0,
  scale: 0,
});

const INTEGER = /^-?\d+$/;

/** What was seen, with one more value. */
export function withValue(seen: JsonValues, raw: string): JsonValues {
  const kind = kindOf(raw);
  if (kind === null) return seen;
  if (kind !== 'number') return seen[kind] ? seen : { ...seen, [kind]: true };
  // Most numbers say nothing new: only what still holds is looked at.
  const integer = INTEGER.test(raw) ? integerOf(raw) : null;
  const digits = seen.decimal ? decimalDigits(raw) : null;
  const next = {
    int64: seen.int64 && integer !== null && isInt64(integer),
    uint64: seen.uint64 && integer !== null && isUint64(integer),
    double: seen.double && isExactDouble(raw),
    decimal: digits !== null,
    wholeDigits: Math.max(seen.wholeDigits, digits?.whole ?? 0),
    scale: Math.max(seen.scale, digits?.scale ?? 0),
  };
  const same =
    seen.number &&
    next.int64 === seen.int64 &&
    next.uint64 === seen.uint64 &&
    next.double === seen.double &&
    next.decimal === seen.decimal &&
    next.wholeDigits === seen.wholeDigits &&
    next.scale === seen.scale;
  return same ? seen : { ...seen, ...next, number: true };
}

/** What two files' fields of one name were. */
export function joinValues(left: JsonValues, right: JsonValues): JsonValues {
  return {
    string: left.string || right.string,
    boolean: left.boolean || right.boolean,
    nested: left.nested || right.nested,
    number: left.number || right.number,
    int64: left.int64 && right.int64,
    uint64: left.uint64 && right.uint64,
    double: left.double && right.double,
    decimal: left.decimal && right.decimal,
    wholeDigits: Math.max(left.wholeDigits, right.wholeDigits),
    scale: Math.max(left.scale, right.scale),
  };
}

/** The column that holds these values. */
export function columnOfValues(name: string, seen: JsonValues): CorpusColumn {
  return { ...flatColumnOf(name, seen), json: seen };
}

function flatColumnOf(name: string, seen: JsonValues): CorpusColumn {
  const kinds = [seen.string, seen.boolean, seen.nested, seen.number].filter(Boolean).length;
  const base = { name, repetition_type: 'OPTIONAL' as const };
  if (kinds === 1) {
    if (seen.string) return stringColumn(name);
    if (seen.boolean) return flatColumn({ ...base, type: 'BOOLEAN' });
    const number = seen.number ? numberElement(base, seen) : null;
    if (number) return flatColumn(number);
  }
  return flatColumn({
    ...base,
    type: 'BYTE_ARRAY',
    converted_type: 'JSON',
    logical_type: { type: 'JSON' },
  });
}

function numberElement(
  base: Pick<SchemaElement, 'name' | 'repetition_type'>,
  seen: JsonValues,
): SchemaElement | null {
  if (seen.int64) return { ...base, type: 'INT64' };
  if (seen.uint64) {
    return {
      ...base,
      type: 'INT64',
      converted_type: 'UINT_64',
      logical_type: { type: 'INTEGER', bitWidth: 64, isSigned: false },
    };
  }
  if (seen.double) return { ...base, type: 'DOUBLE' };
  if (!seen.decimal || seen.wholeDigits + seen.scale > MAX_DECIMAL_DIGITS) return null;
  const { scale } = seen;
  return {
    ...base,
    type: 'FIXED_LEN_BYTE_ARRAY',
    type_length: 16,
    converted_type: 'DECIMAL',
    logical_type: { type: 'DECIMAL', precision: MAX_DECIMAL_DIGITS, scale },
    precision: MAX_DECIMAL_DIGITS,
    scale,
  };
}

/** Two files' columns of one name joined: the narrowest type that holds both. */
export function joinColumns(left: CorpusColumn, right: CorpusColumn): CorpusColumn {
  return columnOfValues(left.name, joinValues(valuesOf(left), valuesOf(right)));
}

/** What a column's values were; of one that was not inferred, what its type can hold. */
function valuesOf(column: CorpusColumn): JsonValues {
  if (column.json) return column.json;
  const type = column.elements[0]?.type;
  if (column.type === 'string') return { ...NO_VALUES, string: true };
  if (type === 'BOOLEAN') return { ...NO_VALUES, boolean: true };
  const number = { ...NO_VALUES, number: true, uint64: false, wholeDigits: 19 };
  if (column.type === 'int64') return { ...number, double: false };
  if (type === 'DOUBLE') return { ...number, int64: false, decimal: false };
  return { ...NO_VALUES, nested: true };
}
