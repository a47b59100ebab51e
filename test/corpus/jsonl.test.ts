import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytesAt } from '../../src/batch/document-batch.ts';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { readLines } from '../../src/corpus/byte-lines.ts';
import { onlyColumns } from '../../src/corpus/columns.ts';
import { jsonFields } from '../../src/corpus/json-line.ts';
import { type PlanOptions, planCorpus } from '../../src/corpus/plan.ts';
import { readRowBatches } from '../../src/corpus/rows.ts';
import { openSink } from '../../src/corpus/sink.ts';
import type { SinkFormat } from '../../src/corpus/types.ts';
import { openUnit } from '../../src/corpus/unit.ts';
import { native } from '../../src/native/index.ts';
import { openDuck, query } from './duck.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gristmill-jsonl-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function copy(
  inputs: string[],
  output: string,
  format: SinkFormat,
  options: Partial<PlanOptions> = {},
) {
  const plan = await planCorpus({ inputs, failFast: true, ...options });
  const sink = await openSink({
    format,
    path: output,
    columns: plan.columns,
    textColumn: 'text',
    extra: [{ name: 'gristmill_status', type: 'string' }],
  });
  const pool = new SlabPool({ slabBytes: 4 << 20 });
  try {
    for (const unit of plan.units) {
      for await (const { batch, carry } of openUnit(plan, unit, pool, { batchRows: 7 })) {
        await sink.write({
          text: batch.text,
          rows: null,
          carry,
          extra: { gristmill_status: new Array(batch.nDocs).fill('kept') },
        });
        carry.release();
        batch.release();
      }
    }
  } catch (error) {
    await sink.abort();
    throw error;
  }
  return { plan, result: await sink.close() };
}

async function linesOf(path: string): Promise<string[]> {
  const bytes = await readFile(path);
  const output = Buffer.alloc(8 << 20);
  const step = new (native().ZstdDecoder)().decode(bytes, output);
  expect(step.done).toBe(true);
  return output.subarray(0, step.written).toString().split('\n').slice(0, -1);
}

const rows = [
  '{"id":12345678901234567890123,"text":"plain","n":1.50,"s":"\\u00e9\\/"}',
  '{ "text" : "with \\"quotes\\", {braces} and \\\\" , "list":[1,{"a":"}\\"]"},null], "id":"x" }',
  '{"text":"漢字 🙂\\n\\u0000","extra":{"deep":[[]]},"flag":true}',
  '{"text":null}',
  '{"other":1}',
];

describe('JSON lines', () => {
  it.each(['jsonl', 'jsonl.gz', 'jsonl.zst'])(
    '%s in, jsonl.zst out: other fields keep their very text',
    async (extension) => {
      const text = `\uFEFF${rows[0]}\r\n\r\n  \n${rows.slice(1).join('\n')}`;
      const bytes = Buffer.from(text);
      const packed =
        extension === 'jsonl.gz'
          ? gzipSync(bytes)
          : extension === 'jsonl.zst'
            ? native().zstdCompress(bytes, 3)
            : bytes;
      const input = join(folder, `rows.${extension}`);
      await writeFile(input, packed);
      const { result } = await copy([input], join(folder, 'out.jsonl.zst'), 'jsonl.zst');
      expect(result.rows).toBe(5);
      const lines = await linesOf(join(folder, 'out.jsonl.zst'));
      for (const [at, line] of lines.entries()) {
        const { text: _, ...source } = Object.fromEntries(jsonFields(rows[at]!));
        const {
          text: after,
          gristmill_status: status,
          ...copied
        } = Object.fromEntries(jsonFields(line));
        expect(copied).toEqual(source);
        expect(JSON.parse(after!)).toBe(JSON.parse(rows[at]!).text ?? null);
        expect(status).toBe('"kept"');
      }
    },
  );

  it('units at any byte split every line exactly once', async () => {
    const lines = Array.from({ length: 23 }, (_, n) =>
      JSON.stringify({ text: 'é'.repeat((n * 7) % 23), n }),
    );
    const input = join(folder, 'split.jsonl');
    await writeFile(input, lines.join('\n'));
    for (const unitBytes of [1, 13, 64, 100, 1000, 1e6]) {
      const plan = await planCorpus({ inputs: [input], unitBytes });
      const seen: string[] = [];
      const pool = new SlabPool({ slabBytes: 1 << 16 });
      for (const unit of plan.units) {
        for await (const { batch, carry } of openUnit(plan, unit, pool)) {
          const fields = carry.select(null).json!;
          for (let row = 0; row < batch.nDocs; row++) {
            const text = Buffer.from(bytesAt(batch.text, row)).toString();
            seen.push(JSON.stringify({ text, n: Number(fields[row]!.get('n')) }));
          }
          batch.release();
        }
      }
      expect(seen).toEqual(lines);
    }
  });

  it('becomes typed Parquet columns', async () => {
    const input = join(folder, 'typed.jsonl');
    const values = Array.from({ length: 50 }, (_, n) => ({
      text: `t${n}`,
      id: n,
      score: n % 2 ? n / 4 : n,
      ok: n % 3 === 0,
      meta: n % 5 ? { n } : 'word',
      name: n % 7 ? `n${n}` : null,
    }));
    await writeFile(input, values.map((value) => JSON.stringify(value)).join('\n'));
    const output = join(folder, 'typed.parquet');
    await copy([input], output, 'parquet');
    const duck = await openDuck();
    const types = await query(
      duck,
      `SELECT column_name AS name, column_type AS type FROM (DESCRIBE FROM '${output}')`,
    );
    expect(types.map((row) => `${row['name']} ${row['type']}`)).toEqual([
      'text VARCHAR',
      'id BIGINT',
      'score DOUBLE',
      'ok BOOLEAN',
      'meta JSON',
      'name VARCHAR',
      'gristmill_status VARCHAR',
    ]);
    const read = await query(duck, `SELECT * EXCLUDE gristmill_status FROM '${output}'`);
    expect(
      read.map((row) => ({
        ...row,
        id: Number(row['id']),
        meta: JSON.parse(row['meta'] as string),
      })),
    ).toEqual(values);
    duck.closeSync();
  });

  it('names file and line of what is wrong', async () => {
    const input = join(folder, 'bad.jsonl');
    const good = '{"text":"fine"}\n';
    await writeFile(input, `${good.repeat(200)}{"text": nope}\n${good}`);
    const plan = await planCorpus({ inputs: [input], unitBytes: 500, inferLines: 10 });
    const read = async () => {
      for (const unit of plan.units) {
        for await (const { batch } of openUnit(plan, unit, new SlabPool())) batch.release();
      }
    };
    await expect(read()).rejects.toMatchObject({
      code: 'CORPUS_LINE_INVALID',
      details: { file: input, line: 201 },
    });
    const cut = join(folder, 'cut.jsonl.zst');
    await writeFile(
      cut,
      native()
        .zstdCompress(Buffer.from(good.repeat(1000)), 3)
        .subarray(0, 25),
    );
    await expect(planCorpus({ inputs: [cut] })).rejects.toMatchObject({
      code: 'CORPUS_FILE_INVALID',
    });
    const cutGzip = join(folder, 'cut.jsonl.gz');
    await writeFile(cutGzip, gzipSync(Buffer.from(good.repeat(1000))).subarray(0, 30));
    await expect(planCorpus({ inputs: [cutGzip] })).rejects.toMatchObject({
      code: 'CORPUS_FILE_INVALID',
    });
  });

  it('a value that the sampled columns cannot hold is refused, not lost', async () => {
    const input = join(folder, 'late.jsonl');
    const output = join(folder, 'late.parquet');
    await writeFile(input, '{"text":"a","n":1}\n{"text":"b","n":"two"}\n');
    await expect(copy([input], output, 'parquet', { inferLines: 1 })).rejects.toMatchObject({
      code: 'CORPUS_VALUE_INVALID',
      details: { row: 1, column: 'n' },
    });
    await writeFile(input, '{"text":"a","n":1}\n{"text":"b","late":"two"}\n');
    await expect(copy([input], output, 'parquet', { inferLines: 1 })).rejects.toMatchObject({
      code: 'CORPUS_VALUE_INVALID',
      details: { row: 1, column: 'late' },
    });
  });

  it('fields that nobody reads may come late, ones that a copy would lose may not', async () => {
    const input = join(folder, 'late-other.jsonl');
    await writeFile(
      input,
      '{"text":"a","domain":"x"}\n{"text":"b","domain":"y","late":1,"late":2}\n',
    );
    const whole = await planCorpus({ inputs: [input], inferLines: 1 });
    const read = async (plan: typeof whole): Promise<unknown[]> => {
      const domains: unknown[] = [];
      for await (const { columns } of readRowBatches(plan)) {
        domains.push(...(await columns()).get('domain')!);
      }
      return domains;
    };
    expect(await read(onlyColumns(whole, new Set(['text', 'domain'])))).toEqual(['x', 'y']);
    await expect(read(whole)).rejects.toMatchObject({ details: { row: 1, column: 'late' } });
    const all = await planCorpus({ inputs: [input], inferLines: 'all' });
    await expect(read(all)).rejects.toMatchObject({ details: { expected: 'one value' } });
  });

  it('property: fields are what JSON.parse sees', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.boolean(), (object, spaced) => {
        const line = JSON.stringify(object, null, spaced ? 1 : undefined).replaceAll('\n', ' ');
        const fields = jsonFields(line);
        const parsed = JSON.parse(line) as Record<string, unknown>;
        expect([...fields].map(([name]) => name).sort()).toEqual(Object.keys(parsed).sort());
        for (const [key, raw] of fields) expect(JSON.parse(raw)).toEqual(parsed[key]);
      }),
    );
  });

  it('property: lines in any order of chunks are what split gives', async () => {
    const file = join(folder, 'lines.jsonl');
    const part = fc.constantFrom('a', '"b"', '\n', '\r\n', ' ', 'é', '\n\n');
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 60 }), fc.nat(50), async (parts, from) => {
        const text = parts.join('');
        await writeFile(file, text);
        const lines: string[] = [];
        const source = {
          path: file,
          format: 'jsonl' as const,
          byteStart: 0,
          byteEnd: from,
          maxLineBytes: 1000,
        };
        for (const range of [source, { ...source, byteStart: from, byteEnd: null }]) {
          for await (const group of readLines(range))
            lines.push(...group.map(({ bytes }) => bytes.toString()));
        }
        const expected = text
          .split('\n')
          .map((line) => line.replace(/\r$/, ''))
          .filter((line) => line.trim() !== '');
        expect(lines).toEqual(expected);
      }),
      { numRuns: 60 },
    );
  });
});
