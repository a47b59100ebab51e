/**
 * Rows from the levels and values of leaf columns, and back (the record shredding of Dremel, as Parquet has it).
 *
 * Invariants
 *  1. Levels are untrusted: where the leaves of one column contradict each other or end early, assembly throws
 *     {@link LevelError}; every step consumes a level or descends in the schema, so none runs on.
 *  2. Values are exact: no number passes through another type, byte strings that are no UTF-8 stay bytes.
 */
import type { SchemaElement } from 'hyparquet';
import type { LeafRows } from '../native/index.ts';
import { isStringElement } from './schema.ts';
import type { LeafShape, Shape } from './shape.ts';
import type { PlainValue } from './types.ts';

/** The levels of a column contradict each other. */
export class LevelError extends Error {}

/** Values of one leaf by index. */
type Read = (index: number) => PlainValue;

/** A place in a leaf's levels and values. */
class Cursor {
  readonly #rows: LeafRows;
  readonly #read: Read;
  readonly #maxDefinition: number;
  #level = 0;
  #value = 0;

  constructor(rows: LeafRows, element: SchemaElement, maxDefinition: number) {
    this.#rows = rows;
    this.#read = readerOf(rows, element);
    this.#maxDefinition = maxDefinition;
  }

  get done(): boolean {
    return this.#level >= this.#rows.nLevels;
  }

  /** Definition level of the next entry. */
  get definition(): number {
    if (this.done) throw new LevelError('a column ends inside a row');
    return this.#rows.definition?.[this.#level] ?? this.#maxDefinition;
  }

  /** Repetition level of the next entry; 0 at the end, where a row would begin. */
  get repetition(): number {
    return this.done ? 0 : (this.#rows.repetition?.[this.#level] ?? 0);
  }

  /** Passes over an entry that holds no value. */
  skip(): void {
    this.#level++;
  }

  /** The value of the next entry. */
  take(): PlainValue {
    this.#level++;
    return this.#read(this.#value++);
  }
}

/**
 * Values of a column's rows.
 *
 * @param leaves levels and values of the column's leaves, in order
 * @throws LevelError
 */
export function assembleRows(
  shape: Shape,
  leaves: readonly LeafRows[],
  nRows: number,
): PlainValue[] {
  const cursors: Cursor[] = [];
  for (const leaf of leafShapes(shape)) {
    cursors.push(new Cursor(leaves[leaf.leafStart]!, leaf.element, leaf.definition));
  }
  const rows: PlainValue[] = [];
  for (let row = 0; row < nRows; row++) {
    for (const cursor of cursors) {
      if (cursor.repetition !== 0) throw new LevelError('a row begins in the middle of a value');
    }
    rows.push(valueAt(shape, cursors));
  }
  if (cursors.some((cursor) => !cursor.done)) throw new LevelError('a column runs over its rows');
  return rows;
}

/** The leaves below a shape, in order. */
export function leafShapes(shape: Shape): LeafShape[] {
  if (shape.kind === 'leaf') return [shape];
  if (shape.kind === 'list') return leafShapes(shape.item);
  if (shape.kind === 'map') return [...leafShapes(shape.key), ...leafShapes(shape.value)];
  return shape.fields.flatMap((field) => leafShapes(field.shape));
}

function valueAt(shape: Shape, cursors: readonly Cursor[]): PlainValue {
  if (isAbsent(shape, shape.definition, cursors)) {
    // Required by the schema, absent by the levels of what is above: the caller has seen to that.
    if (!shape.nullable) throw new LevelError('a required value is missing');
    return null;
  }
  if (shape.kind === 'leaf') return cursors[shape.leafStart]!.take();
  if (shape.kind === 'struct') return shape.fields.map((field) => valueAt(field.shape, cursors));
  const items: PlainValue[] = [];
  if (isAbsent(shape, shape.itemDefinition, cursors)) return items;
  const first = cursors[shape.leafStart]!;
  for (;;) {
    items.push(
      shape.kind === 'list'
        ? valueAt(shape.item, cursors)
        : [valueAt(shape.key, cursors), valueAt(shape.value, cursors)],
    );
    const more = first.repetition === shape.repetition;
    if (first.repetition > shape.repetition) throw new LevelError('a list goes on in no list');
    for (let leaf = shape.leafStart + 1; leaf < shape.leafEnd; leaf++) {
      if ((cursors[leaf]!.repetition === shape.repetition) !== more) {
        throw new LevelError('two columns of one list have different lengths');
      }
    }
    if (!more) return items;
  }
}

/** Consumes one entry of every leaf below when all of them say that nothing is there at this level. */
function isAbsent(shape: Shape, definition: number, cursors: readonly Cursor[]): boolean {
  const absent = cursors[shape.leafStart]!.definition < definition;
  for (let leaf = shape.leafStart + 1; leaf < shape.leafEnd; leaf++) {
    if (cursors[leaf]!.definition < definition !== absent) {
      throw new LevelError('two columns of one group disagree on what is null');
    }
  }
  if (!absent) return false;
  for (let leaf = shape.leafStart; leaf < shape.leafEnd; leaf++) cursors[leaf]!.skip();
  return true;
}

function readerOf({ data, starts, sizes }: LeafRows, element: SchemaElement): Read {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  switch (element.type) {
    case 'BOOLEAN':
      return (index) => data[index] === 1;
    case 'INT32':
      return (index) => view.getInt32(index * 4, true);
    case 'INT64':
      return (index) => view.getBigInt64(index * 8, true);
    case 'INT96':
      return (index) =>
        (BigInt(view.getUint32(index * 12 + 8, true)) << 64n) | view.getBigUint64(index * 12, true);
    case 'FLOAT':
      return (index) => view.getFloat32(index * 4, true);
    case 'DOUBLE':
      return (index) => view.getFloat64(index * 8, true);
    case 'FIXED_LEN_BYTE_ARRAY': {
      const width = element.type_length ?? 0;
      return (index) => data.subarray(index * width, (index + 1) * width);
    }
    default: {
      const bytesAt = (index: number): Uint8Array =>
        data.subarray(starts![index]!, starts![index]! + sizes![index]!);
      if (!isStringElement(element)) return bytesAt;
      // Values that share their bytes (a dictionary's) share the string.
      let lastStart = -1;
      let lastSize = -1;
      let last: PlainValue = null;
      return (index) => {
        if (starts![index] === lastStart && sizes![index] === lastSize) return last;
        lastStart = starts![index]!;
        lastSize = sizes![index]!;
        last = textOrBytes(bytesAt(index));
        return last;
      };
    }
  }
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Bytes as a string where they are UTF-8, else as they are. */
export function textOrBytes(bytes: Uint8Array): string | Uint8Array {
  try {
    return strict.decode(bytes);
  } catch {
    return bytes;
  }
}

/** One leaf of a column in the form a writer takes: levels and PLAIN values. */
export interface ShreddedLeaf {
  readonly nLevels: number;
  readonly nValues: number;
  /** Null where the maximum level is 0. */
  readonly definition: Uint8Array | null;
  readonly repetition: Uint8Array | null;
  readonly plain: Uint8Array;
}

/** A value that its column cannot hold. */
export class ValueError extends Error {
  /** Index of the row. */
  row = 0;
}

/** Levels and values of every leaf of a column. @throws ValueError where a value is of another type */
export function shredRows(shape: Shape, rows: readonly PlainValue[]): ShreddedLeaf[] {
  const leaves = leafShapes(shape).map((leaf) => new LeafBuilder(leaf));
  for (const [row, value] of rows.entries()) {
    try {
      shred(shape, value, 0, 0, leaves);
    } catch (error) {
      if (error instanceof ValueError) error.row = row;
      throw error;
    }
  }
  return leaves.map((leaf) => leaf.finish());
}

/** `definition` is the level reached above, `repetition` the level of the next entry. */
function shred(
  shape: Shape,
  value: PlainValue,
  definition: number,
  repetition: number,
  leaves: readonly LeafBuilder[],
): void {
  if (value === null || value === undefined) {
    if (!shape.nullable) throw new ValueError('null where the schema allows none');
    absent(shape, definition, repetition, leaves);
    return;
  }
  if (shape.kind === 'leaf') {
    leaves[shape.leafStart]!.value(value, repetition);
    return;
  }
  if (!Array.isArray(value)) throw new ValueError(`a ${typeof value} where the schema has a group`);
  if (shape.kind === 'struct') {
    if (value.length !== shape.fields.length) throw new ValueError('a struct of other fields');
    for (const [at, field] of shape.fields.entries()) {
      shred(field.shape, value[at], shape.definition, repetition, leaves);
    }
    return;
  }
  if (value.length === 0) {
    absent(shape, shape.definition, repetition, leaves);
    return;
  }
  for (const [at, item] of value.entries()) {
    const level = at === 0 ? repetition : shape.repetition;
    if (shape.kind === 'list') {
      shred(shape.item, item, shape.itemDefinition, level, leaves);
      continue;
    }
    if (!Array.isArray(item) || item.length !== 2) throw new ValueError('a map entry is no pair');
    shred(shape.key, item[0], shape.itemDefinition, level, leaves);
    shred(shape.value, item[1], shape.itemDefinition, level, leaves);
  }
}

function absent(
  shape: Shape,
  definition: number,
  repetition: number,
  leaves: readonly LeafBuilder[],
): void {
  for (let leaf = shape.leafStart; leaf < shape.leafEnd; leaf++) {
    leaves[leaf]!.level(definition, repetition);
  }
}

/** Grows levels and PLAIN values of one leaf. */
class LeafBuilder {
  readonly #element: SchemaElement;
  readonly #maxDefinition: number;
  readonly #maxRepetition: number;
  readonly #definition: number[] = [];
  readonly #repetition: number[] = [];
  readonly #bits: number[] = [];
  #bytes = Buffer.allocUnsafe(1024);
  #size = 0;
  #nValues = 0;

  constructor({ element, definition, repetition }: LeafShape) {
    this.#element = element;
    this.#maxDefinition = definition;
    this.#maxRepetition = repetition;
  }

  level(definition: number, repetition: number): void {
    this.#definition.push(definition);
    this.#repetition.push(repetition);
  }

  value(value: PlainValue, repetition: number): void {
    this.level(this.#maxDefinition, repetition);
    this.#nValues++;
    const { type, type_length: width } = this.#element;
    if (type === 'BOOLEAN' && typeof value === 'boolean') {
      this.#bits.push(value ? 1 : 0);
    } else if (type === 'INT32' && typeof value === 'number') {
      const at = this.#room(4);
      this.#bytes.writeInt32LE(value | 0, at);
    } else if (type === 'INT64' && typeof value === 'bigint') {
      const at = this.#room(8);
      this.#bytes.writeBigInt64LE(BigInt.asIntN(64, value), at);
    } else if (type === 'INT96' && typeof value === 'bigint') {
      const at = this.#room(12);
      this.#bytes.writeBigUInt64LE(BigInt.asUintN(64, value), at);
      this.#bytes.writeUInt32LE(Number(BigInt.asUintN(32, value >> 64n)), at + 8);
    } else if (type === 'FLOAT' && typeof value === 'number') {
      const at = this.#room(4);
      this.#bytes.writeFloatLE(value, at);
    } else if (type === 'DOUBLE' && typeof value === 'number') {
      const at = this.#room(8);
      this.#bytes.writeDoubleLE(value, at);
    } else if (type === 'BYTE_ARRAY' && (typeof value === 'string' || isBytes(value))) {
      const bytes = typeof value === 'string' ? Buffer.from(value) : value;
      const at = this.#room(4 + bytes.byteLength);
      this.#bytes.writeUInt32LE(bytes.byteLength, at);
      this.#bytes.set(bytes, at + 4);
    } else if (type === 'FIXED_LEN_BYTE_ARRAY' && isBytes(value) && value.byteLength === width) {
      const at = this.#room(value.byteLength);
      this.#bytes.set(value, at);
    } else {
      throw new ValueError(`a ${typeof value} in a column of type ${type}`);
    }
  }

  #room(bytes: number): number {
    const at = this.#size;
    this.#size += bytes;
    if (this.#size > this.#bytes.byteLength) {
      const grown = Buffer.allocUnsafe(Math.max(this.#size, 2 * this.#bytes.byteLength));
      this.#bytes.copy(grown, 0, 0, at);
      this.#bytes = grown;
    }
    return at;
  }

  finish(): ShreddedLeaf {
    if (this.#element.type === 'BOOLEAN') {
      const packed = new Uint8Array(Math.ceil(this.#bits.length / 8));
      for (const [at, bit] of this.#bits.entries()) packed[at >> 3]! |= bit << (at & 7);
      this.#bytes = Buffer.from(packed.buffer);
      this.#size = packed.byteLength;
    }
    return {
      nLevels: this.#definition.length,
      nValues: this.#nValues,
      definition: this.#maxDefinition > 0 ? Uint8Array.from(this.#definition) : null,
      repetition: this.#maxRepetition > 0 ? Uint8Array.from(this.#repetition) : null,
      plain: this.#bytes.subarray(0, this.#size),
    };
  }
}

function isBytes(value: PlainValue): value is Uint8Array {
  return value instanceof Uint8Array;
}
