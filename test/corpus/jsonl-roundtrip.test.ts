import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { type PlanOptions, planCorpus } from '../../src/corpus/plan.ts';
import { openSink } from '../../src/corpus/sink.ts';
import type { SinkFormat } from '../../src/corpus/types.ts';
import { openUnit } from '../../src/corpus/unit.ts';
import { native } from '../../src/native/index.ts';
import { naiveRows, sameNumber } from '../fuzz/naive-json-lines.ts';
import { openDuck, query } from './duck.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gristmill-jsonl-roundtrip-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Copies a file into another form; no row may be rejected. */
async function copy(
  from: string,
  format: SinkFormat,
  options: Partial<PlanOptions> = {},
): Promise<string> {
  const to = join(folder, `${format}-of.${format}`.replace('arrow-of.arrow', 'arrow-of.arrows'));
  const plan = await planCorpus({ inputs: [from], failFast: true, inferLines: 'all', ...options });
  const { columns, textColumn } = plan;
  const sink = await openSink({ format, path: to, columns, textColumn });
  const pool = new SlabPool({ slabBytes: 1 << 20 });
  const reject = format === 'jsonl.zst' ? 'lines' : 'values';
  for (const unit of plan.units) {
    for await (const { batch, carry, rejected } of openUnit(plan, unit, pool, {
      reject,
      batchRows: 3,
    })) {
      expect(rejected).toEqual([]);
      await sink.write({ text: batch.text, rows: null, carry, extra: {} });
      carry.release();
      batch.release();
    }
  }
  await sink.close();
  return to;
}

async function linesOf(path: string): Promise<Buffer> {
  const output = Buffer.alloc(4 << 20);
  const step = new (native().ZstdDecoder)().decode(await readFile(path), output);
  expect(step.done).toBe(true);
  return output.subarray(0, step.written);
}

const isNumber = (raw: string): boolean => /^[-\d]/.test(raw);

/** Rows of two files are the same values: a field that is not there is null, a number is its digits. */
function expectSame(before: Buffer, after: Buffer): void {
  const wanted = naiveRows(before);
  const found = naiveRows(after);
  expect(found).toHaveLength(wanted.length);
  for (const [row, { fields }] of wanted.entries()) {
    const names = new Set([...fields!, ...found[row]!.fields!].map(([name]) => name));
    for (const name of names) {
      const left = fields!.find(([key]) => key === name)?.[1] ?? 'null';
      const right = found[row]!.fields!.find(([key]) => key === name)?.[1] ?? 'null';
      const same =
        isNumber(left) && isNumber(right)
          ? sameNumber(left, right)
          : JSON.stringify(JSON.parse(left)) === JSON.stringify(JSON.parse(right));
      if (!same)
        throw new Error(`row ${row}, field ${JSON.stringify(name)}: ${left} became ${right}`);
    }
  }
}

const wellFormed = fc.string({ unit: 'binary', maxLength: 12 });
const text = wellFormed.map((value) => JSON.stringify(value));
const number = fc.oneof(
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }).map(String),
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.stringMatching(/^-?(0|[1-9]\d{0,25})(\.\d{1,20})?([eE][+-]?\d{1,3})?$/),
  fc.constantFrom('-0', '1e400', '0.10', '1E5'),
);
const value = fc.oneof(
  { arbitrary: number, weight: 4 },
  { arbitrary: text, weight: 2 },
  fc.constantFrom('true', 'false', 'null'),
  fc.json({ maxDepth: 2 }),
);
const name = fc.oneof(
  fc.constantFrom('a', 'b', '__proto__', 'constructor', '', 'a.b', 'gristmill'),
  wellFormed,
);
/** Columns of one kind of value, as files have them, and rows that keep to them or not. */
const file = fc
  .uniqueArray(fc.tuple(name, fc.constantFrom(number, text, value, fc.integer().map(String))), {
    selector: ([key]) => key,
    maxLength: 4,
  })
  .map((columns) => columns.filter(([key]) => key !== 'text' && key !== 'id'))
  .chain((columns) =>
    fc.array(
      fc
        .tuple(text, fc.tuple(...columns.map(([, kind]) => fc.option(kind, { nil: null }))))
        .map(([body, values]) => {
          const fields = values.flatMap((raw, at) =>
            raw === null ? [] : [`${JSON.stringify(columns[at]![0])}:${raw}`],
          );
          return `{${[`"text":${body}`, ...fields].join(',')}}`;
        }),
      { minLength: 1, maxLength: 8 },
    ),
  )
  .map((lines) => Buffer.from(`${lines.join('\n')}\n`));

describe('JSON lines into other forms and back', () => {
  it.each(['parquet', 'arrow', 'jsonl.zst'] as const)(
    'property: through %s every value is the same',
    async (format) => {
      await fc.assert(
        fc.asyncProperty(file, async (bytes) => {
          const input = join(folder, 'in.jsonl');
          await writeFile(input, bytes);
          const other = await copy(input, format);
          const back = format === 'jsonl.zst' ? other : await copy(other, 'jsonl.zst');
          expectSame(bytes, await linesOf(back));
        }),
        { numRuns: 150 },
      );
    },
  );

  it('numbers beyond a double are in a column that holds them, as DuckDB reads it', async () => {
    const input = join(folder, 'numbers.jsonl');
    await writeFile(
      input,
      [
        '{"text":"a","big":18446744073709551615,"mixed":9007199254740993,"huge":1e400,"id2":-9223372036854775808,"x":0.1,"wide":340282366920938463463374607431768211455,"z":-0}',
        '{"text":"b","big":12345678901234567890,"mixed":0.5,"huge":1,"id2":9223372036854775807,"x":9007199254740992,"wide":1,"z":1}',
        '{"text":"c","long":0.12345678901234567890,"d38":12345678901234567890123456.789}',
      ].join('\n'),
    );
    const duck = await openDuck();
    const parquet = await copy(input, 'parquet');
    const types = await query(
      duck,
      `SELECT column_name AS name, column_type AS type FROM (DESCRIBE FROM '${parquet}')`,
    );
    expect(Object.fromEntries(types.map((row) => [row['name'], row['type']]))).toEqual({
      text: 'VARCHAR',
      big: 'UBIGINT',
      mixed: 'DECIMAL(38,1)',
      huge: 'JSON',
      id2: 'BIGINT',
      x: 'DOUBLE',
      wide: 'JSON',
      z: 'DOUBLE',
      long: 'DECIMAL(38,19)',
      d38: 'DECIMAL(38,3)',
    });
    const rows = await query(duck, `SELECT * EXCLUDE text FROM '${parquet}'`);
    expect(rows[0]).toMatchObject({
      big: '18446744073709551615',
      mixed: '9007199254740993.0',
      huge: '1e400',
    });
    expect(rows[0]).toMatchObject({ id2: '-9223372036854775808', x: 0.1 });
    expect(rows[1]).toMatchObject({ big: '12345678901234567890', mixed: '0.5', huge: '1' });
    expect(rows[2]).toMatchObject({
      long: '0.1234567890123456789',
      d38: '12345678901234567890123456.789',
    });
    duck.closeSync();
  });

  it('files that differ in their numbers share a column that holds all of them', async () => {
    await writeFile(join(folder, 'f1.jsonl'), '{"text":"a","n":1,"m":-1,"k":1}\n');
    await writeFile(
      join(folder, 'f2.jsonl'),
      '{"text":"a","n":0.5,"m":18446744073709551615,"k":"one"}\n',
    );
    const { columns } = await planCorpus({
      inputs: [join(folder, 'f1.jsonl'), join(folder, 'f2.jsonl')],
    });
    expect(columns.map(({ name: column, type }) => [column, type])).toEqual([
      ['text', 'string'],
      ['n', 'double'],
      ['m', 'decimal(38, 0)'],
      ['k', 'json'],
    ]);
  });

  it('JSON stays the JSON it was: escapes, spellings, the order of keys and repeated ones', async () => {
    const line =
      '{"z":1.50,"a":"\\u00e9\\/","a":2,"text":"t","k\\u0065y":"\\ud83d","deep":{"b":1,"a":[1.0,1E2],"a":2},"n":18446744073709551616}';
    const input = join(folder, 'spelled.jsonl');
    await writeFile(input, `${line}\n`);
    expect((await linesOf(await copy(input, 'jsonl.zst'))).toString()).toBe(`${line}\n`);
  });
});
