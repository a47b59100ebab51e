/**
 * Arrow schemas as plain data, and how they are read out of a stream's metadata.
 *
 * @see https://arrow.apache.org/docs/format/Columnar.html
 */
import { ArrowFault, type FlatTable } from './arrow-flatbuffer.ts';

/** Resolution of times: seconds, milliseconds, microseconds, nanoseconds. */
export type ArrowUnit = 's' | 'ms' | 'us' | 'ns';

/** The type of a field; children are the field's. */
export type ArrowType =
  | { readonly kind: 'null' | 'bool' | 'struct' }
  | { readonly kind: 'int'; readonly bits: 8 | 16 | 32 | 64; readonly signed: boolean }
  | { readonly kind: 'float'; readonly bits: 16 | 32 | 64 }
  | { readonly kind: 'utf8' | 'largeUtf8' | 'utf8View' }
  | { readonly kind: 'binary' | 'largeBinary' | 'binaryView' }
  | { readonly kind: 'fixedBinary'; readonly width: number }
  | {
      readonly kind: 'decimal';
      readonly precision: number;
      readonly scale: number;
      readonly bits: 32 | 64 | 128 | 256;
    }
  | { readonly kind: 'date'; readonly unit: 'day' | 'ms' }
  | { readonly kind: 'time' | 'duration'; readonly unit: ArrowUnit }
  | { readonly kind: 'timestamp'; readonly unit: ArrowUnit; readonly zone: string | null }
  | { readonly kind: 'interval'; readonly unit: 'months' | 'dayTime' | 'monthDayNano' }
  | { readonly kind: 'list' | 'largeList' | 'listView' | 'largeListView' }
  | { readonly kind: 'fixedList'; readonly size: number }
  | { readonly kind: 'map'; readonly keysSorted: boolean }
  | { readonly kind: 'runEnds' }
  | { readonly kind: 'union'; readonly sparse: boolean; readonly typeIds: readonly number[] };

/** How a dictionary-encoded field refers to its values; the field's type is that of the values. */
export interface ArrowDictionary {
  /** As decimal text: ids are 64-bit, and a plan is JSON. */
  readonly id: string;
  readonly bits: 8 | 16 | 32 | 64;
  readonly signed: boolean;
  readonly ordered: boolean;
}

/** Custom metadata in its order; keys may repeat. */
export type ArrowMetadata = readonly (readonly [key: string, value: string])[];

/** A field of a schema. */
export interface ArrowField {
  readonly name: string;
  readonly nullable: boolean;
  readonly type: ArrowType;
  readonly children: readonly ArrowField[];
  readonly dictionary: ArrowDictionary | null;
  readonly metadata: ArrowMetadata;
}

/** A schema. */
export interface ArrowSchema {
  readonly fields: readonly ArrowField[];
  readonly metadata: ArrowMetadata;
}

/** As deep as a type may nest; the bound of Arrow's own reader. */
export const MAX_ARROW_DEPTH = 64;
const UNITS: readonly ArrowUnit[] = ['s', 'ms', 'us', 'ns'];
const INTERVALS = ['months', 'dayTime', 'monthDayNano'] as const;

/** @throws ArrowFault */
export function schemaOfTable(table: FlatTable): ArrowSchema {
  const endianness = table.int16(0);
  if (endianness === 1) throw new ArrowFault('big-endian streams are not read', true);
  if (endianness !== 0) throw new ArrowFault(`its byte order is ${endianness}`);
  // Features name what a stream makes use of; all that is defined is read.
  table.structs(3, 8, () => null);
  return {
    fields: table.tables(1).map((field) => fieldOfTable(field, 0)),
    metadata: metadataOf(table, 2),
  };
}

/** Key-value metadata of a schema, a field, a message or a footer. */
export function metadataOf(table: FlatTable, field: number): ArrowMetadata {
  return table.tables(field).map((entry) => [entry.string(0) ?? '', entry.string(1) ?? '']);
}

function fieldOfTable(table: FlatTable, depth: number): ArrowField {
  if (depth > MAX_ARROW_DEPTH)
    throw new ArrowFault(`its types nest deeper than ${MAX_ARROW_DEPTH}`);
  const name = table.string(0) ?? '';
  const children = table.tables(5).map((child) => fieldOfTable(child, depth + 1));
  const field = {
    name,
    nullable: table.bool(1),
    type: typeOfTable(name, table.uint8(2), table.table(3)),
    children,
    dictionary: dictionaryOf(name, table.table(4)),
    metadata: metadataOf(table, 6),
  };
  checkChildren(field);
  return field;
}

function dictionaryOf(name: string, table: FlatTable | null): ArrowDictionary | null {
  if (!table) return null;
  const index = table.table(1);
  const { bits, signed } = index ? intOf(name, index) : { bits: 32 as const, signed: true };
  if (table.int16(3) !== 0)
    throw new ArrowFault(`field ${name}: an unknown kind of dictionary`, true);
  return { id: String(table.int64(0)), bits, signed, ordered: table.bool(2) };
}

function intOf(name: string, table: FlatTable) {
  const bits = table.int32(0);
  if (bits !== 8 && bits !== 16 && bits !== 32 && bits !== 64) {
    throw new ArrowFault(`field ${name}: integers of ${bits} bits`);
  }
  return { bits, signed: table.bool(1) } as const;
}

function pick<T>(name: string, what: string, choices: readonly T[], index: number): T {
  const choice = choices[index];
  if (choice === undefined) throw new ArrowFault(`field ${name}: ${what} ${index}`);
  return choice;
}

function sizeOf(name: string, what: string, size: number): number {
  if (size < 0) throw new ArrowFault(`field ${name}: ${what} ${size}`);
  return size;
}

/** The union of types, by its number in Schema.fbs. */
function typeOfTable(name: string, number: number, table: FlatTable | null): ArrowType {
  if (!table) throw new ArrowFault(`field ${name}: type ${number} without a description`);
  switch (number) {
    case 1:
      return { kind: 'null' };
    case 2:
      return { kind: 'int', ...intOf(name, table) };
    case 3:
      return { kind: 'float', bits: pick(name, 'precision', [16, 32, 64], table.int16(0)) };
    case 4:
      return { kind: 'binary' };
    case 5:
      return { kind: 'utf8' };
    case 6:
      return { kind: 'bool' };
    case 7:
      return decimalOf(name, table);
    case 8:
      return {
        kind: 'date',
        unit: pick(name, 'date unit', ['day', 'ms'] as const, table.int16(0, 1)),
      };
    case 9:
      return timeOf(name, table);
    case 10:
      return {
        kind: 'timestamp',
        unit: pick(name, 'time unit', UNITS, table.int16(0)),
        zone: table.string(1),
      };
    case 11:
      return { kind: 'interval', unit: pick(name, 'interval unit', INTERVALS, table.int16(0)) };
    case 12:
      return { kind: 'list' };
    case 13:
      return { kind: 'struct' };
    case 14:
      return {
        kind: 'union',
        sparse: pick(name, 'union mode', [true, false], table.int16(0)),
        typeIds: table.structs(1, 4, (view, at) => view.getInt32(at, true)),
      };
    case 15:
      return { kind: 'fixedBinary', width: sizeOf(name, 'byte width', table.int32(0)) };
    case 16:
      return { kind: 'fixedList', size: sizeOf(name, 'list size', table.int32(0)) };
    case 17:
      return { kind: 'map', keysSorted: table.bool(0) };
    case 18:
      return { kind: 'duration', unit: pick(name, 'time unit', UNITS, table.int16(0, 1)) };
    case 19:
      return { kind: 'largeBinary' };
    case 20:
      return { kind: 'largeUtf8' };
    case 21:
      return { kind: 'largeList' };
    case 22:
      return { kind: 'runEnds' };
    case 23:
      return { kind: 'binaryView' };
    case 24:
      return { kind: 'utf8View' };
    case 25:
      return { kind: 'listView' };
    case 26:
      return { kind: 'largeListView' };
    default:
      throw new ArrowFault(`field ${name}: Arrow type ${number} is not known`, number > 26);
  }
}

/** Most digits of a decimal by its width. */
const DECIMAL_DIGITS = { 32: 9, 64: 18, 128: 38, 256: 76 } as const;

/** Beyond it no column could hold the values: numbers of a billion digits are damage. */
const MAX_DECIMAL_SCALE = 152;

function decimalOf(name: string, table: FlatTable): ArrowType {
  const bits = table.int32(2, 128);
  const precision = table.int32(0);
  const scale = table.int32(1);
  if (bits !== 32 && bits !== 64 && bits !== 128 && bits !== 256) {
    throw new ArrowFault(`field ${name}: decimals of ${bits} bits`);
  }
  if (precision < 1 || precision > DECIMAL_DIGITS[bits]) {
    throw new ArrowFault(`field ${name}: decimals of ${precision} digits in ${bits} bits`);
  }
  if (Math.abs(scale) > MAX_DECIMAL_SCALE) {
    throw new ArrowFault(`field ${name}: decimals of scale ${scale}`, true);
  }
  return { kind: 'decimal', precision, scale, bits };
}

function timeOf(name: string, table: FlatTable): ArrowType {
  const unit = pick(name, 'time unit', UNITS, table.int16(0, 1));
  const bits = table.int32(1, 32);
  if (bits !== (unit === 's' || unit === 'ms' ? 32 : 64)) {
    throw new ArrowFault(`field ${name}: times in ${unit} of ${bits} bits`);
  }
  return { kind: 'time', unit };
}

function checkChildren({ name, type, children }: ArrowField): void {
  const wrong = (expected: string): ArrowFault => {
    return new ArrowFault(
      `field ${name}: ${type.kind} with ${children.length} children, not ${expected}`,
    );
  };
  switch (type.kind) {
    case 'list':
    case 'largeList':
    case 'listView':
    case 'largeListView':
    case 'fixedList':
      if (children.length !== 1) throw wrong('1');
      return;
    case 'map': {
      const entries = children[0];
      if (children.length !== 1 || entries?.type.kind !== 'struct' || entries.dictionary) {
        throw wrong('1 of structs');
      }
      if (entries.children.length !== 2) throw wrong('keys and values');
      return;
    }
    case 'runEnds': {
      const runs = children[0]?.type;
      if (children.length !== 2 || runs?.kind !== 'int' || !runs.signed || runs.bits === 8) {
        throw wrong('run ends and values');
      }
      return;
    }
    case 'union':
      if (type.typeIds.length > 0 && type.typeIds.length !== children.length) {
        throw wrong(String(type.typeIds.length));
      }
      return;
    case 'struct':
      return;
    default:
      if (children.length > 0) throw wrong('0');
  }
}
