import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import { asyncBufferFromFile, type Encoding, parquetReadObjects } from 'hyparquet';
import { type ColumnSource, parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytesAt } from '../../src/batch/document-batch.ts';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { COMPRESSORS } from '../../src/corpus/parquet-file.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { openSink } from '../../src/corpus/sink.ts';
import { openUnit } from '../../src/corpus/unit.ts';
import { openDuck } from './duck.ts';

let folder: string;
let duck: DuckDBConnection;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gristmill-encodings-'));
  duck = await openDuck();
});

afterAll(async () => {
  duck.closeSync();
  await rm(folder, { recursive: true, force: true });
});

async function copy(inputs: string[], output: string): Promise<void> {
  const plan = await planCorpus({ inputs, failFast: true });
  const sink = await openSink({
    format: 'parquet',
    path: output,
    columns: plan.columns,
    textColumn: 'text',
  });
  const pool = new SlabPool({ slabBytes: 4 << 20 });
  for (const unit of plan.units) {
    for await (const { batch, carry } of openUnit(plan, unit, pool, { batchRows: 333 })) {
      await sink.write({ text: batch.text, rows: null, carry, extra: {} });
      carry.release();
      batch.release();
    }
  }
  await sink.close();
}

/** Rows as hyparquet, an independent decoder, reads them. */
async function rowsOf(path: string): Promise<Record<string, unknown>[]> {
  return parquetReadObjects({ file: await asyncBufferFromFile(path), compressors: COMPRESSORS });
}

describe('encodings', () => {
  const n = 2000;
  const texts = Array.from({ length: n }, (_, row) => `prefix/shared/${row % 100}/text ${row} é`);
  const numbers: [string, Encoding, ColumnSource['data']][] = [
    ['int32', 'DELTA_BINARY_PACKED', Int32Array.from({ length: n }, (_, row) => row * row - 5000)],
    [
      'int64',
      'DELTA_BINARY_PACKED',
      BigInt64Array.from({ length: n }, (_, row) => BigInt(row) ** 5n - 7n),
    ],
    ['split', 'BYTE_STREAM_SPLIT', Float64Array.from({ length: n }, (_, row) => row / 7)],
    ['float', 'BYTE_STREAM_SPLIT', Float32Array.from({ length: n }, (_, row) => row / 3)],
  ];
  it.each(['PLAIN', 'RLE_DICTIONARY', 'DELTA_LENGTH_BYTE_ARRAY', 'DELTA_BYTE_ARRAY'] as const)(
    '%s texts, with nulls, and packed numbers come out equal',
    async (encoding) => {
      const input = join(folder, `${encoding}.parquet`);
      const output = join(folder, `${encoding}-out.parquet`);
      const columnData: ColumnSource[] = [
        {
          name: 'text',
          type: 'STRING',
          encoding,
          data: texts.map((text, row) => (row % 9 === 4 ? null : text)),
        },
        ...numbers.map(([name, numberEncoding, data]) => ({
          name,
          data,
          encoding: numberEncoding,
        })),
        { name: 'flag', type: 'BOOLEAN', data: texts.map((_, row) => row % 3 === 0) },
      ];
      // Small pages, so that a batch spans many and a page several batches.
      await writeFile(
        input,
        Buffer.from(parquetWriteBuffer({ columnData, pageSize: 3000, rowGroupSize: 700 })),
      );
      await copy([input], output);
      expect(await rowsOf(output)).toEqual(await rowsOf(input));
    },
  );

  it('files that differ in nullability are one corpus', async () => {
    const paths = ['a', 'b'].map((name) => join(folder, `null-${name}.parquet`));
    for (const [at, path] of paths.entries()) {
      const columnData: ColumnSource[] = [
        {
          name: 'id',
          type: 'INT32',
          nullable: at === 1,
          data: [1, 2, at === 1 ? null : 3] as never,
        },
        { name: 'text', type: 'STRING', nullable: at === 1, data: ['x', 'y', 'z'] },
      ];
      await writeFile(path, Buffer.from(parquetWriteBuffer({ columnData })));
    }
    const output = join(folder, 'null-out.parquet');
    await copy(paths, output);
    expect(await rowsOf(output)).toEqual([
      ...(await rowsOf(paths[0]!)),
      ...(await rowsOf(paths[1]!)),
    ]);
  });

  it.each([
    ['BIGINT', '9007199254740993', '9007199254740993'],
    ['UBIGINT', '18446744073709551615', '18446744073709551615'],
    ['DECIMAL(20, 3)', '-0.125', '-0.125'],
    ['DATE', '2024-02-29', '2024-02-29'],
    ['BOOLEAN', 'true', 'true'],
    ['DOUBLE', '0.1', '0.1'],
    ['UUID', '0b5c1a2e-0000-4000-8000-00000000000f', '0b5c1a2e-0000-4000-8000-00000000000f'],
    ['TIMESTAMP', '2024-02-29 01:02:03.000004', '2024-02-29T01:02:03.000004'],
  ])('an id of type %s is rendered as text', async (type, literal, rendered) => {
    const path = join(folder, 'ids.parquet');
    await duck.run(
      `COPY (SELECT '${literal}'::${type} AS id, 'x' AS text UNION ALL SELECT NULL, 'y') TO '${path}' (FORMAT parquet)`,
    );
    const plan = await planCorpus({ inputs: [path] });
    for await (const { batch } of openUnit(plan, plan.units[0]!, new SlabPool())) {
      expect(Buffer.from(bytesAt(batch.id!, 0)).toString()).toBe(rendered);
      expect(batch.id!.nullCount).toBe(1);
      batch.release();
    }
  });

  it('a footer with integer annotations in their new form is written so that DuckDB reads it', async () => {
    const path = join(folder, 'uint16.parquet');
    const output = join(folder, 'uint16-out.parquet');
    const logical_type = { type: 'INTEGER' as const, bitWidth: 16, isSigned: false };
    const sink = await openSink({
      format: 'parquet',
      path,
      columns: [
        {
          name: 'text',
          type: 'string',
          elements: [
            {
              name: 'text',
              type: 'BYTE_ARRAY',
              converted_type: 'UTF8',
              repetition_type: 'REQUIRED',
            },
          ],
        },
        {
          name: 'n',
          type: 'uint16',
          elements: [{ name: 'n', type: 'INT32', logical_type, repetition_type: 'OPTIONAL' }],
        },
      ],
      textColumn: 'text',
    });
    await sink.write({ text: [Buffer.from('t')], rows: null, carry: null, extra: {} });
    await sink.close();
    await copy([path], output);
    const reader = await duck.runAndReadAll(`DESCRIBE FROM '${output}'`);
    expect(reader.getRows().map((row) => row[1])).toEqual(['VARCHAR', 'USMALLINT']);
  });
});
