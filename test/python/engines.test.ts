/**
 * `npm run check:engines`: the examples of python/ in Ray Data, Daft and Spark, each over three partitions with a process killed in
 * the middle of an answer; what they write is row for row what one run of the command writes.
 *
 * Ray, Daft and PySpark are 1.3 GB and start in a minute together: without GRISTMILL_ENGINES=1 this is skipped. Processes that die
 * are our own worker, and, in engines that start theirs again, the engine's.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../cli/support.ts';
import { openDuck, query } from '../corpus/duck.ts';
import { writeTestCorpus } from '../support/corpus.ts';
import { environmentWith, root, sources } from './environment.ts';

const isAsked = process.env['GRISTMILL_ENGINES'] === '1';
if (!isAsked) process.stderr.write('SKIPPED: Ray Data, Daft and Spark: npm run check:engines\n');
const python = isAsked
  ? environmentWith(['pyarrow', 'ray[data]', 'daft', 'pyspark', 'pandas<3'])
  : null;
const hasJava = spawnSync('java', ['-version']).status === 0;
if (isAsked && !hasJava) process.stderr.write('SKIPPED: Spark: no java on PATH\n');

const folder = mkdtempSync(join(tmpdir(), 'gristmill-engines-'));
const corpus = join(folder, 'corpus.parquet');
const EXAMPLE_MS = 900_000;
let wanted: unknown[] = [];

/** Rows of a folder in the order of their numbers. */
async function rowsOf(out: string): Promise<unknown[]> {
  const columns =
    'n, id, text, gristmill_status, gristmill_reason, gristmill_program, gristmill_doc_score';
  return query(
    await openDuck(),
    `SELECT ${columns} FROM read_parquet('${out}/*.parquet') ORDER BY n`,
  );
}

interface Ended {
  readonly code: number | null;
  readonly said: string;
}

/** Runs an example in a process group of its own, so that nothing of an engine is left behind. */
function example(name: string, out: string, kill: 'worker' | 'engine'): Promise<Ended> {
  const command = [process.execPath, join(root, 'test/python/killing.mjs')];
  const script = join(root, `python/examples/refine_with_${name}.py`);
  const child = spawn(python!, [script, corpus, out], {
    env: {
      ...process.env,
      PYTHONPATH: sources,
      PYTHONDONTWRITEBYTECODE: '1',
      PYSPARK_PYTHON: python!,
      RAY_USAGE_STATS_ENABLED: '0',
      // Ray makes its workers nicer than everything else, which starves them beside anything.
      RAY_worker_niceness: '0',
      DAFT_ANALYTICS_ENABLED: '0',
      GRISTMILL_COMMAND: command.map((word) => `'${word}'`).join(' '),
      GRISTMILL_TEST_KILL: kill,
      GRISTMILL_TEST_MARK: `${out}.killed`,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      said = `${said}${chunk}`.slice(-4000);
    });
  }
  const late = setTimeout(() => process.kill(-child.pid!, 'SIGKILL'), EXAMPLE_MS);
  return new Promise((resolve) =>
    child.once('exit', (code) => {
      clearTimeout(late);
      resolve({ code, said });
    }),
  );
}

describe.skipIf(python === null)('the example', () => {
  beforeAll(async () => {
    await writeTestCorpus(corpus, { nRows: 600, rowGroupRows: 200, seed: 11 });
    const out = join(folder, 'one');
    expect((await run(['refine', corpus, '--out', out, '--json'])).code).toBe(0);
    wanted = await rowsOf(out);
    expect(wanted.length).toBeGreaterThan(100);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each([
    ['ray', 'worker'],
    ['ray', 'engine'],
    ['daft', 'worker'],
    ['spark', 'worker'],
    ['spark', 'engine'],
  ] as const)(
    'with %s writes what one run of the command writes, with a process killed: %s',
    async (name, kill) => {
      if (name === 'spark' && !hasJava) return;
      const out = join(folder, `${name}-${kill}`);
      const { code, said } = await example(name, out, kill);
      expect([code, code === 0 ? '' : said]).toEqual([0, '']);
      // Somebody died.
      expect(existsSync(`${out}.killed`)).toBe(true);
      expect(await rowsOf(out)).toEqual(wanted);
    },
    EXAMPLE_MS + 60_000,
  );
});
