/**
 * Arrow fields as columns of the corpus, in Parquet's terms. The field itself stays on the column, so that an Arrow
 * output has the type that came in, and a Parquet output can say which it was.
 *
 * | Arrow                                      | Parquet                                                  |
 * | ------------------------------------------ | -------------------------------------------------------- |
 * | Utf8, LargeUtf8, Utf8View                  | BYTE_ARRAY string (JSON for the extension `arrow.json`)   |
 * | Binary, LargeBinary, BinaryView            | BYTE_ARRAY                                               |
 * | FixedSizeBinary                            | FIXED_LEN_BYTE_ARRAY (UUID for `arrow.uuid`); of 0 bytes BYTE_ARRAY |
 * | Int8..Int64, Uint8..Uint64                 | INT32/INT64 integer(n, sign)                             |
 * | Float16, Float32, Float64, Bool            | FIXED_LEN_BYTE_ARRAY(2) float16, FLOAT, DOUBLE, BOOLEAN  |
 * | Decimal32..Decimal256                      | FIXED_LEN_BYTE_ARRAY decimal; scales below 0 as zeros     |
 * | Date32, Date64                             | INT32 date                                               |
 * | Time, Timestamp (seconds as milliseconds)  | INT32/INT64 time, INT64 timestamp                        |
 * | Duration                                   | INT64                                                    |
 * | Interval of months                         | INT32                                                    |
 * | Interval of days and time                  | struct of days and milliseconds                          |
 * | Interval of months, days, nanoseconds      | struct of months, days and nanoseconds                   |
 * | List, LargeList, list views, FixedSizeList | list                                                     |
 * | Map, Struct                                | map, struct                                              |
 * | Null                                       | INT32 null                                               |
 * | Dictionary, RunEndEncoded                  | as their values                                          |
 *
 * Unions, and structs without fields, have no form and are refused by name.
 */
import type { SchemaElement } from 'hyparquet';
import { ArrowFault } from './arrow-flatbuffer.ts';
import type { ArrowField, ArrowType, ArrowUnit } from './arrow-schema.ts';
import { treeOf, typeName } from './schema.ts';
import type { CorpusColumn } from './types.ts';

const UNITS = { s: 'MILLIS', ms: 'MILLIS', us: 'MICROS', ns: 'NANOS' } as const;
/** Decimals that readers of Parquet and Arrow know. */
const MAX_DECIMAL_DIGITS = 76;

/** A field as a column. @throws ArrowFault for types that have no Parquet form */
export function columnOfField(field: ArrowField): CorpusColumn {
  const elements = elementsOf(field, field.name, field.name);
  return { name: field.name, type: typeName(treeOf(elements)), elements, arrow: field };
}

function elementsOf(field: ArrowField, name: string, path: string): SchemaElement[] {
  const { type, children } = field;
  const isNullable = field.nullable || type.kind === 'null';
  const base = { name, repetition_type: isNullable ? 'OPTIONAL' : 'REQUIRED' } as const;
  const child = (at: number, as: string): SchemaElement[] => {
    return elementsOf(children[at]!, as, `${path}.${as}`);
  };
  switch (type.kind) {
    case 'list':
    case 'largeList':
    case 'listView':
    case 'largeListView':
    case 'fixedList':
      return [
        { ...base, converted_type: 'LIST', logical_type: { type: 'LIST' }, num_children: 1 },
        { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
        ...child(0, 'element'),
      ];
    case 'map': {
      const [key, value] = children[0]!.children;
      return [
        { ...base, converted_type: 'MAP', logical_type: { type: 'MAP' }, num_children: 1 },
        { name: 'key_value', repetition_type: 'REPEATED', num_children: 2 },
        ...elementsOf({ ...key!, nullable: false }, 'key', `${path}.key`),
        ...elementsOf(value!, 'value', `${path}.value`),
      ];
    }
    case 'struct':
      if (children.length === 0) throw unsupported(path, 'a struct without fields');
      return [
        { ...base, num_children: children.length },
        ...children.flatMap((part, at) => child(at, part.name)),
      ];
    case 'runEnds': {
      const values = children[1]!;
      return elementsOf({ ...values, nullable: field.nullable || values.nullable }, name, path);
    }
    case 'interval':
      if (type.unit !== 'months') return intervalElements(base, type.unit);
      break;
    default:
  }
  return [{ ...base, ...leafOf(field, path) }];
}

function intervalElements(
  base: Pick<SchemaElement, 'name' | 'repetition_type'>,
  unit: 'dayTime' | 'monthDayNano',
): SchemaElement[] {
  const parts: readonly (readonly [string, 'INT32' | 'INT64'])[] =
    unit === 'dayTime'
      ? [
          ['days', 'INT32'],
          ['milliseconds', 'INT32'],
        ]
      : [
          ['months', 'INT32'],
          ['days', 'INT32'],
          ['nanoseconds', 'INT64'],
        ];
  return [
    { ...base, num_children: parts.length },
    ...parts.map(([name, type]) => ({ name, type, repetition_type: 'REQUIRED' as const })),
  ];
}

type Leaf = Omit<SchemaElement, 'name' | 'repetition_type'>;

function leafOf(field: ArrowField, path: string): Leaf {
  const { type } = field;
  const extension = field.metadata.find(([key]) => key === 'ARROW:extension:name')?.[1];
  switch (type.kind) {
    case 'null':
      return { type: 'INT32', logical_type: { type: 'NULL' } };
    case 'utf8':
    case 'largeUtf8':
    case 'utf8View': {
      const text = extension === 'arrow.json' ? 'JSON' : 'UTF8';
      const logical = text === 'JSON' ? 'JSON' : 'STRING';
      return { type: 'BYTE_ARRAY', converted_type: text, logical_type: { type: logical } };
    }
    case 'binary':
    case 'largeBinary':
    case 'binaryView':
      return { type: 'BYTE_ARRAY' };
    case 'fixedBinary': {
      if (type.width === 0) return { type: 'BYTE_ARRAY' };
      const isUuid = extension === 'arrow.uuid' && type.width === 16;
      return {
        type: 'FIXED_LEN_BYTE_ARRAY',
        type_length: type.width,
        ...(isUuid && { logical_type: { type: 'UUID' as const } }),
      };
    }
    case 'bool':
      return { type: 'BOOLEAN' };
    case 'int':
      return {
        type: type.bits === 64 ? 'INT64' : 'INT32',
        converted_type: `${type.signed ? '' : 'U'}INT_${type.bits}`,
        logical_type: { type: 'INTEGER', bitWidth: type.bits, isSigned: type.signed },
      };
    case 'float':
      if (type.bits === 64) return { type: 'DOUBLE' };
      if (type.bits === 32) return { type: 'FLOAT' };
      return { type: 'FIXED_LEN_BYTE_ARRAY', type_length: 2, logical_type: { type: 'FLOAT16' } };
    case 'decimal':
      return decimalLeaf(type, path);
    case 'date':
      return { type: 'INT32', converted_type: 'DATE', logical_type: { type: 'DATE' } };
    case 'time': {
      const unit = UNITS[type.unit];
      const logical_type = { type: 'TIME' as const, isAdjustedToUTC: false, unit };
      return { type: unit === 'MILLIS' ? 'INT32' : 'INT64', logical_type };
    }
    case 'timestamp': {
      const unit = UNITS[type.unit];
      const logical_type = { type: 'TIMESTAMP' as const, isAdjustedToUTC: !!type.zone, unit };
      return { type: 'INT64', logical_type };
    }
    case 'duration':
      return { type: 'INT64' };
    case 'interval':
      return { type: 'INT32' };
    default:
      throw unsupported(path, `type ${type.kind}`);
  }
}

function decimalLeaf(type: ArrowType & { kind: 'decimal' }, path: string): Leaf {
  const { precision, scale } = storedDecimal(type);
  if (precision > MAX_DECIMAL_DIGITS) {
    throw unsupported(path, `decimals of ${type.precision} digits and scale ${type.scale}`);
  }
  return {
    type: 'FIXED_LEN_BYTE_ARRAY',
    type_length: decimalBytes(precision),
    converted_type: 'DECIMAL',
    logical_type: { type: 'DECIMAL', precision, scale },
    precision,
    scale,
  };
}

/** Digits and scale in Parquet, which leaves zeros out neither before the point (below 0) nor behind it. */
export function storedDecimal({
  precision,
  scale,
}: {
  readonly precision: number;
  readonly scale: number;
}) {
  const digits = precision + Math.max(0, -scale);
  return { precision: Math.max(digits, scale), scale: Math.max(0, scale) };
}

/** Bytes of two's complement that hold every number of so many digits. */
export function decimalBytes(precision: number): number {
  const bits = (10n ** BigInt(precision) - 1n).toString(2).length + 1;
  return Math.ceil(bits / 8);
}

/** What one of a unit is in the unit that Parquet stores. */
export function storedFactor(unit: ArrowUnit): number {
  return unit === 's' ? 1000 : 1;
}

function unsupported(path: string, what: string): ArrowFault {
  return new ArrowFault(`column ${path}: ${what} has no form in Parquet`, true);
}
