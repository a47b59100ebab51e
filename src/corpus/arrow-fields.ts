/**
 * The Arrow field that a column is written as: the one that it came with, or the one that its Parquet type means.
 *
 * | Parquet                                   | Arrow                                              |
 * | ----------------------------------------- | -------------------------------------------------- |
 * | string, JSON, enum; other BYTE_ARRAY      | Utf8; Binary                                       |
 * | FIXED_LEN_BYTE_ARRAY; float16             | FixedSizeBinary; Float16                           |
 * | interval                                  | Interval of months, days, nanoseconds              |
 * | decimal up to 38 digits, up to 76         | Decimal128, Decimal256                             |
 * | INT96                                     | Timestamp(ns) without a zone                       |
 * | timestamp (UTC or local), time, date      | Timestamp (`UTC` or no zone), Time, Date32         |
 * | integer(n, sign), FLOAT, DOUBLE, BOOLEAN  | Int, Uint, Float32, Float64, Bool                  |
 * | list, map, struct                         | List, Map, Struct; nullable where they are         |
 *
 * Parquet files that Arrow's libraries wrote hold the schema that they had (`ARROW:schema`). Of it is taken what those
 * libraries take: what Parquet cannot say and the values agree with.
 */
import type { SchemaElement } from 'hyparquet';
import { GristmillError, isGristmillError } from '../errors.ts';
import { schemaMessage } from './arrow-build.ts';
import { storedDecimal } from './arrow-columns.ts';
import { readMessage } from './arrow-messages.ts';
import type { ArrowField, ArrowMetadata, ArrowSchema, ArrowType } from './arrow-schema.ts';
import { fractionDigits, isDecimal, isTime, isUnsigned, scaleOf } from './plain.ts';
import { isStringElement } from './schema.ts';
import { type LeafShape, type Shape, shapeOf } from './shape.ts';
import type { CorpusColumn, KeyValues } from './types.ts';

/** Key of the Arrow schema in a Parquet file's metadata. */
export const ARROW_SCHEMA_KEY = 'ARROW:schema';

const NO_METADATA: ArrowMetadata = [];
/** Arrow's canonical extension: text that is JSON, which would come back as a string without it. */
const JSON_EXTENSION: ArrowMetadata = [
  ['ARROW:extension:metadata', ''],
  ['ARROW:extension:name', 'arrow.json'],
];
const LISTS = ['list', 'largeList', 'listView', 'largeListView', 'fixedList'];
const TEXTS = ['utf8', 'largeUtf8', 'utf8View'];
const BINARIES = ['binary', 'largeBinary', 'binaryView'];

/**
 * The field of a column. One whose type was widened since it came, to hold the values of other files too, is written
 * as its new type, with what still holds of the old.
 *
 * @throws CORPUS_UNSUPPORTED for decimals beyond 76 digits
 */
export function arrowFieldOf(column: CorpusColumn): ArrowField {
  const shape = shapeOf(column);
  const { arrow, name } = column;
  const known = arrow ? fitted({ ...arrow, name }, shape) : null;
  if (known) return known;
  const inferred = fieldOfShape(name, shape);
  return arrow ? restored(inferred, arrow) : inferred;
}

/** The field as it holds values of a shape; null where it does not. */
function fitted(field: ArrowField, shape: Shape): ArrowField | null {
  const { type } = field;
  const nullable = field.nullable || shape.nullable;
  const withChildren = (shapes: readonly Shape[], children = field.children): ArrowField | null => {
    if (shapes.length !== children.length) return null;
    const fits = children.map((child, at) => fitted(child, shapes[at]!));
    return fits.includes(null) ? null : { ...field, nullable, children: fits as ArrowField[] };
  };
  switch (type.kind) {
    case 'runEnds': {
      const [ends, values] = field.children;
      const inner = fitted(values!, shape);
      return inner && { ...field, nullable, children: [ends!, inner] };
    }
    case 'struct': {
      const fields = shape.kind === 'struct' ? shape.fields : [];
      const sameNames = fields.every(({ name }, at) => name === field.children[at]?.name);
      return sameNames ? withChildren(fields.map((part) => part.shape)) : null;
    }
    case 'map': {
      if (shape.kind !== 'map') return null;
      const entries = field.children[0]!;
      const [key, value] = entries.children;
      const [keys, values] = [fitted(key!, shape.key), fitted(value!, shape.value)];
      if (!keys || !values) return null;
      const children = [{ ...entries, children: [{ ...keys, nullable: false }, values] }];
      return { ...field, nullable, children };
    }
    case 'interval': {
      const names = shape.kind === 'struct' ? shape.fields.map(({ name }) => name).join() : '';
      const parts = {
        months: '',
        dayTime: 'days,milliseconds',
        monthDayNano: 'months,days,nanoseconds',
      };
      const isMonths = type.unit === 'months' && shape.kind === 'leaf' && isInt(shape, 32);
      const fits = type.unit === 'months' ? isMonths : names === parts[type.unit];
      return fits ? { ...field, nullable } : null;
    }
    default:
      if (LISTS.includes(type.kind))
        return shape.kind === 'list' ? withChildren([shape.item]) : null;
      return shape.kind === 'leaf' && fitsLeaf(field, shape) ? { ...field, nullable } : null;
  }
}

function isInt({ element }: LeafShape, bits: 32 | 64): boolean {
  const type = leafType('', element);
  return type.kind === 'int' && type.bits === bits && type.signed;
}

function fitsLeaf({ name, type }: ArrowField, shape: LeafShape): boolean {
  const inferred = leafType(name, shape.element);
  switch (type.kind) {
    case 'duration':
      return isInt(shape, 64);
    case 'decimal': {
      const { precision, scale } = storedDecimal(type);
      return (
        inferred.kind === 'decimal' && inferred.precision === precision && inferred.scale === scale
      );
    }
    case 'time':
    case 'timestamp': {
      const unit = type.unit === 's' ? 'ms' : type.unit;
      const zoned = (zone: string | null): boolean => zone !== null && zone !== '';
      if (inferred.kind === 'time') return type.kind === 'time' && inferred.unit === unit;
      if (inferred.kind !== 'timestamp' || type.kind !== 'timestamp') return false;
      return inferred.unit === unit && zoned(inferred.zone) === zoned(type.zone);
    }
    case 'date':
    case 'null':
      return inferred.kind === type.kind;
    case 'fixedBinary':
      if (type.width === 0) return inferred.kind === 'binary';
      return inferred.kind === 'fixedBinary' && inferred.width === type.width;
    default:
      if (TEXTS.includes(type.kind)) return inferred.kind === 'utf8';
      if (BINARIES.includes(type.kind)) return inferred.kind === 'binary';
      return JSON.stringify(inferred) === JSON.stringify(type);
  }
}

function bare(name: string, nullable: boolean, type: ArrowType): ArrowField {
  return { name, nullable, type, children: [], dictionary: null, metadata: NO_METADATA };
}

/** The field that a shape means, whatever it came from. */
export function fieldOfShape(name: string, shape: Shape): ArrowField {
  const { nullable } = shape;
  switch (shape.kind) {
    case 'list': {
      const children = [fieldOfShape('element', shape.item)];
      return { ...bare(name, nullable, { kind: 'list' }), children };
    }
    case 'map': {
      // Arrow knows no null keys; where a file has one, the encoder refuses it.
      const key = { ...fieldOfShape('key', shape.key), nullable: false };
      const parts = [key, fieldOfShape('value', shape.value)];
      const entries = { ...bare('key_value', false, { kind: 'struct' }), children: parts };
      const type = { kind: 'map', keysSorted: false } as const;
      return { ...bare(name, nullable, type), children: [entries] };
    }
    case 'struct': {
      const children = shape.fields.map((field) => fieldOfShape(field.name, field.shape));
      return { ...bare(name, nullable, { kind: 'struct' }), children };
    }
    default: {
      const field = bare(name, nullable, leafType(name, shape.element));
      return isJsonElement(shape.element) ? { ...field, metadata: JSON_EXTENSION } : field;
    }
  }
}

function isJsonElement({
  converted_type: converted,
  logical_type: logical,
}: SchemaElement): boolean {
  return converted === 'JSON' || logical?.type === 'JSON';
}

function leafType(name: string, element: SchemaElement): ArrowType {
  const { type, logical_type: logical, converted_type: converted } = element;
  if (isStringElement(element)) return { kind: 'utf8' };
  if (isDecimal(element)) return decimalType(name, element);
  const digits = fractionDigits(element);
  if (digits !== null) {
    const unit = digits === 3 ? 'ms' : digits === 6 ? 'us' : 'ns';
    if (isTime(element)) return { kind: 'time', unit };
    const utc = logical?.type === 'TIMESTAMP' ? logical.isAdjustedToUTC : true;
    return { kind: 'timestamp', unit, zone: utc ? 'UTC' : null };
  }
  if (converted === 'DATE' || logical?.type === 'DATE') return { kind: 'date', unit: 'day' };
  switch (type) {
    case 'BOOLEAN':
      return { kind: 'bool' };
    case 'FLOAT':
      return { kind: 'float', bits: 32 };
    case 'DOUBLE':
      return { kind: 'float', bits: 64 };
    case 'INT96':
      return { kind: 'timestamp', unit: 'ns', zone: null };
    case 'FIXED_LEN_BYTE_ARRAY':
      if (logical?.type === 'FLOAT16') return { kind: 'float', bits: 16 };
      if (converted === 'INTERVAL') return { kind: 'interval', unit: 'monthDayNano' };
      return { kind: 'fixedBinary', width: element.type_length ?? 0 };
    case 'INT32':
      if (logical?.type === 'NULL') return { kind: 'null' };
      return { kind: 'int', bits: integerBits(element), signed: !isUnsigned(element) };
    case 'INT64':
      return { kind: 'int', bits: 64, signed: !isUnsigned(element) };
    default:
      return { kind: 'binary' };
  }
}

function integerBits({ logical_type: logical, converted_type: converted }: SchemaElement) {
  const bits =
    logical?.type === 'INTEGER' ? logical.bitWidth : Number(converted?.match(/INT_(\d+)$/)?.[1]);
  return bits === 8 || bits === 16 ? bits : 32;
}

function decimalType(name: string, element: SchemaElement): ArrowType {
  const { logical_type: logical } = element;
  const precision = element.precision ?? (logical?.type === 'DECIMAL' ? logical.precision : 0);
  if (precision >= 1 && precision <= 76) {
    const bits = precision <= 38 ? 128 : 256;
    return { kind: 'decimal', precision, scale: scaleOf(element), bits };
  }
  const reason = `column ${name}: decimals of ${precision} digits, Arrow holds 1 to 76`;
  throw new GristmillError('CORPUS_UNSUPPORTED', { file: '(output)', reason });
}

/** The same schema with dictionaries numbered in order: inputs may share or repeat numbers. */
export function withOwnDictionaries(fields: readonly ArrowField[]): ArrowField[] {
  let next = 0;
  const renumber = (field: ArrowField): ArrowField => {
    const children = field.children.map(renumber);
    // The values that come are put in the order in which they come.
    const dictionary = field.dictionary && {
      ...field.dictionary,
      id: String(next++),
      ordered: false,
    };
    return { ...field, children, dictionary };
  };
  return fields.map(renumber);
}

/**
 * The metadata of a Parquet file with the Arrow schema of its columns, where one of them has what Parquet does not say;
 * the schema of the input would name other columns than there are.
 */
export function withArrowSchema(metadata: KeyValues, columns: readonly CorpusColumn[]): KeyValues {
  const others = metadata.filter(([key]) => key !== ARROW_SCHEMA_KEY);
  if (!columns.some(({ arrow }) => arrow)) return others;
  try {
    // Arrow's readers look for metadata in their schema, and there alone.
    const own = others.map(([key, value]) => [key, value ?? ''] as const);
    const text = schemaMessage({ fields: columns.map(arrowFieldOf), metadata: own });
    return [...others, [ARROW_SCHEMA_KEY, Buffer.from(text).toString('base64')]];
  } catch (error) {
    // A column that Arrow has no type for: its readers go by Parquet's types then.
    if (isGristmillError(error, 'CORPUS_UNSUPPORTED')) return others;
    throw error;
  }
}

/**
 * What the values of a column mean beyond their Parquet type: units of durations. Columns that differ in it hold
 * different values under the same numbers.
 */
export function hiddenMeaning({ arrow }: CorpusColumn): string {
  const found: string[] = [];
  const visit = ({ type, children }: ArrowField): void => {
    if (type.kind === 'duration' || type.kind === 'interval')
      found.push(`${type.kind} ${type.unit}`);
    for (const child of children) visit(child);
  };
  if (arrow) visit(arrow);
  return found.join(', ');
}

/** The schema in a value of {@link ARROW_SCHEMA_KEY}; null where it is damaged, which loses nothing but types. */
export function parseArrowSchema(text: string): ArrowSchema | null {
  const bytes = new Uint8Array(Buffer.from(text, 'base64'));
  const head = new DataView(bytes.buffer, bytes.byteOffset, Math.min(8, bytes.byteLength));
  const start = head.byteLength >= 4 && head.getUint32(0, true) === 0xffffffff ? 8 : 4;
  try {
    const message = readMessage(bytes.subarray(start));
    return message.kind === 'schema' ? message.schema : null;
  } catch {
    return null;
  }
}

/**
 * Columns of a Parquet file with the Arrow fields that its `ARROW:schema` adds to them.
 *
 * @param text value of {@link ARROW_SCHEMA_KEY} in the file's metadata
 */
export function withArrowFields(
  columns: readonly CorpusColumn[],
  text: string | undefined,
): CorpusColumn[] {
  const schema = text === undefined ? null : parseArrowSchema(text);
  if (schema?.fields.length !== columns.length) return [...columns];
  return columns.map((column, at) => {
    const origin = schema.fields[at]!;
    if (origin.name !== column.name) return column;
    try {
      return { ...column, arrow: restored(fieldOfShape(column.name, shapeOf(column)), origin) };
    } catch {
      // A type that Arrow does not hold has no field; the column is one of Parquet all the same.
      return column;
    }
  });
}

/** What Parquet says, with what the original field says beyond it. */
function restored(inferred: ArrowField, origin: ArrowField): ArrowField {
  const type = restoredType(inferred, origin);
  const known = new Set(origin.metadata.map(([key]) => key));
  const metadata = [...origin.metadata, ...inferred.metadata.filter(([key]) => !known.has(key))];
  const children =
    inferred.children.length === origin.children.length && sameForm(inferred.type, origin.type)
      ? inferred.children.map((child, at) => {
          const original = origin.children[at]!;
          const name = inferred.type.kind === 'struct' ? child.name : original.name;
          return { ...restored(child, original), name };
        })
      : inferred.children;
  const isFlat = TEXTS.includes(type.kind) || BINARIES.includes(type.kind);
  const isEncoded = isFlat && sameForm(inferred.type, origin.type);
  const dictionary = isEncoded ? origin.dictionary : null;
  return { ...inferred, type, children, metadata, dictionary };
}

function sameForm(inferred: ArrowType, origin: ArrowType): boolean {
  const both = (kinds: readonly string[]): boolean => {
    return kinds.includes(inferred.kind) && kinds.includes(origin.kind);
  };
  return inferred.kind === origin.kind || both(LISTS) || both(TEXTS) || both(BINARIES);
}

function restoredType({ type }: ArrowField, { type: origin }: ArrowField): ArrowType {
  if (type.kind === 'timestamp' && origin.kind === 'timestamp') {
    return type.zone !== null && origin.zone ? { ...type, zone: origin.zone } : type;
  }
  if (type.kind === 'int' && type.bits === 64 && type.signed && origin.kind === 'duration') {
    return origin;
  }
  if (type.kind === 'decimal' && origin.kind === 'decimal') {
    const fits = type.precision === origin.precision && type.scale === origin.scale;
    return fits ? origin : type;
  }
  if (type.kind === 'map' && origin.kind === 'map') return origin;
  const isList = LISTS.includes(type.kind) && LISTS.includes(origin.kind);
  const isText = TEXTS.includes(type.kind) && TEXTS.includes(origin.kind);
  const isBinary = BINARIES.includes(type.kind) && BINARIES.includes(origin.kind);
  return isList || isText || isBinary ? origin : type;
}
