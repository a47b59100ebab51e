import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytesAt, isNullAt } from '../../src/batch/document-batch.ts';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { openSink, STATUS_COLUMNS } from '../../src/corpus/sink.ts';
import { openUnit } from '../../src/corpus/unit.ts';
import { differences, everyTypeSql, openDuck, query } from './duck.ts';

let folder: string;
let duck: DuckDBConnection;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gristmill-corpus-'));
  duck = await openDuck();
});

afterAll(async () => {
  duck.closeSync();
  await rm(folder, { recursive: true, force: true });
});

/** Reads everything and writes it again; keeps the rows of each batch that `select` names. */
async function copy(
  input: string,
  output: string,
  settings: {
    select?: (nDocs: number, firstRow: number) => Int32Array | null;
    batchRows?: number;
    rowGroupRows?: number;
    status?: boolean;
  } = {},
) {
  const plan = await planCorpus({ inputs: [input], unitRows: 1000 });
  const pool = new SlabPool({ slabBytes: 16 << 20 });
  const sink = await openSink({
    format: 'parquet',
    path: output,
    columns: plan.columns,
    textColumn: 'text',
    extra: settings.status ? STATUS_COLUMNS : [],
    rowGroupRows: settings.rowGroupRows ?? 700,
  });
  for (const unit of plan.units) {
    for await (const { batch, carry, firstRow } of openUnit(plan, unit, pool, {
      batchRows: settings.batchRows ?? 300,
    })) {
      const n = batch.nDocs;
      await sink.write({
        text: batch.text,
        rows: settings.select?.(n, firstRow) ?? null,
        carry,
        extra: {
          gristmill_status: Array.from({ length: n }, (_, row) => (row % 2 ? 'kept' : 'edited')),
          gristmill_doc_score: Array.from({ length: n }, (_, row) => (row % 3 ? row / 4 : null)),
        },
      });
      carry.release();
      batch.release();
    }
  }
  expect(pool.slabsInUse).toBeLessThanOrEqual(1);
  return { plan, result: await sink.close() };
}

describe('Parquet to Parquet', () => {
  const variants: [string, string][] = [
    ['zstd', 'COMPRESSION zstd, ROW_GROUP_SIZE 2048'],
    ['snappy', 'COMPRESSION snappy, ROW_GROUP_SIZE 2048'],
    ['gzip', 'COMPRESSION gzip, ROW_GROUP_SIZE 2048'],
    ['none', 'COMPRESSION uncompressed, ROW_GROUP_SIZE 2048'],
    ['lz4', 'COMPRESSION lz4_raw, ROW_GROUP_SIZE 2048'],
    ['v2', 'COMPRESSION zstd, PARQUET_VERSION V2, ROW_GROUP_SIZE 2048'],
    [
      'v2 without dictionaries',
      'COMPRESSION zstd, PARQUET_VERSION V2, DICTIONARY_SIZE_LIMIT 1, ROW_GROUP_SIZE 2048',
    ],
    ['one row group', 'COMPRESSION zstd, ROW_GROUP_SIZE 1000000'],
  ];
  it.each(variants)(
    '%s: every type comes out equal, with the same types',
    async (name, copyOptions) => {
      const input = join(folder, `in ${name}.parquet`);
      const output = join(folder, `out ${name}.parquet`);
      await duck.run(`COPY (${everyTypeSql(5000)}) TO '${input}' (FORMAT parquet, ${copyOptions})`);
      const { result } = await copy(input, output);
      expect(result.rows).toBe(5000);
      expect(result.bytes).toBe((await stat(output)).size);
      expect(await query(duck, `DESCRIBE FROM '${output}'`)).toEqual(
        await query(duck, `DESCRIBE FROM '${input}'`),
      );
      expect(await differences(duck, `'${input}'`, `'${output}'`)).toBe(0);
      const sql = (file: string) => `SELECT list(id) AS ids FROM '${file}'`;
      expect(await query(duck, sql(output))).toEqual(await query(duck, sql(input)));
    },
  );

  it('selected rows and status columns', async () => {
    const input = join(folder, 'select.parquet');
    const output = join(folder, 'selected.parquet');
    await duck.run(
      `COPY (SELECT *, row_number() OVER () - 1 AS nr FROM (${everyTypeSql(3000)})) TO '${input}' (FORMAT parquet, ROW_GROUP_SIZE 2048)`,
    );
    await copy(input, output, {
      select: (n, firstRow) =>
        Int32Array.from({ length: n }, (_, row) => row).filter((row) => (row + firstRow) % 3 === 1),
      status: true,
    });
    const kept = `(SELECT * EXCLUDE (gristmill_status, gristmill_reason, gristmill_program, gristmill_doc_score) FROM '${output}')`;
    // Units begin anew with each row group: rows are counted inside the unit.
    const wanted = `(FROM '${input}' WHERE (CASE WHEN nr < 2048 THEN nr ELSE nr - 2048 END) % 3 = 1)`;
    expect(await differences(duck, kept, wanted)).toBe(0);
    const [counts] = await query(
      duck,
      `SELECT count(*)::INT AS n, count(gristmill_reason)::INT AS reasons, count(DISTINCT gristmill_status)::INT AS statuses, count(gristmill_doc_score)::INT AS scores FROM '${output}'`,
    );
    expect(counts).toMatchObject({ n: 1000, reasons: 0, statuses: 2 });
    expect(Number(counts!['scores'])).toBeGreaterThan(500);
  });

  it('the bytes do not depend on how the rows are batched', async () => {
    const input = join(folder, 'batches.parquet');
    await duck.run(
      `COPY (${everyTypeSql(2000)}) TO '${input}' (FORMAT parquet, ROW_GROUP_SIZE 2048)`,
    );
    const first = await copy(input, join(folder, 'b1.parquet'), { batchRows: 1 + 16 });
    const second = await copy(input, join(folder, 'b2.parquet'), { batchRows: 1999 });
    expect(second.result.sha256).toBe(first.result.sha256);
  });

  it('text, ids and row status as DuckDB sees them', async () => {
    const input = join(folder, 'texts.parquet');
    await duck.run(
      `COPY (${everyTypeSql(2500)}) TO '${input}' (FORMAT parquet, ROW_GROUP_SIZE 2048)`,
    );
    const expected = await query(duck, `SELECT id, text FROM '${input}'`);
    const plan = await planCorpus({ inputs: [input] });
    const pool = new SlabPool();
    let row = 0;
    for (const unit of plan.units) {
      for await (const { batch, rowStatus, carry } of openUnit(plan, unit, pool, {
        batchBytes: 20000,
      })) {
        for (let doc = 0; doc < batch.nDocs; doc++, row++) {
          const want = expected[row]!;
          expect(isNullAt(batch.text, doc)).toBe(want['text'] === null);
          expect(Buffer.from(bytesAt(batch.text, doc)).toString()).toBe(want['text'] ?? '');
          expect(Buffer.from(bytesAt(batch.id!, doc)).toString()).toBe(want['id']);
          expect(rowStatus[doc]).toBe(want['text'] === null ? 1 : 0);
        }
        carry.release();
        batch.release();
      }
    }
    expect(row).toBe(2500);
  });
});
