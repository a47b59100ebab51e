/**
 * Columns in Parquet's terms: subtrees of schema elements, their leaves and levels, their comparison and names.
 */
import type { SchemaElement, SchemaTree } from 'hyparquet';
import { CompressionCodecs, ParquetTypes } from 'hyparquet/src/constants.js';
import type { LeafType } from '../native/index.ts';
import type { CorpusColumn } from './types.ts';

/** Index of a codec in Parquet's numbering. */
export function codecIndex(name: string): number {
  return (CompressionCodecs as string[]).indexOf(name);
}

/** The schema as a tree. */
export function treeOf(
  elements: readonly SchemaElement[],
  at = 0,
  path: string[] = [],
): SchemaTree {
  const element = elements[at]!;
  const children: SchemaTree[] = [];
  let count = 1;
  for (let child = 0; child < (element.num_children ?? 0); child++) {
    const next = elements[at + count];
    if (!next) throw new Error('the schema is cut off');
    const tree = treeOf(elements, at + count, [...path, next.name]);
    count += tree.count;
    children.push(tree);
  }
  return { children, count, element, path };
}

/** The tree of one column; its own path starts with its name. */
export function columnTree(column: CorpusColumn): SchemaTree {
  return treeOf(column.elements, 0, [column.name]);
}

/** Top-level columns of a file's schema. */
export function columnsOf(schema: readonly SchemaElement[]): CorpusColumn[] {
  const columns: CorpusColumn[] = [];
  let at = 1;
  for (let child = 0; child < (schema[0]?.num_children ?? 0); child++) {
    const tree = treeOf(schema, at, [schema[at]!.name]);
    const elements = schema.slice(at, at + tree.count);
    columns.push({ name: tree.element.name, type: typeName(tree), elements });
    at += tree.count;
  }
  return columns;
}

/** A file's schema from its columns. */
export function schemaOf(columns: readonly CorpusColumn[]): SchemaElement[] {
  const root: SchemaElement = { name: 'schema', num_children: columns.length };
  return [root, ...columns.flatMap((column) => column.elements)];
}

/**
 * For each wanted column the index of its counterpart among others, -1 where there is none: the first of a name goes
 * with the first of that name, the second with the second.
 */
export function matchColumns(
  wanted: readonly { readonly name: string }[],
  others: readonly { readonly name: string }[],
): number[] {
  const byName = new Map<string, number[]>();
  for (const [at, { name }] of others.entries()) {
    const places = byName.get(name);
    if (places) places.push(at);
    else byName.set(name, [at]);
  }
  const seen = new Map<string, number>();
  return wanted.map(({ name }) => {
    const nth = seen.get(name) ?? 0;
    seen.set(name, nth + 1);
    return byName.get(name)?.[nth] ?? -1;
  });
}

/** The columns without the (first) one that holds the text. */
export function carriedColumns(
  columns: readonly CorpusColumn[],
  textColumn: string | null,
): CorpusColumn[] {
  const textAt = columns.findIndex(({ name }) => name === textColumn);
  return columns.filter((_, at) => at !== textAt);
}

/** A leaf column of a top-level column. */
export interface Leaf {
  /** Position among all leaves of the file. */
  readonly index: number;
  readonly path: readonly string[];
  readonly element: SchemaElement;
  readonly type: LeafType;
}

/**
 * Leaves of a column, in file order.
 *
 * @param leafStart position of the first among all leaves of the file
 */
export function leavesOf(column: CorpusColumn, leafStart = 0): Leaf[] {
  const leaves: Leaf[] = [];
  const visit = (tree: SchemaTree, definition: number, repetition: number): void => {
    const kind = tree.element.repetition_type;
    const maxDefinition = definition + (kind === 'OPTIONAL' || kind === 'REPEATED' ? 1 : 0);
    const maxRepetition = repetition + (kind === 'REPEATED' ? 1 : 0);
    if (tree.element.type) {
      const type = {
        column: tree.path.join('.'),
        type: (ParquetTypes as string[]).indexOf(tree.element.type ?? ''),
        typeLength: tree.element.type_length ?? 0,
        maxDefinition,
        maxRepetition,
      };
      const index = leafStart + leaves.length;
      leaves.push({ index, path: tree.path, element: tree.element, type });
    }
    for (const child of tree.children) visit(child, maxDefinition, maxRepetition);
  };
  visit(columnTree(column), 0, 0);
  return leaves;
}

/** True for leaves whose bytes are text: strings, JSON, enums. */
export function isStringElement(element: SchemaElement): boolean {
  if (element.type !== 'BYTE_ARRAY') return false;
  const { converted_type: converted, logical_type: logical } = element;
  return (
    converted === 'UTF8' ||
    converted === 'ENUM' ||
    converted === 'JSON' ||
    logical?.type === 'STRING' ||
    logical?.type === 'ENUM' ||
    logical?.type === 'JSON'
  );
}

/** True when a column can be the text column: flat bytes that are text or say nothing of themselves. */
export function isTextColumn(column: CorpusColumn): boolean {
  const [element] = column.elements;
  if (column.elements.length !== 1 || element?.type !== 'BYTE_ARRAY') return false;
  if (element.repetition_type === 'REPEATED') return false;
  return isStringElement(element) || (!element.converted_type && !element.logical_type);
}

/** True when a column can be the id column: flat and primitive. */
export function isPrimitiveColumn(column: CorpusColumn): boolean {
  const [element] = column.elements;
  return column.elements.length === 1 && !!element?.type && element.repetition_type !== 'REPEATED';
}

/** An optional string column. */
export function stringColumn(name: string): CorpusColumn {
  return flatColumn({
    name,
    type: 'BYTE_ARRAY',
    converted_type: 'UTF8',
    logical_type: { type: 'STRING' },
    repetition_type: 'OPTIONAL',
  });
}

/** A column of one element. */
export function flatColumn(element: SchemaElement): CorpusColumn {
  return { name: element.name, type: typeName(treeOf([element])), elements: [element] };
}

/** Readable name of a type. */
export function typeName(tree: SchemaTree): string {
  const { element, children } = tree;
  if (children.length > 0) {
    if (element.converted_type === 'LIST' && children.length === 1) {
      const item = children[0]!;
      return `list<${typeName(item.children.length === 1 ? item.children[0]! : item)}>`;
    }
    if (element.converted_type === 'MAP' && children[0]?.children.length === 2) {
      const [key, value] = children[0].children;
      return `map<${typeName(key!)}, ${typeName(value!)}>`;
    }
    const fields = children.map((child) => `${child.element.name}: ${typeName(child)}`);
    return `struct<${fields.join(', ')}>`;
  }
  const repeated = element.repetition_type === 'REPEATED';
  return repeated ? `list<${leafName(element)}>` : leafName(element);
}

function leafName(element: SchemaElement): string {
  const { logical_type: logical, converted_type: converted } = element;
  if (isStringElement(element)) {
    const json = converted === 'JSON' || logical?.type === 'JSON';
    return json ? 'json' : 'string';
  }
  if (converted === 'DECIMAL' || logical?.type === 'DECIMAL') {
    return `decimal(${element.precision}, ${element.scale ?? 0})`;
  }
  if (logical?.type === 'TIMESTAMP' || logical?.type === 'TIME') {
    return `${logical.type.toLowerCase()}(${logical.unit.toLowerCase()})`;
  }
  if (logical?.type === 'INTEGER') return `${logical.isSigned ? '' : 'u'}int${logical.bitWidth}`;
  if (logical) return logical.type.toLowerCase();
  if (converted) return converted.toLowerCase().replace('int_', 'int');
  return (element.type ?? 'group').toLowerCase();
}
