import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tableFromIPC } from 'apache-arrow';
import { afterAll, describe, expect, it } from 'vitest';
import type { RunSummary } from '../../src/refine/statistics.ts';
import { openDuck } from '../corpus/duck.ts';
import { run } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-refine-inputs-'));
const fixtures = join(import.meta.dirname, '../corpus/fixtures');
const MODEL = ['--document-model', 'random:tiny', '--doc-threshold', '0', '--threads', '1'];
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('gristmill refine', () => {
  it('--out - writes shards that differ in nothing that matters as one table', async () => {
    const input = join(folder, 'shards');
    mkdirSync(join(input, 'day=1'), { recursive: true });
    for (const name of ['list-item', 'list-required', 'null-column'])
      copyFileSync(join(fixtures, `${name}.parquet`), join(input, `${name}.parquet`));
    const duck = await openDuck();
    const sql = `SELECT 'x' AS text, 7::BIGINT AS n, ['t'] AS tags`;
    await duck.run(`COPY (${sql}) TO '${input}/day=1/x.parquet' (FORMAT parquet)`);
    await duck.run(
      `COPY (SELECT 'y' AS text, 8::INT AS n) TO '${input}/y.parquet' (FORMAT parquet)`,
    );
    duck.closeSync();
    const { code, stdout, stderr } = await run(['refine', input, '--out', '-', ...MODEL]);
    expect([code, stderr.includes('failed:')]).toEqual([0, false]);
    const rows = tableFromIPC(stdout)
      .toArray()
      .map((row) =>
        JSON.parse(JSON.stringify(row, (_, v) => (typeof v === 'bigint' ? `${v}n` : v))),
      );
    expect(rows.length).toBe(8);
    expect(rows.map(({ n }) => n).filter((n) => n !== null)).toEqual(['7n', '8n']);
    expect(rows.map(({ day }) => day).filter((day) => day !== null)).toEqual(['1n']);
    expect(rows.map(({ tags }) => tags)).toContainEqual(['t']);
  });

  it('--plan lists files, columns and failures, without a table of zeros', async () => {
    const input = join(folder, 'planned');
    mkdirSync(input);
    writeFileSync(join(input, 'a.jsonl'), '{"text":"x","id":1}\n');
    writeFileSync(join(input, 'b.parquet'), 'no Parquet');
    writeFileSync(join(input, 'c.csv'), 'text\nx\n');
    const args = ['refine', input, '--out', join(folder, 'out'), '--plan'];
    const { code, stdout, stderr } = await run(args);
    expect(code).toBe(3);
    expect(stdout.toString()).toMatch(/a\.jsonl +jsonl +\? +0\.0 MB +1\n/);
    expect(stdout.toString()).toMatch(/columns \(jsonl\): text string, id int64\n/);
    expect(stdout.toString()).toMatch(/failed: .*b\.parquet: CORPUS_FILE_INVALID/);
    expect(stdout.toString()).not.toMatch(/docs\/s/);
    expect(stderr).toMatch(
      /1 file of other formats: 1 \.csv\n.*to read them: a glob with their ending/,
    );
    const json = await run([...args, '--json']);
    const summary = JSON.parse(json.stdout.toString()) as RunSummary;
    expect(summary.plan?.files.length).toBe(1);
    expect([json.code, summary.unitsFailed, summary.errors.length]).toEqual([3, 0, 1]);
  });
});
