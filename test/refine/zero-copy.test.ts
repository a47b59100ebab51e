/**
 * Zero copies in the process that `gristmill refine` starts: the address at which the reader of Parquet puts a document's bytes
 * is the one at which the scorer, the language model's engine and the executor read them. Every stage tells where it looks
 * (native/trace.h); before runs had workers, each engine had a process and a copy of its own.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../cli/support.ts';
import { writeTestCorpus } from '../support/corpus.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-zero-copy-'));
const corpus = join(folder, 'corpus.parquet');
const N_ROWS = 60;
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => writeTestCorpus(corpus, { nRows: N_ROWS, rowGroupRows: 30, seed: 11 }));

/** `address bytes` of every document that a stage has looked at, as often as it did. */
async function traced(name: string, ...args: string[]): Promise<Map<string, string[]>> {
  const trace = join(folder, `${name}.trace`);
  const { code, stderr } = await run(
    ['refine', corpus, '--out', join(folder, name), '--threads', '2', '--json', ...args],
    { env: { GRISTMILL_TRACE_BYTES: trace } },
  );
  expect([code, stderr]).toEqual([0, '']);
  const stages = new Map<string, string[]>();
  for (const line of readFileSync(trace, 'utf8').trim().split('\n')) {
    const [stage, ...where] = line.split(' ');
    // An empty text has no place of its own.
    if (where[1] === '0') continue;
    stages.set(stage!, [...(stages.get(stage!) ?? []), where.join(' ')]);
  }
  return stages;
}

const distinct = (places: readonly string[] | undefined): Set<string> => new Set(places ?? []);

describe('gristmill refine', () => {
  it('has the scorer and the executor read the bytes where the reader put them', async () => {
    const stages = await traced('default');
    const [read, scored, executed] = ['reader', 'scorer', 'executor'].map((stage) =>
      distinct(stages.get(stage)),
    );
    expect(scored!.size).toBeGreaterThan(N_ROWS / 2);
    expect(executed!.size).toBeGreaterThan(3);
    expect([...scored!].filter((place) => !read!.has(place))).toEqual([]);
    expect([...executed!].filter((place) => !scored!.has(place))).toEqual([]);
  });

  it('has the language model’s engine read them there too', async () => {
    const models = ['--document-model', 'random:tiny', '--chunk-model', 'random:tiny'];
    const stages = await traced('engine', ...models, '--doc-threshold', '0.3');
    const [read, asked, executed] = ['reader', 'engine', 'executor'].map((stage) =>
      distinct(stages.get(stage)),
    );
    expect(asked!.size).toBeGreaterThan(N_ROWS / 2);
    expect(executed!.size).toBeGreaterThan(0);
    expect([...asked!].filter((place) => !read!.has(place))).toEqual([]);
    expect([...executed!].filter((place) => !asked!.has(place))).toEqual([]);
  });

  it('tells nobody where nobody asks', async () => {
    const { code } = await run(['refine', corpus, '--out', join(folder, 'quiet'), '--json']);
    expect(code).toBe(0);
    expect(existsSync(join(folder, 'quiet.trace'))).toBe(false);
  });
});
