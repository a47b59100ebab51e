/**
 * Carried columns seen otherwise: with columns that the names of folders give, or as the columns of the whole plan.
 */
import { callNative, type LeafWriter } from '../native/index.ts';
import { shredRows } from './dremel.ts';
import { isDecimal, jsonOf, unscaled } from './plain.ts';
import { matchColumns } from './schema.ts';
import { type LeafShape, type Shape, shapeOf } from './shape.ts';
import type { CarriedColumns, CarriedRows, CorpusColumn, PlainValue } from './types.ts';

/** Carried columns with further ones that have the same value in every row. */
export function withConstants(
  carry: CarriedColumns,
  constants: readonly { readonly column: CorpusColumn; readonly value: PlainValue }[],
): CarriedColumns {
  const own = carry.columns.length;
  const shapes = constants.map(({ column }) => shapeOf(column));
  const fields = constants.map(({ column, value }, at): [string, string] => {
    return [column.name, jsonOf(shapes[at]!, value)];
  });
  const appendConstant = async (writer: LeafWriter, at: number, nRows: number): Promise<void> => {
    const values = new Array<PlainValue>(nRows).fill(constants[at]!.value);
    const [leaf] = shredRows(shapes[at]!, values);
    const { nLevels, nValues, definition, repetition, plain } = leaf!;
    await callNative(writer.appendPlain(nLevels, nValues, definition, repetition, plain));
  };
  return {
    columns: [...carry.columns, ...constants.map(({ column }) => column)],
    nRows: carry.nRows,
    select(rows): CarriedRows {
      const inner = carry.select(rows);
      const { nRows, leaves } = inner;
      return {
        nRows,
        plain: async () => {
          const values = await inner.plain();
          const added = constants.map(({ value }) => new Array<PlainValue>(nRows).fill(value));
          return [...values, ...added];
        },
        json: inner.json?.map((row) => row.with(fields)) ?? null,
        leaves: leaves && {
          appendTo: (writer, column, leaf) =>
            column < own
              ? leaves.appendTo(writer, column, leaf)
              : appendConstant(writer, column - own, nRows),
        },
      };
    },
    release: () => carry.release(),
  };
}

/** Carried columns as other ones: in their order, with nulls for those that are missing, values in their types. */
export function alignedTo(columns: readonly CorpusColumn[], carry: CarriedColumns): CarriedColumns {
  const places = matchColumns(columns, carry.columns);
  const converters = columns.map((column, at) => {
    const source = carry.columns[places[at]!];
    return source ? converter(shapeOf(source), shapeOf(column)) : null;
  });
  return {
    columns,
    nRows: carry.nRows,
    select(rows): CarriedRows {
      const inner = carry.select(rows);
      return {
        nRows: inner.nRows,
        json: inner.json,
        leaves: null,
        plain: async () => {
          const values = await inner.plain();
          return columns.map((_, at) => {
            const source = values[places[at]!];
            const convert = converters[at];
            if (!source) return new Array<PlainValue>(inner.nRows).fill(null);
            return convert ? source.map((value) => orNull(value, convert)) : source;
          });
        },
      };
    },
    release: () => carry.release(),
  };
}

type Convert = (value: NonNullable<PlainValue>) => PlainValue;

function orNull(value: PlainValue | undefined, convert: Convert): PlainValue {
  return value === null || value === undefined ? null : convert(value);
}

/** Turns values of one shape into those of another that holds them; null where they are the same already. */
function converter(from: Shape, to: Shape): Convert | null {
  if (from.kind === 'leaf' && to.kind === 'leaf') return leafConverter(from, to);
  if (from.kind === 'list' && to.kind === 'list') {
    const item = converter(from.item, to.item);
    return item && ((value) => (value as PlainValue[]).map((inner) => orNull(inner, item)));
  }
  if (from.kind === 'map' && to.kind === 'map') {
    const key = converter(from.key, to.key) ?? same;
    const inner = converter(from.value, to.value) ?? same;
    if (key === same && inner === same) return null;
    return (value) =>
      (value as PlainValue[][]).map(([k, v]) => [orNull(k!, key), orNull(v!, inner)]);
  }
  if (from.kind === 'struct' && to.kind === 'struct') {
    const places = matchColumns(to.fields, from.fields);
    const fields = to.fields.map(({ shape }, at) => {
      const source = from.fields[places[at]!];
      return source ? (converter(source.shape, shape) ?? same) : same;
    });
    return (value) =>
      fields.map((convert, at) => orNull((value as PlainValue[])[places[at]!] ?? null, convert));
  }
  return null;
}

const same: Convert = (value) => value;

/** Where two types have no more in common than a name, values stay what they are. */
function leafConverter({ element: from }: LeafShape, { element: to }: LeafShape): Convert | null {
  if (from.type === to.type && from.type_length === to.type_length) return null;
  if (from.type === 'INT32' && to.type === 'INT64') return (value) => BigInt(value as number);
  const inBytes = to.type === 'FIXED_LEN_BYTE_ARRAY' || to.type === 'BYTE_ARRAY';
  if (!inBytes || !isDecimal(from) || !isDecimal(to)) return null;
  const width = to.type === 'BYTE_ARRAY' ? DECIMAL_BYTES : (to.type_length ?? DECIMAL_BYTES);
  return (value) => bigEndian(unscaled(value), width);
}

/** Bytes of a decimal whose column fixes none: 38 digits fit, longer ones take what they need. */
const DECIMAL_BYTES = 16;

/** Two's complement in so many bytes, or in more where they are needed. */
function bigEndian(number: bigint, width: number): Uint8Array {
  const bytes: number[] = [];
  let left = number;
  const isDone = (): boolean => left === (bytes.length > 0 && bytes[0]! >= 128 ? -1n : 0n);
  while (bytes.length < width || !isDone()) {
    bytes.unshift(Number(BigInt.asUintN(8, left)));
    left >>= 8n;
  }
  return Uint8Array.from(bytes);
}
