import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planCorpus } from '../../src/corpus/plan.ts';
import { native } from '../../src/native.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gristmill-json-names-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const LINES = Buffer.from('{"text":"one","n":1}\n{"text":"two","n":2}\n');

describe('names of JSON lines', () => {
  it.each([
    ['c4-train.00000-of-01024.json.gz', 'jsonl.gz'],
    ['dolma.JSON.GZ', 'jsonl.gz'],
    ['reddit.ndjson.zst', 'jsonl.zst'],
    ['pile.json.zst', 'jsonl.zst'],
    ['plain.json', 'jsonl'],
    ['plain.ndjson', 'jsonl'],
  ])('%s is %s', async (name, format) => {
    const file = join(folder, name);
    const bytes =
      format === 'jsonl.gz'
        ? gzipSync(LINES)
        : format === 'jsonl.zst'
          ? native().zstdCompress(LINES, 3)
          : LINES;
    await writeFile(file, bytes);
    const plan = await planCorpus({ inputs: [file] });
    expect(plan.files).toMatchObject([{ path: file, format }]);
    expect(plan.columns.map((column) => column.type)).toEqual(['string', 'int64']);
  });
});
