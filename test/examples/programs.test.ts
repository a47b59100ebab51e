/** The example programs do what they say: as processes, from the compiled package, by its own name. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { packageRoot } from '../../src/paths.ts';
import { readTrainConfig } from '../../src/train/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-examples-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const node = (name: string, ...args: string[]) =>
  promisify(execFile)(process.execPath, [join(packageRoot, 'examples', name), ...args], {
    cwd: packageRoot,
  });

describe('examples', () => {
  it('train.yaml is a configuration over the example corpus', () => {
    const config = readTrainConfig(join(packageRoot, 'examples', 'train.yaml'));
    expect(config.objective).toBe('pretrain');
    for (const input of config.data.inputs) expect(existsSync(join(packageRoot, input))).toBe(true);
  });

  it('embed.mjs executes a program and refines texts', async () => {
    const { stdout } = await node('embed.mjs');
    const lines = stdout.trim().split('\n');
    expect(lines[0]).toBe('edited, 2 ops');
    expect(lines[1]).toMatch(/^edited edited 0\.\d{3} "remove_lines\(start=0, end=1\)/);
    expect(lines[2]).toMatch(/^dropped doc_refiner 0\.\d{3} "drop_doc\(\)"$/);
    expect(lines[3]).toMatch(/^https:\/\/kitchen\.example\/oil: \d{3} characters, \d{3} left$/);
    expect(lines).toHaveLength(4);
  });

  it('etl.cjs refines a corpus from CommonJS, and reports errors by code', async () => {
    const corpus = join(packageRoot, 'examples', 'corpus.parquet');
    const { stdout } = await node('etl.cjs', corpus, join(folder, 'out'));
    const counts = JSON.parse(stdout) as Record<string, number>;
    const { rowsIn, ...became } = counts;
    expect(rowsIn).toBe(64);
    expect(Object.values(became).reduce((sum, rows) => sum + rows)).toBe(64);
    expect(became['edited']).toBeGreaterThan(10);
    const failure = await node('etl.cjs', join(folder, 'none.parquet'), join(folder, 'out2')).then(
      () => 'no failure',
      (error: { stderr: string }) => error.stderr,
    );
    expect(failure).toMatch(/^CORPUS_READ_FAILED: /);
  });

  it('worker.mjs refines inside a worker thread', async () => {
    const { stdout } = await node('worker.mjs');
    expect(stdout).toBe('refined in a worker: kept,dropped\n');
  });
});
