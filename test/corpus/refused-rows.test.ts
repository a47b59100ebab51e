/**
 * Rows with a value that the output has no form for. One string that was no UTF-8 ended the whole unit on its way from
 * Parquet or Arrow to JSON lines, without a word of where it was.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SchemaElement } from 'hyparquet';
import { afterAll, describe, expect, it } from 'vitest';
import { columnsOf, stringColumn } from '../../src/corpus/schema.ts';
import { openSink } from '../../src/corpus/sink.ts';
import type { CarriedColumns, CorpusColumn, PlainValue } from '../../src/corpus/types.ts';
import { native } from '../../src/native/index.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import type { RefineCorpusOptions } from '../../src/refine/run-options.ts';

const base = mkdtempSync(join(tmpdir(), 'gristmill-refused-'));
afterAll(() => rmSync(base, { recursive: true, force: true }));
let made = 0;

const text = { type: 'BYTE_ARRAY', converted_type: 'UTF8' } as const;
const optional = { repetition_type: 'OPTIONAL' } as const;
const key = { name: 'key', ...text, repetition_type: 'REQUIRED' } as const;
const entries = { name: 'key_value', repetition_type: 'REPEATED', num_children: 2 } as const;

function columnOf(...elements: SchemaElement[]): CorpusColumn {
  const [column] = columnsOf([{ name: 'root', num_children: 1 }, ...elements]);
  return column!;
}

const flat = columnOf({ name: 'title', ...text, ...optional });
const list = columnOf(
  { name: 'tags', ...optional, num_children: 1, converted_type: 'LIST' },
  { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
  { name: 'element', ...text, ...optional },
);
const struct = columnOf(
  { name: 'meta', ...optional, num_children: 2 },
  { name: 'url', ...text, ...optional },
  { name: 'n', type: 'INT32', ...optional },
);
const keyed = columnOf(
  { name: 'counts', ...optional, num_children: 1, converted_type: 'MAP' },
  entries,
  key,
  { name: 'value', type: 'INT32', ...optional },
);
const named = columnOf(
  { name: 'names', ...optional, num_children: 1, converted_type: 'MAP' },
  entries,
  key,
  { name: 'value', ...text, ...optional },
);
const enumeration = columnOf({
  name: 'kind',
  type: 'BYTE_ARRAY',
  converted_type: 'ENUM',
  ...optional,
});
const json = columnOf({ name: 'extra', type: 'BYTE_ARRAY', converted_type: 'JSON', ...optional });

const broken: [name: string, bytes: number[]][] = [
  ['a lone byte', [0x63, 0xff, 0x22, 0x5c, 0x0a]],
  ['half a surrogate pair', [0xed, 0xa0, 0xbd]],
  ['an overlong form', [0xc0, 0x80]],
  ['a character cut short', [0xf0, 0x9f, 0x98]],
];
const bytes = Uint8Array.from(broken[0]![1]);

/** Rows of a column beside texts, as a file. */
async function put(
  format: 'parquet' | 'arrow',
  column: CorpusColumn,
  values: readonly PlainValue[],
): Promise<string> {
  const path = join(base, `${made++}.${format}`);
  const sink = await openSink({
    format,
    path,
    columns: [stringColumn('text'), column],
    textColumn: 'text',
  });
  const texts = values.map((_, row) => Buffer.from(`text ${row} 😀`));
  await sink.write({ text: texts, rows: null, carry: carryOf(column, values), extra: {} });
  await sink.close();
  return path;
}

function carryOf(column: CorpusColumn, values: readonly PlainValue[]): CarriedColumns {
  return {
    columns: [column],
    nRows: values.length,
    select: (rows) => ({
      nRows: rows?.length ?? values.length,
      json: null,
      leaves: null,
      plain: async () => [rows ? Array.from(rows, (row) => values[row]) : values],
    }),
    release: () => undefined,
  };
}

async function refine(input: string, options: Partial<RefineCorpusOptions> = {}) {
  const out = join(base, `out-${made++}`);
  const summary = await refineCorpus({
    inputs: [input],
    out,
    documentModel: 'random:tiny',
    documentThreshold: 0,
    isolate: false,
    threads: 1,
    workers: 1,
    format: 'jsonl.zst',
    ...options,
  });
  const lines = (...names: string[]): Record<string, unknown>[] => {
    const output = new Uint8Array(1 << 20);
    const bytes = readFileSync(join(out, ...names));
    const { written } = new (native().ZstdDecoder)().decode(bytes, output);
    const all = Buffer.from(output.subarray(0, written)).toString().split('\n');
    return all.filter((line) => line !== '').map((line) => JSON.parse(line));
  };
  return { ...summary, out, lines, files: readdirSync(out) };
}

const cases: [name: string, column: CorpusColumn, good: PlainValue, bad: PlainValue][] = [
  ...broken.map(([name, all]): [string, CorpusColumn, PlainValue, PlainValue] => {
    return [`a string: ${name}`, flat, 'é', Uint8Array.from(all)];
  }),
  ['an item of a list', list, ['a', null], ['a', bytes, 'b']],
  ['a field of a struct', struct, ['u', 1], [bytes, 2]],
  [
    'a key of a map',
    keyed,
    [['k', 1]],
    [
      ['k', 1],
      [bytes, 2],
    ],
  ],
  ['a value of a map', named, [['k', 'v']], [['k', bytes]]],
  ['an enum', enumeration, 'A', bytes],
  ['JSON', json, '{"a":1}', Uint8Array.from([0x22, 0xff, 0x22])],
];

describe('text that is no UTF-8 on its way to JSON lines', () => {
  it.each(cases)('costs its row: %s', async (_, column, good, bad) => {
    for (const format of ['parquet', 'arrow'] as const) {
      const input = await put(format, column, [good, bad, null, good]);
      const { rowsIn, kept, failed, reasons, errors, lines } = await refine(input);
      expect([rowsIn, kept, failed, errors]).toEqual([4, 3, 1, []]);
      expect(reasons['field_utf8']).toBe(1);
      expect(lines('part-00000.jsonl.zst').map((row) => row['text'])).toEqual([
        'text 0 😀',
        'text 2 😀',
        'text 3 😀',
      ]);
      const [row, ...others] = lines('rejected', 'part-00000.jsonl.zst');
      expect(others).toEqual([]);
      expect(row).toMatchObject({ file: input, row: 1, reason: 'field_utf8' });
      expect(row!['detail']).toMatch(
        new RegExp(`^column ${column.name}: expected text that JSON can hold, found text that is`),
      );
      // Nothing is lost: the row as JSON, with the bytes that no JSON can hold.
      const raw = Buffer.from(row!['raw'] as string, 'base64');
      expect(raw.subarray(0, 20)).toEqual(Buffer.from('{"text":"text 1 😀"').subarray(0, 20));
      const leaf = [bad].flat(3).find((value) => value instanceof Uint8Array)!;
      const escaped = Buffer.from(
        Buffer.from(leaf)
          .toString('latin1')
          .replace('"\\\n', '\\"\\\\\\n')
          .replace(/^"(.)"$/, '\\"$1\\"'),
        'latin1',
      );
      expect(raw.includes(escaped)).toBe(true);
    }
  });

  it('says the text of a broken value, and counts what stays', async () => {
    const input = await put('parquet', flat, ['é', bytes]);
    const told: unknown[] = [];
    const onDocument: RefineCorpusOptions['onDocument'] = ({ row, status, reason }) => {
      told.push([row, status, reason]);
    };
    const { lines, charsIn, charsOut } = await refine(input, { onDocument });
    const [{ raw, detail }] = lines('rejected', 'part-00000.jsonl.zst') as [
      { raw: string; detail: string },
    ];
    expect(detail).toMatch(/\(hex 63ff225c0a\)$/);
    expect(Buffer.from(raw, 'base64').toString('latin1')).toMatch(/"title":"c\xff\\"\\\\\\n"\}$/);
    expect([charsIn, charsOut]).toEqual([16, 8]);
    expect(told[1]).toEqual([1, 'failed', 'field_utf8']);
  });

  it('rows that are dropped are written without their columns, and cost nothing', async () => {
    const input = await put('parquet', flat, ['é', bytes]);
    const { dropped, failed, files } = await refine(input, { documentThreshold: 1 });
    expect([dropped, failed]).toEqual([2, 0]);
    expect(files).not.toContain('rejected');
    // Their id is written, though, and would have come out as another one.
    const ids = await refine(input, { documentThreshold: 1, idColumn: 'title' });
    expect([ids.dropped, ids.failed]).toEqual([1, 1]);
    expect(ids.lines('rejected', 'part-00000.jsonl.zst')).toMatchObject([
      {
        row: 1,
        reason: 'field_utf8',
        detail: 'column id: expected text that JSON can hold, found text that is not UTF-8',
      },
    ]);
  });

  it('Parquet keeps it', async () => {
    const input = await put('parquet', flat, ['é', bytes]);
    const { kept, failed } = await refine(input, { format: 'parquet' });
    expect([kept, failed]).toEqual([2, 0]);
  });
});

describe('values that a typed output has no form for', () => {
  const int96 = columnOf({ name: 'at', type: 'INT96', ...optional });
  // The year 4000 is beyond the nanoseconds of 64 bits that Arrow has.
  const at = (julianDay: number): bigint => BigInt(julianDay) << 64n;

  it.each([
    ['arrow', int96, at(2_460_000), at(3_182_395), 'Arrow timestamp'],
    ['parquet', keyed, [['k', 1]], [[null, 1]], keyed.type],
    ['jsonl.zst', flat, 'a', bytes, 'text that JSON can hold'],
  ] as const)(
    'are told of by row, and the others written: %s',
    async (format, column, good, bad, expected) => {
      const values: PlainValue[] = [good, bad, null, bad, good];
      const path = join(base, `${made++}.${format}`);
      const columns = [stringColumn('text'), column];
      const open = () => openSink({ format, path, columns, textColumn: 'text', rowGroupRows: 2 });
      const sink = await open();
      const told: [number, string, string][] = [];
      const rows = {
        text: values.map((_, row) => Buffer.from(`text ${row}`)),
        rows: Int32Array.of(0, 1, 2, 3, 4),
        carry: carryOf(column, values),
        extra: {},
      };
      await sink.write({
        ...rows,
        refuse: (row, problem) => told.push([row, problem.column, problem.expected]),
      });
      expect(told).toEqual([1, 3].map((row) => [row, column.name, expected]));
      expect((await sink.close()).rows).toBe(3);
      const again = await refine(path);
      expect(again.lines('part-00000.jsonl.zst').map(({ text }) => text)).toEqual([
        'text 0',
        'text 2',
        'text 4',
      ]);
      // Without anybody to tell, the first one is an error with its place.
      const strict = await open();
      await expect(strict.write(rows)).rejects.toMatchObject({
        code: 'CORPUS_VALUE_INVALID',
        details: { row: 1, column: column.name },
      });
      await strict.abort();
    },
  );
});
