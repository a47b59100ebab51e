/**
 * Plain values as the nodes and buffers of Arrow arrays, for every type that is read.
 *
 * Values are exact or refused: a number that a field's width does not hold, a time before or after what 64 bits of
 * nanoseconds hold, a decimal with more digits than its type says are {@link ValueError}s.
 */
import type { SchemaElement } from 'hyparquet';
import { INLINE_BYTES } from './arrow-arrays.ts';
import type { EncodedBatch } from './arrow-build.ts';
import type { ArrowField, ArrowType } from './arrow-schema.ts';
import { ValueError } from './dremel.ts';
import { int96Nanos, int96Text, unscaled } from './plain.ts';
import type { Shape } from './shape.ts';
import type { PlainValue } from './types.ts';

/** More values, bytes or distinct values than one batch of these types holds: half of the rows may do. */
export class BatchTooLarge extends Error {}

/** A dictionary that a batch refers to; inner ones come before outer ones. */
export interface EncodedDictionary {
  readonly id: string;
  readonly batch: EncodedBatch;
}

/** A batch and the dictionaries that have to be written before it. */
export interface EncodedRows {
  readonly batch: EncodedBatch;
  readonly dictionaries: readonly EncodedDictionary[];
}

/** A column to encode. */
export interface ColumnValues {
  readonly field: ArrowField;
  readonly shape: Shape;
  readonly values: readonly PlainValue[];
}

const MAX_INT32 = 2 ** 31 - 1;
const EMPTY = new Uint8Array(0);

/** Encodes the columns of a batch. @throws BatchTooLarge, ValueError */
export function encodeRows(columns: readonly ColumnValues[], length: number): EncodedRows {
  const dictionaries: EncodedDictionary[] = [];
  const encoder = new ArrayEncoder(dictionaries);
  for (const { field, shape, values } of columns) encoder.encode(field, shape, values);
  return { batch: encoder.finish(length), dictionaries };
}

type Values = readonly PlainValue[];
type WriteValue = (view: DataView, at: number, value: NonNullable<PlainValue>) => void;

class ArrayEncoder {
  readonly #nodes: { length: number; nullCount: number }[] = [];
  readonly #buffers: Uint8Array[] = [];
  readonly #nViewBuffers: number[] = [];
  readonly #dictionaries: EncodedDictionary[];

  constructor(dictionaries: EncodedDictionary[]) {
    this.#dictionaries = dictionaries;
  }

  finish(length: number): EncodedBatch {
    const [nodes, buffers, nViewBuffers] = [this.#nodes, this.#buffers, this.#nViewBuffers];
    return { length, nodes, buffers, nViewBuffers };
  }

  encode(field: ArrowField, shape: Shape, values: Values): void {
    if (values.length > MAX_INT32) throw new BatchTooLarge();
    if (field.dictionary) {
      this.#encodeDictionary(field, shape, values);
    } else if (field.type.kind === 'null') {
      this.#nodes.push({ length: values.length, nullCount: values.length });
      if (!values.every(isNull)) throw new ValueError('a value in a column that holds none');
    } else if (field.type.kind === 'runEnds') {
      this.#encodeRuns(field, shape, values);
    } else {
      this.#open(values);
      this.#encodeValues(field, shape, values);
    }
  }

  #encodeValues(field: ArrowField, shape: Shape, values: Values): void {
    const { type } = field;
    switch (type.kind) {
      case 'utf8':
      case 'binary':
        this.#bytes(values, false);
        break;
      case 'largeUtf8':
      case 'largeBinary':
        this.#bytes(values, true);
        break;
      case 'utf8View':
      case 'binaryView':
        this.#views(values);
        break;
      case 'bool':
        this.#buffers.push(bits(values.map((value) => value === true)));
        break;
      case 'list':
      case 'largeList':
      case 'listView':
      case 'largeListView':
      case 'fixedList':
        this.#lists(field, shape, values);
        break;
      case 'map':
        this.#maps(field, shape, values);
        break;
      case 'struct':
        this.#structs(field, shape, values);
        break;
      default: {
        const [width, write] = fixedWriter(type, shape.kind === 'leaf' ? shape.element : null);
        this.#fixed(values, width, write);
      }
    }
  }

  /** The node of an array and its validity bitmap. */
  #open(values: Values): void {
    const nullCount = values.reduce((sum: number, value) => sum + (isNull(value) ? 1 : 0), 0);
    this.#nodes.push({ length: values.length, nullCount });
    this.#buffers.push(nullCount === 0 ? EMPTY : bits(values.map((value) => !isNull(value))));
  }

  #fixed(values: Values, width: number, write: WriteValue): void {
    const bytes = new Uint8Array(values.length * width);
    const view = new DataView(bytes.buffer);
    for (const [row, value] of values.entries()) {
      if (!isNull(value)) write(view, row * width, value);
    }
    this.#buffers.push(bytes);
  }

  #bytes(values: Values, wide: boolean): void {
    const parts = values.map((value) => (isNull(value) ? EMPTY : bytesOf(value)));
    this.#offsets(
      parts.map((part) => part.byteLength),
      wide,
    );
    this.#buffers.push(joined(parts));
  }

  #offsets(lengths: readonly number[], wide: boolean): void {
    const offsets = wide
      ? new BigInt64Array(lengths.length + 1)
      : new Int32Array(lengths.length + 1);
    let end = 0;
    for (const [row, length] of lengths.entries()) {
      end += length;
      if (!wide && end > MAX_INT32) throw new BatchTooLarge();
      offsets[row + 1] = (wide ? BigInt(end) : end) as never;
    }
    this.#buffers.push(new Uint8Array(offsets.buffer));
  }

  #views(values: Values): void {
    const long: Uint8Array[] = [];
    let end = 0;
    this.#fixed(values, 16, (view, at, value) => {
      const bytes = bytesOf(value);
      view.setInt32(at, bytes.byteLength, true);
      const target = new Uint8Array(view.buffer, at + 4, INLINE_BYTES);
      if (bytes.byteLength <= INLINE_BYTES) {
        target.set(bytes);
        return;
      }
      if (end + bytes.byteLength > MAX_INT32) throw new BatchTooLarge();
      target.set(bytes.subarray(0, 4));
      view.setInt32(at + 12, end, true);
      long.push(bytes);
      end += bytes.byteLength;
    });
    this.#nViewBuffers.push(long.length > 0 ? 1 : 0);
    if (long.length > 0) this.#buffers.push(joined(long));
  }

  #lists({ type, children }: ArrowField, shape: Shape, values: Values): void {
    if (shape.kind !== 'list') throw new ValueError(`a list in a column of ${shape.kind}`);
    const items: PlainValue[] = [];
    const lengths = values.map((value) => {
      const list = isNull(value) ? [] : arrayOf(value);
      for (const item of list) items.push(item);
      if (type.kind !== 'fixedList') return list.length;
      if (!isNull(value) && list.length !== type.size) {
        throw new ValueError(`${list.length} items in a list of ${type.size}`);
      }
      // The items of a null are there, and say nothing.
      for (let at = list.length; at < type.size; at++) items.push(null);
      return type.size;
    });
    const wide = type.kind === 'largeList' || type.kind === 'largeListView';
    if (type.kind === 'listView' || type.kind === 'largeListView') {
      this.#starts(lengths, wide);
    } else if (type.kind !== 'fixedList') {
      this.#offsets(lengths, wide);
    }
    this.encode(children[0]!, shape.item, items);
  }

  /** Offsets and sizes of list views. */
  #starts(lengths: readonly number[], wide: boolean): void {
    const make = () => (wide ? new BigInt64Array(lengths.length) : new Int32Array(lengths.length));
    const [offsets, sizes] = [make(), make()];
    let end = 0;
    for (const [row, length] of lengths.entries()) {
      offsets[row] = (wide ? BigInt(end) : end) as never;
      sizes[row] = (wide ? BigInt(length) : length) as never;
      end += length;
      if (!wide && end > MAX_INT32) throw new BatchTooLarge();
    }
    this.#buffers.push(new Uint8Array(offsets.buffer), new Uint8Array(sizes.buffer));
  }

  #maps(field: ArrowField, shape: Shape, values: Values): void {
    if (shape.kind !== 'map') throw new ValueError(`a map in a column of ${shape.kind}`);
    const pairs: (readonly PlainValue[])[] = [];
    const lengths = values.map((value) => {
      const entries = isNull(value) ? [] : arrayOf(value);
      for (const entry of entries) pairs.push(arrayOf(entry));
      return entries.length;
    });
    this.#offsets(lengths, false);
    this.#nodes.push({ length: pairs.length, nullCount: 0 });
    this.#buffers.push(EMPTY);
    if (pairs.some(([key]) => isNull(key))) throw new ValueError('a map with a null key');
    const [key, value] = field.children[0]!.children;
    this.encode(
      key!,
      shape.key,
      pairs.map((pair) => pair[0]),
    );
    this.encode(
      value!,
      shape.value,
      pairs.map((pair) => pair[1]),
    );
  }

  #structs({ children }: ArrowField, shape: Shape, values: Values): void {
    if (shape.kind !== 'struct' || shape.fields.length !== children.length) {
      throw new ValueError('a struct of other fields');
    }
    for (const [at, child] of children.entries()) {
      const parts = values.map((value) => (isNull(value) ? null : arrayOf(value)[at]));
      this.encode(child, shape.fields[at]!.shape, parts);
    }
  }

  #encodeRuns(field: ArrowField, shape: Shape, values: Values): void {
    const ends: number[] = [];
    const kept: PlainValue[] = [];
    let last: string | null = null;
    for (const [row, value] of values.entries()) {
      const key = keyOf(value);
      if (key === last) ends[ends.length - 1] = row + 1;
      else {
        ends.push(row + 1);
        kept.push(value);
        last = key;
      }
    }
    const [endsField, valuesField] = field.children;
    const { bits: width } = endsField!.type as { bits: 16 | 32 | 64 };
    if (width === 16 && values.length > 32767) throw new BatchTooLarge();
    this.#nodes.push({ length: values.length, nullCount: 0 });
    this.#nodes.push({ length: ends.length, nullCount: 0 });
    this.#buffers.push(EMPTY);
    this.#fixed(ends, width / 8, integerWriter(width));
    this.encode(valuesField!, shape, kept);
  }

  #encodeDictionary(field: ArrowField, shape: Shape, values: Values): void {
    const { bits: width, signed, id } = field.dictionary!;
    const bound = Math.min(2 ** (signed ? width - 1 : width), MAX_INT32);
    const indices = new Map<string, number>();
    const entries: PlainValue[] = [];
    const found = values.map((value) => {
      if (isNull(value)) return null;
      const key = keyOf(value);
      let index = indices.get(key);
      if (index === undefined) {
        index = entries.length;
        if (index >= bound) throw new BatchTooLarge();
        indices.set(key, index);
        entries.push(value);
      }
      return index;
    });
    this.#open(found);
    this.#fixed(found, width / 8, integerWriter(width));
    const inner = new ArrayEncoder(this.#dictionaries);
    inner.encode({ ...field, dictionary: null }, shape, entries);
    this.#dictionaries.push({ id, batch: inner.finish(entries.length) });
  }
}

function isNull(value: PlainValue): value is null | undefined {
  return value === null || value === undefined;
}

function bits(flags: readonly boolean[]): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(flags.length / 8));
  for (const [row, flag] of flags.entries()) if (flag) bytes[row >> 3]! |= 1 << (row & 7);
  return bytes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}

function bytesOf(value: NonNullable<PlainValue>): Uint8Array {
  if (typeof value === 'string') return Buffer.from(value);
  if (value instanceof Uint8Array) return value;
  throw new ValueError(`a ${typeof value} in a column of bytes`);
}

function arrayOf(value: PlainValue): readonly PlainValue[] {
  if (Array.isArray(value)) return value;
  throw new ValueError(`a ${typeof value} in a nested column`);
}

/** Equal for equal values, and only for those. */
function keyOf(value: PlainValue): string {
  if (isNull(value)) return '';
  if (value instanceof Uint8Array) {
    return `b${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1')}`;
  }
  if (typeof value === 'object') {
    const keys = value.map(keyOf);
    return `[${keys.map((key) => `${key.length}:${key}`).join('')}`;
  }
  return `${(typeof value)[0]}${Object.is(value, -0) ? '-0' : value}`;
}

function integer(value: NonNullable<PlainValue>): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value);
  throw new ValueError(`a ${typeof value} in a column of integers`);
}

function fitted(value: bigint, width: number, what: string): bigint {
  if (value === BigInt.asIntN(width, value)) return value;
  throw new ValueError(`${what} ${value}, beyond ${width} bits`);
}

/** Integers; unsigned ones of 32 and 64 bits come as the signed ones with the same bits. */
function integerWriter(width: 8 | 16 | 32 | 64, signed = true): WriteValue {
  return (view, at, value) => {
    const number = integer(value);
    const known = signed ? BigInt.asIntN(width, number) : BigInt.asUintN(width, number);
    const same =
      known === number || (!signed && width >= 32 && BigInt.asIntN(width, number) === number);
    if (!same) throw new ValueError(`${number}, beyond ${signed ? '' : 'u'}int${width}`);
    if (width === 64) view.setBigInt64(at, number, true);
    else if (width === 32) view.setInt32(at, Number(number), true);
    else if (width === 16) view.setInt16(at, Number(number), true);
    else view.setInt8(at, Number(number));
  };
}

function fixedWriter(type: ArrowType, element: SchemaElement | null): [number, WriteValue] {
  switch (type.kind) {
    case 'int':
      return [type.bits / 8, integerWriter(type.bits, type.signed)];
    case 'float':
      if (type.bits === 16) return [2, rawWriter(2)];
      return [
        type.bits / 8,
        (view, at, value) => {
          if (typeof value !== 'number')
            throw new ValueError(`a ${typeof value} in a column of floats`);
          if (type.bits === 32) view.setFloat32(at, value, true);
          else view.setFloat64(at, value, true);
        },
      ];
    case 'fixedBinary':
      return [type.width, rawWriter(type.width)];
    case 'decimal':
      return [type.bits / 8, decimalWriter(type)];
    case 'date':
      if (type.unit === 'day') return [4, integerWriter(32)];
      return [8, (view, at, value) => view.setBigInt64(at, integer(value) * 86_400_000n, true)];
    case 'time': {
      const width = type.unit === 's' || type.unit === 'ms' ? 32 : 64;
      return [width / 8, scaledWriter(integerWriter(width), type.unit === 's')];
    }
    case 'timestamp':
      if (element?.type === 'INT96') return [8, int96Writer];
      return [8, scaledWriter(integerWriter(64), type.unit === 's')];
    case 'duration':
      return [8, integerWriter(64)];
    case 'interval':
      return intervalWriter(type.unit);
    default:
      throw new ValueError(`type ${type.kind} is not written`);
  }
}

function rawWriter(width: number): WriteValue {
  return (view, at, value) => {
    const bytes = bytesOf(value);
    if (bytes.byteLength !== width) throw new ValueError(`${bytes.byteLength} bytes, not ${width}`);
    new Uint8Array(view.buffer).set(bytes, at);
  };
}

/** Seconds are stored as milliseconds in between. */
function scaledWriter(write: WriteValue, isSeconds: boolean): WriteValue {
  if (!isSeconds) return write;
  return (view, at, value) => {
    const stored = integer(value);
    if (stored % 1000n !== 0n) throw new ValueError(`${stored} ms are no whole seconds`);
    write(view, at, stored / 1000n);
  };
}

/** Times of 1677 to 2262, which 64 bits of nanoseconds hold. */
const int96Writer: WriteValue = (view, at, value) => {
  const nanos = int96Nanos(integer(value));
  if (nanos !== BigInt.asIntN(64, nanos)) {
    throw new ValueError(`${int96Text(integer(value))}, beyond 64 bits of nanoseconds`);
  }
  view.setBigInt64(at, nanos, true);
};

function decimalWriter(type: ArrowType & { kind: 'decimal' }): WriteValue {
  const bound = 10n ** BigInt(type.precision);
  const zeros = 10n ** BigInt(Math.max(0, -type.scale));
  return (view, at, value) => {
    let number = unscaled(value);
    if (number % zeros !== 0n) throw new ValueError(`${number} at scale ${type.scale}`);
    number /= zeros;
    if (number >= bound || number <= -bound) {
      throw new ValueError(`${number}, more than ${type.precision} digits`);
    }
    if (type.bits === 32) {
      view.setInt32(at, Number(number), true);
      return;
    }
    for (let word = 0; word * 64 < type.bits; word++) {
      view.setBigUint64(at + word * 8, BigInt.asUintN(64, number >> BigInt(word * 64)), true);
    }
  };
}

function intervalWriter(unit: 'months' | 'dayTime' | 'monthDayNano'): [number, WriteValue] {
  if (unit === 'months') return [4, integerWriter(32)];
  const part = (value: PlainValue): number =>
    Number(fitted(integer(value ?? 0), 32, 'an interval of'));
  if (unit === 'dayTime') {
    return [
      8,
      (view, at, value) => {
        const [days, milliseconds] = arrayOf(value);
        view.setInt32(at, part(days), true);
        view.setInt32(at + 4, part(milliseconds), true);
      },
    ];
  }
  return [
    16,
    (view, at, value) => {
      const [months, days, nanos] =
        value instanceof Uint8Array ? intervalOf(value) : arrayOf(value);
      view.setInt32(at, part(months), true);
      view.setInt32(at + 4, part(days), true);
      view.setBigInt64(at + 8, fitted(integer(nanos ?? 0n), 64, 'an interval of'), true);
    },
  ];
}

/** Parquet's interval: months, days and milliseconds, unsigned. */
function intervalOf(bytes: Uint8Array): [months: number, days: number, nanos: bigint] {
  if (bytes.byteLength !== 12) throw new ValueError(`an interval of ${bytes.byteLength} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const millis = BigInt(view.getUint32(8, true));
  return [view.getUint32(0, true), view.getUint32(4, true), millis * 1_000_000n];
}
