import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { tableFromIPC } from 'apache-arrow';
import { afterAll, describe, expect, it } from 'vitest';
import type { RunSummary } from '../../src/refine/statistics.ts';
import { run } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-refine-json-'));
// Keeps every document: what is tested here is the way of the rows.
const KEEP = [
  '--document-model',
  'default',
  '--doc-threshold',
  '0',
  '--threads',
  '1',
  '--in-process',
];

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function query(sql: string): Promise<Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    return (await connection.runAndReadAll(sql)).getRowObjectsJson() as Record<string, unknown>[];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

function fresh(name: string): string {
  const made = join(folder, name);
  mkdirSync(made);
  return made;
}

const summaryOf = (stdout: Buffer): RunSummary => JSON.parse(stdout.toString()) as RunSummary;

const GOOD = Array.from({ length: 20 }, (_, n) =>
  JSON.stringify({ id: `d${n}`, text: `A text, number ${n}.` }),
);
const NAN = '{"id":"nan","text":"fine","score":NaN}';
const BROKEN = Buffer.from('{"id":"b","text":"caf\xe9"}', 'latin1');

/** Good lines with a blank one, NaN at row 5, no object at row 9 and broken bytes at row 12. */
function mixedFile(path: string): void {
  const lines: (string | Buffer)[] = [...GOOD];
  lines.splice(5, 0, NAN);
  lines.splice(9, 0, '[]');
  lines.splice(12, 0, BROKEN);
  lines.splice(3, 0, '');
  writeFileSync(
    path,
    Buffer.concat(lines.flatMap((line) => [Buffer.from(line as string), Buffer.from('\n')])),
  );
}

describe('gristmill refine of JSON lines', () => {
  it.each(['jsonl.zst', 'parquet'])('one bad row costs one row: %s', async (format) => {
    const inputs = fresh(`bad-${format}`);
    const input = join(inputs, 'in.jsonl');
    mixedFile(input);
    const out = join(folder, `bad-out-${format}`);
    const args = ['refine', input, '--out', out, ...KEEP, '--format', format, '--json'];
    const { code, stdout, stderr } = await run(args);
    expect([code, stderr]).toEqual([0, '']);
    const summary = summaryOf(stdout);
    expect(summary).toMatchObject({ rowsIn: 23, failed: 3, errors: [] });
    expect(summary.reasons).toMatchObject({ line_invalid: 2, invalid_utf8: 1 });
    expect(summary.kept + summary.edited + summary.dropped + summary.failed).toBe(23);
    const read = (part: string) =>
      format === 'parquet'
        ? `'${part}'`
        : `read_json('${part}', columns = {file: 'VARCHAR', row: 'BIGINT', reason: 'VARCHAR', raw: 'VARCHAR'})`;
    const raw = format === 'parquet' ? 'base64(raw)' : 'raw';
    const rejected = await query(
      `SELECT file, row, reason, ${raw} AS raw FROM ${read(`${out}/rejected/part-00000.${format}`)} ORDER BY row`,
    );
    const base64 = (line: string | Buffer): string =>
      Buffer.from(line as string).toString('base64');
    expect(rejected).toEqual([
      { file: input, row: '5', reason: 'line_invalid', raw: base64(NAN) },
      { file: input, row: '9', reason: 'line_invalid', raw: base64('[]') },
      { file: input, row: '12', reason: 'invalid_utf8', raw: base64(BROKEN) },
    ]);
    const part = join(out, `part-00000.${format}`);
    const from = format === 'parquet' ? `'${part}'` : `read_json('${part}')`;
    const kept = await query(`SELECT id FROM ${from}`);
    expect(kept).toHaveLength(20 - summary.dropped);
    const record = JSON.parse(readFileSync(join(out, '_gristmill/units/00000.json'), 'utf8'));
    expect(
      record.files.map(({ path, rows }: { path: string; rows: number }) => [path, rows]),
    ).toEqual([
      [`part-00000.${format}`, 20 - summary.dropped],
      [`dropped/part-00000.${format}`, summary.dropped],
      [`rejected/part-00000.${format}`, 3],
    ]);
  });

  it('a limit counts rejected rows, and a file of nothing else is read', async () => {
    const inputs = fresh('limit');
    mixedFile(join(inputs, 'in.jsonl'));
    const args = ['refine', inputs, ...KEEP, '--json'];
    const cut = summaryOf(
      (await run([...args, '--out', join(folder, 'l1'), '--limit', '6'])).stdout,
    );
    expect(cut).toMatchObject({ rowsIn: 6, failed: 1, reasons: { line_invalid: 1 } });
    writeFileSync(join(inputs, 'in.jsonl'), `${NAN}\n${NAN}\n`);
    const all = await run([...args, '--out', join(folder, 'l2')]);
    expect([all.code, all.stderr]).toEqual([0, '']);
    expect(summaryOf(all.stdout)).toMatchObject({ rowsIn: 2, failed: 2, kept: 0 });
    const told = await run(['refine', inputs, ...KEEP, '--out', join(folder, 'l2')]);
    expect(told.stderr).toContain(
      `2 rows could not be rows: bytes and reasons in ${folder}/l2/rejected`,
    );
  });

  it('a stream refuses what it has no place for, and keeps it where it has one', async () => {
    const inputs = fresh('stream');
    const input = join(inputs, 'in.jsonl');
    mixedFile(input);
    const args = ['refine', input, '--out', '-', ...KEEP];
    const refused = await run(args);
    expect(refused.code).toBe(4);
    expect(refused.stderr).toMatch(
      /RUN_ROW_REJECTED.*in\.jsonl, row 5: line_invalid: line 7: .*--rejected/s,
    );
    const rejected = join(inputs, 'rejected.jsonl.zst');
    const done = await run([...args, '--rejected', rejected]);
    expect(done.code).toBe(0);
    const table = tableFromIPC(done.stdout);
    const rows = await query(`SELECT row FROM read_json('${rejected}') ORDER BY row`);
    expect(rows.map(({ row }) => Number(row))).toEqual([5, 9, 12]);
    expect(table.numRows).toBeLessThanOrEqual(20);
    expect(readdirSync(inputs).sort()).toEqual(['in.jsonl', 'rejected.jsonl.zst']);
    const useless = await run([
      'refine',
      input,
      '--out',
      join(folder, 'x'),
      ...KEEP,
      '--rejected',
      rejected,
    ]);
    expect(useless.stderr).toContain('OPTION_INVALID');
  });

  it('a field or a type that comes late is a column, or costs its row', async () => {
    const inputs = fresh('late');
    const input = join(inputs, 'in.jsonl');
    const lines = Array.from({ length: 300 }, (_, n) => `{"text":"t${n}","n":${n}}`);
    lines[250] = '{"text":"late","n":18446744073709551615,"late":0.1}';
    lines[280] = '{"text":"later","n":"seven"}';
    writeFileSync(input, lines.join('\n'));
    const args = ['refine', input, ...KEEP, '--format', 'parquet', '--json'];
    const all = await run([...args, '--out', join(folder, 'late-all')]);
    expect([all.code, all.stderr]).toEqual([0, '']);
    expect(summaryOf(all.stdout)).toMatchObject({ rowsIn: 300, failed: 0 });
    const parts = `'${folder}/late-all/part-*.parquet'`;
    const types = await query(
      `SELECT column_name AS name, column_type AS type FROM (DESCRIBE FROM ${parts})`,
    );
    expect(types.slice(0, 3)).toEqual([
      { name: 'text', type: 'VARCHAR' },
      { name: 'n', type: 'JSON' },
      { name: 'late', type: 'DOUBLE' },
    ]);
    const some = await run([...args, '--out', join(folder, 'late-some'), '--infer-lines', '100']);
    expect(summaryOf(some.stdout)).toMatchObject({ rowsIn: 300, failed: 2, errors: [] });
    const rejected = await query(
      `SELECT row, reason, decode(raw) AS raw FROM '${folder}/late-some/rejected/*.parquet' ORDER BY row`,
    );
    expect(rejected).toEqual([
      { row: '250', reason: 'field_type', raw: lines[250] },
      { row: '280', reason: 'field_type', raw: lines[280] },
    ]);
  });
});
