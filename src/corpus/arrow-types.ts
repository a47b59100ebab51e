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
 * | Struct, Map                              | struct, map                   | Struct, List of Struct |
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
import type { SchemaElement, SchemaTree } from 'hyparquet';
import { GristmillError } from '../errors.ts';
import { decimalText, fractionDigits, isUnsigned, unscaled } from './plain.ts';
import { isStringElement, treeOf, typeName } from './schema.ts';
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
    if (!isStringElement(keyElements[0]!)) {
      throw unsupported(file, name, `a map with keys of type ${key!.type}`);
    }
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

const decoder = new TextDecoder();

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
    return decoder.decode(bytesOfArrow(data, index)!);
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
    return DataType.isMap(type) ? mapOf(items) : items;
  }
  if (DataType.isFixedSizeList(type)) {
    const items: PlainValue[] = [];
    for (let at = index * type.listSize; at < (index + 1) * type.listSize; at++) {
      items.push(plainOfArrow(data.children[0]!, at));
    }
    return items;
  }
  if (DataType.isStruct(type)) {
    const entries = type.children.map((child, at) => {
      return [child.name, plainOfArrow(data.children[at]!, index)] as const;
    });
    return Object.fromEntries(entries);
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

function mapOf(items: readonly PlainValue[]): PlainValue {
  const entries = items.map((item) => {
    const [key, value] = Object.values(item as { [key: string]: PlainValue });
    return [String(key), value] as const;
  });
  return Object.fromEntries(entries);
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
export function arrowTypeOf(tree: SchemaTree): DataType {
  const { element, children } = tree;
  if (element.repetition_type === 'REPEATED' && element.converted_type !== 'LIST') {
    return listOf(arrowTypeOf(asOptional(tree)));
  }
  if (children.length > 0) {
    if (element.converted_type === 'LIST') return listOf(arrowTypeOf(itemOf(tree)));
    if (element.converted_type === 'MAP') {
      const value = arrowTypeOf(children[0]!.children[1]!);
      return listOf(
        new Struct([new Field('key', new Utf8(), true), new Field('value', value, true)]),
      );
    }
    return new Struct(
      children.map((child) => new Field(child.element.name, arrowTypeOf(child), true)),
    );
  }
  return leafTypeOf(element);
}

function listOf(type: DataType): DataType {
  return new List(new Field('item', type, true));
}

function asOptional(tree: SchemaTree): SchemaTree {
  return { ...tree, element: { ...tree.element, repetition_type: 'OPTIONAL' } };
}

function itemOf(tree: SchemaTree): SchemaTree {
  const repeated = tree.children[0]!;
  return asOptional(repeated.children.length === 1 ? repeated.children[0]! : repeated);
}

function isDecimal({ converted_type, logical_type }: SchemaElement): boolean {
  return converted_type === 'DECIMAL' || logical_type?.type === 'DECIMAL';
}

function leafTypeOf(element: SchemaElement): DataType {
  const { type, logical_type: logical, converted_type: converted } = element;
  if (isStringElement(element) || isDecimal(element) || type === 'INT96') return new Utf8();
  const digits = fractionDigits(element);
  if (digits !== null) {
    const isTime = logical?.type === 'TIME' || converted?.startsWith('TIME_');
    if (isTime)
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

/** Plain values as Arrow data of {@link arrowTypeOf} the tree. */
export function arrowDataOf(tree: SchemaTree, values: readonly PlainValue[]): Data {
  const type = arrowTypeOf(tree);
  const length = values.length;
  const { nullBitmap, nullCount } = validityOf(values);
  const { element } = tree;
  if (DataType.isList(type)) {
    const offsets = new Int32Array(length + 1);
    const items: PlainValue[] = [];
    const isMap = element.converted_type === 'MAP';
    for (const [row, value] of values.entries()) {
      if (isMap && value)
        items.push(...Object.entries(value).map(([key, v]) => ({ key, value: v })));
      else if (Array.isArray(value)) for (const item of value) items.push(item);
      offsets[row + 1] = items.length;
    }
    const child = isMap
      ? mapEntries(tree, items as { key: string; value: PlainValue }[])
      : arrowDataOf(element.converted_type === 'LIST' ? itemOf(tree) : asOptional(tree), items);
    return makeData({ type, length, nullCount, nullBitmap, valueOffsets: offsets, child });
  }
  if (DataType.isStruct(type)) {
    const children = tree.children.map((child) => {
      const name = child.element.name;
      return arrowDataOf(
        child,
        values.map((v) => (v as { [key: string]: PlainValue } | null)?.[name]),
      );
    });
    return makeData({ type, length, nullCount, nullBitmap, children });
  }
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
    data[row] = (wide ? BigInt(value as number | bigint) : Number(value)) as never;
  }
  return makeData({ type, length, nullCount, nullBitmap, data } as never);
}

function mapEntries(tree: SchemaTree, items: readonly { key: string; value: PlainValue }[]): Data {
  const valueTree = tree.children[0]!.children[1]!;
  const keys = items.map((item) => Buffer.from(item.key));
  const children = [
    bytesData(new Utf8(), keys, null, 0),
    arrowDataOf(
      valueTree,
      items.map((item) => item.value),
    ),
  ];
  const fields = [
    new Field('key', new Utf8(), true),
    new Field('value', arrowTypeOf(valueTree), true),
  ];
  return makeData({ type: new Struct(fields), length: items.length, nullCount: 0, children });
}

function isNull(value: PlainValue): value is null | undefined {
  return value === null || value === undefined;
}

function leafBytes(element: SchemaElement, value: PlainValue): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value);
  if (isDecimal(element)) return Buffer.from(decimalText(unscaled(value), element.scale ?? 0));
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
