/**
 * Plain values: what a column's values are between formats (see {@link PlainValue}), and how they read in JSON.
 *
 * Parquet leaves are read without their annotations, so that nothing is lost on the way (hyparquet's own conversions
 * turn microseconds into Dates and decimals into doubles); the schema says what they mean.
 */
import type { SchemaElement, SchemaTree } from 'hyparquet';
import { columnTree, isStringElement } from './schema.ts';
import type { CorpusColumn, PlainValue } from './types.ts';

/** The schema with annotations that would change values removed; strings stay strings. */
export function plainSchema(schema: readonly SchemaElement[]): SchemaElement[] {
  return schema.map((element) => {
    if (!element.type) return element;
    const { converted_type, logical_type, scale, precision, ...bare } = element;
    return isStringElement(element) ? { ...bare, converted_type: 'UTF8' as const } : bare;
  });
}

/** A value as readable text, for ids. */
export function displayText(column: CorpusColumn, value: PlainValue): string {
  if (typeof value === 'string') return value;
  const json = jsonOf(columnTree(column), value);
  return json.startsWith('"') ? (JSON.parse(json) as string) : json;
}

/**
 * A value as JSON text. Integers of any size and decimals are written in full; dates and times in ISO 8601 with all
 * their digits; bytes in base64; what JSON has no number for (NaN, infinities) as null.
 */
export function jsonOf(tree: SchemaTree, value: PlainValue): string {
  if (value === null || value === undefined) return 'null';
  const { element, children } = tree;
  if (children.length > 0) return groupJson(tree, value);
  if (element.repetition_type === 'REPEATED' && Array.isArray(value)) {
    const single = { ...tree, element: { ...element, repetition_type: 'REQUIRED' as const } };
    return `[${value.map((item) => jsonOf(single, item)).join(',')}]`;
  }
  return leafJson(element, value);
}

function groupJson(tree: SchemaTree, value: PlainValue): string {
  const { element, children } = tree;
  if (Array.isArray(value)) {
    let item = children[0]!;
    if (element.converted_type === 'LIST' && item.children.length === 1) item = item.children[0]!;
    // A repeated group without a LIST annotation is a list of its own structs.
    const isList = element.converted_type === 'LIST';
    const bare = isList
      ? { ...item, element: { ...item.element, repetition_type: 'OPTIONAL' as const } }
      : { ...tree, element: { ...element, repetition_type: 'OPTIONAL' as const } };
    return `[${value.map((v) => jsonOf(bare, v)).join(',')}]`;
  }
  const fields = value as { [key: string]: PlainValue };
  if (element.converted_type === 'MAP') {
    const valueTree = children[0]?.children[1];
    const entries = Object.entries(fields).map(([key, v]) => {
      return `${JSON.stringify(key)}:${valueTree ? jsonOf(valueTree, v) : 'null'}`;
    });
    return `{${entries.join(',')}}`;
  }
  const entries = children.map((child) => {
    return `${JSON.stringify(child.element.name)}:${jsonOf(child, fields[child.element.name])}`;
  });
  return `{${entries.join(',')}}`;
}

function leafJson(element: SchemaElement, value: PlainValue): string {
  const { converted_type: converted, logical_type: logical } = element;
  if (typeof value === 'string') {
    const isJson = converted === 'JSON' || logical?.type === 'JSON';
    return isJson && isJsonText(value) ? value : JSON.stringify(value);
  }
  if (typeof value === 'boolean') return String(value);
  if (converted === 'DECIMAL' || logical?.type === 'DECIMAL') {
    return decimalText(unscaled(value), element.scale ?? 0);
  }
  if (typeof value === 'number' || typeof value === 'bigint') return numberJson(element, value);
  if (value instanceof Uint8Array) return bytesJson(element, value);
  return JSON.stringify(value);
}

function isJsonText(text: string): boolean {
  try {
    JSON.parse(text);
    // A line break inside would end a JSONL line.
    return !text.includes('\n') && !text.includes('\r');
  } catch {
    return false;
  }
}

/** The integer behind a decimal: from an integer, or from big-endian two's complement bytes. */
export function unscaled(value: PlainValue): bigint {
  if (!(value instanceof Uint8Array)) return BigInt(value as number | bigint);
  let number = 0n;
  for (const byte of value) number = (number << 8n) | BigInt(byte);
  return value.byteLength > 0 ? BigInt.asIntN(value.byteLength * 8, number) : 0n;
}

/** `unscaled / 10^scale` with all its digits. */
export function decimalText(number: bigint, scale: number): string {
  const digits = (number < 0n ? -number : number).toString().padStart(scale + 1, '0');
  const sign = number < 0n ? '-' : '';
  if (scale <= 0) return sign + digits;
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

const UNITS = { MILLIS: 3, MICROS: 6, NANOS: 9 } as const;

function numberJson(element: SchemaElement, value: number | bigint): string {
  const { converted_type: converted, logical_type: logical, type } = element;
  if (type === 'INT96') return JSON.stringify(int96Text(BigInt(value)));
  if (converted === 'DATE' || logical?.type === 'DATE') {
    return JSON.stringify(isoText(BigInt(value) * 86400n, 0n, 0).slice(0, -10));
  }
  const digits = fractionDigits(element);
  if (digits !== null) {
    const ticks = 10n ** BigInt(digits);
    const total = BigInt(value);
    const seconds = (total - (((total % ticks) + ticks) % ticks)) / ticks;
    const rest = total - seconds * ticks;
    const isTime = logical?.type === 'TIME' || converted?.startsWith('TIME_');
    const text = isoText(seconds, rest, digits);
    if (isTime) return JSON.stringify(text.slice(text.indexOf('T') + 1));
    const utc = logical?.type === 'TIMESTAMP' ? logical.isAdjustedToUTC : true;
    return JSON.stringify(utc ? `${text}Z` : text);
  }
  if (isUnsigned(element)) {
    return BigInt.asUintN(type === 'INT64' ? 64 : 32, BigInt(value)).toString();
  }
  if (typeof value === 'number' && !Number.isFinite(value)) return 'null';
  return Object.is(value, -0) ? '-0' : String(value);
}

/** True for unsigned integer columns, whose physical values are signed. */
export function isUnsigned({
  converted_type: converted,
  logical_type: logical,
}: SchemaElement): boolean {
  if (logical?.type === 'INTEGER') return !logical.isSigned;
  return converted?.startsWith('UINT_') ?? false;
}

/** Digits after the second of a time or timestamp column; null for other columns. */
export function fractionDigits(element: SchemaElement): number | null {
  const { converted_type: converted, logical_type: logical } = element;
  if (logical?.type === 'TIMESTAMP' || logical?.type === 'TIME') return UNITS[logical.unit];
  if (converted === 'TIMESTAMP_MILLIS' || converted === 'TIME_MILLIS') return 3;
  if (converted === 'TIMESTAMP_MICROS' || converted === 'TIME_MICROS') return 6;
  return null;
}

/** Seconds since 1970 and a fraction in ISO 8601, without a zone; years may have more than four digits. */
function isoText(seconds: bigint, fraction: bigint, digits: number): string {
  const millis = Number(seconds) * 1000;
  // Beyond what a Date holds (year 275760) the number itself is the honest form.
  if (Math.abs(millis) > 8.64e15) return `${seconds}T00:00:00`;
  const text = new Date(millis).toISOString().slice(0, -5);
  return digits === 0 ? `${text}Z` : `${text}.${fraction.toString().padStart(digits, '0')}`;
}

/** INT96: 8 bytes of nanoseconds in the day, 4 bytes of Julian day. */
function int96Text(value: bigint): string {
  const days = (value >> 64n) - 2440588n;
  const nanos = value & 0xffff_ffff_ffff_ffffn;
  return `${isoText(days * 86400n + nanos / 1_000_000_000n, nanos % 1_000_000_000n, 9)}Z`;
}

function bytesJson(element: SchemaElement, value: Uint8Array): string {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const { logical_type: logical, converted_type: converted } = element;
  if (logical?.type === 'UUID' && bytes.byteLength === 16) {
    const hex = bytes.toString('hex');
    return JSON.stringify(hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'));
  }
  if (converted === 'INTERVAL' && bytes.byteLength === 12) {
    const [months, days, millis] = [0, 4, 8].map((at) => bytes.readUInt32LE(at));
    return JSON.stringify({ months, days, millis });
  }
  if (logical?.type === 'FLOAT16' && bytes.byteLength === 2) return halfJson(bytes.readUInt16LE(0));
  return JSON.stringify(bytes.toString('base64'));
}

function halfJson(bits: number): string {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return 'null';
  if (exponent === 0) return String(sign * 2 ** -14 * (fraction / 1024));
  return String(sign * 2 ** (exponent - 15) * (1 + fraction / 1024));
}
