/** Tables and plain text as JSON lines, and a run over them. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { planCorpus } from '../../src/corpus/plan.ts';
import { linesOfTable } from '../../src/corpus/table-lines.ts';
import { readStrings } from '../../src/corpus/texts.ts';
import type { CorpusFormat } from '../../src/corpus/types.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import { openDuck, query } from './duck.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-tables-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Lines of bytes that come in chunks of `size`. */
async function lines(text: string | Buffer, format: CorpusFormat, size = 7): Promise<string[]> {
  const bytes = Buffer.from(text);
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size);
  }
  const parts: Buffer[] = [];
  for await (const part of linesOfTable(chunks(), { path: 'a', format })) parts.push(part);
  return Buffer.concat(parts)
    .toString()
    .split('\n')
    .filter((line) => line !== '');
}

const hex = (text: string): string => Buffer.from(text).toString('hex').toUpperCase();

const rowsOf = async (text: string | Buffer, format: CorpusFormat, size?: number) =>
  (await lines(text, format, size)).map((line) => JSON.parse(line) as unknown);

describe('a table', () => {
  it('has a line for each record, whatever stands in its quotes', async () => {
    const csv = '\ufeffid,text\r\n1,"a, ""b""\nc"\r\n\r\n2,ü\u2028\r\n3,\r\n';
    const wanted = [
      { id: '1', text: 'a, "b"\nc' },
      { id: '2', text: 'ü\u2028' },
      { id: '3', text: '' },
    ];
    for (const size of [1, 2, 3, 1000]) expect(await rowsOf(csv, 'csv', size)).toEqual(wanted);
    expect(await rowsOf('', 'csv')).toEqual([]);
    expect(await rowsOf('id,text\n', 'csv')).toEqual([]);
  });

  it('is separated by semicolons or tabs where its header has no comma', async () => {
    expect(await rowsOf('a;b\n1,5;x\n', 'csv', 100)).toEqual([{ a: '1,5', b: 'x' }]);
    expect(await rowsOf('a\tb\n1\tsay "hi"\n', 'tsv')).toEqual([{ a: '1', b: 'say "hi"' }]);
    // As pandas writes it.
    expect(await rowsOf(',text\n0,x\n', 'csv')).toEqual([{ column_1: '0', text: 'x' }]);
  });

  it('keeps records with other numbers of fields as lists, which are rejected as no objects', async () => {
    expect(await rowsOf('a,b\n1,2,"3"\n4\n5,6\n', 'csv')).toEqual([
      ['1', '2', '3'],
      ['4'],
      { a: '5', b: '6' },
    ]);
  });

  it('is refused where the next record cannot be found, or names mean two columns', async () => {
    await expect(rowsOf('a,b\n1,x"y"\n', 'csv')).rejects.toThrow(/quote/i);
    await expect(rowsOf('a,b\n1,"x\n', 'csv')).rejects.toThrow(/quote/i);
    await expect(rowsOf('a,a\n1,2\n', 'csv')).rejects.toThrow(/column a twice/);
  });

  it('reads back what was written, for any fields', async () => {
    const field = fc.string({ unit: 'binary', maxLength: 12 }).map((text) => text.toWellFormed());
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(field, field), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 40 }),
        async (rows, size) => {
          const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;
          const csv = ['k,v', ...rows.map((row) => row.map(quoted).join(','))].join('\r\n');
          const read = await rowsOf(csv, 'csv', size);
          expect(read).toEqual(rows.map(([k, v]) => ({ k, v })));
        },
      ),
    );
  });
});

describe('a text', () => {
  it('is one line, with the name of its file', async () => {
    const text = '\ufeffFirst "line"\r\n\tsecond \\ ü\n';
    for (const size of [1, 2, 5, 1000]) {
      expect(await rowsOf(text, 'txt', size)).toEqual([{ id: 'a', text: text.slice(1) }]);
    }
    expect(await rowsOf('', 'txt')).toEqual([{ id: 'a', text: '' }]);
  });
});

describe('a run over tables and texts', () => {
  it('reads what DuckDB writes, and rejects rows by their file and place', async () => {
    const csv = join(folder, 'pages.csv');
    const duck = await openDuck();
    await duck.run(
      `COPY (SELECT i AS id, 'A whole sentence, "quoted" number ' || i || E'.\\nAnother line.' AS content FROM range(50) t(i)) TO '${csv}' (HEADER)`,
    );
    const truth = (await query(duck, `FROM read_csv('${csv}')`)).map(({ content }) => content);
    const plan = await planCorpus({ inputs: [csv] });
    expect(plan).toMatchObject({ textColumn: 'content', isTextGuessed: true });
    const texts: string[] = [];
    for await (const text of readStrings(plan)) texts.push(text);
    expect(texts).toEqual(truth);

    const broken = join(folder, 'broken.tsv.gz');
    const bad = Buffer.concat([
      Buffer.from(
        'text\tlang\nA sentence that stays as it is.\ten\none\ntoo\tmany\tfields\nno utf8: ',
      ),
      Buffer.from([0xff, 0xfe]),
      Buffer.from('\tde\n'),
    ]);
    writeFileSync(broken, gzipSync(bad));
    const note = join(folder, 'note.txt');
    writeFileSync(note, 'A note of one sentence, which stays as well.\n');
    const out = join(folder, 'out');
    const summary = await refineCorpus({
      inputs: [broken, note],
      out,
      stages: ['chunk'],
      format: 'parquet',
      isolate: false,
    });
    expect(summary).toMatchObject({ rowsIn: 5, failed: 3, dropped: 0, errors: [] });
    expect(summary.reasons).toMatchObject({ line_invalid: 2, invalid_utf8: 1 });
    const rejected = await query(
      duck,
      `SELECT file, row, reason, hex(raw) AS raw FROM '${out}/rejected/*.parquet' ORDER BY row`,
    );
    expect(rejected).toMatchObject([
      { file: broken, reason: 'line_invalid', raw: hex('["one"]') },
      { file: broken, reason: 'line_invalid', raw: hex('["too","many","fields"]') },
      { file: broken, reason: 'invalid_utf8' },
    ]);
    expect(rejected.map(({ row }) => Number(row))).toEqual([1, 2, 3]);
    const kept = await query(
      duck,
      `SELECT text, lang, id FROM read_parquet('${out}/part-*.parquet', union_by_name = true) ORDER BY lang`,
    );
    expect(kept.map(({ text }) => text)).toEqual([
      'A sentence that stays as it is.',
      'A note of one sentence, which stays as well.\n',
    ]);
    expect(readFileSync(join(out, '_gristmill/run.json'), 'utf8')).toContain('note.txt');
  });

  it('fails a table that cannot be read on, by its file', async () => {
    const cut = join(folder, 'cut.csv');
    writeFileSync(cut, `text,n\nA sentence.,1\n"an open quote,2\n`);
    await expect(planCorpus({ inputs: [cut] })).rejects.toMatchObject({
      code: 'CORPUS_FILE_INVALID',
      details: { file: cut, reason: expect.stringMatching(/quote/i) },
    });
  });
});

describe('lines of plain text', () => {
  it('are documents but for blank ones, as a naive reader splits them', async () => {
    const piece = fc.constantFrom(
      'a',
      'ß',
      '漢',
      '"',
      '\\',
      ' ',
      '\t',
      '\r',
      '\n',
      '\r\n',
      '\n\n',
      '\u2028',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 40 }),
        fc.integer({ min: 1, max: 9 }),
        async (pieces, size) => {
          const text = pieces.join('');
          const wanted = text
            .split('\n')
            .map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line))
            .filter((line) => !/^[ \t\r]*$/.test(line));
          const found = (await rowsOf(`\ufeff${text}`, 'lines', size)) as { text: string }[];
          expect(found.map((row) => row.text)).toEqual(wanted);
        },
      ),
    );
  });

  it('are what a run reads where a document is a line', async () => {
    const path = join(folder, 'lines.txt');
    writeFileSync(path, 'one\n\ntwo\nthree');
    const perLine = await planCorpus({ inputs: [path], textPer: 'line' });
    const perFile = await planCorpus({ inputs: [path] });
    const read = async (plan: typeof perLine) => {
      const texts: string[] = [];
      for await (const text of readStrings(plan)) texts.push(text);
      return texts;
    };
    expect(await read(perLine)).toEqual(['one', 'two', 'three']);
    expect(await read(perFile)).toEqual(['one\n\ntwo\nthree']);
  });
});
