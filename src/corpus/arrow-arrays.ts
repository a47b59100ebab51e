/**
 * Arrays of a record batch, verified: what comes out of here can be read without another check.
 *
 * Held against the bytes: the length of every array and its parent's, null counts and validity bitmaps, offsets (in
 * order, within the data), views, run ends, dictionary indices, and values that their type has no meaning for (times
 * beyond a day, dates between days). What a decimal's digits and a text's bytes are is checked where they are read.
 *
 * Nulls below a null are nobody's business: a bit of a parent hides what its children hold.
 *
 * Past 500 lines because every layout of the format is here, and each check leans on those of the layouts around it.
 */
import { BodyBuffers, typedView, wideOffsets } from './arrow-body.ts';
import { ArrowFault } from './arrow-flatbuffer.ts';
import type { BatchLayout } from './arrow-messages.ts';
import type { ArrowField, ArrowUnit } from './arrow-schema.ts';

/** Offsets of values or lists. */
export type Offsets = Int32Array | Float64Array;

/** An array of values; which parts it has follows from its field's type. */
export interface ArrowArray {
  readonly field: ArrowField;
  readonly length: number;
  /** Bit set where a value is there; null when all are. */
  readonly validity: Uint8Array | null;
  /** Bytes of fixed-width values, of booleans' bits, of strings; the 16-byte views of view arrays. */
  readonly data: Uint8Array;
  /** Strings, lists and maps `[length + 1]`; list views `[length]`; run ends `[runs]`. */
  readonly offsets: Offsets | null;
  /** List views only. */
  readonly sizes: Offsets | null;
  readonly children: readonly ArrowArray[];
  /** What the indices in `data` refer to. */
  readonly dictionary: ArrowChunks | null;
  /** View arrays only. */
  readonly buffers: readonly Uint8Array[];
}

/** Arrays one after another: a dictionary and its deltas. */
export interface ArrowChunks {
  readonly arrays: ArrowArray[];
  /** Index of the first value of each, and behind the last. */
  readonly starts: number[];
}

/** A verified record batch. */
export interface ArrowBatch {
  readonly length: number;
  readonly columns: readonly ArrowArray[];
}

/** Values that take no bytes are believed up to this many. */
const MAX_FREE_VALUES = 2 ** 24;
const NO_BYTES = new Uint8Array(0);

const TICKS_OF_DAY: Record<ArrowUnit, bigint> = {
  s: 86_400n,
  ms: 86_400_000n,
  us: 86_400_000_000n,
  ns: 86_400_000_000_000n,
};

/** True when value `index` is there. */
export function isValid({ validity }: ArrowArray, index: number): boolean {
  return validity === null || ((validity[index >> 3]! >> (index & 7)) & 1) === 1;
}

/** Which array of a dictionary holds value `index`, and where. */
export function chunkAt({ arrays, starts }: ArrowChunks, index: number): [ArrowArray, number] {
  let low = 0;
  let high = arrays.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle]! <= index) low = middle;
    else high = middle - 1;
  }
  return [arrays[low]!, index - starts[low]!];
}

/**
 * Reads the columns of a record batch, or the values of a dictionary batch.
 *
 * @param dictionaries values by dictionary id, as far as they have come
 * @throws ArrowFault
 */
export function readArrays(
  fields: readonly ArrowField[],
  layout: BatchLayout,
  body: Uint8Array,
  dictionaries: ReadonlyMap<string, ArrowChunks>,
): ArrowBatch {
  const loader = new ArrayLoader(layout, body, dictionaries);
  const columns = fields.map((field) => {
    const column = loader.load(field);
    if (column.length !== layout.length) {
      throw new ArrowFault(
        `column ${field.name} has ${column.length} values, its batch ${layout.length}`,
      );
    }
    return column;
  });
  loader.finish();
  return { length: layout.length, columns };
}

class ArrayLoader {
  readonly #layout: BatchLayout;
  readonly #buffers: BodyBuffers;
  readonly #dictionaries: ReadonlyMap<string, ArrowChunks>;
  #node = 0;
  #view = 0;

  constructor(
    layout: BatchLayout,
    body: Uint8Array,
    dictionaries: ReadonlyMap<string, ArrowChunks>,
  ) {
    this.#layout = layout;
    this.#buffers = new BodyBuffers(body, layout);
    this.#dictionaries = dictionaries;
  }

  finish(): void {
    const { nodes, nViewBuffers } = this.#layout;
    const isDone =
      this.#node === nodes.length && this.#view === nViewBuffers.length && this.#buffers.isUsedUp;
    if (!isDone) throw new ArrowFault('it declares more columns or buffers than its schema has');
  }

  load(field: ArrowField): ArrowArray {
    const node = this.#layout.nodes[this.#node++];
    if (!node) throw new ArrowFault(`${this.#layout.nodes.length} columns are too few`);
    try {
      return this.#loadNode(field, node.length, node.nullCount);
    } catch (error) {
      if (!(error instanceof ArrowFault) || error.message.startsWith('column ')) throw error;
      throw new ArrowFault(`column ${field.name}: ${error.message}`, error.unsupported);
    }
  }

  #loadNode(field: ArrowField, length: number, nullCount: number): ArrowArray {
    const { kind } = field.type;
    const bare: ArrowArray = {
      field,
      length,
      validity: null,
      data: NO_BYTES,
      offsets: null,
      sizes: null,
      children: [],
      dictionary: null,
      buffers: [],
    };
    if (kind === 'null' && !field.dictionary) {
      this.#checkFree(length);
      return bare;
    }
    if (kind === 'runEnds' && !field.dictionary) return this.#loadRuns(bare);
    const validity = this.#validity(length, nullCount);
    if (nullCount > length) throw new ArrowFault(`${nullCount} of ${length} values are null`);
    const array = { ...bare, validity };
    if (field.dictionary) return this.#loadIndices(array);
    return this.#loadValues(array);
  }

  #validity(length: number, nullCount: number): Uint8Array | null {
    const bytes = this.#buffers.take();
    if (bytes.byteLength === 0) {
      if (nullCount > 0 && length > 0) throw new ArrowFault(`${nullCount} nulls without a bitmap`);
      return null;
    }
    const bits = typedView(
      Uint8Array,
      bytes,
      Math.ceil(length / 8),
      `a bitmap of ${length} values`,
    );
    const found = length - countBits(bits, length);
    if (found !== nullCount) {
      throw new ArrowFault(`${nullCount} nulls are declared, its bitmap has ${found}`);
    }
    return nullCount === 0 ? null : bits;
  }

  /** Lengths that no buffer bounds. */
  #checkFree(length: number): void {
    const bound = MAX_FREE_VALUES + this.#buffers.bodyBytes * 8;
    if (length > bound)
      throw new ArrowFault(`${length} values that take no bytes, more than ${bound}`);
  }

  #loadIndices(array: ArrowArray): ArrowArray {
    const { bits, signed, id } = array.field.dictionary!;
    const dictionary = this.#dictionaries.get(id);
    const data = this.#fixed(array.length, bits / 8);
    if (!dictionary) {
      // Without a single index there is nothing that a dictionary would say.
      if (everyNull(array)) return { ...array, data, dictionary: { arrays: [], starts: [0] } };
      throw new ArrowFault(`its dictionary ${id} has not come`);
    }
    const bound = dictionary.starts.at(-1)!;
    const loaded = { ...array, data, dictionary };
    const indexAt = indexReader(loaded, bits, signed);
    for (let row = 0; row < array.length; row++) {
      if (!isValid(array, row)) continue;
      const index = indexAt(row);
      if (index < 0 || index >= bound) {
        throw new ArrowFault(`row ${row}: index ${index} of a dictionary of ${bound} values`);
      }
    }
    return loaded;
  }

  #fixed(length: number, width: number): Uint8Array {
    return typedView(
      Uint8Array,
      this.#buffers.take(),
      length * width,
      `${length} values of ${width} bytes`,
    );
  }

  #loadValues(array: ArrowArray): ArrowArray {
    const { field, length } = array;
    const { type } = field;
    switch (type.kind) {
      case 'int':
      case 'float':
        return { ...array, data: this.#fixed(length, type.bits / 8) };
      case 'decimal':
        return { ...array, data: this.#fixed(length, type.bits / 8) };
      case 'bool':
        return {
          ...array,
          data: typedView(
            Uint8Array,
            this.#buffers.take(),
            Math.ceil(length / 8),
            `${length} bits`,
          ),
        };
      case 'date':
        return checkDates({ ...array, data: this.#fixed(length, type.unit === 'day' ? 4 : 8) });
      case 'time':
        return checkTimes({ ...array, data: this.#fixed(length, timeWidth(type.unit)) }, type.unit);
      case 'timestamp':
      case 'duration':
        return { ...array, data: this.#fixed(length, 8) };
      case 'interval': {
        const width = type.unit === 'months' ? 4 : type.unit === 'dayTime' ? 8 : 16;
        return { ...array, data: this.#fixed(length, width) };
      }
      case 'fixedBinary':
        if (type.width === 0) this.#checkFree(length);
        return { ...array, data: this.#fixed(length, type.width) };
      case 'utf8':
      case 'binary':
        return this.#loadStrings(array, false);
      case 'largeUtf8':
      case 'largeBinary':
        return this.#loadStrings(array, true);
      case 'utf8View':
      case 'binaryView':
        return this.#loadViews(array);
      case 'list':
      case 'map':
        return this.#loadLists(array, false);
      case 'largeList':
        return this.#loadLists(array, true);
      case 'listView':
        return this.#loadListViews(array, false);
      case 'largeListView':
        return this.#loadListViews(array, true);
      case 'fixedList': {
        this.#checkFree(length);
        const child = this.load(field.children[0]!);
        if (child.length !== length * type.size) {
          throw new ArrowFault(`${length} lists of ${type.size} over ${child.length} items`);
        }
        return { ...array, children: [child] };
      }
      case 'struct': {
        if (field.children.length === 0) this.#checkFree(length);
        const children = field.children.map((child) => this.load(child));
        for (const child of children) {
          if (child.length === length) continue;
          throw new ArrowFault(`${length} structs, field ${child.field.name} has ${child.length}`);
        }
        return { ...array, children };
      }
      default:
        throw new ArrowFault(`type ${type.kind} is not read`, true);
    }
  }

  #offsets(length: number, wide: boolean): Offsets {
    const bytes = this.#buffers.take();
    // No value, no offset: writers leave out the single 0.
    if (length === 0 && bytes.byteLength === 0) return new Int32Array(1);
    const what = `${length} + 1 offsets`;
    const offsets = wide
      ? wideOffsets(bytes, length + 1, what)
      : typedView(Int32Array, bytes, length + 1, what);
    let last = 0;
    for (let row = 0; row <= length; row++) {
      const offset = offsets[row]!;
      if (offset < last) throw new ArrowFault(`offset ${row} is ${offset}, after ${last}`);
      last = offset;
    }
    return offsets;
  }

  #loadStrings(array: ArrowArray, wide: boolean): ArrowArray {
    const offsets = this.#offsets(array.length, wide);
    const data = this.#buffers.take();
    const end = offsets[array.length]!;
    if (end > data.byteLength)
      throw new ArrowFault(`its values end at byte ${end} of ${data.byteLength}`);
    return { ...array, offsets, data };
  }

  #loadViews(array: ArrowArray): ArrowArray {
    const data = this.#fixed(array.length, 16);
    const nBuffers = this.#layout.nViewBuffers[this.#view++];
    if (nBuffers === undefined) throw new ArrowFault('the number of its data buffers is missing');
    if (nBuffers > this.#layout.buffers.length)
      throw new ArrowFault(`it declares ${nBuffers} buffers`);
    const buffers = Array.from({ length: nBuffers }, () => this.#buffers.take());
    const loaded = { ...array, data, buffers };
    checkViews(loaded);
    return loaded;
  }

  #loadLists(array: ArrowArray, wide: boolean): ArrowArray {
    const offsets = this.#offsets(array.length, wide);
    const child = this.load(array.field.children[0]!);
    const end = offsets[array.length]!;
    if (end > child.length) throw new ArrowFault(`its lists end at item ${end} of ${child.length}`);
    if (array.field.type.kind === 'map') checkEntries(child, offsets);
    return { ...array, offsets, children: [child] };
  }

  #loadListViews(array: ArrowArray, wide: boolean): ArrowArray {
    const read = (what: string): Offsets => {
      const bytes = this.#buffers.take();
      return wide
        ? wideOffsets(bytes, array.length, what)
        : typedView(Int32Array, bytes, array.length, what);
    };
    const offsets = read(`${array.length} offsets`);
    const sizes = read(`${array.length} sizes`);
    const child = this.load(array.field.children[0]!);
    for (let row = 0; row < array.length; row++) {
      const [offset, size] = [offsets[row]!, sizes[row]!];
      if (offset < 0 || size < 0 || offset + size > child.length) {
        throw new ArrowFault(`row ${row}: items ${offset} + ${size} of ${child.length}`);
      }
    }
    return { ...array, offsets, sizes, children: [child] };
  }

  #loadRuns(array: ArrowArray): ArrowArray {
    this.#checkFree(array.length);
    const [endsField, valuesField] = array.field.children;
    const ends = this.load(endsField!);
    const values = this.load(valuesField!);
    if (ends.validity) throw new ArrowFault('a run end is null');
    if (values.length < ends.length) {
      throw new ArrowFault(`${ends.length} runs of ${values.length} values`);
    }
    const type = ends.field.type as { readonly bits: 16 | 32 | 64 };
    const offsets =
      type.bits === 64
        ? wideOffsets(ends.data, ends.length, 'run ends')
        : Int32Array.from(
            type.bits === 16
              ? typedView(Int16Array, ends.data, ends.length, 'run ends')
              : typedView(Int32Array, ends.data, ends.length, 'run ends'),
          );
    let last = 0;
    for (const [run, end] of offsets.entries()) {
      if (end <= last) throw new ArrowFault(`run ${run} ends at ${end}, after ${last}`);
      last = end;
    }
    if (last < array.length) throw new ArrowFault(`its runs end at ${last} of ${array.length}`);
    return { ...array, offsets, children: [ends, values] };
  }
}

function everyNull({ validity, length }: ArrowArray): boolean {
  return length === 0 || (validity !== null && countBits(validity, length) === 0);
}

function timeWidth(unit: ArrowUnit): number {
  return unit === 's' || unit === 'ms' ? 4 : 8;
}

/** Set bits among the first `length`. */
function countBits(bytes: Uint8Array, length: number): number {
  let count = 0;
  const whole = length >> 3;
  for (let at = 0; at < whole; at++) count += BITS[bytes[at]!]!;
  const rest = length & 7;
  return rest === 0 ? count : count + BITS[bytes[whole]! & ((1 << rest) - 1)]!;
}

const BITS = Uint8Array.from({ length: 256 }, (_, byte) => {
  return byte.toString(2).replaceAll('0', '').length;
});

/** Reads dictionary indices. */
export function indexReader(
  { data, length }: ArrowArray,
  bits: number,
  signed: boolean,
): (row: number) => number {
  if (bits === 64) {
    const wide = signed
      ? typedView(BigInt64Array, data, length, 'indices')
      : typedView(BigUint64Array, data, length, 'indices');
    return (row) => Number(wide[row]);
  }
  const type =
    bits === 8
      ? signed
        ? Int8Array
        : Uint8Array
      : bits === 16
        ? signed
          ? Int16Array
          : Uint16Array
        : signed
          ? Int32Array
          : Uint32Array;
  const values = typedView<
    Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array
  >(type, data, length, 'indices');
  return (row) => values[row]!;
}

function checkDates(array: ArrowArray): ArrowArray {
  if (array.data.byteLength !== array.length * 8) return array;
  const { type } = array.field;
  if (type.kind !== 'date' || type.unit !== 'ms') return array;
  const values = typedView(BigInt64Array, array.data, array.length, 'dates');
  for (const [row, value] of values.entries()) {
    if (value % TICKS_OF_DAY.ms !== 0n && isValid(array, row)) {
      throw new ArrowFault(`row ${row}: ${value} ms are no whole days`);
    }
  }
  return array;
}

function checkTimes(array: ArrowArray, unit: ArrowUnit): ArrowArray {
  const bound = TICKS_OF_DAY[unit];
  const values =
    timeWidth(unit) === 4
      ? typedView(Int32Array, array.data, array.length, 'times')
      : typedView(BigInt64Array, array.data, array.length, 'times');
  for (let row = 0; row < array.length; row++) {
    const value = values[row]!;
    if ((value < 0 || value >= bound) && isValid(array, row)) {
      throw new ArrowFault(`row ${row}: a time of ${value} ${unit}, outside of 0..${bound - 1n}`);
    }
  }
  return array;
}

/** Bytes of a view that lie in the view itself. */
export const INLINE_BYTES = 12;

function checkViews(array: ArrowArray): void {
  const { data, buffers, length } = array;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let row = 0; row < length; row++) {
    if (!isValid(array, row)) continue;
    const at = row * 16;
    const size = view.getInt32(at, true);
    if (size < 0) throw new ArrowFault(`row ${row}: a value of ${size} bytes`);
    if (size <= INLINE_BYTES) {
      if (data.subarray(at + 4 + size, at + 16).some((byte) => byte !== 0)) {
        throw new ArrowFault(`row ${row}: a value of ${size} bytes has more`);
      }
      continue;
    }
    const buffer = buffers[view.getInt32(at + 8, true)];
    const offset = view.getInt32(at + 12, true);
    if (!buffer || offset < 0 || offset + size > buffer.byteLength) {
      throw new ArrowFault(
        `row ${row}: bytes ${offset} + ${size} of buffer ${view.getInt32(at + 8, true)}`,
      );
    }
    for (let byte = 0; byte < 4; byte++) {
      if (buffer[offset + byte] !== data[at + 4 + byte]) {
        throw new ArrowFault(`row ${row}: a value begins otherwise than its view says`);
      }
    }
  }
}

/** Entries of a map and their keys are never null, where a map refers to them. */
function checkEntries(entries: ArrowArray, offsets: Offsets): void {
  const keys = entries.children[0]!;
  if (entries.validity === null && keys.validity === null) return;
  for (let entry = offsets[0]!; entry < offsets[offsets.length - 1]!; entry++) {
    if (!isValid(entries, entry)) throw new ArrowFault(`entry ${entry} of its maps is null`);
    if (!isValid(keys, entry))
      throw new ArrowFault(`the key of entry ${entry} of its maps is null`);
  }
}
