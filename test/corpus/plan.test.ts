import { appendFile, copyFile, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fingerprintOf } from '../../src/corpus/inputs.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { describePlan } from '../../src/refine/plan-overview.ts';
import { openDuck } from './duck.ts';

let folder: string;
let duck: DuckDBConnection;
let docs: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gristmill-plan-'));
  duck = await openDuck();
  docs = join(folder, 'docs');
  await mkdir(join(docs, 'deep', '_gristmill'), { recursive: true });
  const rows = `SELECT i AS id, 'text ' || i AS text, i * 2 AS extra FROM range(10000) t(i)`;
  await duck.run(`COPY (${rows}) TO '${docs}/b.parquet' (FORMAT parquet, ROW_GROUP_SIZE 2048)`);
  await copyFile(`${docs}/b.parquet`, `${docs}/deep/a.parquet`);
  await copyFile(`${docs}/b.parquet`, `${docs}/deep/_gristmill/hidden.parquet`);
  await writeFile(`${docs}/notes.xyz`, 'not a corpus');
});

afterAll(async () => {
  duck.closeSync();
  await rm(folder, { recursive: true, force: true });
});

describe('planCorpus', () => {
  it('takes files, directories and globs, each file once, in order', async () => {
    const plan = await planCorpus({ inputs: [docs, `${docs}/*.parquet`, `${docs}/b.parquet`] });
    expect(plan.files.map((file) => file.path)).toEqual([
      `${docs}/b.parquet`,
      `${docs}/deep/a.parquet`,
    ]);
    expect(plan.files.every((file) => file.rows === 10000)).toBe(true);
    expect(plan.idColumn).toBe('id');
    expect(plan.columns.map((column) => [column.name, column.type])).toEqual([
      ['id', 'int64'],
      ['text', 'string'],
      ['extra', 'int64'],
    ]);
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
  });

  it('makes units of whole row groups, and every row is in one', async () => {
    for (const unitRows of [1, 2048, 5000, 1e6]) {
      const { units } = await planCorpus({ inputs: [`${docs}/b.parquet`], unitRows });
      expect(units.reduce((sum, unit) => sum + unit.nRows!, 0)).toBe(10000);
      expect(units[0]!.rowGroupStart).toBe(0);
      for (const [index, unit] of units.entries()) {
        expect(unit.index).toBe(index);
        expect(Number(unit.id)).toBe(index);
        expect(unit.rowGroupStart).toBe(index === 0 ? 0 : units[index - 1]!.rowGroupEnd);
        expect(unit.nRows! <= unitRows || unit.rowGroupEnd! - unit.rowGroupStart! === 1).toBe(true);
      }
      expect(units.length).toBe(
        unitRows === 1 || unitRows === 2048 ? 5 : unitRows === 5000 ? 3 : 1,
      );
    }
  });

  it('names what is wrong with the inputs', async () => {
    const plan = (options: Partial<Parameters<typeof planCorpus>[0]>) =>
      planCorpus({ inputs: [`${docs}/b.parquet`], failFast: true, ...options });
    await expect(plan({ inputs: [`${folder}/*.parquet`] })).rejects.toMatchObject({
      code: 'CORPUS_NO_FILES',
    });
    await expect(plan({ inputs: [`${folder}/gone.parquet`] })).rejects.toMatchObject({
      code: 'CORPUS_READ_FAILED',
    });
    await expect(plan({ inputs: [`${docs}/notes.xyz`] })).rejects.toMatchObject({
      code: 'CORPUS_FORMAT_UNKNOWN',
    });
    await expect(plan({ textColumn: 'Text' })).rejects.toMatchObject({
      code: 'CORPUS_COLUMN_MISSING',
      message: expect.stringMatching(
        /no column Text \(did you mean text\? --text-column names it\); its columns: id, text, extra/,
      ),
    });
    await expect(plan({ textColumn: 'extra' })).rejects.toMatchObject({
      code: 'CORPUS_COLUMN_TYPE',
      message: expect.stringContaining('int64'),
    });
    await expect(plan({ idColumn: 'nr' })).rejects.toMatchObject({ code: 'CORPUS_COLUMN_MISSING' });
  });

  it('a bad file is listed and the others are planned, unless failFast', async () => {
    const bad = join(folder, 'bad');
    await mkdir(bad, { recursive: true });
    await copyFile(`${docs}/b.parquet`, `${bad}/good.parquet`);
    await writeFile(`${bad}/short.parquet`, 'PAR1');
    await writeFile(`${bad}/noise.parquet`, Buffer.alloc(5000, 'noise'));
    const plan = await planCorpus({ inputs: [bad] });
    expect(plan.files.map((file) => file.path)).toEqual([`${bad}/good.parquet`]);
    expect(plan.failedFiles.map((file) => file.code)).toEqual([
      'CORPUS_FILE_INVALID',
      'CORPUS_FILE_INVALID',
    ]);
    await expect(planCorpus({ inputs: [bad], failFast: true })).rejects.toMatchObject({
      code: 'CORPUS_FILE_INVALID',
      details: { file: `${bad}/noise.parquet` },
    });
    await expect(planCorpus({ inputs: [`${bad}/noise.parquet`] })).rejects.toMatchObject({
      code: 'CORPUS_FILE_INVALID',
    });
  });

  it('says what a file that is no text corpus could be read as', async () => {
    const other = join(folder, 'suggest');
    await mkdir(other, { recursive: true });
    const row = { title: 'short', story: 'a much longer text than the title', n: 1, tags: ['x'] };
    await writeFile(`${other}/a.jsonl`, `${JSON.stringify(row)}\n`);
    await duck.run(
      `COPY (SELECT 'short ' || i AS title, repeat('long', 50) || i AS story, i AS n FROM range(100) t(i)) TO '${other}/b.parquet' (FORMAT parquet)`,
    );
    for (const name of ['a.jsonl', 'b.parquet']) {
      const plan = (options: object) => planCorpus({ inputs: [`${other}/${name}`], ...options });
      await expect(plan({})).rejects.toMatchObject({
        code: 'CORPUS_COLUMN_MISSING',
        message: expect.stringContaining(
          '(--text-column names it; columns of strings, longest first: story, title)',
        ),
      });
      await expect(plan({ textColumn: 'story', idColumn: 'number' })).rejects.toMatchObject({
        message: expect.stringContaining('no column number (did you mean n? --id-column names it)'),
      });
    }
  });

  it('takes the column that must be meant where nobody names one, and says so', async () => {
    const other = join(folder, 'guess');
    await mkdir(other, { recursive: true });
    const put = async (name: string, row: object): Promise<string> => {
      await writeFile(`${other}/${name}`, `${JSON.stringify(row)}\n`);
      return `${other}/${name}`;
    };
    const content = await put('a.jsonl', { id: 'x', content: 'some text', title: 't' });
    await duck.run(
      `COPY (SELECT 'some text' AS content, 'u' AS url) TO '${other}/b.parquet' (FORMAT parquet)`,
    );
    const plan = await planCorpus({ inputs: [content, `${other}/b.parquet`], unitRows: 1 });
    expect(plan).toMatchObject({ textColumn: 'content', isTextGuessed: true, failedFiles: [] });
    expect(describePlan(plan).join('\n')).toContain('text is read from content, as no column is');
    // `text` is what is meant wherever it is there, and then nothing is said.
    const both = await put('c.jsonl', { text: 'a', content: 'b' });
    expect(await planCorpus({ inputs: [both] })).not.toHaveProperty('isTextGuessed');
    expect((await planCorpus({ inputs: [both] })).textColumn).toBe('text');
    // Two may be meant, or none: the types and the names decide, and what was asked for is never replaced.
    const missing = { code: 'CORPUS_COLUMN_MISSING', details: { column: 'text' } };
    const two = await put('d.jsonl', { content: 'a', body: 'b' });
    await expect(planCorpus({ inputs: [two] })).rejects.toMatchObject(missing);
    const number = await put('e.jsonl', { content: 3, story: 'b' });
    await expect(planCorpus({ inputs: [number] })).rejects.toMatchObject(missing);
    await expect(planCorpus({ inputs: [content], failFast: true })).resolves.toMatchObject({
      textColumn: 'content',
    });
    await expect(planCorpus({ inputs: [content], textColumn: 'text' })).rejects.toMatchObject(
      missing,
    );
  });

  it('a file without rows has a unit, and no failure is without a code', async () => {
    const edge = join(folder, 'edge');
    await mkdir(edge, { recursive: true });
    await duck.run(`COPY (SELECT 'x' AS text LIMIT 0) TO '${edge}/none.parquet' (FORMAT parquet)`);
    await writeFile(`${edge}/none.jsonl`, '');
    const broken = join(import.meta.dirname, 'fixtures', 'column-without-name.parquet');
    await copyFile(broken, `${edge}/name.parquet`);
    const plan = await planCorpus({ inputs: [edge] });
    expect(plan.units.map(({ bytes, nRows }) => nRows ?? bytes)).toEqual([0, 0]);
    expect(plan.failedFiles).toEqual([
      expect.objectContaining({
        code: 'CORPUS_FILE_INVALID',
        message: expect.stringContaining('row group 0 has no chunk of column'),
      }),
    ]);
  });

  it('an abort ends planning between files', async () => {
    const many = join(folder, 'many');
    await mkdir(many, { recursive: true });
    for (let file = 0; file < 40; file++)
      await writeFile(`${many}/${file}.jsonl`, '{"text":"x"}\n');
    const controller = new AbortController();
    const planned = planCorpus({ inputs: [many], signal: controller.signal });
    setTimeout(() => controller.abort(), 1);
    await expect(planned).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('schemas must agree, except in nullability', async () => {
    const same = join(folder, 'same');
    const other = join(folder, 'other');
    await mkdir(same, { recursive: true });
    await mkdir(other, { recursive: true });
    await copyFile(`${docs}/b.parquet`, `${same}/1.parquet`);
    await copyFile(`${docs}/b.parquet`, `${other}/1.parquet`);
    await duck.run(
      `COPY (SELECT 1::BIGINT AS extra, 'x' AS text, 5::BIGINT AS id) TO '${same}/2.parquet' (FORMAT parquet)`,
    );
    await duck.run(
      `COPY (SELECT '1' AS id, 'x' AS text, 5::BIGINT AS extra) TO '${other}/2.parquet' (FORMAT parquet)`,
    );
    expect((await planCorpus({ inputs: [same], failFast: true })).files.length).toBe(2);
    await expect(planCorpus({ inputs: [other], failFast: true })).rejects.toMatchObject({
      code: 'CORPUS_SCHEMA_DIFFERS',
      message: expect.stringMatching(
        /1\.parquet and .*2\.parquet differ in column id: int64 and string/,
      ),
    });
  });

  it('fingerprints change with the content', async () => {
    const file = join(folder, 'print.jsonl');
    const line = `${JSON.stringify({ text: 'x'.repeat(100) })}\n`;
    await writeFile(file, line.repeat(5000));
    await utimes(file, 1000, 1000);
    const first = await fingerprintOf(file, false);
    const full = await fingerprintOf(file, true);
    expect(await fingerprintOf(file, false)).toBe(first);
    await utimes(file, 2000, 2000);
    expect(await fingerprintOf(file, false)).not.toBe(first);
    expect(await fingerprintOf(file, true)).toBe(full);
    await appendFile(file, line);
    await utimes(file, 1000, 1000);
    expect(await fingerprintOf(file, false)).not.toBe(first);
    expect(await fingerprintOf(file, true)).not.toBe(full);
  });
});
