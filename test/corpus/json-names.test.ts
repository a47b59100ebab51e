import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { documentsOf, planDocuments } from '../../src/annotate/documents.ts';
import { planCorpus } from '../../src/corpus/plan.ts';
import { planTexts } from '../../src/corpus/texts.ts';
import { countDomains } from '../../src/mixture/count-domains.ts';
import { native } from '../../src/native/index.ts';
import { planSources } from '../../src/tokens/sources.ts';

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

  it.each(['dataset_info.json', 'dataset_infos.json', 'state.json', 'tokenizer_config.json'])(
    'a %s beside a corpus is said to whoever reads it',
    async (name) => {
      const corpus = await mkdtemp(join(folder, 'beside-'));
      await writeFile(join(corpus, 'data.jsonl'), LINES);
      await writeFile(join(corpus, '_metadata'), 'PAR1');
      const info = { features: { text: { dtype: 'string', _type: 'Value' } }, splits: ['text'] };
      await writeFile(join(corpus, name), JSON.stringify(info, null, name.includes('_') ? 2 : 0));
      const told: string[] = [];
      const onNotice = (line: string): void => {
        told.push(line);
      };
      const expected = [
        '2 files of other formats: 1 no extension, 1 .json without JSON lines of texts',
      ];
      const reads: (() => Promise<unknown>)[] = [
        () => planCorpus({ inputs: [corpus], failFast: true, onNotice }),
        () => planTexts({ inputs: [corpus], onNotice }),
        () => planSources([{ name: 'a', inputs: [corpus] }], undefined, onNotice),
        async () => {
          const plan = await planDocuments({ inputs: [corpus], onNotice });
          for await (const document of documentsOf(plan, undefined)) {
            expect(document?.text).toBe('one');
          }
        },
        () => countDomains({ inputs: [corpus], domainColumn: 'lang', onNotice }),
      ];
      await writeFile(
        join(corpus, 'data.jsonl'),
        '{"text":"one","lang":"en"}\n{"text":"one","lang":"de"}\n',
      );
      for (const read of reads) {
        await read();
        expect(told.splice(0)).toEqual(expected);
      }
    },
  );

  it.each([
    ['an array', '[\n {"text": "a"},\n {"text": "b"}\n]\n'],
    ['a printed object', '{\n "id": 1,\n "text" :\n  "a"\n}\n'],
    ['UTF-16', Buffer.from('\ufeff{"text":"a"}\n', 'utf16le')],
    ['gzip', gzipSync(LINES)],
  ])('texts that cannot be read are no side file, but a failure: %s', async (_, bytes) => {
    const corpus = await mkdtemp(join(folder, 'failed-'));
    await writeFile(join(corpus, 'data.jsonl'), LINES);
    await writeFile(join(corpus, 'more.json'), bytes);
    const { failedFiles } = await planCorpus({ inputs: [corpus] });
    expect(failedFiles.map(({ path, code }) => [path, code])).toEqual([
      [join(corpus, 'more.json'), 'CORPUS_FILE_INVALID'],
    ]);
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
