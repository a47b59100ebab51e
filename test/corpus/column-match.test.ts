import fc from 'fast-check';
import type { SchemaElement } from 'hyparquet';
import { describe, expect, it } from 'vitest';
import { alignedTo, withConstants } from '../../src/corpus/carry.ts';
import { describeColumn, joinTyped } from '../../src/corpus/column-match.ts';
import { columnsOf } from '../../src/corpus/schema.ts';
import type { CarriedColumns, CorpusColumn, PlainValue } from '../../src/corpus/types.ts';

type Element = Partial<SchemaElement> & { name: string };

const column = (...elements: Element[]): CorpusColumn => {
  const root = { name: 'root', num_children: 1 };
  return columnsOf([root, ...elements] as SchemaElement[])[0]!;
};
const leaf = (name: string, more: Partial<SchemaElement> = {}): Element => ({
  name,
  type: 'INT32',
  repetition_type: 'OPTIONAL',
  ...more,
});
const text = (name: string, more: Partial<SchemaElement> = {}): Element =>
  leaf(name, { type: 'BYTE_ARRAY', converted_type: 'UTF8', ...more });
const group = (name: string, n: number, more: Partial<SchemaElement> = {}): Element => ({
  name,
  num_children: n,
  repetition_type: 'OPTIONAL',
  ...more,
});
const LIST = { converted_type: 'LIST' } as const;
const MAP = { converted_type: 'MAP' } as const;
const repeated = (name: string, n: number): Element =>
  group(name, n, { repetition_type: 'REPEATED' });
const REQUIRED = { repetition_type: 'REQUIRED' } as const;

const join = (left: CorpusColumn, right: CorpusColumn, isText = false): string | null => {
  const joined = joinTyped(left, right, isText);
  return joined && describeColumn(joined);
};

/** Carried columns with these values. */
const carryOf = (columns: CorpusColumn[], values: PlainValue[][]): CarriedColumns => ({
  columns,
  nRows: values[0]?.length ?? 0,
  select: (rows) => {
    const pick = (all: PlainValue[]): PlainValue[] =>
      rows ? [...rows].map((row) => all[row]!) : all;
    return {
      nRows: rows?.length ?? values[0]?.length ?? 0,
      plain: async () => values.map(pick),
      json: null,
      leaves: null,
    };
  },
  release: () => undefined,
});

describe('columns that are one', () => {
  const strings = (wrapper: string, item: string, more: Partial<SchemaElement> = {}) =>
    column(group('v', 1, LIST), repeated(wrapper, 1), text(item, more));

  it('whatever their lists call wrapper and item, in two levels or three', () => {
    const usual = 'list<list: repeated struct<element: string>>';
    expect(join(strings('list', 'element'), strings('bag', 'array_element'))).toBe(usual);
    expect(join(strings('list', 'item', REQUIRED), strings('list', 'element'))).toBe(usual);
    const twoLevels = column(group('v', 1, LIST), text('array', { repetition_type: 'REPEATED' }));
    expect(join(strings('list', 'item'), twoLevels)).toBe(usual);
    const bare = column(text('v', { repetition_type: 'REPEATED' }));
    expect(join(strings('list', 'item'), bare)).toBe(usual);
  });

  it('in maps and structs, at any depth, in any order of fields', () => {
    const map = (name: string, value: Element[]) =>
      column(group('v', 1, MAP), repeated(name, 2), text('key', REQUIRED), ...value);
    const one = map('key_value', [group('value', 2), leaf('a', REQUIRED), text('b')]);
    const other = map('entries', [group('value', 2, REQUIRED), text('b'), leaf('a')]);
    expect(join(one, other)).toBe(
      'map<key_value: repeated struct<key: string not null, value: struct<a: int32, b: string>>>',
    );
    const more = map('entries', [group('value', 3), leaf('a'), text('b'), text('c')]);
    expect(join(one, more)).toContain('c: string');
    const needed = map('entries', [group('value', 3), leaf('a'), text('b'), text('c', REQUIRED)]);
    expect(join(one, needed)).toBeNull();
  });

  it('with old and new annotations, and the wider of two numbers', () => {
    const long = leaf('v', { type: 'INT64' });
    expect(join(column(leaf('v')), column(long))).toBe('int64');
    expect(join(column(long), column(leaf('v', REQUIRED)))).toBe('int64');
    const small = leaf('v', { logical_type: { type: 'INTEGER', bitWidth: 8, isSigned: true } });
    expect(join(column(small), column(leaf('v', { converted_type: 'INT_16' })))).toBe('int16');
    expect(join(column(leaf('v')), column(leaf('v', { converted_type: 'UINT_32' })))).toBeNull();
    const double = column(leaf('v', { type: 'DOUBLE' }));
    expect(join(column(leaf('v', { type: 'FLOAT' })), double)).toBe('double');
    expect(join(double, column(long))).toBeNull();
    const stamp = {
      type: 'INT64',
      logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
    } as const;
    const old = leaf('v', { type: 'INT64', converted_type: 'TIMESTAMP_MICROS' });
    expect(join(column(leaf('v', stamp)), column(old))).not.toBeNull();
    const local = { ...stamp, logical_type: { ...stamp.logical_type, isAdjustedToUTC: false } };
    expect(join(column(leaf('v', local)), column(old))).toBeNull();
    expect(describeColumn(column(leaf('v', local)))).toBe('timestamp(micros) local');
    const decimal = (precision: number, scale: number) =>
      column(leaf('v', { converted_type: 'DECIMAL', precision, scale }));
    expect(join(decimal(5, 2), decimal(9, 2))).toBe('decimal(9, 2)');
    expect(join(decimal(5, 2), decimal(5, 3))).toBeNull();
  });

  it('where one is null throughout, nested ones too; where both are text', () => {
    const none = column(leaf('v', { logical_type: { type: 'NULL' } }));
    expect(join(none, strings('list', 'item', REQUIRED))).toMatch(/string not null/);
    expect(join(column(leaf('v', REQUIRED)), none)).toBe('int32');
    const nones = column(
      group('v', 1, LIST),
      repeated('list', 1),
      leaf('x', { logical_type: { type: 'NULL' } }),
    );
    expect(join(nones, strings('list', 'item'))).toMatch(/element: string/);
    const bytes = column(leaf('v', { type: 'BYTE_ARRAY' }));
    expect(join(bytes, column(text('v')))).toBeNull();
    expect(join(bytes, column(text('v')), true)).not.toBeNull();
  });

  it('joining is the same both ways but for names and order, and joins with itself', () => {
    const leaves = fc.constantFrom<Element>(
      leaf('x'),
      leaf('x', REQUIRED),
      leaf('x', { type: 'INT64' }),
      leaf('x', { type: 'DOUBLE' }),
      leaf('x', { logical_type: { type: 'NULL' } }),
      text('x'),
      text('x', REQUIRED),
    );
    const columns = fc.oneof(
      leaves.map((one) => column({ ...one, name: 'v' })),
      fc
        .tuple(leaves, fc.boolean())
        .map(([one, nullable]) =>
          column(
            group('v', 1, { ...LIST, ...(nullable ? {} : REQUIRED) }),
            repeated('list', 1),
            one,
          ),
        ),
      fc
        .tuple(leaves, leaves)
        .map(([one, other]) => column(group('v', 2), one, { ...other, name: 'y' })),
    );
    fc.assert(
      fc.property(columns, columns, (left, right) => {
        expect(joinTyped(left, left, false)).toBe(left);
        const [forth, back] = [joinTyped(left, right, false), joinTyped(right, left, false)];
        expect(forth && describeColumn(forth)).toBe(back && describeColumn(back));
        // What holds both holds each.
        if (forth) expect(join(forth, right)).toBe(describeColumn(forth));
      }),
    );
  });
});

describe('carried columns seen otherwise', () => {
  it('in the order and the types of other columns', async () => {
    const from = [
      column(group('s', 2), leaf('a'), text('b')),
      column(leaf('n')),
      column(leaf('d', { converted_type: 'DECIMAL', precision: 9, scale: 2 })),
    ];
    const fixed = {
      type: 'FIXED_LEN_BYTE_ARRAY',
      type_length: 4,
      converted_type: 'DECIMAL',
    } as const;
    const to = [
      column(leaf('n', { type: 'INT64' })),
      column(text('missing')),
      column(group('s', 3), text('b'), leaf('a', { type: 'INT64' }), leaf('c')),
      column(leaf('d', { ...fixed, precision: 9, scale: 2 })),
    ];
    const carry = carryOf(from, [
      [[1, 'x'], null, [null, null]],
      [5, null, -7],
      [258, null, -1],
    ]);
    const values = await alignedTo(to, carry).select(null).plain();
    expect(values).toEqual([
      [5n, null, -7n],
      [null, null, null],
      [['x', 1n, null], null, [null, null, null]],
      [Uint8Array.of(0, 0, 1, 2), null, Uint8Array.of(255, 255, 255, 255)],
    ]);
    const some = await alignedTo(to, carry).select(Int32Array.of(2)).plain();
    expect(some.slice(0, 2)).toEqual([[-7n], [null]]);
  });

  it('with the same value in every row', async () => {
    const carry = carryOf([column(leaf('n'))], [[1, 2]]);
    const seen = withConstants(carry, [{ column: column(text('k')), value: 'v' }]);
    expect(seen.columns.map(({ name }) => name)).toEqual(['n', 'k']);
    expect(await seen.select(Int32Array.of(1)).plain()).toEqual([[2], ['v']]);
  });
});
