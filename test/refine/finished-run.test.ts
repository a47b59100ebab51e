/** What a run has told of its documents while it ran is what its folder tells afterwards, by whole units and by ranges. */
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DuckDBConnection } from '@duckdb/node-api';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { inputRange } from '../../src/corpus/unit-files.ts';
import { type FinishedRow, FinishedRun } from '../../src/refine/finished-run.ts';
import { OriginalTexts } from '../../src/refine/original-texts.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import type { RefineCorpusOptions } from '../../src/refine/run-options.ts';
import { openDuck } from '../corpus/duck.ts';

const base = mkdtempSync(join(tmpdir(), 'gristmill-finished-'));
const example = join(import.meta.dirname, '../../examples/corpus.parquet');
let duck: DuckDBConnection;
let nMade = 0;

beforeAll(async () => {
  duck = await openDuck();
});
afterAll(() => {
  duck.closeSync();
  rmSync(base, { recursive: true, force: true });
});

interface Told {
  readonly status: string;
  readonly before: string | null;
  readonly after: string | null;
}

/** Refines with the defaults; what it tells of every document, by its row in its file. */
async function refined(input: string, options: Partial<RefineCorpusOptions> = {}) {
  const out = join(base, `out-${nMade++}`);
  const told: Told[] = [];
  await refineCorpus({
    inputs: [input],
    out,
    isolate: false,
    threads: 1,
    workers: 1,
    onDocument: ({ row, status, before, after }) => {
      told[Number(row)] = { status, before: before(), after: after() };
    },
    ...options,
  });
  return { run: await FinishedRun.open(out), told, out };
}

/** A Parquet file of several row groups from the example, some rows without text. */
async function parquetInput(): Promise<string> {
  const file = join(base, `input-${nMade++}.parquet`);
  await duck.run(
    `COPY (SELECT CASE WHEN id = 'none' OR row_number() OVER () % 29 = 0 THEN NULL ELSE text END AS text, id, url
      FROM '${example}') TO '${file}' (FORMAT parquet, ROW_GROUP_SIZE 64)`,
  );
  return file;
}

async function jsonlInput(): Promise<string> {
  const file = join(base, `input-${nMade++}.jsonl`);
  await duck.run(
    `COPY (SELECT text, id, url FROM '${example}' LIMIT 60) TO '${file}' (FORMAT json)`,
  );
  const lines = readFileSync(file, 'utf8').split('\n');
  lines.splice(7, 0, '{"text": 3, "id": "no text"}', '', '[]');
  writeFileSync(file, lines.join('\n'));
  return file;
}

async function rowsOf(run: FinishedRun, wanted = {}): Promise<FinishedRow[]> {
  const rows: FinishedRow[] = [];
  for (const { unit } of run.units) {
    for await (const batch of run.rows(unit, wanted)) rows.push(...batch);
  }
  return rows;
}

async function originalsOf(run: FinishedRun, rows: readonly FinishedRow[]) {
  const texts = new OriginalTexts(run);
  const found: (string | null)[] = [];
  for (const { unit } of run.units) {
    found.push(...(await texts.of(rows.filter((row) => row.unit === unit))));
  }
  return found;
}

const forms: [string, () => Promise<string>, Partial<RefineCorpusOptions>][] = [
  ['Parquet, originals from the input', parquetInput, { unitRows: 70 }],
  ['Parquet with originals', parquetInput, { unitRows: 70, keepOriginal: true, droppedText: true }],
  ['JSON lines', jsonlInput, {}],
  [
    'JSON lines with originals and a prefix',
    jsonlInput,
    { keepOriginal: true, statusPrefix: 'g_' },
  ],
  ['JSON lines to Parquet', jsonlInput, { format: 'parquet', rowGroupRows: 9 }],
];

describe.each(forms)('%s', (_, inputOf, options) => {
  let made: ReturnType<typeof refined>;
  beforeAll(async () => {
    made = refined(await inputOf(), options);
    await made;
  });

  it('rows, texts and originals are those that the run told', async () => {
    const { run, told } = await made;
    expect(run.isWhole).toBe(true);
    const rows = await rowsOf(run, { text: true, columns: ['url'] });
    expect(rows.length).toBe(run.counts.rowsIn);
    expect(rows.map(({ row }) => row)).toEqual(rows.map((__, at) => at));
    const counted = (status: string) => rows.filter((row) => row.status === status).length;
    for (const status of ['kept', 'edited', 'dropped', 'failed'] as const) {
      expect(counted(status)).toBe(run.counts[status]);
    }
    expect(run.counts.edited).toBeGreaterThan(10);
    expect(run.counts.dropped).toBeGreaterThan(0);
    expect(run.counts.failed).toBeGreaterThan(0);
    const originals = await originalsOf(run, rows);
    for (const [at, row] of rows.entries()) {
      const said = told[row.row!];
      // A line that cannot be a row is told of nowhere else.
      if (!said) {
        expect(row).toMatchObject({ status: 'failed', text: null });
        continue;
      }
      expect(row.status).toBe(said.status);
      if (row.status !== 'failed') {
        expect([row.text, originals[at]]).toEqual([said.after, said.before]);
        expect(typeof row.id).toBe('string');
      }
      if (row.status === 'kept' || row.status === 'edited') {
        expect(row.values['url']).toMatch(/^https?:/);
      }
    }
  });

  it('a range is what the whole has there', async () => {
    const { run } = await made;
    const whole = await rowsOf(run, { text: true });
    await fc.assert(
      fc.asyncProperty(fc.nat(240), fc.nat(80), fc.nat(9), async (from, length, at) => {
        const { unit } = run.units[at % run.units.length]!;
        const found: FinishedRow[] = [];
        for await (const batch of run.rows(unit, { from, to: from + length, text: true })) {
          found.push(...batch);
        }
        const mine = whole.filter((row) => row.unit === unit);
        expect(found).toEqual(mine.slice(from, from + length));
      }),
      { numRuns: 12, seed: 1 },
    );
  });
});

describe('originals', () => {
  it('are refused by name where the input is another one or gone', async () => {
    const input = await jsonlInput();
    const { run } = await refined(input);
    const rows = await rowsOf(run, { text: true });
    appendFileSync(input, '{"text":"more"}\n');
    await expect(originalsOf(run, rows)).rejects.toMatchObject({ code: 'RUN_ORIGINAL_GONE' });
    rmSync(input);
    await expect(originalsOf(run, rows)).rejects.toThrow(/it is gone/);
    // What the output has itself is still told.
    const kept = rows.filter(({ status }) => status === 'kept');
    expect(await originalsOf(run, kept)).toEqual(kept.map(({ text }) => text));
  });
});

describe('a folder', () => {
  it('without a run, or with a damaged ledger, is refused', async () => {
    await expect(FinishedRun.open(base)).rejects.toThrowError(/holds no run of gristmill/);
    const out = join(base, 'damaged');
    mkdirSync(join(out, '_gristmill/units'), { recursive: true });
    writeFileSync(join(out, '_gristmill/run.json'), '{"format": 2}');
    await expect(FinishedRun.open(out)).rejects.toMatchObject({ code: 'RUN_LEDGER_INVALID' });
  });

  it('of which a unit is missing shows the others, without numbers where they are unknown', async () => {
    const { run, out } = await refined(await parquetInput(), { unitRows: 70 });
    rmSync(join(out, '_gristmill/units/00001.json'));
    const part = await FinishedRun.open(out);
    expect(part.isWhole).toBe(false);
    expect(part.units.map(({ unit }) => unit)).toEqual(
      run.units.map(({ unit }) => unit).filter((unit) => unit !== 1),
    );
    const rows = await rowsOf(part);
    const numbers = (unit: number) => rows.filter((row) => row.unit === unit).map(({ row }) => row);
    expect(numbers(0)[3]).toBe(3);
    expect(new Set(numbers(2))).toEqual(new Set([null]));
    expect(rows.filter(({ unit }) => unit === 2).length).toBe(run.unit(2).counts.rowsIn);
  });
});

describe('inputRange', () => {
  it('reads the names that units have', () => {
    expect(inputRange('a/b [x].parquet[row groups 3..5]')).toEqual({
      ...{ path: 'a/b [x].parquet', kind: 'row groups', start: 3, end: 6 },
    });
    expect(inputRange('a.jsonl[bytes 0..12]')).toMatchObject({ kind: 'bytes', start: 0, end: 12 });
    expect(inputRange('a.arrow')).toMatchObject({ path: 'a.arrow', kind: 'whole', start: 0 });
  });
});
