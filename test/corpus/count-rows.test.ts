/** Rows of a plan are counted as a reader finds them, up to a limit. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { countJsonLines, countRows } from '../../src/corpus/count-rows.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { readStrings } from '../../src/corpus/texts.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-count-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const example = join(import.meta.dirname, '../../examples/corpus.parquet');

function put(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

const LINES = Array.from({ length: 23 }, (_, row) => JSON.stringify({ text: `row ${row}` }));
const JSONL = `\n${LINES.join('\n\n')}`;

describe('rows', () => {
  it('are those that are read, whatever they lie in', async () => {
    const inputs = [
      put('a.jsonl', JSONL),
      put('b.csv', 'text,n\n"one\ntwo",1\nthree,2\n'),
      put('c.txt', 'one\ntwo\n'),
      put('d.txt', 'three'),
    ];
    const plan = await planCorpus({ inputs, unitBytes: 100 });
    let nRead = 0;
    for await (const _ of readStrings(plan)) nRead++;
    expect(await countRows(plan)).toBe(nRead);
    expect(nRead).toBe(23 + 2 + 2);
    for (const limit of [0, 1, 23, 24, 99]) {
      expect(await countRows(plan, { limit })).toBe(Math.min(limit, nRead));
    }
  });

  it('of Parquet are known, and of lines of text counted', async () => {
    const parquet = await planCorpus({ inputs: [example] });
    const known = parquet.units.reduce((sum, { nRows }) => sum + (nRows ?? 0), 0);
    expect(await countRows(parquet)).toBe(known);
    const text = put('lines.txt', 'one\n\ntwo\n');
    expect(await countRows(await planCorpus({ inputs: [text], textPer: 'line' }))).toBe(2);
  });

  it('of files of JSON lines are their lines that are not blank', async () => {
    const plain = put('e.jsonl', JSONL);
    const files = [plain, put('f.jsonl.gz', gzipSync(JSONL))];
    expect(await countJsonLines(files)).toBe(23 * files.length);
    expect(await countJsonLines([plain, plain], { limit: 30 })).toBe(30);
    expect(await countJsonLines([plain, example])).toBeNull();
  });
});
