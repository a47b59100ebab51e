/** Values of JSON fields as plain values of their columns, and why one is none. */
import { decimalBytes, integerOf, isExactDouble, isInt64, isUint64 } from './json-number.ts';
import { kindOf } from './json-values.ts';
import type { CorpusColumn, PlainValue } from './types.ts';

const LONE_SURROGATE = /\p{Surrogate}/u;

/** False for a string with half a surrogate pair, which has no form in UTF-8. */
export function isWellFormed(text: string): boolean {
  return !LONE_SURROGATE.test(text);
}

/** True when a string's JSON text stands for one that has a form in UTF-8. */
export function isWellFormedString(raw: string): boolean {
  // Half a pair can only be written as an escape: the line itself is UTF-8.
  return !raw.includes('\\u') || isWellFormed(JSON.parse(raw) as string);
}

/** What a column expects and did not get; null when the value fits it. `UTF-8` when it has no form there. */
export function misfitOf(column: CorpusColumn, raw: string): string | null {
  if (column.type === 'json') return null;
  const kind = kindOf(raw);
  if (kind === null) return null;
  if (column.type === 'string') {
    if (kind !== 'string') return 'a string';
    return isWellFormedString(raw) ? null : 'UTF-8';
  }
  if (column.elements[0]?.type === 'BOOLEAN') return kind === 'boolean' ? null : 'a boolean';
  return kind === 'number' && numberValue(column, raw) !== null
    ? null
    : `a value that ${column.type} holds exactly`;
}

/** The value in its column; null for null and for what is not there. The value is known to fit. */
export function plainOf(column: CorpusColumn, raw: string | undefined): PlainValue {
  if (raw === undefined) return null;
  if (column.type === 'json') return raw;
  const kind = kindOf(raw);
  if (kind === null) return null;
  if (kind === 'string') return JSON.parse(raw) as string;
  return kind === 'boolean' ? raw === 'true' : numberValue(column, raw);
}

function numberValue({ type, elements }: CorpusColumn, raw: string): PlainValue {
  const [element] = elements;
  if (element?.type === 'DOUBLE') return isExactDouble(raw) ? Number(raw) : null;
  if (type.startsWith('decimal')) {
    return decimalBytes(raw, element?.precision ?? 0, element?.scale ?? 0);
  }
  if (element?.type !== 'INT64') return null;
  const value = integerOf(raw);
  if (value === null) return null;
  // Plain values of unsigned columns are the signed integers of the same bits.
  if (type === 'uint64') return isUint64(value) ? BigInt.asIntN(64, value) : null;
  return isInt64(value) ? value : null;
}
