import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { afterAll, describe, expect, it } from 'vitest';
import { readWindowExamples, writeWindowExamples } from '../../src/annotate/example-file.ts';
import type { WindowExample } from '../../src/annotate/types.ts';
import { COMPRESSORS } from '../../src/corpus/parquet-file.ts';
import { flatColumn, stringColumn } from '../../src/corpus/schema.ts';
import { openSink } from '../../src/corpus/sink.ts';
import type { GristmillError } from '../../src/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-examples-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const EXAMPLE: WindowExample = {
  id: 'page-1',
  domain: 'example.org',
  language: 'en',
  split: 'validation',
  text: 'Home | About\nA sentence of the page, long enough.\n',
  lineStart: 4,
  lineEnd: 7,
  dialect: 'prox',
  program: 'remove_lines(start=4, end=4)',
  refined: 'A sentence of the page, long enough.\n',
  way: 'programs',
  expert: 'expert-a',
  requests: 'abc def',
};

/** The row of an example as JSON lines have it. */
function rowOf(example: WindowExample): Record<string, unknown> {
  const { lineStart, lineEnd, ...rest } = example;
  return { ...rest, line_start: lineStart, line_end: lineEnd };
}

async function readAll(file: string): Promise<WindowExample[]> {
  const rows: WindowExample[] = [];
  for await (const row of readWindowExamples(file)) rows.push(row);
  return rows;
}

async function failure(promise: Promise<unknown>): Promise<GristmillError> {
  return promise.then(
    () => expect.unreachable('it should have failed'),
    (error: GristmillError) => error,
  );
}

describe('window examples', () => {
  it('come back from Parquet as they went in', async () => {
    const examples: WindowExample[] = [
      EXAMPLE,
      { ...EXAMPLE, id: '', text: '', lineStart: 0, lineEnd: 1, refined: '', requests: '' },
      {
        ...EXAMPLE,
        text: '\u{1F33E} müll\n\u2028x\n\0',
        dialect: 'ultrax',
        way: 'gold',
        split: 'train',
      },
      {
        ...EXAMPLE,
        text: `${'x'.repeat(200_000)}\n\n`,
        lineStart: 2 ** 31 - 5,
        lineEnd: 2 ** 31 - 2,
      },
    ];
    const file = join(folder, 'round.parquet');
    const result = await writeWindowExamples(file, examples);
    expect(result.rows).toBe(4);
    expect(await readAll(file)).toEqual(examples);
    expect(readdirSync(folder).filter((name) => name.includes('partial'))).toEqual([]);
  });

  it('have integers for line numbers and snake case names in Parquet', async () => {
    const file = join(folder, 'types.parquet');
    await writeWindowExamples(file, [EXAMPLE]);
    const buffer = await asyncBufferFromFile(file);
    const { schema } = await parquetMetadataAsync(buffer);
    expect(schema.slice(1).map(({ name, type }) => [name, type])).toContainEqual([
      'line_start',
      'INT64',
    ]);
    const [row] = await parquetReadObjects({
      file: buffer,
      columns: ['id', 'line_end'],
      compressors: COMPRESSORS,
    });
    expect(row).toEqual({ id: 'page-1', line_end: 7n });
  });

  it('stream past many batches in order, and no rows make a readable file', async () => {
    const file = join(folder, 'many.parquet');
    async function* many(): AsyncGenerator<WindowExample> {
      for (let row = 0; row < 12_345; row++) yield { ...EXAMPLE, id: String(row) };
    }
    await writeWindowExamples(file, many());
    const ids = (await readAll(file)).map(({ id }) => id);
    expect(ids).toEqual(Array.from({ length: 12_345 }, (_, row) => String(row)));
    await writeWindowExamples(file, []);
    expect(await readAll(file)).toEqual([]);
  });

  it('are read from JSON lines, plain and compressed, other columns ignored', async () => {
    const lines = `${JSON.stringify({ ...rowOf(EXAMPLE), extra: [1] })}\n`;
    const plain = join(folder, 'rows.jsonl');
    const packed = join(folder, 'rows.jsonl.gz');
    writeFileSync(plain, lines);
    writeFileSync(packed, gzipSync(lines));
    expect(await readAll(plain)).toEqual([EXAMPLE]);
    expect(await readAll(packed)).toEqual([EXAMPLE]);
  });

  const hostile: readonly (readonly [string, Record<string, unknown>, string, string])[] = [
    ['line_end before line_start', { line_end: 3 }, 'line_end', 'above line_start (4)'],
    ['an empty window', { line_end: 4 }, 'line_end', 'above line_start (4)'],
    ['a text of other lines', { line_end: 6 }, 'text', '2 lines'],
    ['an unknown dialect', { dialect: 'cobol' }, 'dialect', 'cobol'],
    ['an unknown split', { split: 'test' }, 'split', 'test'],
    ['an unknown way', { way: 'guess' }, 'way', 'guess'],
    ['a lone surrogate', { program: 'normalize("\ud800")' }, 'program', 'surrogate'],
    ['a number for a string', { id: 7 }, 'id', 'a string'],
    ['a string for a number', { line_start: '4' }, 'line_start', 'a whole number'],
    ['a negative line', { line_start: -1 }, 'line_start', '-1'],
    ['a line beyond any document', { line_start: 2 ** 40 }, 'line_start', '0..'],
    ['a fraction', { line_start: 4.5 }, 'line_start', '4.5'],
    ['null', { refined: null }, 'refined', 'null'],
    ['nothing', { expert: undefined }, 'expert', 'nothing'],
  ];
  it.each(hostile)('refuse %s, naming file, row and column', async (_, change, column, words) => {
    const file = join(folder, 'hostile.jsonl');
    const bad = { ...rowOf(EXAMPLE), ...change };
    writeFileSync(file, `${JSON.stringify(rowOf(EXAMPLE))}\n${JSON.stringify(bad)}\n`);
    const error = await failure(readAll(file));
    expect(error.code).toBe('CORPUS_VALUE_INVALID');
    expect(error.details).toMatchObject({ file, row: 1, column });
    expect(error.message).toContain(words);
  });

  it('are refused by the writer too, which leaves the old file and nothing partial', async () => {
    const file = join(folder, 'kept.parquet');
    await writeWindowExamples(file, [EXAMPLE]);
    const error = await failure(
      writeWindowExamples(file, [EXAMPLE, { ...EXAMPLE, refined: '\udc00' }]),
    );
    expect(error.details).toMatchObject({ row: 1, column: 'refined' });
    expect(await readAll(file)).toEqual([EXAMPLE]);
    expect(readdirSync(folder).filter((name) => name.includes('partial'))).toEqual([]);
  });

  it('name a missing column, a wrong type, bytes that are no text, and an unknown format', async () => {
    const file = join(folder, 'foreign.parquet');
    const columns = Object.entries(rowOf(EXAMPLE)).map(([name, value]) =>
      typeof value === 'number'
        ? flatColumn({ name, type: 'INT32', repetition_type: 'OPTIONAL' })
        : stringColumn(name),
    );
    const write = async (made: typeof columns, text: Uint8Array): Promise<void> => {
      const sink = await openSink({
        format: 'parquet',
        path: file,
        columns: made,
        textColumn: 'text',
      });
      const row = new Map(Object.entries(rowOf(EXAMPLE)));
      const values = made.map(({ name }) => [row.get(name)]);
      const rows = { nRows: 1, json: null, leaves: null, plain: async () => values };
      const carry = { columns: made, nRows: 1, select: () => rows, release: () => undefined };
      await sink.write({ text: [text], rows: null, carry: carry as never, extra: {} });
      await sink.close();
    };
    const text = Buffer.from(EXAMPLE.text);
    await write(columns, text);
    expect(await readAll(file)).toEqual([EXAMPLE]);
    await write(
      columns.filter(({ name }) => name !== 'program'),
      text,
    );
    const missing = await failure(readAll(file));
    expect([missing.code, missing.details['column']]).toEqual(['CORPUS_COLUMN_MISSING', 'program']);
    await write(columns, Buffer.from([0x61, 0xff, 10, 10]));
    expect((await failure(readAll(file))).details).toMatchObject({ row: 0, column: 'text' });
    const other = join(folder, 'notes.txt');
    writeFileSync(other, '');
    expect((await failure(readAll(other))).code).toBe('CORPUS_FORMAT_UNKNOWN');
    const gone = join(folder, 'gone.parquet');
    expect((await failure(readAll(gone))).code).toBe('CORPUS_READ_FAILED');
  });

  it('stop when told to', async () => {
    const signal = AbortSignal.abort();
    const file = join(folder, 'aborted.parquet');
    expect((await failure(writeWindowExamples(file, [EXAMPLE], { signal }))).code).toBe('ABORTED');
    expect(readdirSync(folder)).not.toContain('aborted.parquet');
  });
});
