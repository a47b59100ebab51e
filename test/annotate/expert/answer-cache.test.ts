import { createHash } from 'node:crypto';
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { AnswerCache, type StoredAnswer } from '../../../src/annotate/expert/answer-cache.ts';

const root = mkdtempSync(join(tmpdir(), 'gristmill-answers-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let nFolders = 0;
const fresh = (): string => join(root, `cache-${nFolders++}`);
const hashOf = (name: string): string => createHash('sha256').update(name).digest('hex');
const answer = (text: string): StoredAnswer => ({
  text,
  finish: 'stop',
  promptTokens: 3,
  answerTokens: 2,
});
const files = (folder: string): string[] => readdirSync(folder).sort();

describe('AnswerCache', () => {
  it('gives back what was put, at once and after opening it again', async () => {
    const folder = fresh();
    const texts = ['', 'a', 'line\nbreak \u2028 "quoted" \u0000', '😀 漢字', 'x'.repeat(300_000)];
    const cache = await AnswerCache.open(folder);
    await Promise.all(texts.map((text) => cache.put(hashOf(text), answer(text))));
    for (const text of texts) expect(await cache.get(hashOf(text))).toEqual(answer(text));
    expect(cache.has(hashOf('other'))).toBe(false);
    await cache.close();
    const again = await AnswerCache.open(folder);
    expect(again.size).toBe(texts.length);
    for (const text of texts) expect(await again.get(hashOf(text))).toEqual(answer(text));
    // A run that stores nothing leaves no file.
    await again.close();
    expect(files(folder)).toEqual(['answers-00000.jsonl']);
  });

  it('writes one file a run, and two runs at once do not share one', async () => {
    const folder = fresh();
    const [first, second] = [await AnswerCache.open(folder), await AnswerCache.open(folder)];
    await Promise.all([first.put(hashOf('1'), answer('1')), second.put(hashOf('2'), answer('2'))]);
    await Promise.all([first.close(), second.close()]);
    expect(files(folder)).toEqual(['answers-00000.jsonl', 'answers-00001.jsonl']);
    const both = await AnswerCache.open(folder);
    expect([await both.get(hashOf('1')), await both.get(hashOf('2'))]).toEqual([
      answer('1'),
      answer('2'),
    ]);
    await both.close();
  });

  it('leaves a torn last line out, wherever it is torn', async () => {
    const folder = fresh();
    const cache = await AnswerCache.open(folder);
    await cache.put(hashOf('1'), answer('whole'));
    await cache.put(hashOf('2'), answer('torn'));
    await cache.close();
    const file = join(folder, 'answers-00000.jsonl');
    const whole = readFileSync(file);
    const lastLine = whole.lastIndexOf(10, whole.length - 2) + 1;
    for (let size = whole.length - 1; size >= 0; size -= 7) {
      writeFileSync(file, whole);
      truncateSync(file, size);
      const torn = await AnswerCache.open(folder);
      expect(torn.has(hashOf('2'))).toBe(false);
      expect(torn.has(hashOf('1'))).toBe(size >= lastLine);
      await torn.close();
    }
    // The next run begins a file of its own: nothing is ever written behind the torn line.
    const next = await AnswerCache.open(folder);
    await next.put(hashOf('3'), answer('new'));
    await next.close();
    expect(files(folder)).toHaveLength(2);
  });

  it.each([
    ['not JSON', '{"hash":\n', 'line 2'],
    ['another shape', '{"hash":"abc"}\n', 'line 2'],
    ['null', 'null\n', 'line 2'],
  ])('refuses a file that is damaged before its end: %s', async (_, line, place) => {
    const folder = fresh();
    const cache = await AnswerCache.open(folder);
    await cache.put(hashOf('1'), answer('1'));
    await cache.close();
    const file = join(folder, 'answers-00000.jsonl');
    const [header, ...rest] = readFileSync(file, 'utf8').split('\n');
    writeFileSync(file, [header, line.trimEnd(), ...rest].join('\n'));
    await expect(AnswerCache.open(folder)).rejects.toMatchObject({
      code: 'ANNOTATE_CACHE_INVALID',
      details: { file, place },
    });
  });

  it('refuses files of others under its name, and ignores other names', async () => {
    const folder = fresh();
    await (await AnswerCache.open(folder)).close();
    writeFileSync(join(folder, 'notes.jsonl'), 'hello\n');
    await (await AnswerCache.open(folder)).close();
    appendFileSync(join(folder, 'answers-00007.jsonl'), 'hello\n');
    await expect(AnswerCache.open(folder)).rejects.toMatchObject({
      code: 'ANNOTATE_CACHE_INVALID',
    });
  });

  it('says so when its folder is none', async () => {
    const folder = fresh();
    writeFileSync(folder, 'a file');
    await expect(AnswerCache.open(folder)).rejects.toMatchObject({ code: 'ANNOTATE_CACHE_FAILED' });
  });
});
