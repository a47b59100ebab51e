/** Record shredding and assembly: generated schemas and rows both ways, older writers' lists, contradicting levels. */
import fc from 'fast-check';
import type { SchemaElement } from 'hyparquet';
import { describe, expect, it } from 'vitest';
import { assembleRows, LevelError, type ShreddedLeaf, shredRows } from '../../src/corpus/dremel.ts';
import { columnsOf } from '../../src/corpus/schema.ts';
import { type Shape, shapeOf } from '../../src/corpus/shape.ts';
import type { PlainValue } from '../../src/corpus/types.ts';
import type { LeafRows } from '../../src/native/index.ts';

type Repetition = 'REQUIRED' | 'OPTIONAL' | 'REPEATED';

/** A column of these elements. */
function shape(...elements: SchemaElement[]): Shape {
  const [column] = columnsOf([{ name: 'root', num_children: 1 }, ...elements]);
  return shapeOf(column!);
}

function leaf(
  name: string,
  type: SchemaElement['type'],
  repetition_type: Repetition = 'OPTIONAL',
): SchemaElement {
  return { name, type: type!, repetition_type };
}

function group(
  name: string,
  num_children: number,
  repetition_type: Repetition = 'OPTIONAL',
  converted_type?: SchemaElement['converted_type'],
): SchemaElement {
  return { name, num_children, repetition_type, ...(converted_type && { converted_type }) };
}

/** What a reader of the addon gives for shredded values of a fixed width. */
function asRead({ nLevels, definition, repetition, plain }: ShreddedLeaf): LeafRows {
  return { nLevels, definition, repetition, data: plain, starts: null, sizes: null };
}

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

/** Schema elements of a node with rows that fit it. */
interface Node {
  readonly elements: SchemaElement[];
  readonly values: fc.Arbitrary<PlainValue>;
}

function optional({ elements, values }: Node, repetition: Repetition): Node {
  const [first, ...rest] = elements;
  const own = [{ ...first!, repetition_type: repetition }, ...rest];
  if (repetition === 'REPEATED') {
    return { elements: own, values: fc.array(values, { maxLength: 3 }) };
  }
  if (repetition === 'REQUIRED') return { elements: own, values };
  return { elements: own, values: fc.option(values, { nil: null }) };
}

function node(depth: number): fc.Arbitrary<Node> {
  const repetition = fc.constantFrom<Repetition>('REQUIRED', 'OPTIONAL', 'REPEATED');
  const notRepeated = fc.constantFrom<Repetition>('REQUIRED', 'OPTIONAL');
  const leaves = fc.constantFrom<Node>(
    { elements: [leaf('v', 'INT32')], values: int32 },
    {
      elements: [leaf('v', 'INT64')],
      values: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    },
    { elements: [leaf('v', 'INT96')], values: fc.bigInt({ min: 0n, max: 2n ** 96n - 1n }) },
  );
  if (depth === 0) return fc.tuple(leaves, repetition).map(([n, r]) => optional(n, r));
  const child = node(depth - 1);
  const single = fc
    .tuple(child, notRepeated)
    .map(([n, r]) => ({ ...n, first: n.elements[0]!, r }))
    .filter(({ first }) => first.repetition_type !== 'REPEATED');
  const struct = fc.array(child, { minLength: 1, maxLength: 3 }).map(
    (children): Node => ({
      elements: [group('s', children.length), ...children.flatMap((c) => c.elements)],
      values: fc.tuple(...children.map((c) => c.values)),
    }),
  );
  const list = single.map(
    (item): Node => ({
      elements: [group('l', 1, 'OPTIONAL', 'LIST'), group('list', 1, 'REPEATED'), ...item.elements],
      values: fc.array(item.values, { maxLength: 3 }),
    }),
  );
  const map = fc.tuple(single, single).map(
    ([key, value]): Node => ({
      elements: [
        group('m', 1, 'OPTIONAL', 'MAP'),
        group('key_value', 2, 'REPEATED'),
        ...key.elements,
        ...value.elements,
      ],
      values: fc.array(fc.tuple(key.values, value.values), { maxLength: 3 }),
    }),
  );
  return fc.tuple(fc.oneof(leaves, struct, list, map), repetition).map(([n, r]) => optional(n, r));
}

describe('rows to levels and back', () => {
  it('property: any schema of structs, lists, maps and repeated fields', () => {
    const cases = node(3).chain((n) =>
      fc.tuple(fc.constant(n.elements), fc.array(n.values, { maxLength: 8 })),
    );
    fc.assert(
      fc.property(cases, ([elements, rows]) => {
        const column = shape(...elements);
        const read = shredRows(column, rows).map(asRead);
        expect(assembleRows(column, read, rows.length)).toEqual(rows);
      }),
      { numRuns: 300 },
    );
  });

  it('refuses values that the schema has no place for', () => {
    expect(() => shredRows(shape(leaf('v', 'INT32', 'REQUIRED')), [1, null])).toThrow('null');
    expect(() => shredRows(shape(leaf('v', 'INT32')), ['1'])).toThrow('a string in a column');
    expect(() => shredRows(shape(leaf('v', 'INT64')), [1])).toThrow('a number in a column');
    expect(() => shredRows(shape(group('s', 1), leaf('v', 'INT32')), [[1, 2]])).toThrow('fields');
  });

  it('contradicting levels are an error, never another value', () => {
    const pair = shape(group('s', 2), leaf('a', 'INT32'), leaf('b', 'INT32'));
    const [a, b] = shredRows(pair, [[1, 2], null, [null, 3]]).map(asRead);
    const torn = { ...b!, definition: Uint8Array.of(2, 1, 2) };
    expect(() => assembleRows(pair, [a!, torn], 3)).toThrow(LevelError);
    const short = { ...b!, nLevels: 2 };
    expect(() => assembleRows(pair, [a!, short], 3)).toThrow(LevelError);
    expect(() => assembleRows(pair, [a!, b!], 2)).toThrow(LevelError);
    const list = shape(leaf('v', 'INT32', 'REPEATED'));
    const [items] = shredRows(list, [[1, 2], [3]]).map(asRead);
    expect(() =>
      assembleRows(list, [{ ...items!, repetition: Uint8Array.of(1, 1, 0) }], 2),
    ).toThrow(LevelError);
  });
});

describe('what schemas mean', () => {
  const rowsOf = (column: Shape, leaves: Omit<LeafRows, 'starts' | 'sizes'>[], nRows: number) =>
    assembleRows(
      column,
      leaves.map((l) => ({ ...l, starts: null, sizes: null })),
      nRows,
    );
  const ints = (...values: number[]): Uint8Array => new Uint8Array(Int32Array.from(values).buffer);

  it('two-level lists: the repeated field is the element', () => {
    const flat = shape(group('a', 1, 'OPTIONAL', 'LIST'), leaf('item', 'INT32', 'REPEATED'));
    expect(flat).toMatchObject({ kind: 'list', item: { kind: 'leaf', nullable: false } });
    const named = shape(
      group('a', 1, 'OPTIONAL', 'LIST'),
      group('array', 1, 'REPEATED'),
      leaf('x', 'INT32'),
    );
    expect(named).toMatchObject({ item: { kind: 'struct', fields: [{ name: 'x' }] } });
    const tuple = shape(
      group('a', 1, 'OPTIONAL', 'LIST'),
      group('a_tuple', 1, 'REPEATED'),
      leaf('x', 'INT32'),
    );
    expect(tuple).toMatchObject({ item: { kind: 'struct' } });
    const wrapped = shape(
      group('a', 1, 'OPTIONAL', 'LIST'),
      group('bag', 1, 'REPEATED'),
      leaf('x', 'INT32'),
    );
    expect(wrapped).toMatchObject({ item: { kind: 'leaf', nullable: true } });
    const two = shape(
      group('a', 1, 'OPTIONAL', 'LIST'),
      group('bag', 2, 'REPEATED'),
      leaf('x', 'INT32'),
      leaf('y', 'INT32'),
    );
    expect(two).toMatchObject({ item: { kind: 'struct', fields: [{}, {}] } });
  });

  it('lists of two-level lists: [[1, 2], [3, 4]]', () => {
    // Once read as [0, 0]: the repeated item of a LIST was taken for a flat value.
    const nested = shape(
      group('a', 1, 'OPTIONAL', 'LIST'),
      group('array', 1, 'REPEATED', 'LIST'),
      leaf('array', 'INT32', 'REPEATED'),
    );
    const leaves = [
      {
        nLevels: 5,
        definition: Uint8Array.of(3, 3, 3, 3, 0),
        repetition: Uint8Array.of(0, 2, 1, 2, 0),
        data: ints(1, 2, 3, 4),
      },
    ];
    expect(rowsOf(nested, leaves, 2)).toEqual([
      [
        [1, 2],
        [3, 4],
      ],
      null,
    ]);
  });

  it('a repeated field without an annotation is a list that is never null', () => {
    // An empty one once came out as null.
    const repeated = shape(leaf('nums', 'INT32', 'REPEATED'));
    const leaves = [
      {
        nLevels: 3,
        definition: Uint8Array.of(1, 1, 0),
        repetition: Uint8Array.of(0, 1, 0),
        data: ints(1, 2),
      },
    ];
    expect(rowsOf(repeated, leaves, 2)).toEqual([[1, 2], []]);
  });

  it('maps by either annotation; without values they are lists of keys', () => {
    for (const annotation of ['MAP', 'MAP_KEY_VALUE'] as const) {
      const map = shape(
        group('m', 1, 'OPTIONAL', annotation),
        group('map', 2, 'REPEATED', 'MAP_KEY_VALUE'),
        leaf('key', 'INT32', 'REQUIRED'),
        leaf('value', 'INT32'),
      );
      expect(map.kind).toBe('map');
      const rows = [
        [
          [10, 1],
          [9, 2],
          [10, null],
        ],
      ];
      expect(assembleRows(map, shredRows(map, rows).map(asRead), 1)).toEqual(rows);
    }
    const keys = shape(
      group('m', 1, 'OPTIONAL', 'MAP'),
      group('key_value', 1, 'REPEATED'),
      leaf('key', 'INT32', 'REQUIRED'),
    );
    expect(keys).toMatchObject({ kind: 'list', item: { kind: 'leaf' } });
  });
});
