import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { DuckDBConnection } from '@duckdb/node-api';
import { tableFromIPC } from 'apache-arrow';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytesAt } from '../../src/batch/document-batch.ts';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { memoryUnit } from '../../src/corpus/memory.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { openSink, type SinkOptions } from '../../src/corpus/sink.ts';
import { openUnit } from '../../src/corpus/unit.ts';
import { differences, everyTypeSql, openDuck, query } from './duck.ts';

let folder: string;
let duck: DuckDBConnection;
let parquet: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gristmill-formats-'));
  duck = await openDuck();
  parquet = join(folder, 'all.parquet');
  await duck.run(`COPY (${everyTypeSql(1200)}) TO '${parquet}' (FORMAT parquet)`);
});

afterAll(async () => {
  duck.closeSync();
  await rm(folder, { recursive: true, force: true });
});

async function convert(input: string, target: Pick<SinkOptions, 'format' | 'path' | 'stream'>) {
  const plan = await planCorpus({ inputs: [input], failFast: true });
  const sink = await openSink({ ...target, columns: plan.columns, textColumn: 'text' });
  const pool = new SlabPool({ slabBytes: 4 << 20 });
  for (const unit of plan.units) {
    for await (const { batch, carry } of openUnit(plan, unit, pool, { batchRows: 256 })) {
      await sink.write({ text: batch.text, rows: null, carry, extra: {} });
      carry.release();
      batch.release();
    }
  }
  return sink.close();
}

describe('formats into one another', () => {
  it('Parquet to JSON lines: values as DuckDB sees them', async () => {
    const output = join(folder, 'all.jsonl.zst');
    expect((await convert(parquet, { format: 'jsonl.zst', path: output })).rows).toBe(1200);
    // Every type as text: DuckDB's own JSON of the source against ours, value by value.
    const fields =
      'id text flag tiny small int big ubig dec9 dec18 day list structs nested map doc uid colour'.split(
        ' ',
      );
    const columns = fields.map((name) => `${name}: 'JSON'`).join(', ');
    const ours = await query(
      duck,
      `SELECT * FROM read_json('${output}', format = 'newline_delimited', columns = {${columns}})`,
    );
    const theirs = await query(
      duck,
      `SELECT ${fields.map((name) => `to_json(${name}) AS ${name}`).join(', ')} FROM '${parquet}'`,
    );
    const parse = (row: Record<string, unknown>) =>
      Object.fromEntries(
        Object.entries(row).map(([key, value]) => [
          key,
          value === null ? null : JSON.parse(value as string),
        ]),
      );
    for (const [at, row] of ours.entries()) expect(parse(row)).toEqual(parse(theirs[at]!));
  });

  it('times keep their digits in JSON', async () => {
    const input = join(folder, 'times.parquet');
    await duck.run(`COPY (SELECT 'x' AS text, TIMESTAMP '1969-12-31 23:59:59.123456' AS a, '2020-02-03 04:05:06.123456789'::TIMESTAMP_NS AS b,
      TIMESTAMPTZ '2020-02-03 04:05:06+00' AS c, TIME '01:02:03.000004' AS d, -12.345::DECIMAL(38, 3) AS e) TO '${input}' (FORMAT parquet)`);
    const output = join(folder, 'times.jsonl.zst');
    await convert(input, { format: 'jsonl.zst', path: output });
    const [row] = await query(
      duck,
      `SELECT * FROM read_json('${output}', columns = {a: 'VARCHAR', b: 'VARCHAR', c: 'VARCHAR', d: 'VARCHAR', e: 'VARCHAR'})`,
    );
    expect(row).toEqual({
      a: '1969-12-31T23:59:59.123456',
      b: '2020-02-03T04:05:06.123456789',
      c: '2020-02-03T04:05:06.000000Z',
      d: '01:02:03.000004',
      e: '-12.345',
    });
  });

  it('Parquet to Arrow and back: equal where the types have a form in both', async () => {
    const arrow = join(folder, 'all.arrows');
    const back = join(folder, 'back.parquet');
    await convert(parquet, { format: 'arrow', path: arrow });
    expect((await convert(arrow, { format: 'parquet', path: back })).rows).toBe(1200);
    const exact = `id, text, flag, tiny, small, int, big, utiny, usmall, uint, ubig, single, double, day, micros, nanos, millis,
      zoned, clock, blob, list, structs, nested, dec9::VARCHAR AS dec9, dec18::VARCHAR AS dec18, dec38::VARCHAR AS dec38, doc::VARCHAR AS doc,
      colour::VARCHAR AS colour`;
    expect(
      await differences(
        duck,
        `(SELECT ${exact} FROM '${parquet}')`,
        `(SELECT ${exact} FROM '${back}')`,
      ),
    ).toBe(0);
    const types = (file: string) =>
      query(
        duck,
        `DESCRIBE SELECT id, text, tiny, ubig, single, day, micros, nanos, millis, zoned, clock, list, structs, nested FROM '${file}'`,
      );
    expect(await types(back)).toEqual(await types(parquet));
  });

  it('JSON lines to Arrow on a stream: what apache-arrow reads', async () => {
    const source = join(folder, 'all.jsonl.zst');
    const stream = new PassThrough();
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    const result = await convert(source, { format: 'arrow', stream });
    const table = tableFromIPC(Buffer.concat(chunks));
    expect(table.numRows).toBe(1200);
    expect(result.rows).toBe(1200);
    expect(result.bytes).toBe(Buffer.concat(chunks).byteLength);
    const ids = await query(duck, `SELECT id, text FROM '${parquet}'`);
    for (const [row, want] of ids.entries()) {
      expect(table.getChild('id')!.get(row)).toBe(want['id']);
      expect(table.getChild('text')!.get(row)).toBe(want['text']);
    }
  });

  it('a damaged Arrow stream is a coded error', async () => {
    const whole = await readFile(join(folder, 'all.arrows'));
    const cut = join(folder, 'cut.arrows');
    await writeFile(cut, whole.subarray(0, 20));
    await expect(planCorpus({ inputs: [cut] })).rejects.toMatchObject({
      code: 'CORPUS_FILE_INVALID',
    });
  });
});

describe('memoryUnit', () => {
  it('takes strings and objects from arrays and async iterables', async () => {
    async function* documents() {
      yield 'plain';
      yield { text: 'with id', id: 7n, n: 1, deep: { a: [1] } };
      yield { text: null };
      yield { text: '\ud800 lone', id: 'x' };
    }
    const batches = [];
    for await (const unit of memoryUnit(documents(), new SlabPool(), { batchRows: 3 })) {
      const texts = Array.from({ length: unit.batch.nDocs }, (_, row) =>
        Buffer.from(bytesAt(unit.batch.text, row)).toString(),
      );
      batches.push({
        texts,
        status: [...unit.rowStatus],
        firstRow: unit.firstRow,
        fields: unit.carry.columns.map((c) => `${c.name} ${c.type}`),
      });
      expect(
        (await unit.carry.select(null).plain())[
          unit.carry.columns.findIndex(({ name }) => name === 'n')
        ] ?? [undefined, 1n, undefined],
      ).toContain(1n);
    }
    expect(batches).toEqual([
      {
        texts: ['plain', 'with id', ''],
        status: [0, 0, 1],
        firstRow: 0,
        fields: ['id int64', 'n int64', 'deep json'],
      },
      { texts: ['� lone'], status: [2], firstRow: 3, fields: ['id string'] },
    ]);
    const wrong = memoryUnit([{ text: 5 } as never], new SlabPool());
    await expect(wrong.next()).rejects.toMatchObject({
      code: 'CORPUS_VALUE_INVALID',
      details: { row: 0 },
    });
  });
});

describe('sinks that cannot write', () => {
  const columns: SinkOptions['columns'] = [];
  it.each(['parquet', 'jsonl.zst', 'arrow'] as const)(
    '%s: full disk and missing folder',
    async (format) => {
      const gone = join(folder, 'no', 'such', 'folder', 'x');
      await expect(
        openSink({ format, path: gone, columns, textColumn: 'text' }),
      ).rejects.toMatchObject({
        code: 'CORPUS_WRITE_FAILED',
        details: { file: gone },
      });
      const full = async () => {
        const sink = await openSink({ format, path: '/dev/full', columns, textColumn: 'text' });
        await sink.write({ text: [Buffer.from('some text')], rows: null, carry: null, extra: {} });
        await sink.close();
      };
      await expect(full()).rejects.toMatchObject({
        code: 'CORPUS_WRITE_FAILED',
        message: expect.stringMatching(/\/dev\/full: the disk is full/),
      });
      await access('/dev/full');
    },
  );

  it('abort removes the file', async () => {
    const path = join(folder, 'aborted.parquet');
    const sink = await openSink({ format: 'parquet', path, columns, textColumn: 'text' });
    await sink.abort();
    await expect(access(path)).rejects.toThrow();
  });
});
