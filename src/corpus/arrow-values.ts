/**
 * Values of verified Arrow arrays as plain values of the column that arrow-columns.ts makes of their field.
 *
 * Checked here, where the values are looked at anyway: the digits of decimals, seconds that milliseconds hold, nulls
 * in fields that allow none. Text that is not UTF-8 is data (bytes), as everywhere.
 */
import { type ArrowArray, chunkAt, INLINE_BYTES, indexReader, isValid } from './arrow-arrays.ts';
import { decimalBytes, storedDecimal, storedFactor } from './arrow-columns.ts';
import { ArrowFault } from './arrow-flatbuffer.ts';
import type { ArrowType } from './arrow-schema.ts';
import type { PlainValue } from './types.ts';

/** Reads the value of a row. */
export type ValueReader = (row: number) => PlainValue;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const DAY_MS = 86_400_000n;

/**
 * What the values of some rows may take: list views and dictionaries say much with few bytes, and memory is finite.
 */
export class ValueBudget {
  static readonly bytes = 2 ** 31;
  #left = ValueBudget.bytes;

  spend(bytes: number): void {
    this.#left -= bytes;
    if (this.#left < 0) {
      throw new ArrowFault(
        `the values of one batch take more than ${ValueBudget.bytes} bytes`,
        true,
      );
    }
  }
}

/** What a list's item costs besides its own bytes. */
const ITEM_BYTES = 8;

/** The bytes of strings and binaries, views on the batch; null for nulls. */
export function bytesReader(array: ArrowArray): (row: number) => Uint8Array | null {
  const { field, validity } = array;
  const present = presentBytes(array);
  if (validity === null) return present;
  return (row) => {
    if (isValid(array, row)) return present(row);
    if (!field.nullable) throw nullFault(array, row);
    return null;
  };
}

function nullFault({ field }: ArrowArray, row: number): ArrowFault {
  return new ArrowFault(`column ${field.name}, row ${row}: null in a field that allows none`);
}

function presentBytes(array: ArrowArray): (row: number) => Uint8Array | null {
  const { field, data, offsets, buffers } = array;
  if (array.dictionary) return throughDictionary(array, bytesReader);
  switch (field.type.kind) {
    case 'runEnds':
      return throughRuns(array, bytesReader);
    case 'utf8View':
    case 'binaryView': {
      const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
      return (row) => {
        const size = view.getInt32(row * 16, true);
        if (size <= INLINE_BYTES) return data.subarray(row * 16 + 4, row * 16 + 4 + size);
        const start = view.getInt32(row * 16 + 12, true);
        return buffers[view.getInt32(row * 16 + 8, true)]!.subarray(start, start + size);
      };
    }
    case 'fixedBinary': {
      const { width } = field.type;
      return (row) => data.subarray(row * width, (row + 1) * width);
    }
    default:
      return (row) => data.subarray(offsets![row], offsets![row + 1]);
  }
}

/** Values by their index in a dictionary, each read once. */
function throughDictionary<T>(
  array: ArrowArray,
  readerOf: (values: ArrowArray) => (row: number) => T,
): (row: number) => T {
  const { bits, signed } = array.field.dictionary!;
  const indexAt = indexReader(array, bits, signed);
  const readers = new Map<ArrowArray, (row: number) => T>();
  const known = new Map<number, T>();
  return (row) => {
    const index = indexAt(row);
    if (known.has(index)) return known.get(index) as T;
    const [chunk, at] = chunkAt(array.dictionary!, index);
    let reader = readers.get(chunk);
    if (!reader) {
      reader = readerOf(chunk);
      readers.set(chunk, reader);
    }
    const value = reader(at);
    known.set(index, value);
    return value;
  };
}

function throughRuns<T>(
  array: ArrowArray,
  readerOf: (values: ArrowArray) => (row: number) => T,
): (row: number) => T {
  const ends = array.offsets!;
  const values = array.children[1]!;
  const nullable = array.field.nullable || values.field.nullable;
  const read = readerOf({ ...values, field: { ...values.field, nullable } });
  return (row) => {
    let low = 0;
    let high = ends.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ends[middle]! > row) high = middle;
      else low = middle + 1;
    }
    return read(low);
  };
}

/** Reads the values of an array. @throws ArrowFault where a value breaks its type's promise */
export function valueReader(array: ArrowArray, budget: ValueBudget): ValueReader {
  const { field, validity } = array;
  const present = presentValue(array, budget);
  if (validity === null) return present;
  return (row) => {
    if (isValid(array, row)) return present(row);
    if (!field.nullable) throw nullFault(array, row);
    return null;
  };
}

function presentValue(array: ArrowArray, budget: ValueBudget): ValueReader {
  if (array.dictionary) {
    // A null in the dictionary is a null of the column.
    const { nullable } = array.field;
    return throughDictionary(array, (values) => {
      return valueReader({ ...values, field: { ...values.field, nullable } }, budget);
    });
  }
  const { type } = array.field;
  switch (type.kind) {
    case 'null':
      return () => null;
    case 'runEnds':
      return throughRuns(array, (values) => valueReader(values, budget));
    case 'utf8':
    case 'largeUtf8':
    case 'utf8View': {
      const bytesAt = presentBytes(array);
      return (row) => {
        const bytes = bytesAt(row)!;
        budget.spend(bytes.byteLength);
        return textOf(bytes);
      };
    }
    case 'binary':
    case 'largeBinary':
    case 'binaryView':
    case 'fixedBinary':
      return presentBytes(array);
    case 'struct': {
      const children = array.children.map((child) => valueReader(child, budget));
      return (row) => {
        budget.spend(ITEM_BYTES * children.length);
        return children.map((child) => child(row));
      };
    }
    case 'list':
    case 'largeList':
    case 'listView':
    case 'largeListView':
    case 'fixedList':
    case 'map':
      return listReader(array, budget);
    default:
      return leafReader(array);
  }
}

function textOf(bytes: Uint8Array): string | Uint8Array {
  try {
    return utf8.decode(bytes);
  } catch {
    return bytes;
  }
}

function listReader(array: ArrowArray, budget: ValueBudget): ValueReader {
  const { type } = array.field;
  const { offsets, sizes } = array;
  // The entries of a map are structs of key and value, which is what pairs are here.
  const item = valueReader(array.children[0]!, budget);
  const span = (row: number): [start: number, end: number] => {
    if (type.kind === 'fixedList') return [row * type.size, (row + 1) * type.size];
    const start = offsets![row]!;
    return [start, sizes ? start + sizes[row]! : offsets![row + 1]!];
  };
  return (row) => {
    const [start, end] = span(row);
    budget.spend(ITEM_BYTES * (end - start));
    const items: PlainValue[] = [];
    for (let at = start; at < end; at++) items.push(item(at));
    return items;
  };
}

function leafReader(array: ArrowArray): ValueReader {
  const { data, field } = array;
  const { type } = field;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  switch (type.kind) {
    case 'bool':
      return (row) => ((data[row >> 3]! >> (row & 7)) & 1) === 1;
    case 'int':
      return integerReader(view, type);
    case 'float':
      if (type.bits === 16) return (row) => data.subarray(row * 2, row * 2 + 2);
      if (type.bits === 32) return (row) => view.getFloat32(row * 4, true);
      return (row) => view.getFloat64(row * 8, true);
    case 'decimal':
      return decimalReader(array, type);
    case 'date':
      if (type.unit === 'day') return (row) => view.getInt32(row * 4, true);
      return (row) => dayNumber(array, row, view.getBigInt64(row * 8, true) / DAY_MS);
    case 'time':
      if (type.unit === 'us' || type.unit === 'ns') return (row) => view.getBigInt64(row * 8, true);
      return (row) => view.getInt32(row * 4, true) * storedFactor(type.unit);
    case 'timestamp':
      if (type.unit === 's')
        return (row) => milliseconds(array, row, view.getBigInt64(row * 8, true));
      return (row) => view.getBigInt64(row * 8, true);
    case 'duration':
      return (row) => view.getBigInt64(row * 8, true);
    case 'interval':
      return intervalReader(view, type.unit);
    default:
      throw new ArrowFault(`column ${field.name}: type ${type.kind} is not read`, true);
  }
}

/** Physical integers of Parquet are signed; the schema says how to read them. */
function integerReader(view: DataView, { bits, signed }: ArrowType & { kind: 'int' }): ValueReader {
  if (bits === 64) return (row) => view.getBigInt64(row * 8, true);
  if (bits === 32) return (row) => view.getInt32(row * 4, true);
  if (bits === 16) {
    return signed ? (row) => view.getInt16(row * 2, true) : (row) => view.getUint16(row * 2, true);
  }
  return signed ? (row) => view.getInt8(row) : (row) => view.getUint8(row);
}

function dayNumber({ field }: ArrowArray, row: number, days: bigint): number {
  if (days === BigInt.asIntN(32, days)) return Number(days);
  throw new ArrowFault(`column ${field.name}, row ${row}: day ${days} is beyond 32 bits`, true);
}

function milliseconds({ field }: ArrowArray, row: number, seconds: bigint): bigint {
  const value = seconds * 1000n;
  if (value === BigInt.asIntN(64, value)) return value;
  const reason = `column ${field.name}, row ${row}: ${seconds} s are no 64-bit number of milliseconds`;
  throw new ArrowFault(reason, true);
}

function intervalReader(view: DataView, unit: 'months' | 'dayTime' | 'monthDayNano'): ValueReader {
  if (unit === 'months') return (row) => view.getInt32(row * 4, true);
  if (unit === 'dayTime') {
    return (row) => [view.getInt32(row * 8, true), view.getInt32(row * 8 + 4, true)];
  }
  return (row) => [
    view.getInt32(row * 16, true),
    view.getInt32(row * 16 + 4, true),
    view.getBigInt64(row * 16 + 8, true),
  ];
}

/** Little-endian two's complement to the big-endian bytes that Parquet stores. */
function decimalReader(array: ArrowArray, type: ArrowType & { kind: 'decimal' }): ValueReader {
  const { data, field } = array;
  const width = type.bits / 8;
  const bound = 10n ** BigInt(type.precision);
  const zeros = 10n ** BigInt(Math.max(0, -type.scale));
  const storedBytes = decimalBytes(storedDecimal(type).precision);
  return (row) => {
    const bytes = Buffer.from(data.subarray(row * width, (row + 1) * width)).reverse();
    const value = BigInt.asIntN(type.bits, BigInt(`0x${bytes.toString('hex')}`));
    if (value >= bound || value <= -bound) {
      const reason = `${value} has more than ${type.precision} digits`;
      throw new ArrowFault(`column ${field.name}, row ${row}: ${reason}`);
    }
    return bigEndian(value * zeros, storedBytes);
  };
}

/** Two's complement in so many bytes. */
export function bigEndian(value: bigint, bytes: number): Uint8Array {
  const hex = BigInt.asUintN(bytes * 8, value)
    .toString(16)
    .padStart(bytes * 2, '0');
  return Buffer.from(hex, 'hex');
}
