import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { searchUnit, wordsOf } from '../../src/inspect/search-unit.ts';
import { FinishedRun } from '../../src/refine/finished-run.ts';
import type { RefineCorpusOptions } from '../../src/refine/run-options.ts';
import { writeHostile } from './hostile.ts';
import { EXAMPLE, refined, temporaryFolder } from './support.ts';

const { folder, remove } = temporaryFolder();
const hostile = join(folder, 'hostile.parquet');
beforeAll(async () => void (await writeHostile(hostile)));
afterAll(remove);

/** Row by row. */
async function naive(run: FinishedRun, unit: number, words: readonly string[]): Promise<number[]> {
  const found: number[] = [];
  for await (const rows of run.rows(unit, { text: true })) {
    for (const { position, id, text, original } of rows) {
      const whole = `${id ?? ''}\n${original ?? text ?? ''}`.toLowerCase();
      if (words.every((word) => whole.includes(word))) found.push(position);
    }
  }
  return found;
}

const TYPED = [
  ...['the', 'harbour winter', 'log in', '"log in"', 'HOME storms', 'cookie', 'einwilligung'],
  ...['window.hacked', '__proto__', '<b>script</b> harbour', 'nul', 'before\u0000after'],
  ...[
    '\ufffd',
    'z\u0335',
    '\u202egnp',
    'lorem ipsum',
    'kartoffelsuppe',
    '中',
    'ist',
    'nowhere at all',
  ],
];

describe('searchUnit', () => {
  it.each<readonly [string, string, Partial<RefineCorpusOptions>]>([
    ['hostile documents', hostile, {}],
    ['originals that are kept', hostile, { keepOriginal: true }],
    ['dropped texts, in other names', hostile, { droppedText: true, statusPrefix: 'x_' }],
    ['JSON lines', hostile, { format: 'jsonl.zst' }],
    ['several units', EXAMPLE, { unitRows: 50, droppedText: true }],
  ])('finds what reading row by row finds: %s', async (name, input, options) => {
    const run = await FinishedRun.open(await refined(input, join(folder, name), options));
    const sizes = new Set<number>();
    for (const { unit } of run.units) {
      // Of JSON lines every search reads and parses all.
      const typeds = name === 'JSON lines' ? TYPED.slice(0, 8) : TYPED;
      for (const typed of typeds) {
        const words = wordsOf(typed);
        const found = await searchUnit(run, unit, words);
        expect([typed, ...found]).toEqual([typed, ...(await naive(run, unit, words))]);
        sizes.add(found.length);
      }
    }
    expect(sizes.size).toBeGreaterThan(2);
  });
});
