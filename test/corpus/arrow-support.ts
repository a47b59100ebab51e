/** Arrow streams for tests: any schema and any values, written by the encoder and read by the reader. */
import fc from 'fast-check';
import {
  batchMessage,
  dictionaryMessage,
  END_OF_STREAM,
  schemaMessage,
} from '../../src/corpus/arrow-build.ts';
import { columnOfField, decimalBytes, storedDecimal } from '../../src/corpus/arrow-columns.ts';
import { encodeRows } from '../../src/corpus/arrow-encode.ts';
import type { ArrowField, ArrowSchema, ArrowType } from '../../src/corpus/arrow-schema.ts';
import { pieceSource } from '../../src/corpus/arrow-source.ts';
import { readArrowStream } from '../../src/corpus/arrow-stream.ts';
import { bigEndian, ValueBudget, valueReader } from '../../src/corpus/arrow-values.ts';
import { shapeOf } from '../../src/corpus/shape.ts';
import type { PlainValue } from '../../src/corpus/types.ts';

/** A field that says nothing beyond its type. */
export function field(name: string, type: ArrowType, rest: Partial<ArrowField> = {}): ArrowField {
  return { name, nullable: true, type, children: [], dictionary: null, metadata: [], ...rest };
}

/** A stream of batches; each batch has one array of values per field. */
export function streamOf(
  schema: ArrowSchema,
  batches: readonly (readonly (readonly PlainValue[])[])[],
): Uint8Array {
  const parts = [schemaMessage(schema)];
  const shapes = schema.fields.map((one) => shapeOf(columnOfField(one)));
  for (const columns of batches) {
    const length = columns[0]?.length ?? 0;
    const values = schema.fields.map((one, at) => {
      return { field: one, shape: shapes[at]!, values: columns[at]! };
    });
    const { batch, dictionaries } = encodeRows(values, length);
    for (const { id, batch: inner } of dictionaries) parts.push(dictionaryMessage(id, inner));
    parts.push(batchMessage(batch));
  }
  return Buffer.concat([...parts, END_OF_STREAM]);
}

/** Bytes in pieces of so many. */
export async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size);
}

/** Everything that a stream holds: its schema, and per column the values of all batches. */
export async function readAll(
  bytes: Uint8Array,
  pieceBytes = 1 << 16,
): Promise<{ schema: ArrowSchema; rows: number; columns: PlainValue[][] }> {
  const stream = await readArrowStream(pieceSource(inPieces(bytes, pieceBytes)), 'x.arrow');
  const columns: PlainValue[][] = stream.schema.fields.map(() => []);
  let rows = 0;
  for await (const batch of stream.batches()) {
    const budget = new ValueBudget();
    for (const [at, array] of batch.columns.entries()) {
      const read = valueReader(array, budget);
      for (let row = 0; row < batch.length; row++) columns[at]!.push(read(row));
    }
    rows += batch.length;
  }
  return { schema: stream.schema, rows, columns };
}

/** A field and what its values may be. */
interface TypedField {
  readonly field: ArrowField;
  readonly values: fc.Arbitrary<PlainValue>;
}

const UNITS = ['s', 'ms', 'us', 'ns'] as const;
const DAY = { s: 86_400n, ms: 86_400_000n, us: 86_400_000_000n, ns: 86_400_000_000_000n };

function signed(bits: number): fc.Arbitrary<bigint> {
  return fc.bigInt({ min: -(2n ** BigInt(bits - 1)), max: 2n ** BigInt(bits - 1) - 1n });
}

function bytes(minLength = 0, maxLength = 20): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength, maxLength }).map((made) => Buffer.from(made));
}

const text = fc.string({ unit: 'grapheme', maxLength: 20 });

function leaf(type: ArrowType): fc.Arbitrary<PlainValue> {
  switch (type.kind) {
    case 'null':
      return fc.constant(null);
    case 'bool':
      return fc.boolean();
    case 'int':
      if (type.bits === 64) return signed(64);
      if (type.bits === 32) return signed(32).map(Number);
      return type.signed
        ? signed(type.bits).map(Number)
        : fc.integer({ min: 0, max: 2 ** type.bits - 1 });
    case 'float':
      if (type.bits === 16) return bytes(2, 2);
      return type.bits === 32 ? fc.float({ noNaN: true }) : fc.double({ noNaN: true });
    case 'utf8':
    case 'largeUtf8':
    case 'utf8View':
      return text;
    case 'binary':
    case 'largeBinary':
    case 'binaryView':
      return bytes();
    case 'fixedBinary':
      return bytes(type.width, type.width);
    case 'decimal': {
      const most = 10n ** BigInt(type.precision) - 1n;
      const width = decimalBytes(storedDecimal(type).precision);
      const zeros = 10n ** BigInt(Math.max(0, -type.scale));
      return fc.bigInt({ min: -most, max: most }).map((value) => bigEndian(value * zeros, width));
    }
    case 'date':
      return signed(32).map(Number);
    case 'time': {
      const ticks = fc.bigInt({ min: 0n, max: DAY[type.unit] - 1n });
      if (type.unit === 's') return ticks.map((value) => Number(value) * 1000);
      return type.unit === 'ms' ? ticks.map(Number) : ticks;
    }
    case 'timestamp':
      return type.unit === 's' ? signed(50).map((value) => value * 1000n) : signed(64);
    case 'duration':
      return signed(64);
    case 'interval': {
      const part = signed(32).map(Number);
      if (type.unit === 'months') return part;
      return type.unit === 'dayTime' ? fc.tuple(part, part) : fc.tuple(part, part, signed(64));
    }
    default:
      throw new Error(`${type.kind} is no leaf`);
  }
}

const LEAVES: fc.Arbitrary<ArrowType> = fc.oneof(
  fc.constantFrom<ArrowType>(
    { kind: 'null' },
    { kind: 'bool' },
    { kind: 'utf8' },
    { kind: 'largeUtf8' },
    { kind: 'utf8View' },
    { kind: 'binary' },
    { kind: 'largeBinary' },
    { kind: 'binaryView' },
    { kind: 'date', unit: 'day' },
    { kind: 'date', unit: 'ms' },
  ),
  fc.record({
    kind: fc.constant('int' as const),
    bits: fc.constantFrom(8 as const, 16 as const, 32 as const, 64 as const),
    signed: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('float' as const),
    bits: fc.constantFrom(16 as const, 32 as const, 64 as const),
  }),
  fc.record({ kind: fc.constant('fixedBinary' as const), width: fc.nat({ max: 20 }) }),
  fc
    .constantFrom([32, 9] as const, [64, 18] as const, [128, 38] as const, [256, 70] as const)
    .chain(([bits, digits]) =>
      fc.record({
        kind: fc.constant('decimal' as const),
        bits: fc.constant(bits),
        precision: fc.integer({ min: 1, max: digits }),
        scale: fc.integer({ min: -5, max: 40 }),
      }),
    ),
  fc.record({
    kind: fc.constantFrom('time' as const, 'duration' as const),
    unit: fc.constantFrom(...UNITS),
  }),
  fc.record({
    kind: fc.constant('timestamp' as const),
    unit: fc.constantFrom(...UNITS),
    zone: fc.constantFrom(null, 'UTC', 'Europe/Berlin', '+07:30'),
  }),
  fc.record({
    kind: fc.constant('interval' as const),
    unit: fc.constantFrom('months' as const, 'dayTime' as const, 'monthDayNano' as const),
  }),
);

/** Fields of every type that is read, with their values; dictionaries are numbered by the caller. */
export function typedField(depth = 2): fc.Arbitrary<TypedField> {
  const flat = fc
    .tuple(
      LEAVES,
      fc.boolean(),
      fc.boolean(),
      fc.constantFrom(8, 16, 32, 64),
      fc.string({ maxLength: 4 }),
    )
    .map(([type, nullable, encoded, bits, name]): TypedField => {
      const dictionary =
        encoded && type.kind !== 'null'
          ? { id: '0', bits: bits as 8, signed: bits !== 16, ordered: false }
          : null;
      const isNull = type.kind === 'null';
      const values = nullable || isNull ? fc.option(leaf(type), { freq: 3 }) : leaf(type);
      return { field: field(name, type, { nullable: nullable || isNull, dictionary }), values };
    });
  if (depth === 0) return flat;
  const inner = typedField(depth - 1);
  const nested = fc
    .tuple(inner, inner, fc.nat({ max: 9 }), fc.nat({ max: 3 }))
    .map(([one, other, choice, size]): TypedField => {
      const lists = ['list', 'largeList', 'listView', 'largeListView'] as const;
      const kind = lists[choice];
      if (kind) {
        const values = fc.array(one.values, { maxLength: 4 });
        return {
          field: field('l', { kind }, { children: [one.field] }),
          values: fc.option(values),
        };
      }
      if (choice < 6) {
        const values = fc.array(one.values, { minLength: size, maxLength: size });
        const type = { kind: 'fixedList', size } as const;
        return { field: field('f', type, { children: [one.field] }), values: fc.option(values) };
      }
      if (choice === 6) {
        const keys = one.field.type.kind === 'null' ? field('k', { kind: 'utf8' }) : one.field;
        const key = { ...keys, nullable: false };
        const keyValues =
          one.field.type.kind === 'null' ? text : one.values.filter((value) => value !== null);
        const entries = field(
          'entries',
          { kind: 'struct' },
          { nullable: false, children: [key, other.field] },
        );
        const type = { kind: 'map', keysSorted: false } as const;
        const values = fc.array(fc.tuple(keyValues, other.values), { maxLength: 4 });
        return { field: field('m', type, { children: [entries] }), values: fc.option(values) };
      }
      if (choice === 7) {
        const ends = field(
          'run_ends',
          { kind: 'int', bits: 16, signed: true },
          { nullable: false },
        );
        const children = [ends, { ...one.field, nullable: true }];
        const values = fc.option(one.values);
        return { field: field('r', { kind: 'runEnds' }, { children }), values };
      }
      const children = [one.field, other.field];
      const values = fc.tuple(one.values, other.values);
      return { field: field('s', { kind: 'struct' }, { children }), values: fc.option(values) };
    });
  return fc.oneof({ weight: 2, arbitrary: flat }, { weight: 3, arbitrary: nested });
}

/** The fields with dictionaries of their own. */
export function numbered(fields: readonly ArrowField[]): ArrowField[] {
  let next = 7;
  const visit = (one: ArrowField): ArrowField => ({
    ...one,
    children: one.children.map(visit),
    dictionary: one.dictionary && { ...one.dictionary, id: String(next++) },
  });
  return fields.map(visit);
}

/** The value with all its bits in plain sight, and one kind of bytes. */
export function exact(value: PlainValue): unknown {
  if (value instanceof Uint8Array) return { hex: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return (value as readonly PlainValue[]).map(exact);
  if (typeof value === 'bigint') return { integer: String(value) };
  return Object.is(value, -0) ? { number: '-0' } : (value ?? null);
}
