import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { readFooter } from '../../src/corpus/parquet-file.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { openSink } from '../../src/corpus/sink.ts';
import { openUnit } from '../../src/corpus/unit.ts';
import { GristmillError } from '../../src/errors.ts';
import { everyTypeSql, openDuck } from './duck.ts';

let folder: string;
let duck: DuckDBConnection;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gristmill-damage-'));
  duck = await openDuck();
});

afterAll(async () => {
  duck.closeSync();
  await rm(folder, { recursive: true, force: true });
});

/** Reads and copies everything; the rows, or the coded error. */
async function readAll(path: string): Promise<number | GristmillError> {
  const pool = new SlabPool({ slabBytes: 4 << 20 });
  let rows = 0;
  try {
    const plan = await planCorpus({ inputs: [path], failFast: true });
    const sink = await openSink({
      format: 'parquet',
      path: `${path}.out`,
      columns: plan.columns,
      textColumn: 'text',
    });
    try {
      for (const unit of plan.units) {
        for await (const { batch, carry } of openUnit(plan, unit, pool)) {
          try {
            await sink.write({ text: batch.text, rows: null, carry, extra: {} });
            rows += batch.nDocs;
          } finally {
            carry.release();
            batch.release();
          }
        }
      }
    } finally {
      await sink.abort();
    }
    return rows;
  } catch (error) {
    if (error instanceof GristmillError) return error;
    throw error;
  }
}

describe('damaged Parquet', () => {
  it.each(['zstd', 'snappy', 'gzip', 'uncompressed'])(
    '%s: flipped bits anywhere are a coded error or other values, never a crash',
    async (codec) => {
      const path = join(folder, `${codec}.parquet`);
      await duck.run(
        `COPY (${everyTypeSql(400)}) TO '${path}' (FORMAT parquet, COMPRESSION ${codec})`,
      );
      const bytes = await readFile(path);
      const damaged = join(folder, `${codec}-damaged.parquet`);
      let errors = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(7)), {
            minLength: 1,
            maxLength: 3,
          }),
          async (flips) => {
            const copy = Buffer.from(bytes);
            for (const [where, bit] of flips)
              copy[Math.min(copy.length - 1, Math.floor(where * copy.length))]! ^= 1 << bit;
            await writeFile(damaged, copy);
            if ((await readAll(damaged)) instanceof GristmillError) errors++;
          },
        ),
        { numRuns: 120 },
      );
      expect(errors).toBeGreaterThan(0);
    },
    60_000,
  );

  it('a page that is damaged is named: file, row group, column, byte', async () => {
    const path = join(folder, 'named.parquet');
    await duck.run(
      `COPY (SELECT i AS id, repeat('text ' || i, 20) AS text FROM range(6000) t(i)) TO '${path}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 2048)`,
    );
    const bytes = await readFile(path);
    const meta = (await readFooter(path)).row_groups[1]!.columns.find(
      (c) => c.meta_data!.path_in_schema[0] === 'text',
    )!.meta_data!;
    const offset = Number(meta.dictionary_page_offset || meta.data_page_offset);
    bytes.fill(0xee, offset + 60, offset + 160);
    await writeFile(path, bytes);
    expect(await readAll(path)).toMatchObject({
      code: 'CORPUS_CORRUPT',
      details: {
        file: path,
        rowGroup: '1',
        column: 'text',
        offset: expect.stringMatching(/^\d+$/),
      },
    });
  });

  it('our own pages carry checksums: any flipped bit of a page is found', async () => {
    const path = join(folder, 'own.parquet');
    const sink = await openSink({ format: 'parquet', path, columns: [], textColumn: 'text' });
    const texts = Array.from({ length: 500 }, (_, n) => Buffer.from(`row ${n} `.repeat(20)));
    await sink.write({ text: texts, rows: null, carry: null, extra: {} });
    await sink.close();
    const bytes = await readFile(path);
    const meta = (await readFooter(path)).row_groups[0]!.columns[0]!.meta_data!;
    const [start, length] = [Number(meta.data_page_offset), Number(meta.total_compressed_size)];
    for (let at = start + 40; at < start + length; at += 7) {
      const copy = Buffer.from(bytes);
      copy[at]! ^= 1 << (at % 8);
      await writeFile(path, copy);
      expect(await readAll(path)).toMatchObject({ code: 'CORPUS_CORRUPT' });
    }
  });

  it('cut files are coded errors at every length', async () => {
    const path = join(folder, 'whole.parquet');
    await duck.run(`COPY (${everyTypeSql(50)}) TO '${path}' (FORMAT parquet)`);
    const bytes = await readFile(path);
    const cut = join(folder, 'cut.parquet');
    for (let length = 0; length < bytes.length; length += Math.ceil(bytes.length / 60)) {
      await writeFile(cut, bytes.subarray(0, length));
      expect(await readAll(cut)).toMatchObject({ code: 'CORPUS_FILE_INVALID' });
    }
  });

  it('a file that shrinks after planning is a coded error', async () => {
    const path = join(folder, 'shrinks.parquet');
    await duck.run(`COPY (${everyTypeSql(5000)}) TO '${path}' (FORMAT parquet)`);
    const plan = await planCorpus({ inputs: [path] });
    await writeFile(path, (await readFile(path)).subarray(0, 200));
    const read = async () => {
      for await (const { batch } of openUnit(plan, plan.units[0]!, new SlabPool())) batch.release();
    };
    await expect(read()).rejects.toMatchObject({ code: 'CORPUS_CHANGED' });
  });

  it('texts that are not UTF-8 travel on, marked', async () => {
    const path = join(folder, 'invalid.parquet');
    const sink = await openSink({ format: 'parquet', path, columns: [], textColumn: 'text' });
    const texts = [
      Buffer.from('fine'),
      Buffer.from([0xff, 0xfe]),
      null,
      Buffer.from([0xed, 0xa0, 0x80]),
      Buffer.from('é'),
    ];
    await sink.write({ text: texts, rows: null, carry: null, extra: {} });
    await sink.close();
    const plan = await planCorpus({ inputs: [path] });
    for await (const { batch, rowStatus } of openUnit(plan, plan.units[0]!, new SlabPool())) {
      expect([...rowStatus]).toEqual([0, 2, 1, 2, 0]);
      expect(Buffer.from(batch.text.data)).toEqual(
        Buffer.concat(texts.filter((text) => text !== null)),
      );
      batch.release();
    }
  });
});
