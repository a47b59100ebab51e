/**
 * What the types of a Parquet file's columns mean: annotations of today and of old, as far as they are known and fit the
 * physical type. Those that are unknown or contradict it are left out: the format asks readers to take such columns as
 * their physical type.
 */
import type { SchemaElement } from 'hyparquet';
import { ConvertedTypes, EdgeInterpolationAlgorithms } from 'hyparquet/src/constants.js';
import { isStruct, number, text } from './footer-fields.ts';
import type { ThriftStruct, ThriftValue } from './thrift.ts';

type LogicalType = NonNullable<SchemaElement['logical_type']>;
type Annotations = Pick<SchemaElement, 'converted_type' | 'logical_type' | 'scale' | 'precision'>;

/** What a column's type means, as far as it is known and fits the physical type. */
export function annotations(
  from: ThriftStruct,
  type: SchemaElement['type'],
  length: number,
): Annotations {
  const parsed = logicalType(from.get(10));
  const logical_type = parsed && fitsLogical(parsed, type, length) ? parsed : undefined;
  const name = ConvertedTypes[number(from, 6) ?? -1];
  const converted_type = name && fitsConverted(name, type, length) ? name : undefined;
  const isDecimal = converted_type === 'DECIMAL' || logical_type?.type === 'DECIMAL';
  const decimal = logical_type?.type === 'DECIMAL' ? logical_type : undefined;
  const scale = decimal?.scale ?? number(from, 7) ?? 0;
  const precision = decimal?.precision ?? number(from, 8) ?? 0;
  // Without a precision, or with a point that lies nowhere, a decimal is only its bytes.
  if (isDecimal && (precision < 1 || scale < 0 || precision > 2 ** 20 || scale > 2 ** 20))
    return {};
  return {
    ...(converted_type && { converted_type }),
    ...(logical_type && { logical_type }),
    ...(isDecimal && { scale, precision }),
  };
}

/** A logical type by its place in the union; undefined for what is not known. */
function logicalType(value: ThriftValue | undefined): LogicalType | undefined {
  if (!isStruct(value)) return undefined;
  const [entry] = value;
  if (!entry || !isStruct(entry[1])) return undefined;
  const [id, inner] = entry as [number, ThriftStruct];
  switch (id) {
    case 1:
      return { type: 'STRING' };
    case 2:
      return { type: 'MAP' };
    case 3:
      return { type: 'LIST' };
    case 4:
      return { type: 'ENUM' };
    case 5:
      return { type: 'DECIMAL', scale: number(inner, 1) ?? 0, precision: number(inner, 2) ?? 0 };
    case 6:
      return { type: 'DATE' };
    case 7:
    case 8: {
      const unit = timeUnit(inner.get(2));
      const isAdjustedToUTC = inner.get(1) === true;
      return unit && { type: id === 7 ? 'TIME' : 'TIMESTAMP', isAdjustedToUTC, unit };
    }
    case 10: {
      const bitWidth = number(inner, 1) ?? 0;
      return { type: 'INTEGER', bitWidth, isSigned: inner.get(2) === true };
    }
    case 11:
      return { type: 'NULL' };
    case 12:
      return { type: 'JSON' };
    case 13:
      return { type: 'BSON' };
    case 14:
      return { type: 'UUID' };
    case 15:
      return { type: 'FLOAT16' };
    case 16: {
      const version = number(inner, 1);
      return { type: 'VARIANT', ...(version !== undefined && { specification_version: version }) };
    }
    case 17: {
      const crs = text(inner.get(1));
      return { type: 'GEOMETRY', ...(crs !== undefined && { crs }) };
    }
    case 18: {
      const crs = text(inner.get(1));
      const algorithm = EdgeInterpolationAlgorithms[number(inner, 2) ?? -1];
      return {
        type: 'GEOGRAPHY',
        ...(crs !== undefined && { crs }),
        ...(algorithm && { algorithm }),
      };
    }
    default:
      return undefined;
  }
}

function timeUnit(value: ThriftValue | undefined): 'MILLIS' | 'MICROS' | 'NANOS' | undefined {
  if (!isStruct(value)) return undefined;
  if (value.has(1)) return 'MILLIS';
  if (value.has(2)) return 'MICROS';
  return value.has(3) ? 'NANOS' : undefined;
}

const BYTES_OR_INTEGERS = new Set(['INT32', 'INT64', 'BYTE_ARRAY', 'FIXED_LEN_BYTE_ARRAY']);

function fitsLogical(logical: LogicalType, type: SchemaElement['type'], length: number): boolean {
  switch (logical.type) {
    case 'MAP':
    case 'LIST':
    case 'VARIANT':
      return type === undefined;
    case 'STRING':
    case 'ENUM':
    case 'JSON':
    case 'BSON':
    case 'GEOMETRY':
    case 'GEOGRAPHY':
      return type === 'BYTE_ARRAY';
    case 'DECIMAL':
      return BYTES_OR_INTEGERS.has(type ?? '');
    case 'DATE':
      return type === 'INT32';
    case 'TIME':
      return type === (logical.unit === 'MILLIS' ? 'INT32' : 'INT64');
    case 'TIMESTAMP':
      return type === 'INT64';
    case 'INTEGER':
      return logical.bitWidth === 64
        ? type === 'INT64'
        : type === 'INT32' && [8, 16, 32].includes(logical.bitWidth);
    case 'UUID':
      return type === 'FIXED_LEN_BYTE_ARRAY' && length === 16;
    case 'FLOAT16':
      return type === 'FIXED_LEN_BYTE_ARRAY' && length === 2;
    case 'NULL':
      return type !== undefined;
    default:
      return false;
  }
}

function fitsConverted(
  converted: NonNullable<SchemaElement['converted_type']>,
  type: SchemaElement['type'],
  length: number,
): boolean {
  switch (converted) {
    case 'MAP':
    case 'MAP_KEY_VALUE':
    case 'LIST':
      return type === undefined;
    case 'UTF8':
    case 'ENUM':
    case 'JSON':
    case 'BSON':
      return type === 'BYTE_ARRAY';
    case 'DECIMAL':
      return BYTES_OR_INTEGERS.has(type ?? '');
    case 'INTERVAL':
      return type === 'FIXED_LEN_BYTE_ARRAY' && length === 12;
    case 'TIME_MICROS':
    case 'TIMESTAMP_MILLIS':
    case 'TIMESTAMP_MICROS':
    case 'UINT_64':
    case 'INT_64':
      return type === 'INT64';
    default:
      return type === 'INT32';
  }
}
