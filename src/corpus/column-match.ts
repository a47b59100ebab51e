/**
 * Whether two files' columns are one: shards of different writers differ in much that does not matter.
 *
 * The same are: names of list items and of what wraps them, two-level and three-level lists, nullability at any depth,
 * old and new spellings of an annotation, the order of columns and of a struct's fields, and a column that is null
 * throughout. A wider integer, float or decimal holds every value of a narrower one; a column or field that one file
 * does not have is null there, where it may be null. What is left is a difference.
 */
import type { SchemaElement, SchemaTree } from 'hyparquet';
import { hiddenMeaning } from './arrow-fields.ts';
import { fractionDigits, isDecimal, isTime, isUnsigned, scaleOf } from './plain.ts';
import {
  columnTree,
  flatColumn,
  isStringElement,
  isTextColumn,
  matchColumns,
  treeOf,
  typeName,
} from './schema.ts';
import { type Shape, type StructShape, shapeOf } from './shape.ts';
import type { CorpusColumn } from './types.ts';

/** What a leaf's values are. */
interface LeafClass {
  /** Leaves of one group can be joined. */
  readonly group: string;
  /** The wider one of a group holds the values of both. */
  readonly width: number;
}

function leafClass(element: SchemaElement): LeafClass {
  const { type, converted_type: converted, logical_type: logical, precision } = element;
  const kind = logical?.type;
  // Arrow's null type, as pyarrow writes a column in which every value is null; Parquet calls it UNKNOWN.
  if (kind === 'NULL') return { group: 'null', width: 0 };
  if (isStringElement(element)) return { group: 'text', width: 0 };
  if (isDecimal(element)) {
    return { group: `decimal with ${scaleOf(element)} digits`, width: precision ?? 0 };
  }
  const digits = fractionDigits(element);
  if (digits !== null) {
    const isUtc = logical && 'isAdjustedToUTC' in logical ? logical.isAdjustedToUTC : true;
    const name = isTime(element) ? 'time' : 'timestamp';
    return { group: `${name} ${digits} ${isUtc ? 'UTC' : 'local'}`, width: 0 };
  }
  if (kind === undefined || kind === 'INTEGER') {
    const isInteger = !converted || converted.startsWith('INT_') || converted.startsWith('UINT_');
    if (isInteger && (type === 'INT32' || type === 'INT64')) {
      const bits =
        logical?.type === 'INTEGER' ? logical.bitWidth : Number(converted?.split('_')[1]);
      const width = bits || (type === 'INT32' ? 32 : 64);
      return { group: isUnsigned(element) ? 'unsigned' : 'integer', width };
    }
    if (type === 'FLOAT' || type === 'DOUBLE') {
      return { group: 'float', width: type === 'FLOAT' ? 32 : 64 };
    }
  }
  const { type: name } = flatColumn({ ...element, repetition_type: 'REQUIRED' });
  const length = type === 'FIXED_LEN_BYTE_ARRAY' ? ` of ${element.type_length}` : '';
  return { group: `${name}${length}`, width: 0 };
}

function isNull(shape: Shape): boolean {
  return shape.kind === 'leaf' && leafClass(shape.element).group === 'null';
}

/** Schema elements of what holds the values of both, in the form that the format asks of writers; null for none. */
function join(name: string, left: Shape, right: Shape): SchemaElement[] | null {
  const nullable = left.nullable || right.nullable;
  if (isNull(left)) return elementsOf(name, right, true);
  if (isNull(right)) return elementsOf(name, left, true);
  if (left.kind === 'leaf' && right.kind === 'leaf') {
    const [one, other] = [leafClass(left.element), leafClass(right.element)];
    if (one.group !== other.group) return null;
    return elementsOf(name, other.width > one.width ? right : left, nullable);
  }
  if (left.kind === 'list' && right.kind === 'list') {
    const item = join('element', left.item, right.item);
    return item && listOf(name, nullable, item);
  }
  if (left.kind === 'map' && right.kind === 'map') {
    const key = join('key', left.key, right.key);
    const value = join('value', left.value, right.value);
    return key && value && mapOf(name, nullable, key, value);
  }
  if (left.kind === 'struct' && right.kind === 'struct') {
    const fields = joinFields(left.fields, right.fields);
    return fields && structOf(name, nullable, fields);
  }
  return null;
}

type Fields = StructShape['fields'];

function joinFields(left: Fields, right: Fields): SchemaElement[][] | null {
  const joined: SchemaElement[][] = [];
  const rights = matchColumns(left, right);
  for (const [at, { name, shape }] of left.entries()) {
    const other = right[rights[at]!];
    const both = other
      ? join(name, shape, other.shape)
      : shape.nullable
        ? elementsOf(name, shape, true)
        : null;
    if (!both) return null;
    joined.push(both);
  }
  for (const [at, { name, shape }] of right.entries()) {
    if (rights.includes(at)) continue;
    if (!shape.nullable) return null;
    joined.push(elementsOf(name, shape, true));
  }
  return joined;
}

function elementsOf(name: string, shape: Shape, nullable = shape.nullable): SchemaElement[] {
  if (shape.kind === 'leaf') return [{ ...shape.element, name, ...repetition(nullable) }];
  if (shape.kind === 'list') return listOf(name, nullable, elementsOf('element', shape.item));
  if (shape.kind === 'map') {
    return mapOf(name, nullable, elementsOf('key', shape.key), elementsOf('value', shape.value));
  }
  const fields = shape.fields.map((field) => elementsOf(field.name, field.shape));
  return structOf(name, nullable, fields);
}

function repetition(nullable: boolean): { repetition_type: 'OPTIONAL' | 'REQUIRED' } {
  return { repetition_type: nullable ? 'OPTIONAL' : 'REQUIRED' };
}

function listOf(name: string, nullable: boolean, item: SchemaElement[]): SchemaElement[] {
  const list = { converted_type: 'LIST', logical_type: { type: 'LIST' } } as const;
  return [
    { name, ...repetition(nullable), num_children: 1, ...list },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    ...item,
  ];
}

function mapOf(
  name: string,
  nullable: boolean,
  [key, ...belowKey]: SchemaElement[],
  value: SchemaElement[],
): SchemaElement[] {
  const map = { converted_type: 'MAP', logical_type: { type: 'MAP' } } as const;
  return [
    { name, ...repetition(nullable), num_children: 1, ...map },
    { name: 'key_value', repetition_type: 'REPEATED', num_children: 2 },
    { ...key!, ...repetition(false) },
    ...belowKey,
    ...value,
  ];
}

function structOf(name: string, nullable: boolean, fields: SchemaElement[][]): SchemaElement[] {
  return [{ name, ...repetition(nullable), num_children: fields.length }, ...fields.flat()];
}

/**
 * True when nothing differs, nullability and names of wrappers included: levels and leaves are the same. What Arrow says
 * beyond them (widths of offsets, dictionaries, zones) is a form of the same values.
 */
export function isIdentical(left: CorpusColumn, right: CorpusColumn): boolean {
  if (left === right) return true;
  const parquet = ({ arrow, ...rest }: CorpusColumn): string => JSON.stringify(rest);
  return parquet(left) === parquet(right) && hiddenMeaning(left) === hiddenMeaning(right);
}

/**
 * The column that holds the values of both, or null where they differ.
 *
 * @param isText of the text column bytes are text, however they are annotated
 */
export function joinTyped(
  left: CorpusColumn,
  right: CorpusColumn,
  isText: boolean,
): CorpusColumn | null {
  if (isIdentical(left, right)) return left;
  if (hiddenMeaning(left) !== hiddenMeaning(right)) return null;
  if (isText && isTextColumn(left) && isTextColumn(right)) return asNullable(left);
  const elements = join(left.name, shapeOf(left), shapeOf(right));
  if (!elements) return null;
  if (JSON.stringify(elements) === JSON.stringify(left.elements)) return left;
  return { ...left, type: typeName(treeOf(elements)), elements };
}

/** The column with nulls allowed. */
export function asNullable(column: CorpusColumn): CorpusColumn {
  const [element, ...below] = column.elements;
  if (element?.repetition_type !== 'REQUIRED') return column;
  return { ...column, elements: [{ ...element, repetition_type: 'OPTIONAL' }, ...below] };
}

/** True when a row may have no value in a column. */
export function isOptional(column: CorpusColumn): boolean {
  return column.elements[0]?.repetition_type !== 'REQUIRED';
}

/** A type with all that can differ: names of items, nullability, units. */
export function describeColumn(column: CorpusColumn): string {
  return describeTree(columnTree(column));
}

function describeTree(tree: SchemaTree): string {
  const { element, children } = tree;
  const suffix = element.repetition_type === 'REQUIRED' ? ' not null' : '';
  const prefix = element.repetition_type === 'REPEATED' ? 'repeated ' : '';
  if (children.length === 0) {
    const { group } = leafClass(element);
    const { type: name } = flatColumn({ ...element, repetition_type: 'REQUIRED' });
    const zone = /^time.* (UTC|local)$/.exec(group)?.[1];
    const length = element.type === 'FIXED_LEN_BYTE_ARRAY' ? `[${element.type_length}]` : '';
    const leaf = group === 'null' ? 'null' : `${name}${length}${zone ? ` ${zone}` : ''}`;
    return `${prefix}${leaf}${suffix}`;
  }
  const fields = children.map((child) => `${child.element.name}: ${describeTree(child)}`);
  const kind = (element.converted_type ?? element.logical_type?.type ?? 'struct').toLowerCase();
  return `${prefix}${kind}<${fields.join(', ')}>${suffix}`;
}
