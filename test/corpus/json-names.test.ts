import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
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
  it('.json files beside a corpus that hold none are passed over and counted', async () => {
    const corpus = join(folder, 'side');
    await mkdir(corpus);
    await writeFile(join(corpus, 'data.jsonl'), LINES);
    await writeFile(join(corpus, 'lines.json'), LINES);
    await writeFile(join(corpus, 'dataset_info.json'), '{\n  "description": "pages"\n}\n');
    await writeFile(join(corpus, 'state.json'), '{"format": null}');
    const plan = await planCorpus({ inputs: [corpus] });
    expect(plan.files.map(({ path }) => path)).toEqual([
      join(corpus, 'data.jsonl'),
      join(corpus, 'lines.json'),
    ]);
    expect(plan.failedFiles).toEqual([]);
    expect(plan.leftOut.otherFormats).toEqual({ '.json without JSON lines of texts': 2 });
    // Named outright, or with nothing beside it, such a file is what was meant.
    const info = join(corpus, 'dataset_info.json');
    await expect(planCorpus({ inputs: [info] })).rejects.toMatchObject({
      code: 'CORPUS_FILE_INVALID',
      message: expect.stringContaining('jq -c'),
    });
    await expect(planCorpus({ inputs: [join(corpus, '*_info.json')] })).rejects.toMatchObject({
      code: 'CORPUS_FILE_INVALID',
    });
  });

  it.each([
    ['an array', '[\n{"text":"a"},\n{"text":"b"}\n]\n', /a JSON array.*jq -c "\.\[\]"/],
    ['an array on one line', '[{"text":"a"},{"text":"b"}]', /a JSON array/],
    ['a printed object', '{\n "text": "a"\n}\n', /JSON over several lines.*jq -c "\."/],
    ['UTF-16', Buffer.from('\ufeff{"text":"a"}\n', 'utf16le'), /UTF-16 or UTF-32.*iconv/],
    ['UTF-16 without a mark', Buffer.from('{"text":"a"}\n', 'utf16le'), /UTF-16/],
    ['gzip', gzipSync(LINES), /gzip.*\.gz/],
    ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 4, 0]), /zstd.*\.zst/],
    ['bzip2', Buffer.from('BZh91AY&SY'), /bzip2/],
  ])('%s is refused by name', async (_, bytes, message) => {
    const file = join(folder, 'document.json');
    await writeFile(file, bytes);
    await expect(planCorpus({ inputs: [file] })).rejects.toMatchObject({
      code: 'CORPUS_FILE_INVALID',
      message: expect.stringMatching(message),
    });
  });

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
