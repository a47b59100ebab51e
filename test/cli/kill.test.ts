/**
 * The crash test of the ledger: a run that is killed twenty times ends as one that never was.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTestCorpus } from '../support/corpus.ts';
import { outputOf, run, start } from './support.ts';

const N_UNITS = 12;
const N_KILLS = 20;
const folder = mkdtempSync(join(tmpdir(), 'gristmill-kill-'));
const corpus = join(folder, 'corpus.parquet');
const commandFor = (out: string): string[] => [
  ...[
    'refine',
    corpus,
    '--out',
    out,
    '--document-model',
    'random:tiny',
    '--chunk-model',
    'random:tiny',
  ],
  ...['--unit-rows', '24', '--threads', '1', '--doc-threshold', '0.45', '--dropped-text', '--json'],
];

beforeAll(() => writeTestCorpus(corpus, { nRows: N_UNITS * 24, rowGroupRows: 24, seed: 5 }));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function records(out: string): Map<string, string> {
  const units = join(out, '_gristmill/units');
  if (!existsSync(units)) return new Map();
  const names = readdirSync(units).filter((name) => /^\d+\.json$/.test(name));
  return new Map(names.map((name) => [name, readFileSync(join(units, name), 'utf8')]));
}

describe('a run that is killed', () => {
  it(`${N_KILLS} times ends byte for byte as an uninterrupted one, for about the work of one`, async () => {
    const whole = join(folder, 'whole');
    const begun = performance.now();
    const first = await run(commandFor(whole));
    const wholeMs = performance.now() - begun;
    expect([first.code, first.stderr]).toEqual([0, '']);
    const summary = JSON.parse(first.stdout.toString());
    expect(summary.units).toBe(N_UNITS);
    const { rowsIn, kept, edited, dropped, failed } = summary;
    expect(rowsIn).toBe(N_UNITS * 24);
    expect(kept + edited + dropped + failed).toBe(rowsIn);

    const out = join(folder, 'killed');
    // A linear congruential generator: the kill points are random, and the same in every run of this test.
    let state = 20_240_917;
    const random = (): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
    let before = records(out);
    let killed = 0;
    let withProgress = 0;
    for (let attempt = 0; attempt < N_KILLS; attempt++) {
      const { process, finished } = start(commandFor(out));
      // From "hardly begun" to "well under way", so that the last kill still finds work to destroy.
      const killAfterMs = wholeMs * (0.2 + 0.5 * random());
      await Promise.race([finished, new Promise((resolve) => setTimeout(resolve, killAfterMs))]);
      process.kill('SIGKILL');
      const { signal } = await finished;
      if (signal === 'SIGKILL') killed++;
      const after = records(out);
      // What is committed stays, untouched: no unit is ever done twice.
      for (const [name, record] of before) expect([name, after.get(name)]).toEqual([name, record]);
      // Every public file belongs to a committed unit, but for those of a commit cut short between record and rename.
      const committed = new Set([...after.keys()].map((name) => name.replace('.json', '')));
      for (const path of outputOf(out).keys()) {
        expect(committed).toContain(/part-(\d+)\./.exec(path)?.[1]);
      }
      if (after.size > before.size) withProgress++;
      before = after;
    }
    expect(killed).toBeGreaterThan(0);
    expect(withProgress).toBeGreaterThan(0);
    const last = await run(commandFor(out));
    expect([last.code, last.stderr]).toEqual([0, '']);
    expect(JSON.parse(last.stdout.toString()).unitsResumed).toBe(before.size);
    expect(outputOf(out)).toEqual(outputOf(whole));
  }, 600_000);
});
