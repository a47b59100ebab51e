/**
 * Values of foreign Parquet files in all three outputs. Each file is the smallest that once came out wrong or was
 * refused; what the values are was read with pyarrow and DuckDB when the fixture was made.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { readRowBatches } from '../../src/corpus/rows.ts';
import { openSink } from '../../src/corpus/sink.ts';
import type { CorpusPlan, SinkFormat } from '../../src/corpus/types.ts';
import { openUnit } from '../../src/corpus/unit.ts';
import { native } from '../../src/native/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-parquet-values-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const fixture = (name: string): string => join(import.meta.dirname, 'fixtures', `${name}.parquet`);

async function copy(plan: CorpusPlan, format: SinkFormat, path: string): Promise<void> {
  const { columns, textColumn } = plan;
  const sink = await openSink({ format, path, columns, textColumn });
  const pool = new SlabPool({ slabBytes: 1 << 20 });
  for (const unit of plan.units) {
    for await (const { batch, carry } of openUnit(plan, unit, pool)) {
      await sink.write({ text: batch.text, rows: null, carry, extra: {} });
      carry.release();
      batch.release();
    }
  }
  await sink.close();
}

function unzstd(path: string): string {
  const decoder = new (native().ZstdDecoder)();
  const from = readFileSync(path);
  const into = Buffer.alloc(1 << 20);
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const { read, written } = decoder.decode(from.subarray(at), into);
    if (read === 0 && written === 0) return Buffer.concat(parts).toString();
    parts.push(Buffer.from(into.subarray(0, written)));
    at += read;
  }
}

/** Lines of the JSON output without their texts. */
async function linesOf(plan: CorpusPlan): Promise<string[]> {
  const path = join(folder, 'out.jsonl.zst');
  await copy(plan, 'jsonl.zst', path);
  return unzstd(path)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.replace(/"text":"[^"]*",?/, ''));
}

const TEXT_ELEMENT = {
  name: 'text',
  type: 'BYTE_ARRAY' as const,
  converted_type: 'UTF8' as const,
  repetition_type: 'OPTIONAL' as const,
};

const VALUES: Record<string, { lines: string[]; arrow?: string[] }> = {
  // A struct beside a flat column with its dotted name was nulled: paths were joined by dots.
  'dotted-column': {
    lines: ['{"meta.url":1,"meta":{"url":10}}', '{"meta.url":2,"meta":{"url":20}}'],
  },
  // The first of two columns of one name came out twice.
  'duplicate-columns': { lines: ['{"x":1,"x":10}', '{"x":2,"x":20}'] },
  // INT96 became the text of a Date, or lost six digits.
  'int96-timestamps': { lines: ['{"ts":"2024-01-01T20:34:56.123456789"}'] },
  // Integer-like keys were sorted and repeated keys lost: maps were objects.
  'map-keys': { lines: ['{"m":{"10":1,"9":2}}', '{"m":{"dup":1,"dup":2}}'] },
  // A column of this name set the prototype of its row.
  'proto-column': { lines: ['{"__proto__":7}'] },
  // An empty repeated field became null.
  'repeated-without-list': { lines: ['{"nums":[1,2]}', '{"nums":[]}'] },
  // The decoded value was dropped: both bytes were null.
  variant: { lines: ['{"v":{"metadata":"AQAA","value":"DCo="}}'] },
  // "Cannot read properties of undefined".
  'unknown-logical-type': { lines: ['{"u":"eA=="}'] },
  // DuckDB once wrote 0 for the uncompressed size of a chunk.
  'uncompressed-size-zero': { lines: [`{"pad":"${'x'.repeat(300_000)}"}`] },
  // Brotli and LZ4 were "corrupt".
  brotli: { lines: ['{}'] },
  // A row group without rows has no pages, and whatever offsets.
  'empty-row-group': { lines: [] },
};

describe('maps with optional keys', () => {
  it('are Arrow maps, whose keys are never null; a null key is refused by name', async () => {
    // Keys were declared nullable, which other readers refuse; a null one would be another value.
    const element = { repetition_type: 'OPTIONAL' as const };
    const column = {
      name: 'm',
      type: 'map<int32, int32>',
      elements: [
        { name: 'm', ...element, converted_type: 'MAP' as const, num_children: 1 },
        { name: 'key_value', repetition_type: 'REPEATED' as const, num_children: 2 },
        { name: 'key', ...element, type: 'INT32' as const },
        { name: 'value', ...element, type: 'INT32' as const },
      ],
    };
    const text = { name: 'text', type: 'string', elements: [TEXT_ELEMENT] };
    const write = async (key: number | null): Promise<string> => {
      const path = join(folder, 'keys.arrow');
      const sink = await openSink({
        format: 'arrow',
        path,
        columns: [text, column],
        textColumn: 'text',
      });
      const carry = {
        columns: [column],
        nRows: 1,
        select: () => ({ nRows: 1, json: null, leaves: null, plain: async () => [[[[key, 5]]]] }),
        release: () => undefined,
      };
      await sink.write({ text: [Buffer.from('a')], rows: null, carry, extra: {} });
      await sink.close();
      return path;
    };
    expect(await linesOf(await planCorpus({ inputs: [await write(7)] }))).toEqual([
      '{"m":{"7":5}}',
    ]);
    await expect(write(null)).rejects.toMatchObject({
      code: 'CORPUS_VALUE_INVALID',
      message: expect.stringContaining('a map with a null key'),
    });
  });
});

describe('values of foreign files', () => {
  it.each(Object.entries(VALUES))('%s', async (name, { lines }) => {
    const plan = await planCorpus({ inputs: [fixture(name === 'brotli' ? 'codecs' : name)] });
    expect(await linesOf(plan)).toEqual(lines);
    for (const format of ['parquet', 'arrow'] as const) {
      const path = join(folder, `${name}.${format}`);
      await copy(plan, format, path);
      if (lines.length === 0) continue;
      expect(await linesOf(await planCorpus({ inputs: [path] })), format).toEqual(lines);
    }
  });

  it('rooms above read columns by name, the first of a name that repeats', async () => {
    const plan = await planCorpus({ inputs: [fixture('duplicate-columns')] });
    for await (const { columns } of readRowBatches(plan)) {
      expect((await columns()).get('x')).toEqual([1n, 2n]);
    }
  });

  it('structs without fields are named, never an uncoded end', async () => {
    // A native error ended the whole run.
    await expect(planCorpus({ inputs: [fixture('empty-struct')] })).rejects.toMatchObject({
      code: 'CORPUS_UNSUPPORTED',
      message: expect.stringContaining('a struct without fields'),
    });
  });

  it('damage in a column beside one of the same name is CORPUS_CORRUPT in every output', async () => {
    // hyparquet read the second x beside the first, dropped its promise, and the process died of the rejection.
    const plan = await planCorpus({ inputs: [fixture('unhandled-rejection')] });
    for (const format of ['parquet', 'jsonl.zst', 'arrow'] as const) {
      await expect(copy(plan, format, join(folder, `damaged.${format}`))).rejects.toMatchObject({
        code: 'CORPUS_CORRUPT',
      });
    }
  });
});
