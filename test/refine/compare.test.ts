/** Two runs compared, held against what refiners say of each text. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { comparisonHtml } from '../../src/cli/compare-html.ts';
import { compareRuns } from '../../src/refine/compare.ts';
import { openRefiner } from '../../src/refine/refiner.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import type { RefineCorpusOptions } from '../../src/refine/run-options.ts';
import { syntheticPages } from '../train/support.ts';

const base = mkdtempSync(join(tmpdir(), 'gristmill-compare-'));
const corpus = join(base, 'corpus');
const pages = syntheticPages(120, 8).map(({ text }) => text);
const texts = pages.map((text, at) => {
  return at % 5 === 0 ? Array(9).fill(`Home | Login | ${at} 😀`).join('\n') : text;
});
const FIRST = { retention: 0.99 };
const SECOND = { retention: 0.9, documentThreshold: 0.9 };

beforeAll(async () => {
  mkdirSync(corpus);
  for (const file of [0, 1]) {
    const rows = texts.slice(file * 60, file * 60 + 60).map((text, at) => {
      return JSON.stringify({ id: `${file}-${at}`, language: at % 3 ? 'en' : '<b>de</b>', text });
    });
    // A line that is no row, so that numbers of rows and positions differ.
    rows.splice(7, 0, 'no row');
    writeFileSync(join(corpus, `${file}.jsonl`), `${rows.join('\n')}\n`);
  }
  await refine('first', FIRST);
  await refine('second', { ...SECOND, format: 'parquet' });
});
afterAll(() => rmSync(base, { recursive: true, force: true }));

async function refine(out: string, options: Partial<RefineCorpusOptions> = {}) {
  const all = { inputs: corpus, isolate: false, idColumn: 'id', threads: 1, workers: 0 };
  return refineCorpus({ ...all, out: join(base, out), ...options });
}

const at = (name: string): string => join(base, name);

async function outcomes(options: object): Promise<{ status: string; text: string | null }[]> {
  await using refiner = await openRefiner(options);
  const refined = await refiner.refine(texts);
  return refined.map(({ status, text }) => ({ status, text: status === 'dropped' ? null : text }));
}

describe('compareRuns', () => {
  it('finds what a look at every document finds', async () => {
    const found = await compareRuns(at('first'), at('second'), { top: 1000 });
    const [one, other] = [await outcomes(FIRST), await outcomes(SECOND)];
    const lines = (text: string | null): string[] => (text === null ? [] : text.split('\n'));
    let [differing, onlyInFirst, onlyInSecond] = [0, 0, 0];
    const statuses: Record<string, number> = {};
    for (const row of texts.keys()) {
      const [mine, theirs] = [one[row]!, other[row]!];
      const pair = `${mine.status} ${theirs.status}`;
      statuses[pair] = (statuses[pair] ?? 0) + 1;
      if (mine.status !== theirs.status || mine.text !== theirs.text) differing++;
      const without = (all: string[], gone: string[]): number => {
        const left = [...gone];
        let chars = 0;
        for (const line of all) {
          const same = left.indexOf(line);
          if (same >= 0) left.splice(same, 1);
          else chars += [...line].length;
        }
        return chars;
      };
      onlyInFirst += without(lines(mine.text), lines(theirs.text));
      onlyInSecond += without(lines(theirs.text), lines(mine.text));
    }
    expect(differing).toBeGreaterThan(20);
    // The two lines that are no rows failed in both.
    expect(found).toMatchObject({ documents: 122, differing, onlyInFirst, onlyInSecond });
    expect(found.statuses.failed.failed).toBe(2);
    for (const [pair, rows] of Object.entries(statuses)) {
      const [mine, theirs] = pair.split(' ') as ['kept', 'kept'];
      expect(found.statuses[mine][theirs]).toBe(rows);
    }
    expect(found.documentsThatDifferMost).toHaveLength(differing);
    const sizes = found.documentsThatDifferMost.map((each) => each.onlyInFirst + each.onlyInSecond);
    expect(sizes).toEqual([...sizes].sort((left, right) => right - left));
    expect(found.settings.join()).toMatch(/options\.retention: 0\.99 -> 0\.9/);
  });

  it('groups by a column that it finds, or is told', async () => {
    const found = await compareRuns(at('first'), at('second'), { top: 3 });
    expect(found.by).toBe('language');
    expect(found.groups.map(({ value }) => value).sort()).toEqual(['(none)', '<b>de</b>', 'en']);
    const sum = found.groups.reduce((all, { differing }) => all + differing, 0);
    expect(sum).toBe(found.differing);
    expect(found.documentsThatDifferMost).toHaveLength(3);
    const byId = await compareRuns(at('first'), at('second'), { by: 'id' });
    expect(byId.groups.length).toBeGreaterThan(80);
    const html = comparisonHtml(found);
    expect(html).toContain('&lt;b&gt;de&lt;/b&gt;');
    expect(html).not.toContain('<b>');
    expect(html).not.toMatch(/<script|src=|href=/);
  });

  it('agrees with itself, and with a run whose units are cut otherwise', async () => {
    await refine('others', { ...FIRST, unitRows: 7 });
    for (const name of ['first', 'others']) {
      const found = await compareRuns(at('first'), at(name));
      expect(found).toMatchObject({ documents: 122, differing: 0, onlyInFirst: 0 });
      expect(found.documentsThatDifferMost).toEqual([]);
    }
  });

  it('tells what one has not committed, and refuses other inputs by name', async () => {
    cpSync(at('first'), at('half'), { recursive: true });
    rmSync(at('half/_gristmill/units/00001.json'));
    const found = await compareRuns(at('half'), at('second'));
    expect(found).toMatchObject({ documents: 61, missingInFirst: 61, missingInSecond: 0 });
    await refine('less', { ...FIRST, inputs: join(corpus, '0.jsonl') });
    const refused = compareRuns(at('less'), at('second'));
    await expect(refused).rejects.toMatchObject({ code: 'RUN_COMPARE_INPUTS' });
    await expect(refused).rejects.toThrow(/1\.jsonl/);
    await expect(compareRuns(at('none'), at('second'))).rejects.toMatchObject({
      code: 'RUN_NOT_FOUND',
    });
  });
});
