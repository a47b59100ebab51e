/**
 * How plain values (see {@link PlainValue}) read: as JSON text and as ids.
 *
 * JSON holds every digit: integers and decimals in full, dates and times in ISO 8601 with all their digits, bytes in
 * base64, what JSON has no number for as the strings "NaN", "Infinity" and "-Infinity". Maps are objects with their
 * entries in order, repeated keys and all.
 */
import type { SchemaElement } from 'hyparquet';
import { ValueError } from './dremel.ts';
import { isStringElement } from './schema.ts';
import { type Shape, shapeOf } from './shape.ts';
import type { CorpusColumn, PlainValue } from './types.ts';

/** A value as readable text, for ids. */
export function displayText(column: CorpusColumn, value: PlainValue): string {
  if (typeof value === 'string') return value;
  return bareText(jsonOf(shapeOf(column), value, repairedJson));
}

/** What stands for a text that is no UTF-8: its JSON. */
type BrokenText = (bytes: Uint8Array) => string;

function repairedJson({ buffer, byteOffset, byteLength }: Uint8Array): string {
  return JSON.stringify(Buffer.from(buffer, byteOffset, byteLength).toString());
}

function refuseBroken(bytes: Uint8Array): never {
  const hex = Buffer.from(bytes.subarray(0, SHOWN_BYTES)).toString('hex');
  const more = bytes.byteLength > SHOWN_BYTES ? '…' : '';
  throw new ValueError(`text that is not UTF-8 (hex ${hex}${more})`);
}

const SHOWN_BYTES = 16;

/** JSON text without the quotes of a string. */
function bareText(json: string): string {
  return json.startsWith('"') ? (JSON.parse(json) as string) : json;
}

/**
 * A value as JSON text.
 *
 * @param broken what stands for text that is no UTF-8, which JSON cannot hold
 * @throws ValueError for such text by default
 */
export function jsonOf(shape: Shape, value: PlainValue, broken: BrokenText = refuseBroken): string {
  if (value === null || value === undefined) return 'null';
  if (shape.kind === 'leaf') return leafJson(shape.element, value, broken);
  const items = value as readonly PlainValue[];
  if (shape.kind === 'list') {
    return `[${items.map((item) => jsonOf(shape.item, item, broken)).join(',')}]`;
  }
  if (shape.kind === 'map') {
    const entries = items.map((item) => {
      const [key, held] = item as readonly [PlainValue, PlainValue];
      return `${keyJson(jsonOf(shape.key, key, broken))}:${jsonOf(shape.value, held, broken)}`;
    });
    return `{${entries.join(',')}}`;
  }
  const fields = shape.fields.map(({ name, shape: field }, at) => {
    return `${JSON.stringify(name)}:${jsonOf(field, items[at], broken)}`;
  });
  return `{${fields.join(',')}}`;
}

/** Keys of JSON are strings, whatever those of the map are. */
function keyJson(json: string): string {
  return json.startsWith('"') ? json : JSON.stringify(json);
}

function leafJson(element: SchemaElement, value: PlainValue, broken: BrokenText): string {
  if (typeof value === 'string') return isJson(element) ? jsonText(value) : JSON.stringify(value);
  if (typeof value === 'boolean') return String(value);
  if (isDecimal(element)) return decimalText(unscaled(value), scaleOf(element));
  if (typeof value === 'number' || typeof value === 'bigint') return numberJson(element, value);
  const bytes = value as Uint8Array;
  if (isStringElement(element)) return broken(bytes);
  return bytesJson(element, bytes);
}

function isJson({ converted_type: converted, logical_type: logical }: SchemaElement): boolean {
  return converted === 'JSON' || logical?.type === 'JSON';
}

/** JSON in JSON: as it is, on one line; what is none is a string. */
function jsonText(text: string): string {
  try {
    JSON.parse(text);
  } catch {
    return JSON.stringify(text);
  }
  // Line breaks lie between tokens, where any space means the same.
  return text.replace(/[\r\n]/g, ' ');
}

/** True for decimals, in integers and in bytes. */
export function isDecimal({
  converted_type: converted,
  logical_type: logical,
}: SchemaElement): boolean {
  return converted === 'DECIMAL' || logical?.type === 'DECIMAL';
}

/** Digits after the point of a decimal. */
export function scaleOf({ scale, logical_type: logical }: SchemaElement): number {
  return scale ?? (logical?.type === 'DECIMAL' ? logical.scale : 0);
}

/** The integer behind a decimal: from an integer, or from big-endian two's complement bytes. */
export function unscaled(value: PlainValue): bigint {
  if (!(value instanceof Uint8Array)) return BigInt(value as number | bigint);
  if (value.byteLength === 0) return 0n;
  const hex = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex');
  return BigInt.asIntN(value.byteLength * 8, BigInt(`0x${hex}`));
}

/** `unscaled / 10^scale` with all its digits; a negative scale adds zeros. */
export function decimalText(number: bigint, scale: number): string {
  if (scale <= 0) return (number * 10n ** BigInt(-scale)).toString();
  const digits = (number < 0n ? -number : number).toString().padStart(scale + 1, '0');
  return `${number < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

const UNITS = { MILLIS: 3, MICROS: 6, NANOS: 9 } as const;

function numberJson(element: SchemaElement, value: number | bigint): string {
  const { converted_type: converted, logical_type: logical, type } = element;
  if (type === 'INT96') return JSON.stringify(int96Text(value as bigint));
  if (type === 'FLOAT' || type === 'DOUBLE') return floatJson(value as number);
  if (converted === 'DATE' || logical?.type === 'DATE') {
    return JSON.stringify(dateText(BigInt(value)));
  }
  const digits = fractionDigits(element);
  if (digits !== null) {
    if (isTime(element)) return JSON.stringify(timeText(BigInt(value), digits));
    const utc = logical?.type === 'TIMESTAMP' ? logical.isAdjustedToUTC : true;
    return JSON.stringify(`${timestampText(BigInt(value), digits)}${utc ? 'Z' : ''}`);
  }
  if (isUnsigned(element)) {
    return BigInt.asUintN(type === 'INT64' ? 64 : 32, BigInt(value)).toString();
  }
  return String(value);
}

/** A float as JSON; what JSON has no number for as a string. */
function floatJson(value: number): string {
  if (!Number.isFinite(value)) return `"${value}"`;
  // Readers that know integers would take "-0" for 0.
  return Object.is(value, -0) ? '-0.0' : String(value);
}

/** True for unsigned integer columns, whose physical values are signed. */
export function isUnsigned({
  converted_type: converted,
  logical_type: logical,
}: SchemaElement): boolean {
  if (logical?.type === 'INTEGER') return !logical.isSigned;
  return converted?.startsWith('UINT_') ?? false;
}

/** True for times of day. */
export function isTime({
  converted_type: converted,
  logical_type: logical,
}: SchemaElement): boolean {
  return logical?.type === 'TIME' || (converted?.startsWith('TIME_') ?? false);
}

/** Digits after the second of a time or timestamp column; null for other columns. */
export function fractionDigits(element: SchemaElement): number | null {
  const { converted_type: converted, logical_type: logical } = element;
  if (logical?.type === 'TIMESTAMP' || logical?.type === 'TIME') return UNITS[logical.unit];
  if (converted === 'TIMESTAMP_MILLIS' || converted === 'TIME_MILLIS') return 3;
  if (converted === 'TIMESTAMP_MICROS' || converted === 'TIME_MICROS') return 6;
  return null;
}

/** `[quotient, remainder]` with a remainder that is not negative. */
function floorDivide(value: bigint, by: bigint): [bigint, bigint] {
  const rest = ((value % by) + by) % by;
  return [(value - rest) / by, rest];
}

function timestampText(value: bigint, digits: number): string {
  const [days, time] = floorDivide(value, 86400n * 10n ** BigInt(digits));
  return `${dateText(days)}T${timeText(time, digits)}`;
}

/** Hours beyond a day are written as they are: some writers have 24:00:00. */
function timeText(value: bigint, digits: number): string {
  const total = value < 0n ? -value : value;
  const [seconds, fraction] = floorDivide(total, 10n ** BigInt(digits));
  const [minutes, second] = floorDivide(seconds, 60n);
  const [hour, minute] = floorDivide(minutes, 60n);
  const [h, m, s] = [hour, minute, second].map((part) => part.toString().padStart(2, '0'));
  const point = digits > 0 ? `.${fraction.toString().padStart(digits, '0')}` : '';
  return `${value < 0n ? '-' : ''}${h}:${m}:${s}${point}`;
}

/** Days since 1970 in the proleptic Gregorian calendar; years beyond four digits have a sign, as ISO 8601 wants. */
function dateText(days: bigint): string {
  // Eras of 400 years that begin in March, so that leap days come last.
  const [era, dayOfEra] = floorDivide(days + 719_468n, 146_097n);
  const day = Number(dayOfEra);
  const yearOfEra = Math.floor(
    (day - Math.floor(day / 1460) + Math.floor(day / 36_524) - Math.floor(day / 146_096)) / 365,
  );
  const dayOfYear =
    day - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shifted = Math.floor((5 * dayOfYear + 2) / 153);
  const dayOfMonth = dayOfYear - Math.floor((153 * shifted + 2) / 5) + 1;
  const month = shifted < 10 ? shifted + 3 : shifted - 9;
  const year = era * 400n + BigInt(yearOfEra) + (month <= 2 ? 1n : 0n);
  const plain = year >= 0n && year <= 9999n;
  const digits = (year < 0n ? -year : year).toString().padStart(plain ? 4 : 6, '0');
  const sign = plain ? '' : year < 0n ? '-' : '+';
  const [mm, dd] = [month, dayOfMonth].map((part) => String(part).padStart(2, '0'));
  return `${sign}${digits}-${mm}-${dd}`;
}

/** Nanoseconds since 1970 of an INT96: 8 bytes of nanoseconds in the day, 4 bytes of Julian day. */
export function int96Nanos(value: bigint): bigint {
  const days = (value >> 64n) - 2_440_588n;
  return days * 86_400_000_000_000n + BigInt.asIntN(64, value);
}

/** An INT96 timestamp, which says nothing of its zone, with its nine digits. */
export function int96Text(value: bigint): string {
  return timestampText(int96Nanos(value), 9);
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
  if (logical?.type === 'FLOAT16' && bytes.byteLength === 2) {
    return floatJson(halfOf(bytes.readUInt16LE(0)));
  }
  return JSON.stringify(bytes.toString('base64'));
}

function halfOf(bits: number): number {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * 2 ** -14 * (fraction / 1024);
  return sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
}
