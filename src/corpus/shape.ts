/**
 * What a column's schema tree means: leaves, lists, maps and structs, with the levels at which they are there.
 *
 * Lists follow the format's rules for older writers: a LIST group around a repeated field that wraps its element
 * (three levels) or is the element itself (two levels), and repeated fields without any annotation. A MAP group
 * without values is the list of its keys. Annotations on other forms say nothing: the group is a struct. A VARIANT
 * group is the struct of its binary fields.
 */
import type { SchemaElement, SchemaTree } from 'hyparquet';
import { columnTree } from './schema.ts';
import type { CorpusColumn } from './types.ts';

interface Node {
  /** From this definition level on the value is not null; equal to the parent's where it is required. */
  readonly definition: number;
  readonly nullable: boolean;
  /** The first of the column's leaves below this node, and the one after its last. */
  readonly leafStart: number;
  readonly leafEnd: number;
}

/** A primitive value. */
export interface LeafShape extends Node {
  readonly kind: 'leaf';
  /** Highest repetition level. */
  readonly repetition: number;
  readonly element: SchemaElement;
}

/** An array of items. */
export interface ListShape extends Node {
  readonly kind: 'list';
  readonly item: Shape;
  /** Level at which an entry is an item; below it the list is empty or null. */
  readonly itemDefinition: number;
  /** A repetition level of this many begins the next item. */
  readonly repetition: number;
}

/** An array of `[key, value]` pairs. */
export interface MapShape extends Node {
  readonly kind: 'map';
  readonly key: Shape;
  readonly value: Shape;
  readonly itemDefinition: number;
  readonly repetition: number;
}

/** An array of the fields' values. */
export interface StructShape extends Node {
  readonly kind: 'struct';
  readonly fields: readonly { readonly name: string; readonly shape: Shape }[];
}

/** The meaning of a schema node; see {@link PlainValue} for the values. */
export type Shape = LeafShape | ListShape | MapShape | StructShape;

/** The meaning of a column. */
export function shapeOf(column: CorpusColumn): Shape {
  return nodeShape(columnTree(column), { definition: 0, repetition: 0, leafStart: 0 });
}

interface Above {
  readonly definition: number;
  readonly repetition: number;
  readonly leafStart: number;
}

/** A field with its own repetition: a repeated one that nothing annotates is a list that is never null. */
function nodeShape(tree: SchemaTree, above: Above): Shape {
  const kind = tree.element.repetition_type;
  if (kind === 'REPEATED') {
    const repetition = above.repetition + 1;
    const itemDefinition = above.definition + 1;
    const item = bareShape(tree, { ...above, definition: itemDefinition, repetition }, false);
    return {
      kind: 'list',
      item,
      itemDefinition,
      repetition,
      definition: above.definition,
      nullable: false,
      leafStart: above.leafStart,
      leafEnd: item.leafEnd,
    };
  }
  const nullable = kind === 'OPTIONAL';
  return bareShape(tree, { ...above, definition: above.definition + (nullable ? 1 : 0) }, nullable);
}

/** The field without its repetition; `at.definition` is the level at which it is there. */
function bareShape(tree: SchemaTree, at: Above, nullable: boolean): Shape {
  const { element, children } = tree;
  const { definition, leafStart } = at;
  if (element.type) {
    const { repetition } = at;
    const leafEnd = leafStart + 1;
    return { kind: 'leaf', element, repetition, definition, nullable, leafStart, leafEnd };
  }
  const repeated = children.length === 1 ? children[0]! : null;
  if (repeated?.element.repetition_type === 'REPEATED') {
    const inside = {
      definition: definition + 1,
      repetition: at.repetition + 1,
      leafStart,
    };
    const levels = { itemDefinition: inside.definition, repetition: inside.repetition };
    const own = { definition, nullable, leafStart };
    if (isMap(element) && !repeated.element.type && repeated.children.length === 2) {
      const key = nodeShape(repeated.children[0]!, inside);
      const value = nodeShape(repeated.children[1]!, { ...inside, leafStart: key.leafEnd });
      return { kind: 'map', key, value, ...levels, ...own, leafEnd: value.leafEnd };
    }
    const isKeys = isMap(element) && repeated.children.length === 1;
    if (isList(element) || isKeys) {
      const wrapped = isKeys || wrapsElement(element, repeated);
      const item = wrapped
        ? nodeShape(repeated.children[0]!, inside)
        : bareShape(repeated, inside, false);
      return { kind: 'list', item, ...levels, ...own, leafEnd: item.leafEnd };
    }
  }
  const fields: { name: string; shape: Shape }[] = [];
  let leafEnd = leafStart;
  for (const child of children) {
    const shape = nodeShape(child, { ...at, leafStart: leafEnd });
    fields.push({ name: child.element.name, shape });
    leafEnd = shape.leafEnd;
  }
  return { kind: 'struct', fields, definition, nullable, leafStart, leafEnd };
}

/** True for a group that is annotated as a list. */
function isList({ converted_type: converted, logical_type: logical }: SchemaElement): boolean {
  return converted === 'LIST' || logical?.type === 'LIST';
}

/** True for a group that is annotated as a map; old writers put MAP_KEY_VALUE there. */
function isMap({ converted_type: converted, logical_type: logical }: SchemaElement): boolean {
  return converted === 'MAP' || converted === 'MAP_KEY_VALUE' || logical?.type === 'MAP';
}

/** Whether the repeated field of a list only wraps the element, by the format's rules for older writers. */
function wrapsElement(list: SchemaElement, { element, children }: SchemaTree): boolean {
  if (element.type || children.length !== 1) return false;
  if (children[0]!.element.repetition_type === 'REPEATED') return false;
  return element.name !== 'array' && element.name !== `${list.name}_tuple`;
}
