/**
 * Arrow types and values in the corpus's terms (Parquet schema elements, plain values), both ways.
 *
 * | Arrow                                    | Parquet                       | back to Arrow        |
 * | ---------------------------------------- | ----------------------------- | -------------------- |
 * | Utf8, LargeUtf8, dictionaries of them    | BYTE_ARRAY string             | Utf8                 |
 * | Binary, LargeBinary                      | BYTE_ARRAY                    | Binary               |
 * | FixedSizeBinary                          | FIXED_LEN_BYTE_ARRAY          | FixedSizeBinary      |
 * | Int8..Int64, Uint8..Uint64               | INT32/INT64 integer(n, sign)  | the same             |
 * | Float16                                  | FIXED_LEN_BYTE_ARRAY(2)       | FixedSizeBinary      |
 * | Float32, Float64, Bool                   | FLOAT, DOUBLE, BOOLEAN        | the same             |
 * | Date                                     | INT32 date                    | DateDay              |
 * | Time, Timestamp (seconds as milliseconds)| INT32/INT64 time, timestamp   | the same             |
 * | Decimal                                  | FIXED_LEN_BYTE_ARRAY decimal  | Utf8 with all digits |
 * | List, LargeList, FixedSizeList           | list                          | List                 |
 * | Struct, Map                              | struct, map                   | Struct, Map          |
 */
import {
  type Field as ArrowField,
  Binary,
  Bool,
  type Data,
  DataType,
  DateDay,
  Field,
  FixedSizeBinary,
  Float32,
  Float64,
  Int8,
  Int16,
  Int32,
  Int64,
  List,
  Map_,
  makeData,
  Struct,
  TimeMicrosecond,
  TimeMillisecond,
  TimeNanosecond,
  TimestampMicrosecond,
  TimestampMillisecond,
  TimestampNanosecond,
  Uint8,
  Uint16,
  Uint32,
  Uint64,
  Utf8,
} from 'apache-arrow';
import type { SchemaElement } from 'hyparquet';
import { GristmillError } from '../errors.ts';
import { textOrBytes } from './dremel.ts';
import {
  decimalText,
  fractionDigits,
  int96Nanos,
  int96Text,
  isDecimal,
  isTime,
  isUnsigned,
  scaleOf,
  unscaled,
} from './plain.ts';
import { isStringElement, treeOf, typeName } from './schema.ts';
import type { MapShape, Shape } from './shape.ts';
import type { CorpusColumn, PlainValue } from './types.ts';

const TIME_UNITS = ['MILLIS', 'MILLIS', 'MICROS', 'NANOS'] as const;

/** A field as a column. @throws CORPUS_COLUMN_TYPE for types that have no Parquet form */
export function columnOfField(field: ArrowField, file: string): CorpusColumn {
  const elements = elementsOf(field.name, field.type, file);
  return { name: field.name, type: typeName(treeOf(elements)), elements };
}

function elementsOf(name: string, type: DataType, file: string): SchemaElement[] {
  const base = { name, repetition_type: 'OPTIONAL' as const };
  if (DataType.isDictionary(type)) return elementsOf(name, type.dictionary, file);
  if (DataType.isUtf8(type) || DataType.isLargeUtf8(type)) {
    return [
      { ...base, type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } },
    ];
  }
  if (DataType.isBinary(type) || DataType.isLargeBinary(type))
    return [{ ...base, type: 'BYTE_ARRAY' }];
  if (DataType.isFixedSizeBinary(type)) {
    return [{ ...base, type: 'FIXED_LEN_BYTE_ARRAY', type_length: type.byteWidth }];
  }
  if (DataType.isBool(type)) return [{ ...base, type: 'BOOLEAN' }];
  if (DataType.isInt(type)) {
    const bits = type.bitWidth;
    const logical_type = { type: 'INTEGER' as const, bitWidth: bits, isSigned: type.isSigned };
    const converted_type = `${type.isSigned ? '' : 'U'}INT_${bits}` as NonNullable<
      SchemaElement['converted_type']
    >;
    return [{ ...base, type: bits === 64 ? 'INT64' : 'INT32', converted_type, logical_type }];
  }
  if (DataType.isFloat(type)) {
    if (type.precision === 2) return [{ ...base, type: 'DOUBLE' }];
    if (type.precision === 1) return [{ ...base, type: 'FLOAT' }];
    return [
      { ...base, type: 'FIXED_LEN_BYTE_ARRAY', type_length: 2, logical_type: { type: 'FLOAT16' } },
    ];
  }
  if (DataType.isDate(type)) {
    return [{ ...base, type: 'INT32', converted_type: 'DATE', logical_type: { type: 'DATE' } }];
  }
  if (DataType.isTimestamp(type)) {
    const unit = TIME_UNITS[type.unit]!;
    const logical_type = { type: 'TIMESTAMP' as const, isAdjustedToUTC: !!type.timezone, unit };
    return [{ ...base, type: 'INT64', logical_type }];
  }
  if (DataType.isTime(type)) {
    const unit = TIME_UNITS[type.unit]!;
    const logical_type = { type: 'TIME' as const, isAdjustedToUTC: false, unit };
    return [{ ...base, type: unit === 'MILLIS' ? 'INT32' : 'INT64', logical_type }];
  }
  if (DataType.isDecimal(type)) {
    const { precision, scale } = type;
    const logical_type = { type: 'DECIMAL' as const, precision, scale };
    const converted_type = 'DECIMAL' as const;
    return [
      {
        ...base,
        type: 'FIXED_LEN_BYTE_ARRAY',
        type_length: 16,
        converted_type,
        logical_type,
        precision,
        scale,
      },
    ];
  }
  if (DataType.isList(type) || DataType.isFixedSizeList(type)) {
    const item = elementsOf('element', type.children[0]!.type, file);
    const logical_type = { type: 'LIST' as const };
    return [
      { ...base, converted_type: 'LIST', logical_type, num_children: 1 },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      ...item,
    ];
  }
  if (DataType.isMap(type)) {
    const [key, value] = type.children[0]!.type.children as ArrowField[];
    const keyElements = elementsOf('key', key!.type, file);
    keyElements[0] = { ...keyElements[0]!, repetition_type: 'REQUIRED' };
    return [
      { ...base, converted_type: 'MAP', logical_type: { type: 'MAP' }, num_children: 1 },
      { name: 'key_value', repetition_type: 'REPEATED', num_children: 2 },
      ...keyElements,
      ...elementsOf('value', value!.type, file),
    ];
  }
  if (DataType.isStruct(type) && type.children.length > 0) {
    const children = type.children.map((child) => elementsOf(child.name, child.type, file));
    return [{ ...base, num_children: children.length }, ...children.flat()];
  }
  throw unsupported(file, name, String(type));
}

function unsupported(file: string, column: string, received: string): GristmillError {
  const expected = 'an Arrow type with a Parquet form';
  return new GristmillError('CORPUS_COLUMN_TYPE', { file, column, expected, received });
}

/** Value `index` of Arrow data as a plain value. */
export function plainOfArrow(data: Data, index: number): PlainValue {
  const { type } = data;
  if (data.nullCount > 0 && !data.getValid(index)) return null;
  if (DataType.isDictionary(type)) {
    const dictionary = data.dictionary!;
    let at = Number(data.values[index]);
    for (const chunk of dictionary.data) {
      if (at < chunk.length) return plainOfArrow(chunk, at);
      at -= chunk.length;
    }
    return null;
  }
  if (DataType.isUtf8(type) || DataType.isLargeUtf8(type))
    return textOrBytes(bytesOfArrow(data, index)!);
  if (DataType.isBinary(type) || DataType.isLargeBinary(type))
    return bytesOfArrow(data, index)!.slice();
  if (DataType.isFixedSizeBinary(type)) {
    return (data.values as Uint8Array).slice(index * type.byteWidth, (index + 1) * type.byteWidth);
  }
  if (DataType.isBool(type)) {
    const bit = data.offset + index;
    return ((data.values[bit >> 3]! >> (bit & 7)) & 1) === 1;
  }
  if (DataType.isDate(type)) {
    return type.unit === 0
      ? Number(data.values[index])
      : Math.floor(Number(data.values[index]) / 86400000);
  }
  if (DataType.isTimestamp(type)) {
    const value = BigInt(data.values[index]);
    return type.unit === 0 ? value * 1000n : value;
  }
  if (DataType.isTime(type)) {
    const value = data.values[index] as number | bigint;
    return type.unit === 0 ? Number(value) * 1000 : value;
  }
  if (DataType.isDecimal(type)) return decimalBytes(data.values as Uint32Array, index);
  if (DataType.isFloat(type) && type.precision === 0) {
    const half = new Uint8Array(2);
    new DataView(half.buffer).setUint16(0, Number((data.values as Uint16Array)[index]), true);
    return half;
  }
  if (DataType.isList(type) || DataType.isMap(type)) {
    const [begin, end] = [Number(data.valueOffsets[index]), Number(data.valueOffsets[index + 1])];
    const child = data.children[0]!;
    const items: PlainValue[] = [];
    for (let at = begin; at < end; at++) items.push(plainOfArrow(child, at));
    // The entries of a map are structs of a key and a value, which is what pairs are here.
    return items;
  }
  if (DataType.isFixedSizeList(type)) {
    const items: PlainValue[] = [];
    for (let at = index * type.listSize; at < (index + 1) * type.listSize; at++) {
      items.push(plainOfArrow(data.children[0]!, at));
    }
    return items;
  }
  if (DataType.isStruct(type)) {
    return data.children.map((child) => plainOfArrow(child, index));
  }
  return signed(type, data.values[index] as number | bigint);
}

/** Physical Parquet integers are signed; the schema says how to read them. */
function signed(type: DataType, value: number | bigint): PlainValue {
  if (!DataType.isInt(type) || type.isSigned) return value;
  return typeof value === 'bigint' ? BigInt.asIntN(64, value) : value | 0;
}

/** Bytes of a string or binary value; null for nulls. A view. */
export function bytesOfArrow(data: Data, index: number): Uint8Array | null {
  if (data.nullCount > 0 && !data.getValid(index)) return null;
  if (DataType.isDictionary(data.type)) {
    let at = Number(data.values[index]);
    for (const chunk of data.dictionary!.data) {
      if (at < chunk.length) return bytesOfArrow(chunk, at);
      at -= chunk.length;
    }
    return null;
  }
  const [begin, end] = [Number(data.valueOffsets[index]), Number(data.valueOffsets[index + 1])];
  return (data.values as Uint8Array).subarray(begin, end);
}

/** 128-bit little-endian words to big-endian bytes. */
function decimalBytes(words: Uint32Array, index: number): Uint8Array {
  const bytes = new Uint8Array(16);
  for (let word = 0; word < 4; word++) {
    new DataView(bytes.buffer).setUint32((3 - word) * 4, words[index * 4 + word]!, false);
  }
  return bytes;
}

/** The Arrow type a column is written as. */
export function arrowTypeOf(shape: Shape): DataType {
  if (shape.kind === 'leaf') return leafTypeOf(shape.element);
  if (shape.kind === 'list') return new List(new Field('item', arrowTypeOf(shape.item), true));
  if (shape.kind === 'map') return new Map_(new Field('entries', entriesType(shape), false));
  return new Struct(
    shape.fields.map(({ name, shape: field }) => new Field(name, arrowTypeOf(field), true)),
  );
}

function entriesType({ key, value }: MapShape): Struct {
  return new Struct([
    new Field('key', arrowTypeOf(key), false),
    new Field('value', arrowTypeOf(value), true),
  ]);
}

function leafTypeOf(element: SchemaElement): DataType {
  const { type, logical_type: logical, converted_type: converted } = element;
  if (isStringElement(element) || isDecimal(element)) return new Utf8();
  if (type === 'INT96') return new TimestampNanosecond();
  const digits = fractionDigits(element);
  if (digits !== null) {
    if (isTime(element))
      return digits === 3
        ? new TimeMillisecond()
        : digits === 6
          ? new TimeMicrosecond()
          : new TimeNanosecond();
    const utc = logical?.type === 'TIMESTAMP' ? logical.isAdjustedToUTC : true;
    const zone = utc ? 'UTC' : null;
    if (digits === 3) return new TimestampMillisecond(zone);
    return digits === 6 ? new TimestampMicrosecond(zone) : new TimestampNanosecond(zone);
  }
  if (converted === 'DATE' || logical?.type === 'DATE') return new DateDay();
  if (type === 'BOOLEAN') return new Bool();
  if (type === 'FLOAT') return new Float32();
  if (type === 'DOUBLE') return new Float64();
  if (type === 'BYTE_ARRAY') return new Binary();
  if (type === 'FIXED_LEN_BYTE_ARRAY') return new FixedSizeBinary(element.type_length ?? 1);
  const unsigned = isUnsigned(element);
  if (type === 'INT64') return unsigned ? new Uint64() : new Int64();
  const bits =
    logical?.type === 'INTEGER'
      ? logical.bitWidth
      : Number(converted?.match(/INT_(\d+)$/)?.[1] ?? 32);
  if (bits === 8) return unsigned ? new Uint8() : new Int8();
  if (bits === 16) return unsigned ? new Uint16() : new Int16();
  return unsigned ? new Uint32() : new Int32();
}

/** Plain values as Arrow data of {@link arrowTypeOf} the shape. */
export function arrowDataOf(shape: Shape, values: readonly PlainValue[]): Data {
  const type = arrowTypeOf(shape);
  const length = values.length;
  const { nullBitmap, nullCount } = validityOf(values);
  if (shape.kind === 'list' || shape.kind === 'map') {
    const valueOffsets = new Int32Array(length + 1);
    const items: PlainValue[] = [];
    for (const [row, value] of values.entries()) {
      if (Array.isArray(value)) for (const item of value) items.push(item);
      valueOffsets[row + 1] = items.length;
    }
    const child = shape.kind === 'list' ? arrowDataOf(shape.item, items) : entries(shape, items);
    return makeData({ type: type as List, length, nullCount, nullBitmap, valueOffsets, child });
  }
  if (shape.kind === 'struct') {
    const children = shape.fields.map(({ shape: field }, at) => {
      return arrowDataOf(
        field,
        values.map((value) => (Array.isArray(value) ? (value[at] as PlainValue) : null)),
      );
    });
    return makeData({ type: type as Struct, length, nullCount, nullBitmap, children });
  }
  return leafData(shape.element, type, values, { length, nullCount, nullBitmap });
}

function entries(shape: MapShape, pairs: readonly PlainValue[]): Data {
  const part = (at: number): PlainValue[] =>
    pairs.map((pair) => (pair as readonly PlainValue[])[at]);
  const children = [arrowDataOf(shape.key, part(0)), arrowDataOf(shape.value, part(1))];
  return makeData({ type: entriesType(shape), length: pairs.length, nullCount: 0, children });
}

function leafData(
  element: SchemaElement,
  type: DataType,
  values: readonly PlainValue[],
  frame: { length: number; nullCount: number; nullBitmap: Uint8Array | null },
): Data {
  const { length, nullCount, nullBitmap } = frame;
  if (DataType.isUtf8(type) || DataType.isBinary(type)) {
    const bytes = values.map((value) => (isNull(value) ? null : leafBytes(element, value)));
    return bytesData(type, bytes, nullBitmap, nullCount);
  }
  if (DataType.isBool(type)) {
    const data = new Uint8Array(Math.ceil(length / 8));
    for (const [row, value] of values.entries()) if (value) data[row >> 3]! |= 1 << (row & 7);
    return makeData({ type, length, nullCount, nullBitmap, data });
  }
  if (DataType.isFixedSizeBinary(type)) {
    const data = new Uint8Array(length * type.byteWidth);
    for (const [row, value] of values.entries()) {
      if (value instanceof Uint8Array) data.set(value, row * type.byteWidth);
    }
    return makeData({ type, length, nullCount, nullBitmap, data });
  }
  const data = new type.ArrayType(length) as BigInt64Array | Int32Array;
  const wide = data instanceof BigInt64Array || (data as unknown) instanceof BigUint64Array;
  for (const [row, value] of values.entries()) {
    if (isNull(value)) continue;
    const number = element.type === 'INT96' ? timestampNanos(value as bigint) : value;
    data[row] = (wide ? BigInt(number as number | bigint) : Number(number)) as never;
  }
  return makeData({ type, length, nullCount, nullBitmap, data } as never);
}

function isNull(value: PlainValue): value is null | undefined {
  return value === null || value === undefined;
}

/** @throws CORPUS_VALUE_INVALID outside 1677..2262, which 64 bits of nanoseconds hold */
function timestampNanos(value: bigint): bigint {
  const nanos = int96Nanos(value);
  if (nanos === BigInt.asIntN(64, nanos)) return nanos;
  throw new GristmillError('CORPUS_VALUE_INVALID', {
    file: '(output)',
    row: 0,
    column: 'INT96',
    expected: 'a time of 1677 to 2262, which Arrow holds in nanoseconds',
    received: int96Text(value),
  });
}

function leafBytes(element: SchemaElement, value: PlainValue): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value);
  if (isDecimal(element)) return Buffer.from(decimalText(unscaled(value), scaleOf(element)));
  if (value instanceof Uint8Array) return value;
  return Buffer.from(String(value));
}

/** Byte values as Arrow data. */
export function bytesData(
  type: DataType,
  values: readonly (Uint8Array | null)[],
  nullBitmap: Uint8Array | null,
  nullCount: number,
): Data {
  const valueOffsets = new Int32Array(values.length + 1);
  for (const [row, value] of values.entries()) {
    valueOffsets[row + 1] = valueOffsets[row]! + (value?.byteLength ?? 0);
  }
  const data = new Uint8Array(valueOffsets.at(-1)!);
  for (const [row, value] of values.entries()) if (value) data.set(value, valueOffsets[row]);
  const props = {
    type: type as Utf8,
    length: values.length,
    nullCount,
    nullBitmap,
    valueOffsets,
    data,
  };
  return makeData(props);
}

function validityOf(values: readonly PlainValue[]): {
  nullBitmap: Uint8Array | null;
  nullCount: number;
} {
  const nullCount = values.reduce((sum: number, value) => sum + (isNull(value) ? 1 : 0), 0);
  if (nullCount === 0) return { nullBitmap: null, nullCount };
  const nullBitmap = new Uint8Array(Math.ceil(values.length / 8));
  for (const [row, value] of values.entries())
    if (!isNull(value)) nullBitmap[row >> 3]! |= 1 << (row & 7);
  return { nullBitmap, nullCount };
}
