import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { tableFromIPC } from 'apache-arrow';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/paths.ts';
import type { RunSummary } from '../../src/refine/statistics.ts';
import { writeTestCorpus } from '../support/corpus.ts';
import { outputOf, run, start } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-refine-'));
const corpus = join(folder, 'corpus.parquet');
const ONE_THREAD = ['--threads', '1'];
const CHUNK = ['--chunk-model', 'random:tiny', ...ONE_THREAD];
const MODELS = ['--document-model', 'random:tiny', ...CHUNK];
// Random scores lie around one half: this splits them.
const SPLIT = ['--doc-threshold', '0.46'];
let texts: string[];

beforeAll(async () => {
  texts = await writeTestCorpus(corpus, { nRows: 90, rowGroupRows: 30, seed: 11 });
});
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

const summaryOf = (stdout: Buffer): RunSummary => JSON.parse(stdout.toString()) as RunSummary;

function expectConserved({ rowsIn, kept, edited, dropped, failed, reasons }: RunSummary): void {
  expect(kept + edited + dropped + failed).toBe(rowsIn);
  expect(Object.values(reasons).reduce((sum, rows) => sum + rows, 0)).toBe(rowsIn);
}

describe('gristmill refine', () => {
  it('names the command that brings a published refiner, and the text that UltraX needs', async () => {
    const env = { XDG_CACHE_HOME: join(folder, 'empty-cache') };
    const out = join(folder, 'unpulled');
    const args = ['refine', corpus, '--out', out, '--refiner'];
    const missing = await run([...args, 'prox-math'], { env });
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain('REFINER_NOT_PULLED');
    expect(missing.stderr).toContain('gristmill models pull gair-prox/math-doc-refining-lm');
    const bare = await run([...args, 'ultrax', '--chunk-model', 'random:tiny'], { env });
    expect(bare.stderr).toContain('--system');
    const absent = await run([...args, 'ultrax', '--system', join(folder, 'none.txt')], { env });
    expect(absent.stderr).toContain('none.txt');
  });

  it('refines by the name of a refiner', async () => {
    const out = join(folder, 'named');
    const args = [
      'refine',
      corpus,
      '--out',
      out,
      '--refiner',
      'programs',
      '--limit',
      '6',
      '--json',
    ];
    const { code, stdout } = await run([...args, ...ONE_THREAD]);
    expect(code).toBe(0);
    expectConserved(summaryOf(stdout));
  });

  it('refines the example corpus: rows conserved, other columns untouched, DuckDB reads it', async () => {
    const input = join(packageRoot, 'examples/corpus.parquet');
    const out = join(folder, 'example');
    const args = ['refine', input, '--out', out, ...MODELS, ...SPLIT, '--limit', '100', '--json'];
    const { code, stdout, stderr } = await run([...args, '--keep-original', '--dropped-text']);
    expect([code, stderr]).toEqual([0, '']);
    const summary = summaryOf(stdout);
    expect(summary.rowsIn).toBe(100);
    expectConserved(summary);
    const kept = `'${out}/part-*.parquet'`;
    const dropped = `'${out}/dropped/part-*.parquet'`;
    const [counts] = await query(
      `SELECT (SELECT count(*)::INT FROM ${kept}) AS kept, (SELECT count(*)::INT FROM ${dropped}) AS dropped`,
    );
    expect(counts).toEqual({
      kept: summary.kept + summary.edited + summary.failed,
      dropped: summary.dropped,
    });
    const columns = 'url, domain, language, kind, n_words, tags, meta';
    const differing = await query(
      `SELECT id, ${columns} FROM ${kept} EXCEPT SELECT id, ${columns} FROM '${input}'`,
    );
    expect(differing).toEqual([]);
    const originals = await query(
      `SELECT id, gristmill_original AS text FROM ${kept} UNION ALL SELECT id, text FROM ${dropped} ORDER BY id`,
    );
    const wanted = await query(`SELECT id, text FROM '${input}' LIMIT 100`);
    const byId = (rows: Record<string, unknown>[]) =>
      new Map(rows.map((row) => [row['id'], row['text']]));
    expect(byId(originals)).toEqual(byId(wanted));
    const unexplained = await query(
      `SELECT id FROM ${kept} WHERE gristmill_reason IS NULL OR gristmill_status IS NULL
       UNION ALL SELECT id FROM ${dropped} WHERE reason IS NULL`,
    );
    expect(unexplained).toEqual([]);
    const changed = await query(
      `SELECT count(*)::INT AS n FROM ${kept} WHERE gristmill_status <> 'edited' AND text IS DISTINCT FROM gristmill_original`,
    );
    expect(changed).toEqual([{ n: 0 }]);
  });

  it('resumes a finished run as nothing to do, and refuses a changed one by name', async () => {
    const out = join(folder, 'resume');
    const args = [
      'refine',
      corpus,
      '--out',
      out,
      ...MODELS,
      ...SPLIT,
      '--unit-rows',
      '30',
      '--json',
    ];
    const first = summaryOf((await run(args)).stdout);
    const before = outputOf(out);
    const again = summaryOf((await run(args)).stdout);
    expect(again).toMatchObject({ units: 3, unitsResumed: 3, docsPerSecond: 0 });
    expect(again.reasons).toEqual(first.reasons);
    expect(outputOf(out)).toEqual(before);

    const changed = await run([...args, '--executor', 'compat', '--seed', '2']);
    expect(changed.code).toBe(1);
    const { error } = JSON.parse(changed.stderr) as { error: { code: string; message: string } };
    expect(error.code).toBe('RUN_CHANGED');
    expect(error.message).toMatch(/options\.executor: "strict" -> "compat"/);
    expect(error.message).toMatch(/models\.document\.sha256/);

    await writeTestCorpus(corpus, { nRows: 90, rowGroupRows: 30, seed: 12 });
    const other = await run(args);
    await writeTestCorpus(corpus, { nRows: 90, rowGroupRows: 30, seed: 11 });
    expect(other.stderr).toMatch(/RUN_CHANGED.*corpus\.parquet/);
    expect(outputOf(out)).toEqual(before);
  });

  it('gives the same bytes whatever the workers, the process and the slabs', async () => {
    const outputs = await Promise.all(
      [
        ['--workers', '1'],
        ['--workers', '2', '--in-process'],
        ['--slab-mb', '1', '--slabs', '2'],
      ].map(async (extra, index) => {
        const out = join(folder, `same-${index}`);
        const { code, stderr } = await run([
          'refine',
          corpus,
          '--out',
          out,
          ...MODELS,
          ...SPLIT,
          '--json',
          ...extra,
        ]);
        expect([code, stderr]).toEqual([0, '']);
        return outputOf(out);
      }),
    );
    expect(outputs[0]!.size).toBe(2);
    expect(outputs[1]).toEqual(outputs[0]);
    expect(outputs[2]).toEqual(outputs[0]);
  });

  it('reads JSONL and writes JSONL; null and non-UTF-8 texts fail by row, not by run', async () => {
    const input = join(folder, 'rows.jsonl');
    const lines = [
      JSON.stringify({ text: texts[0], nested: { a: [1, 2] } }),
      JSON.stringify({ text: null, nested: null }),
    ];
    const broken = Buffer.concat([
      Buffer.from('{"text":"caf'),
      Buffer.from([0xe9]),
      Buffer.from(' au lait"}'),
    ]);
    writeFileSync(
      input,
      Buffer.concat([Buffer.from(`${lines.join('\n')}\n`), broken, Buffer.from('\n')]),
    );
    const out = join(folder, 'jsonl');
    const { code, stdout, stderr } = await run(['refine', input, '--out', out, ...CHUNK, '--json']);
    expect([code, stderr]).toEqual([0, '']);
    const summary = summaryOf(stdout);
    expectConserved(summary);
    expect(summary.reasons).toMatchObject({ null_text: 1, invalid_utf8: 1 });
    const rows = await query(`SELECT * FROM read_json('${out}/part-*.jsonl.zst')`);
    expect(rows).toHaveLength(2 - summary.dropped);
    expect(rows.at(-1)).toMatchObject({ text: null, gristmill_reason: 'null_text' });
    // Bytes that are no text are kept as they are, in a place of their own.
    const rejected = await query(`SELECT * FROM read_json('${out}/rejected/part-*.jsonl.zst')`);
    expect(rejected).toMatchObject([{ file: input, raw: broken.toString('base64') }]);
    expect(rejected[0]).toMatchObject({ reason: 'invalid_utf8' });
  });

  it('pipes Arrow IPC from stdin to stdout', async () => {
    const parquet = ['refine', corpus, '--out', '-', ...CHUNK, '--limit', '20'];
    const first = await run(parquet);
    expect(first.code).toBe(0);
    const table = tableFromIPC(first.stdout);
    expect(table.numRows).toBeGreaterThan(0);
    expect(table.schema.fields.map((field) => field.name)).toContain('gristmill_status');
    const piped = ['refine', '-', '--out', '-', ...CHUNK, '--executor', 'compat'];
    // Its columns are called like the ones that the second run adds: that has to be said.
    const refused = await run(piped, { stdin: first.stdout });
    expect([refused.code, refused.stderr]).toEqual([
      4,
      expect.stringContaining('CORPUS_COLUMN_RESERVED'),
    ]);
    const second = await run([...piped, '--replace-status'], { stdin: first.stdout });
    expect([second.code, tableFromIPC(second.stdout).numRows <= table.numRows]).toEqual([0, true]);
  });

  it('names bad files, goes on with the others, and stops at the first with --fail-fast', async () => {
    const mixed = join(folder, 'mixed');
    mkdirSync(mixed);
    const good = readFileSync(corpus);
    writeFileSync(join(mixed, 'b-good.parquet'), good);
    writeFileSync(join(mixed, 'a-truncated.parquet'), good.subarray(0, good.length / 2));
    const damaged = Buffer.from(good);
    // Inside the first page of the first column chunk, behind its header.
    damaged.fill(0xff, 60, 400);
    writeFileSync(join(mixed, 'c-damaged.parquet'), damaged);
    const out = join(folder, 'mixed-out');
    const args = [
      'refine',
      mixed,
      '--out',
      out,
      '--document-model',
      'random:tiny',
      ...ONE_THREAD,
      '--json',
    ];
    const { code, stdout } = await run(args);
    expect(code).toBe(3);
    const summary = summaryOf(stdout);
    expectConserved(summary);
    expect(summary.rowsIn).toBe(90);
    expect(summary.errors.map(({ input }) => input.replace(/^.*\//, '').slice(0, 9))).toEqual([
      'a-truncat',
      'c-damaged',
    ]);
    for (const error of summary.errors) expect(error.code).toMatch(/^CORPUS_/);
    expect(readdirSync(out).filter((name) => name.startsWith('part-'))).toHaveLength(1);
    const fast = await run([
      ...args.slice(0, 3),
      join(folder, 'fast'),
      ...args.slice(4),
      '--fail-fast',
    ]);
    expect(fast.code).toBe(1);
    expect(fast.stderr).toMatch(/CORPUS_.*a-truncated/);
  });

  it.each([
    [['nowhere/*.parquet'], 'CORPUS_NO_FILES'],
    [['nowhere.parquet'], 'CORPUS_READ_FAILED'],
    [[corpus, '--text-column', 'txt'], 'CORPUS_COLUMN_MISSING'],
    [[corpus, '--text-column', 'n'], 'CORPUS_COLUMN_TYPE'],
    [[corpus, '--chunk-model', 'none.gguf'], 'ENGINE_MODEL_MISSING'],
    [[corpus, '--chunk-model', corpus], 'ENGINE_MODEL_INVALID'],
    [[corpus, '--profile', 'nonsense'], 'PROFILE_UNKNOWN'],
    [[corpus, '--device', 'tpu'], 'OPTION_INVALID'],
    [[corpus, '--dialect', 'ultrax'], 'OPTION_INVALID'],
  ])('%j is refused with %s', async (args, code) => {
    const models = args.includes('--chunk-model') ? [] : CHUNK;
    const { code: exit, stderr } = await run([
      'refine',
      ...args,
      ...models,
      '--out',
      join(folder, 'refused'),
    ]);
    const expected = code === 'OPTION_INVALID' ? 2 : 1;
    expect([exit, stderr]).toEqual([expected, expect.stringContaining(`gristmill: ${code}: `)]);
  });

  it('is refused an output that cannot be written, and usage that makes no sense', async () => {
    const blocked = await run([
      'refine',
      corpus,
      '--out',
      '/dev/null/out',
      '--document-model',
      'random:tiny',
    ]);
    expect([blocked.code, blocked.stderr]).toEqual([
      1,
      expect.stringContaining('RUN_OUTPUT_FAILED'),
    ]);
    const usage = await run(['refine', corpus, '--out', join(folder, 'u'), '--doc-threshold', '7']);
    expect([usage.code, usage.stderr]).toEqual([2, expect.stringContaining('0..1')]);
    const both = ['--retention', '0.99', '--line-threshold', '0.1'];
    const two = await run(['refine', corpus, '--out', join(folder, 'u'), ...both]);
    expect([two.code, two.stderr]).toEqual([2, expect.stringContaining('beside --line-threshold')]);
  });

  it('refines with the package’s refiners when no model is named, and shows what it did', async () => {
    const out = join(folder, 'defaults');
    const { code, stdout } = await run(['refine', corpus, '--out', out, '--show', '2']);
    expect(code).toBe(0);
    const text = stdout.toString();
    expect(text).toMatch(/row \d+ .*edited: \d+ of \d+ lines removed\n/);
    expect(text).toMatch(/^- /m);
    // Not a terminal: no escape may stand in the output.
    expect(text).not.toContain('\u001b');
    expect(outputOf(out).size ?? Object.keys(outputOf(out)).length).toBeGreaterThan(0);
  });

  it('runs the published form of ProX with the package’s model that writes programs', async () => {
    const out = join(folder, 'programs');
    const rows = ['--limit', '12', '--id-column', 'id'];
    const command = [
      'refine',
      'examples/corpus.parquet',
      '--out',
      out,
      '--chunk-model',
      'programs',
    ];
    const { code, stdout, stderr } = await run([...command, ...rows, '--json']);
    expect([code, stderr]).toEqual([0, '']);
    const summary = JSON.parse(stdout.toString());
    expect(summary.rowsIn).toBe(12);
    expect(summary.edited).toBeGreaterThan(0);
    expect(summary.newTokens).toBeGreaterThan(0);
  });

  it('finishes the units in flight at the first interrupt, and the rest when run again', async () => {
    const out = join(folder, 'interrupted');
    const args = ['refine', corpus, '--out', out, ...MODELS, ...SPLIT, '--unit-rows', '30'];
    const { process, finished } = start(args);
    await new Promise<void>((resolve) => {
      process.stderr?.on('data', (chunk: Buffer) => {
        if (chunk.includes('docs/s') || chunk.includes('/s |')) resolve();
      });
      process.on('exit', () => resolve());
    });
    process.kill('SIGINT');
    const { code, stdout } = await finished;
    // A fast machine may have finished before the signal came.
    expect([0, 130]).toContain(code);
    if (code === 130) expect(stdout.toString()).toContain('interrupted');
    const rest = await run([...args, '--json']);
    expect(rest.code).toBe(0);
    expect(summaryOf(rest.stdout)).toMatchObject({ rowsIn: 90, interrupted: false });
    const whole = join(folder, 'uninterrupted');
    await run(['refine', corpus, '--out', whole, ...MODELS, ...SPLIT, '--unit-rows', '30']);
    expect(outputOf(out)).toEqual(outputOf(whole));
  });

  it('prints a plan without running it', async () => {
    const out = join(folder, 'planned');
    const { code, stderr } = await run([
      'refine',
      corpus,
      '--out',
      out,
      ...MODELS,
      '--plan',
      '--unit-rows',
      '30',
    ]);
    expect(code).toBe(0);
    expect(stderr).toContain('plan: 1 file, 3 units, 90 rows');
    expect(outputOf(out).size).toBe(0);
  });
});
