/** Many texts, a document a file, as few units: how they are grouped, read, named, and what a run and its readers make of them. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SlabPool } from '../../src/batch/slab-pool.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { readStrings } from '../../src/corpus/texts.ts';
import type { CorpusPlan } from '../../src/corpus/types.ts';
import { openUnit } from '../../src/corpus/unit.ts';
import { filesOfUnit, inputName, placesOf } from '../../src/corpus/unit-files.ts';
import { lineScores } from '../../src/inspect/kept-scores.ts';
import { compareRuns } from '../../src/refine/compare.ts';
import { estimateRefine } from '../../src/refine/estimate.ts';
import { type FinishedRow, FinishedRun } from '../../src/refine/finished-run.ts';
import { OriginalTexts } from '../../src/refine/original-texts.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import type { RefineCorpusOptions } from '../../src/refine/run-options.ts';
import { showRun } from '../../src/report/chosen-rows.ts';
import { openDuck, query } from './duck.ts';

const base = mkdtempSync(join(tmpdir(), 'gristmill-unit-files-'));
const example = join(import.meta.dirname, '../../examples/corpus.parquet');
afterAll(() => rmSync(base, { recursive: true, force: true }));
let nMade = 0;

const made = (): string => {
  const folder = join(base, `in-${nMade++}`);
  mkdirSync(folder, { recursive: true });
  return folder;
};
const put = (folder: string, name: string, content: string | Buffer): string => {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, content);
  return path;
};

async function textsOf(plan: CorpusPlan): Promise<string[]> {
  const texts: string[] = [];
  for await (const text of readStrings(plan)) texts.push(text);
  return texts;
}

describe('texts that are a document a file', () => {
  it('are units of as many as the bounds let follow each other, and read as they lie', async () => {
    const file = fc.record({
      folder: fc.constantFrom('', 'lang=de/', 'lang=en/'),
      text: fc.string({ unit: 'grapheme', maxLength: 30 }),
      isPacked: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(file, { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 200 }),
        async (files, unitRows, unitBytes) => {
          const folder = made();
          const texts = new Map<string, string>();
          for (const [at, { folder: inner, text, isPacked }] of files.entries()) {
            const name = `${inner}${String(at).padStart(3, '0')}.txt${isPacked ? '.gz' : ''}`;
            const whole = text.toWellFormed().replace(/^\ufeff+/, '');
            const bytes = Buffer.from(whole);
            texts.set(put(folder, name, isPacked ? gzipSync(bytes) : bytes), whole);
          }
          const bounds = { unitRows, unitBytes };
          const plan = await planCorpus({ inputs: [folder], ...bounds });
          expect(await planCorpus({ inputs: [folder], ...bounds })).toEqual(plan);
          expect(plan.units.flatMap((unit) => filesOfUnit(plan, unit))).toEqual(plan.files);
          // As a naive reader groups them.
          const naive: string[][] = [];
          let [bytes, last] = [0, ''];
          for (const { path } of plan.files) {
            const size = statSync(path).size;
            const key = path.split('/').at(-2)!;
            const group = naive.at(-1);
            if (group && key === last && group.length < unitRows && bytes + size <= unitBytes) {
              group.push(path);
              bytes += size;
            } else {
              naive.push([path]);
              bytes = size;
            }
            last = key;
          }
          const grouped = plan.units.map((unit) => filesOfUnit(plan, unit).map(({ path }) => path));
          expect(grouped).toEqual(naive);
          expect(plan.units.map(({ nRows }) => nRows)).toEqual(naive.map(({ length }) => length));
          expect(await textsOf(plan)).toEqual(plan.files.map(({ path }) => texts.get(path)));
        },
      ),
      { numRuns: 25 },
    );
  });

  it('leave other kinds a unit a file, and lines of text too', async () => {
    const folder = made();
    for (const name of ['a', 'b', 'c']) put(folder, `${name}.txt`, `one ${name}\ntwo\n`);
    const lines = await planCorpus({ inputs: [folder], textPer: 'line' });
    expect(lines.units).toHaveLength(3);
    const other = made();
    for (const name of ['a', 'b']) put(other, `${name}.csv`, 'text\none\n');
    for (const name of ['a', 'b']) put(other, `deep/${name}.jsonl`, '{"text":"one"}\n');
    const tables = await planCorpus({ inputs: [`${other}/*.csv`, `${other}/deep`] });
    expect(tables.units.map(({ nFiles = 1 }) => nFiles)).toEqual([1, 1, 1, 1]);
  });

  it('are named by the first and by their places among the inputs', async () => {
    const folder = made();
    for (const name of ['a', 'b', 'c']) put(folder, `${name}.txt`, name);
    const plan = await planCorpus({ inputs: [folder], unitRows: 2 });
    const [both, last] = plan.units;
    expect(inputName(plan, both!)).toBe(`${join(folder, 'a.txt')}[files 0..1]`);
    expect(inputName(plan, last!)).toBe(join(folder, 'c.txt'));
    expect(placesOf(plan, both!)(1n)).toEqual({ file: join(folder, 'b.txt'), row: 0n });
    expect(placesOf(plan, last!)(0n)).toEqual({ file: join(folder, 'c.txt'), row: 0n });
  });

  it('end a reader that takes no rejected rows by their own name', async () => {
    const folder = made();
    put(folder, 'a.txt', 'good');
    const long = put(folder, 'b.txt', 'long '.repeat(20));
    const plan = await planCorpus({ inputs: [folder], maxLineBytes: 60 });
    expect(plan.units).toHaveLength(1);
    const reading = (async () => {
      for await (const { batch } of openUnit(plan, plan.units[0]!, new SlabPool())) batch.release();
    })();
    await expect(reading).rejects.toMatchObject({
      code: 'CORPUS_LINE_INVALID',
      details: { file: long, line: 1 },
    });
  });
});

describe('a run over a folder of texts', () => {
  let folder: string;
  let paths: string[];
  const texts: Buffer[] = [];
  const bad = Buffer.from([0x61, 0xff, 0xfe, 0x62]);

  beforeAll(async () => {
    folder = made();
    const duck = await openDuck();
    const rows = await query(duck, `SELECT text FROM '${example}' WHERE text IS NOT NULL LIMIT 38`);
    duck.closeSync();
    for (const { text } of rows) texts.push(Buffer.from(String(text)));
    texts.splice(5, 0, bad);
    texts.push(Buffer.alloc(0));
    paths = texts.map((text, at) => put(folder, `${String(at).padStart(2, '0')}.txt`, text));
  });

  const refined = (out: string, options: Partial<RefineCorpusOptions> = {}) =>
    refineCorpus({
      inputs: [folder],
      out: join(base, out),
      unitRows: 16,
      isolate: false,
      threads: 1,
      workers: 1,
      keepScores: 'all',
      ...options,
    });

  const rowsOf = async (out: string): Promise<FinishedRow[]> => {
    const run = await FinishedRun.open(join(base, out));
    const rows: FinishedRow[] = [];
    for (const { unit } of run.units) {
      for await (const batch of run.rows(unit, { text: true })) rows.push(...batch);
    }
    return rows;
  };
  const partsOf = (out: string): Record<string, Buffer> =>
    Object.fromEntries(
      ['.', 'dropped', 'rejected'].flatMap((inner) =>
        readdirSync(join(base, out, inner))
          .filter((name) => name.startsWith('part-'))
          .map((name) => [`${inner}/${name}`, readFileSync(join(base, out, inner, name))]),
      ),
    );

  it('writes a part a unit, and says of every row which file it is', async () => {
    const summary = await refined('whole');
    expect(summary).toMatchObject({ units: 3, rowsIn: 40, errors: [] });
    expect(summary.dropped).toBeGreaterThan(0);
    expect(summary.failed).toBeGreaterThan(0);
    const ledger = join(base, 'whole/_gristmill');
    const run = JSON.parse(readFileSync(join(ledger, 'run.json'), 'utf8'));
    expect(run.groups).toEqual([
      [0, 0, 15],
      [1, 16, 31],
      [2, 32, 39],
    ]);
    const record = JSON.parse(readFileSync(join(ledger, 'units/00001.json'), 'utf8'));
    expect(record.input).toBe(`${paths[16]}[files 16..31]`);
    const duck = await openDuck();
    const removed = await query(
      duck,
      `SELECT file, row, id FROM read_json('${base}/whole/dropped/*.jsonl.zst')`,
    );
    expect(removed).toHaveLength(summary.dropped);
    for (const { file, row, id } of removed) {
      expect(Number(row)).toBe(0);
      expect(String(file)).toBe(join(folder, String(id)));
    }
    const rejected = await query(
      duck,
      `SELECT file, row, reason FROM read_json('${base}/whole/rejected/*.jsonl.zst')`,
    );
    duck.closeSync();
    expect(rejected.map(({ file }) => file)).toContain(paths[5]);
    expect(rejected.every(({ row }) => Number(row) === 0)).toBe(true);
  });

  it('tells its rows and their texts again, with scores of their lines', async () => {
    const rows = await rowsOf('whole');
    expect(rows.map(({ file }) => file)).toEqual(paths);
    expect(rows.every(({ row }) => row === 0)).toBe(true);
    expect(rows[5]).toMatchObject({ status: 'failed', reason: 'invalid_utf8' });
    const run = await FinishedRun.open(join(base, 'whole'));
    await using originals = new OriginalTexts(run);
    const scored: number[] = [];
    for (const { unit } of run.units) {
      const own = rows.filter((row) => row.unit === unit && row.status !== 'failed');
      const before = await originals.inputs(own);
      for (const [at, row] of own.entries()) {
        expect(before[at]!.text).toBe(texts[paths.indexOf(row.file)]!.toString());
        const score = await lineScores(run, row);
        if (score) scored.push(row.position);
      }
    }
    expect(scored.length).toBeGreaterThan(10);
    const [shown] = await showRun(join(base, 'whole'), {
      where: [{ field: 'id', operator: '=', value: '20.txt' }],
    });
    expect(shown).toMatchObject({ row: { file: paths[20] }, before: texts[20]!.toString() });
    const same = await compareRuns(join(base, 'whole'), join(base, 'whole'));
    expect(same).toMatchObject({ documents: 40, differing: 0 });
  });

  it('gives the same bytes from the scores that were kept, and by several workers', async () => {
    const whole = partsOf('whole');
    await refineCorpus({
      inputs: [folder],
      out: join(base, 'again'),
      reuse: join(base, 'whole'),
      isolate: false,
    });
    expect(partsOf('again')).toEqual(whole);
    for (const index of [1, 0]) await refined('shared', { worker: { index, count: 2 } });
    expect(partsOf('shared')).toEqual(whole);
  });

  it('stops at a limit of rows, and is estimated', async () => {
    expect(await refined('limited', { limit: 21, keepScores: false })).toMatchObject({
      rowsIn: 21,
    });
    const estimate = await estimateRefine({ inputs: [folder], out: join(base, 'none'), share: 1 });
    expect(estimate).toMatchObject({ rows: { estimate: 40 }, units: 1 });
  });

  it('fails the unit of a file that changed by that file, and goes on when it is back', async () => {
    const file = paths[37]!;
    const { mtime, atime } = statSync(file);
    let isChanged = false;
    // Units of which few are read ahead of what is written.
    const few = { unitRows: 4 };
    const summary = await refined('changed', {
      ...few,
      onDocument: () => {
        if (isChanged) return;
        isChanged = true;
        writeFileSync(file, 'Another text.');
      },
    });
    expect(summary.errors).toMatchObject([
      { code: 'CORPUS_CHANGED', input: `${paths[36]}[files 36..39]` },
    ]);
    expect(summary.errors[0]!.message).toContain(file);
    expect(readdirSync(join(base, 'changed/_gristmill/units'))).toHaveLength(9);
    // Another listing is another run.
    await expect(refined('changed', few)).rejects.toMatchObject({ code: 'RUN_CHANGED' });
    writeFileSync(file, texts[37]!);
    utimesSync(file, atime, mtime);
    expect(await refined('changed', few)).toMatchObject({ unitsResumed: 9, errors: [] });
    const told = (rows: FinishedRow[]) =>
      rows.map(({ file, status, text }) => [file, status, text]);
    expect(told(await rowsOf('changed'))).toEqual(told(await rowsOf('whole')));
  });
});
