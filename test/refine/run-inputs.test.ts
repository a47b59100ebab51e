/** What goes into a run and what comes out of it, with a model that keeps everything. */
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import { tableFromArrays, tableToIPC } from 'apache-arrow';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { native } from '../../src/native/index.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import type { RefineCorpusOptions } from '../../src/refine/run-options.ts';
import { openDuck, query } from '../corpus/duck.ts';

const base = mkdtempSync(join(tmpdir(), 'gristmill-run-inputs-'));
const fixtures = join(import.meta.dirname, '../corpus/fixtures');
let duck: DuckDBConnection;
let folder: string;
let made = 0;

beforeAll(async () => {
  duck = await openDuck();
});
beforeEach(() => {
  folder = join(base, String(made++));
  mkdirSync(folder);
});
afterAll(() => {
  duck.closeSync();
  rmSync(base, { recursive: true, force: true });
});

const at = (...names: string[]): string => join(folder, ...names);

/** Writes JSON lines. */
function putLines(name: string, ...rows: object[]): void {
  mkdirSync(dirname(at(name)), { recursive: true });
  writeFileSync(at(name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

/** Writes a Parquet file of a query. */
async function putParquet(name: string, sql: string): Promise<void> {
  mkdirSync(dirname(at(name)), { recursive: true });
  await duck.run(`COPY (${sql}) TO '${at(name)}' (FORMAT parquet)`);
}

/** Refines inputs below the folder to `out` below it; notices are collected. */
async function refine(inputs: string[], out: string, options: Partial<RefineCorpusOptions> = {}) {
  const notices: string[] = [];
  const summary = await refineCorpus({
    inputs: inputs.map((input) => at(input)),
    out: at(out),
    documentModel: 'random:tiny',
    documentThreshold: 0,
    isolate: false,
    threads: 1,
    workers: 1,
    onNotice: (line) => notices.push(line.replaceAll(`${folder}/`, '')),
    ...options,
  });
  return { ...summary, notices };
}

const parts = (out: string): string[] =>
  readdirSync(at(out))
    .filter((name) => name.startsWith('part-'))
    .sort();

function linesOf(...names: string[]): Record<string, unknown>[] {
  const output = new Uint8Array(1 << 20);
  const { written } = new (native().ZstdDecoder)().decode(readFileSync(at(...names)), output);
  const text = Buffer.from(output.subarray(0, written)).toString();
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

const rowsOf = (sql: string) => query(duck, sql);

describe('outputs are no inputs', () => {
  it('the same command again goes on, and a second run does not read the first', async () => {
    putLines('in/a.jsonl', { text: 'one' }, { text: 'two' });
    symlinkSync('refined', at('in', 'latest'));
    expect((await refine(['in'], 'in/refined')).rowsIn).toBe(2);
    // The output counted as input: RUN_CHANGED, and with another --out the rows twice.
    const again = await refine(['in'], 'in/refined');
    expect([again.rowsIn, again.unitsResumed]).toEqual([2, 1]);
    expect(again.notices).toContain('in/refined is the output: what lies in it is no input');
    const other = await refine(['in'], 'in/other');
    expect(other.rowsIn).toBe(2);
    expect(other.notices).toContain(
      'in/refined was written by refine and is passed over; name it to read it',
    );
    // Named, it is read: what stayed, and nothing of what was dropped.
    const second = await refine(['in/refined'], 'second', { statusPrefix: 'second_' });
    expect([second.rowsIn, second.errors]).toEqual([2, []]);
  });
});

describe('a folder of several formats', () => {
  it('each is written in its own form, with its own columns', async () => {
    putLines('in/a.jsonl', { text: 'a', tags: ['x', { y: 1 }], only: 'json' });
    await putParquet('in/b.parquet', `SELECT 7::INT AS id, 'b' AS text, DATE '2024-01-02' AS day`);
    const table = tableFromArrays({ text: ['c'], score: Float64Array.of(0.5) });
    writeFileSync(at('in/c.arrow'), tableToIPC(table, 'stream'));
    writeFileSync(at('in/d.csv'), 'text\nd\n');
    const { rowsIn, errors, notices } = await refine(['in'], 'out');
    expect([rowsIn, errors]).toEqual([3, []]);
    expect(parts('out')).toEqual([
      'part-00000.jsonl.zst',
      'part-00001.parquet',
      'part-00002.parquet',
    ]);
    expect(linesOf('out', 'part-00000.jsonl.zst')[0]).toMatchObject({
      text: 'a',
      tags: ['x', { y: 1 }],
      only: 'json',
    });
    expect(await rowsOf(`SELECT id, text, day FROM '${at('out/part-00001.parquet')}'`)).toEqual([
      { id: 7, text: 'b', day: '2024-01-02' },
    ]);
    expect(await rowsOf(`SELECT text, score FROM '${at('out/part-00002.parquet')}'`)).toEqual([
      { text: 'c', score: 0.5 },
    ]);
    expect(notices).toContain('1 file of other formats: 1 .csv');
    const whole = await refine(['in'], 'whole', { format: 'parquet' });
    expect(whole.errors).toEqual([]);
    expect(parts('whole').every((name) => name.endsWith('.parquet'))).toBe(true);
    await expect(refine(['in'], 'x', { out: '-' })).rejects.toMatchObject({
      code: 'CORPUS_SCHEMA_MIXED',
    });
  });
});

describe('columns from folders', () => {
  // `lang=en/` was lost: a flat part without the column.
  it('are kept in every format, from every format', async () => {
    const rows = [
      ['lang=en/year=2024/day=2024-01-02/no=007', 'en', '2024', '2024-01-02', '007'],
      ['lang=de%20AT/year=7/day=2023-02-28/no=1', 'de AT', '7', '2023-02-28', '1'],
      [
        'lang=__HIVE_DEFAULT_PARTITION__/year=-3/day=1970-01-01/no=x%zz',
        null,
        '-3',
        '1970-01-01',
        'x%zz',
      ],
    ] as const;
    for (const [at, [path]] of rows.entries()) {
      await putParquet(`parquet/${path}/a.parquet`, `SELECT 'p${at}' AS text`);
      putLines(`json/${path}/a.jsonl`, { text: `p${at}` });
    }
    const wanted = rows.map(([, lang, year, day, no], row) => {
      return { text: `p${row}`, lang, year, day, no };
    });
    const byText = (found: Record<string, unknown>[]) =>
      found
        .map(({ text, lang, year, day, no }) => ({ text, lang, year: String(year), day, no }))
        .sort((a, b) => (String(a.text) < String(b.text) ? -1 : 1));
    for (const input of ['parquet', 'json']) {
      for (const format of ['parquet', 'jsonl.zst'] as const) {
        const out = `out-${input}-${format}`;
        expect((await refine([input], out, { format })).errors).toEqual([]);
        if (format === 'jsonl.zst') {
          const found = parts(out).flatMap((name) => linesOf(out, name));
          expect(byText(found)).toEqual(wanted);
          expect(typeof found[0]!['year']).toBe('number');
        } else {
          const parquet = `'${at(out)}/part-*.parquet'`;
          expect(byText(await rowsOf(`SELECT * FROM ${parquet}`))).toEqual(wanted);
          const types = await rowsOf(`SELECT column_name AS name, column_type AS type FROM
            (DESCRIBE SELECT lang, year, day, no FROM ${parquet})`);
          expect(types.map(({ type }) => type)).toEqual(['VARCHAR', 'BIGINT', 'DATE', 'VARCHAR']);
        }
      }
    }
  });

  it('a column that files have themselves is theirs', async () => {
    await putParquet('in/lang=en/a.parquet', `SELECT 'x' AS text, 'fr' AS lang`);
    await putParquet('in/lang=de/b.parquet', `SELECT 'y' AS text`);
    const { notices, errors } = await refine(['in'], 'out');
    expect(errors).toEqual([]);
    expect(notices).toContain(
      'column lang: files have it themselves, the names of their folders do not count',
    );
    expect(
      await rowsOf(
        `SELECT text, lang FROM read_parquet('${at('out')}/part-*.parquet', union_by_name = true) ORDER BY text`,
      ),
    ).toEqual([
      { text: 'x', lang: 'fr' },
      { text: 'y', lang: 'de' },
    ]);
  });
});

describe('shards that differ in nothing that matters', () => {
  it('are one corpus, and are read together as they could be before', async () => {
    mkdirSync(at('in'));
    const names = ['list-item', 'list-element', 'list-required', 'null-column'];
    for (const name of names)
      copyFileSync(join(fixtures, `${name}.parquet`), at('in', `${name}.parquet`));
    await putParquet('in/order.parquet', `SELECT ['z'] AS tags, 'x' AS text`);
    await putParquet('in/without.parquet', `SELECT 'x' AS text`);
    await putParquet('in/more.parquet', `SELECT 'x' AS text, 5::BIGINT AS n`);
    await putParquet('in/narrow.parquet', `SELECT 'x' AS text, 5::INT AS n`);
    const { errors, rowsIn } = await refine(['in'], 'out');
    expect(errors).toEqual([]);
    const read = (path: string) =>
      rowsOf(`SELECT tags, n FROM read_parquet('${path}', union_by_name = true) ORDER BY ALL`);
    const ours = await read(`${at('out')}/part-*.parquet`);
    expect(ours.length).toBe(rowsIn);
    expect(ours).toEqual(await read(`${at('in')}/*.parquet`));
    // Each part has the very schema of its file, and ours behind it.
    const schemaOf = (path: string) =>
      rowsOf(`SELECT name, type, repetition_type, converted_type, logical_type, num_children
        FROM parquet_schema('${path}') WHERE name NOT LIKE 'gristmill%'`);
    const files = [
      ...names.map((name) => `${name}.parquet`),
      'more.parquet',
      'narrow.parquet',
      'order.parquet',
      'without.parquet',
    ].sort();
    for (const [index, part] of parts('out').entries()) {
      const [, ...columns] = await schemaOf(at('out', part));
      expect(columns).toEqual((await schemaOf(at('in', files[index]!))).slice(1));
    }
  });

  it('a real difference is shown in full, and costs one file', async () => {
    await putParquet(
      'in/a.parquet',
      `SELECT 'x' AS text, [{'at': TIMESTAMP_MS '2024-01-01 00:00:00'}] AS v`,
    );
    await putParquet(
      'in/b.parquet',
      `SELECT 'x' AS text, [{'at': TIMESTAMP '2024-01-01 00:00:00'}] AS v`,
    );
    const { errors, rowsIn } = await refine(['in'], 'out');
    expect(rowsIn).toBe(1);
    expect(errors.map(({ code }) => code)).toEqual(['CORPUS_SCHEMA_DIFFERS']);
    expect(errors[0]!.message).toMatch(
      /at: timestamp\(millis\) local.* and .*at: timestamp\(micros\) local/,
    );
  });
});

describe('what files say of themselves', () => {
  it('key-value metadata goes along', async () => {
    copyFileSync(join(fixtures, 'key-value-metadata.parquet'), at('a.parquet'));
    await refine(['a.parquet'], 'out');
    const of = (path: string) =>
      rowsOf(
        `SELECT decode(key) AS key, decode(value) AS value FROM parquet_kv_metadata('${path}')`,
      );
    const before = new Map((await of(at('a.parquet'))).map(({ key, value }) => [key, value]));
    const after = new Map(
      (await of(at('out/part-00000.parquet'))).map(({ key, value }) => [key, value]),
    );
    expect(before.get('huggingface')).toBeDefined();
    expect(after.get('huggingface')).toBe(before.get('huggingface'));
  });
});

describe('columns that are called like ours', () => {
  it('a refined corpus is refined again beside, or in place of, what was said of it', async () => {
    await putParquet('a.parquet', `SELECT 'x' AS text, 'a' AS id`);
    await refine(['a.parquet'], 'first');
    await expect(refine(['first'], 'bare')).rejects.toMatchObject({
      code: 'CORPUS_COLUMN_RESERVED',
      details: { column: 'gristmill_status' },
      message: expect.stringMatching(/--status-prefix .* --replace-status/),
    });
    const names = async (out: string) =>
      (
        await rowsOf(
          `SELECT column_name AS name FROM (DESCRIBE SELECT * FROM '${at(out)}/part-*.parquet')`,
        )
      ).map(({ name }) => String(name));
    await refine(['first'], 'beside', { statusPrefix: 'second_' });
    expect((await names('beside')).filter((name) => name.endsWith('_status'))).toEqual([
      'gristmill_status',
      'second_status',
    ]);
    await refine(['first'], 'replaced', { replaceStatus: true });
    expect((await names('replaced')).filter((name) => name.endsWith('_status'))).toEqual([
      'gristmill_status',
    ]);
    await expect(refine(['first'], 'x', { statusPrefix: 'a b' })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
  });

  it('the text column is never taken, in dropped/ neither', async () => {
    await putParquet('a.parquet', `SELECT 'x' AS gristmill_status`);
    const options = { textColumn: 'gristmill_status', replaceStatus: true };
    const reserved = expect.objectContaining({ code: 'CORPUS_COLUMN_RESERVED' });
    await expect(refine(['a.parquet'], 'x', options)).rejects.toEqual(reserved);
    await putParquet('b.parquet', `SELECT 'x' AS reason`);
    const dropped = { textColumn: 'reason', droppedText: true };
    await expect(refine(['b.parquet'], 'x', dropped)).rejects.toEqual(reserved);
    const { errors } = await refine(['b.parquet'], 'ok', {
      ...dropped,
      statusPrefix: 'g_',
      documentThreshold: 1,
    });
    expect(errors).toEqual([]);
    expect(
      await rowsOf(`SELECT reason, g_reason FROM '${at('ok')}/dropped/part-*.parquet'`),
    ).toEqual([{ reason: 'x', g_reason: expect.any(String) }]);
  });
});

describe('inputs without rows', () => {
  it('give an empty part with their columns, in every format', async () => {
    await putParquet('in/a.parquet', `SELECT 'x' AS text, 1 AS n, [1.5] AS l LIMIT 0`);
    putLines('in/b.jsonl');
    writeFileSync(
      at('in/c.arrow'),
      tableToIPC(tableFromArrays({ text: ['c'], n: [1] }).slice(0, 0), 'stream'),
    );
    for (const format of ['parquet', 'jsonl.zst'] as const) {
      const out = `out-${format}`;
      const { errors, rowsIn } = await refine(['in'], out, { format });
      expect([errors, rowsIn]).toEqual([[], 0]);
      expect(parts(out).length).toBe(3);
      expect(readdirSync(at(out, 'dropped')).length).toBe(3);
      if (format === 'jsonl.zst') continue;
      const described = await rowsOf(`DESCRIBE SELECT * FROM '${at(out)}/part-00000.parquet'`);
      expect(described.map(({ column_name }) => column_name).slice(0, 3)).toEqual([
        'text',
        'n',
        'l',
      ]);
    }
  });
});

describe('files that change under a run', () => {
  const many = Array.from({ length: 50 }, (_, row) => ({ text: `row ${row}` }));
  /** Does something when the first document is written. */
  const once = (change: () => void) => {
    let done = false;
    return () => {
      if (!done) change();
      done = true;
    };
  };

  // JSONL files that shrank were read as they were: exit 0, rows missing, nothing said.
  it.each(['jsonl', 'parquet', 'arrow'])('fail by name: %s', async (format) => {
    const write = async (name: string, rows: readonly { text: string }[]) => {
      if (format === 'jsonl') putLines(name, ...rows);
      else if (format === 'arrow')
        writeFileSync(
          at(name),
          tableToIPC(tableFromArrays({ text: rows.map(({ text }) => text) }), 'stream'),
        );
      else
        await putParquet(name, `SELECT unnest([${rows.map(({ text }) => `'${text}'`)}]) AS text`);
    };
    mkdirSync(at('in'));
    for (const name of ['a', 'b', 'c', 'd', 'e']) await write(`in/${name}.${format}`, many);
    await write(`other.${format}`, many.slice(0, 20));
    const { errors, rowsIn } = await refine(['in'], 'out', {
      slots: 4,
      onDocument: once(() => {
        // Shrunk, replaced, gone, and touched alone.
        writeFileSync(at(`in/c.${format}`), readFileSync(at(`other.${format}`)));
        copyFileSync(at(`other.${format}`), at('new'));
        renameSync(at('new'), at(`in/d.${format}`));
        rmSync(at(`in/e.${format}`));
      }),
    });
    expect(errors.map(({ input, code }) => [input.replace(/.*\/|\[.*/g, ''), code])).toEqual(
      ['c', 'd', 'e'].map((name) => [`${name}.${format}`, 'CORPUS_CHANGED']),
    );
    expect(rowsIn).toBe(100);
  });

  it('also while they are read', async () => {
    putLines('a.jsonl', ...many);
    const { errors, rowsIn } = await refine(['a.jsonl'], 'out', {
      slots: 4,
      onDocument: once(() => appendFileSync(at('a.jsonl'), '{"text":"more"}\n')),
    });
    expect(errors.map(({ code }) => code)).toEqual(['CORPUS_CHANGED']);
    expect(rowsIn).toBe(0);
    expect(parts('out')).toEqual([]);
  });
});

describe('a plan', () => {
  it('is data: files, units, columns, what is left out and what cannot be read', async () => {
    putLines('in/good.jsonl', { text: 'x', n: 1 });
    writeFileSync(at('in/bad.parquet'), 'no Parquet at all');
    const { plan, errors, notices, ...summary } = await refine(['in'], 'out', { planOnly: true });
    expect(summary).toMatchObject({ unitsFailed: 0, units: 1, rowsIn: 0 });
    expect(errors).toEqual([expect.objectContaining({ code: 'CORPUS_FILE_INVALID' })]);
    expect(notices.join('\n')).toMatch(/left out: in\/bad\.parquet: CORPUS_FILE_INVALID/);
    expect(plan).toMatchObject({
      units: 1,
      rows: null,
      textColumn: 'text',
      files: [{ path: at('in/good.jsonl'), format: 'jsonl', units: 1, schema: 0 }],
      schemas: [
        {
          family: 'jsonl',
          columns: [
            { name: 'text', type: 'string' },
            { name: 'n', type: 'int64' },
          ],
        },
      ],
    });
    expect(readdirSync(folder)).toEqual(['in']);
  });
});
