import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  foldOf,
  groupOf,
  KEEP,
  REMOVE,
  readGoldDocuments,
  readGoldPages,
  UNSCORED,
} from '../../src/scorers/gold.ts';
import { goldFile } from '../train/support.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gristmill-gold-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, ...rows: unknown[]): Promise<string> {
  const path = join(folder, name);
  const text = rows
    .map((row) => `${typeof row === 'string' ? row : JSON.stringify(row)}\n`)
    .join('');
  await writeFile(path, name.endsWith('.gz') ? gzipSync(text) : text);
  return path;
}

async function all<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const row of rows) found.push(row);
  return found;
}

const row = {
  id: 'a',
  domain: 'Example.org',
  language: 'en',
  source_dataset: 's',
  text: 'menu\nbody\u2028more\r\nfoot',
  gold_text: 'body',
  line_labels: '010',
  line_mask: '110',
};

describe('readGoldPages', () => {
  it('splits at LF only and joins labels with their mask', async () => {
    const path = await file('one.jsonl.gz', row);
    const [page] = await all(readGoldPages(path));
    expect(page!.lines).toEqual(['menu', 'body\u2028more\r', 'foot']);
    expect([...page!.labels]).toEqual([REMOVE, KEEP, UNSCORED]);
    expect(page).toMatchObject({ id: 'a', domain: 'Example.org', source: 's', goldText: 'body' });
  });

  it('reads partial labels', async () => {
    const partial = { id: 'p', text: 'a\nb\nc', partial_labels: '?01' };
    const [page] = await all(readGoldPages(await file('partial.jsonl', partial)));
    expect([...page!.labels]).toEqual([UNSCORED, REMOVE, KEEP]);
    expect(page!.goldText).toBeNull();
    expect(page!.domain).toBe('');
  });

  it.each([
    ['no JSON', '{"id":', 'no JSON'],
    ['no object', [1], 'expected a JSON object'],
    ['no text', { id: 'a', line_labels: '' }, 'text: expected a string, found nothing'],
    ['no labels', { id: 'a', text: 'x' }, 'line_labels: expected a string'],
    ['short labels', { ...row, line_labels: '01' }, 'expected 3 characters, one a line, found 2'],
    ['short mask', { ...row, line_mask: '1' }, 'line_mask'],
    ['odd label', { ...row, line_labels: '01?' }, 'characters of 01'],
    ['number as domain', { ...row, domain: 3 }, 'domain: expected a string, found 3'],
  ])('refuses %s, naming file and line', async (name, bad, reason) => {
    const path = await file(`${name}.jsonl`, row, bad);
    await expect(all(readGoldPages(path))).rejects.toMatchObject({
      code: 'TRAIN_GOLD_INVALID',
      details: { file: path, line: 2, reason: expect.stringContaining(reason) },
    });
  });

  it('names a file that is missing', async () => {
    await expect(all(readGoldPages(join(folder, 'none.jsonl')))).rejects.toMatchObject({
      code: 'CORPUS_READ_FAILED',
    });
  });
});

describe('readGoldDocuments', () => {
  it('reads labels 0 and 1 and refuses others', async () => {
    const good = await file('docs.jsonl', { id: 'a', text: 't', label: 1 });
    expect(await all(readGoldDocuments(good))).toEqual([
      { id: 'a', domain: '', language: '', source: '', kind: '', text: 't', label: 1 },
    ]);
    const bad = await file('bad.jsonl', { id: 'a', text: 't', label: '1' });
    await expect(all(readGoldDocuments(bad))).rejects.toMatchObject({ code: 'TRAIN_GOLD_INVALID' });
  });
});

describe('foldOf', () => {
  it('keeps a domain together, whatever its case, and separates pages without one', () => {
    expect(groupOf({ id: '1', domain: 'A.org' })).toBe(groupOf({ id: '2', domain: 'a.org' }));
    expect(groupOf({ id: '1', domain: '' })).not.toBe(groupOf({ id: '2', domain: '' }));
    for (const nFolds of [2, 5, 10]) {
      expect(foldOf({ id: '1', domain: 'A.org' }, nFolds)).toBe(
        foldOf({ id: '2', domain: 'a.org' }, nFolds),
      );
    }
  });

  it('fills all folds about evenly', () => {
    const sizes = new Array<number>(5).fill(0);
    for (let id = 0; id < 5000; id++) sizes[foldOf({ id: '', domain: `${id}.org` }, 5)]!++;
    for (const size of sizes) expect(Math.abs(size - 1000)).toBeLessThan(120);
  });
});

const dev = goldFile('dev.jsonl.gz');
const quality = goldFile('dev-docquality.jsonl.gz');
const snippets = goldFile('dev-snippets.jsonl.gz');
const math = goldFile('dev-math.jsonl.gz');

describe.runIf(dev && quality && snippets && math)('web-gold', () => {
  it('has the documents and lines its description counts', async () => {
    const pages = await all(readGoldPages(dev!));
    expect(pages).toHaveLength(1598);
    expect(pages.reduce((sum, page) => sum + page.lines.length, 0)).toBe(414_231);
    expect(await all(readGoldPages(math!))).toHaveLength(94);
    expect(await all(readGoldPages(snippets!))).toHaveLength(582);
    expect(await all(readGoldDocuments(quality!))).toHaveLength(308);
  });
});
