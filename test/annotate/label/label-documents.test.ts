import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readKeptIds } from '../../../src/annotate/kept-ids.ts';
import { annotateDocuments } from '../../../src/annotate/label/label-documents.ts';
import type { AnnotateDocumentsOptions } from '../../../src/annotate/label/label-types.ts';
import { writeTemplates } from '../../../src/annotate/templates.ts';
import { PROFILES } from '../../../src/refine/profiles.ts';
import { readGoldDocuments } from '../../../src/scorers/gold.ts';
import { writeTestCorpus } from '../../support/corpus.ts';
import {
  completion,
  type ExpertServer,
  reply,
  startExpertServer,
} from '../../support/expert-server.ts';
import { readRows, scoredAnswer, scoring } from '../support.ts';

const root = mkdtempSync(join(tmpdir(), 'gristmill-documents-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let nFolders = 0;
const fresh = (): string => join(root, `out-${nFolders++}`);

let server: ExpertServer;
beforeEach(async () => {
  delete process.env['OPENAI_API_KEY'];
  server = await startExpertServer(scoring);
});
afterEach(() => server.close());

function corpus(rows: readonly object[], name = `corpus-${nFolders++}.jsonl`): string {
  const file = join(root, name);
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return file;
}

function annotate(
  inputs: string | string[],
  options: Partial<AnnotateDocumentsOptions> & { expertOptions?: object } = {},
) {
  const { expertOptions, ...rest } = options;
  return annotateDocuments({
    inputs: [inputs].flat(),
    out: fresh(),
    expert: { url: server.url, model: 'judge', backOffMs: 1, maxRetries: 1, ...expertOptions },
    ...rest,
  });
}

const ROWS = [
  { id: 'a', text: 'E3 F0', domain: 'a.example', language: 'en', meta: { tags: ['x', 'y'] }, n: 7 },
  { id: 'b', text: 'E2 F4', domain: 'b.example', language: 'de', meta: null, n: 8 },
  { id: 'c', text: 'E2 F3', domain: null, language: 'en', meta: { tags: [] }, n: 9 },
  { id: 'd', text: 'E1 F5', domain: 'a.example', language: 'en' },
  { id: 'e', text: 'E5 F5 naïve 漢字 😀', domain: 'e.example' },
];

describe('annotateDocuments', () => {
  it('writes every row in order, labelled, with its own columns', async () => {
    const out = fresh();
    const statistics = await annotate(corpus(ROWS), { out });
    expect(statistics).toMatchObject({
      ...{ stopped: null, rowsIn: 5, labelled: 5, failed: 0, unfinished: 0, keep: 3, drop: 2 },
      ...{ cut: 0, eduScores: [0, 1, 2, 1, 0, 1], formatScores: [1, 0, 0, 1, 1, 2], failures: {} },
      expert: { name: 'judge', requests: 10, cached: 0, promptTokens: 70, answerTokens: 30 },
    });
    expect(JSON.parse(readFileSync(join(out, 'statistics.json'), 'utf8'))).toEqual(statistics);
    const rows = await readRows(out, 'documents.parquet');
    expect(rows.map(({ id, label }) => [id, label])).toEqual([
      ['a', 'keep'],
      ['b', 'keep'],
      ['c', 'drop'],
      ['d', 'drop'],
      ['e', 'keep'],
    ]);
    expect(rows[0]).toMatchObject({
      ...{ text: 'E3 F0', domain: 'a.example', language: 'en', n: 7n },
      ...{ edu_score: 3, format_score: 0, expert: 'judge', reason: null },
      ...{ edu_justification: 'Because of its content.' },
      ...{ format_justification: 'Because of its form.' },
      requests: expect.stringMatching(/^[0-9a-f]{64} [0-9a-f]{64}$/),
    });
    expect(rows[0]!['meta']).toBe('{"tags":["x","y"]}');
    expect(rows[4]!['text']).toBe(ROWS[4]!.text);
    expect(readdirSync(out).sort()).toEqual([
      ...[
        '_annotate',
        'documents.jsonl.zst',
        'documents.parquet',
        'failed.jsonl',
        'statistics.json',
      ],
      ...['train.jsonl', 'validation.jsonl'],
    ]);
  });

  // Such columns were left out without a word.
  it('columns called like its own are refused, called otherwise, or replaced', async () => {
    const rows = [
      { id: 'a', text: 'E3 F0', label: 'spam', reason: 'mine', expert: 5 },
      { id: 'b', text: 'E1 F1', label: 'ham', reason: null, expert: 6 },
    ];
    const file = corpus(rows);
    await expect(annotate(file)).rejects.toMatchObject({
      code: 'CORPUS_COLUMN_RESERVED',
      details: { file, column: 'label' },
    });
    expect(server.seen).toEqual([]);
    const out = fresh();
    await annotate(file, { out, statusPrefix: 'judge_' });
    const [first] = await readRows(out, 'documents.parquet');
    expect(first).toMatchObject({ ...rows[0], expert: 5n, judge_id: 'a', judge_label: 'keep' });
    expect(Object.keys(first!).filter((name) => !name.startsWith('judge_'))).toEqual(
      expect.arrayContaining(['text', 'id', 'label', 'reason', 'expert']),
    );
    expect([...(await readKeptIds(join(out, 'documents.parquet'), undefined))]).toEqual(['a']);
    const replaced = fresh();
    await annotate(file, { out: replaced, replaceStatus: true });
    expect((await readRows(replaced, 'documents.parquet'))[0]).toMatchObject({
      id: 'a',
      label: 'keep',
      reason: null,
      expert: 'judge',
    });
    await expect(annotate(file, { statusPrefix: '1 x' })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
  });

  it('a text and an id of other names leave those that are called so', async () => {
    const rows = [{ doc: 'a', body: 'E3 F0', text: 'short', id: 7 }];
    const file = corpus(rows);
    const columns = { textColumn: 'body', idColumn: 'doc' };
    await expect(annotate(file, columns)).rejects.toMatchObject({
      code: 'CORPUS_COLUMN_RESERVED',
    });
    const out = fresh();
    await annotate(file, { ...columns, out, statusPrefix: 'x_' });
    const [row] = await readRows(out, 'documents.parquet');
    expect(row).toMatchObject({ doc: 'a', x_text: 'E3 F0', id: 7n, x_id: 'a', x_label: 'keep' });
    // Without such columns, the text is called text and the column of the ids goes along.
    const plain = fresh();
    await annotate(corpus([{ doc: 'a', body: 'E3 F0' }]), { ...columns, out: plain });
    const [only] = await readRows(plain, 'documents.parquet');
    expect(only).toMatchObject({ text: 'E3 F0', id: 'a', doc: 'a', label: 'keep' });
  });

  it('is read by what evaluates and trains on judged documents', async () => {
    const out = fresh();
    await annotate(corpus([...ROWS, { id: 'f', text: 'no scores' }]), { out });
    const gold = [];
    for await (const row of readGoldDocuments(join(out, 'documents.jsonl.zst'))) gold.push(row);
    expect(gold).toMatchObject(
      [1, 1, 0, 0, 1].map((label, row) => {
        const { id, text, domain } = ROWS[row]!;
        return { id, text, domain: domain ?? '', label };
      }),
    );
  });

  it('is chat messages too, whole domains apart, for a document refiner', async () => {
    const out = fresh();
    await annotate(corpus([...ROWS, { id: 'f', text: 'no scores' }]), { out, validation: 0.5 });
    const chats = (name: string) =>
      readFileSync(join(out, name), 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => {
          const [system, user, assistant] = JSON.parse(line).messages;
          expect(system.content).toBe(PROFILES['prox']!.chat.system);
          return [user.content, assistant.content];
        });
    const both = [...chats('train.jsonl'), ...chats('validation.jsonl')].sort();
    const answers = ['keep_doc()', 'keep_doc()', 'drop_doc()', 'drop_doc()', 'keep_doc()'];
    expect(both).toEqual(ROWS.map(({ text }, row) => [text, answers[row]]).sort());
    await expect(annotate(corpus(ROWS), { out, profile: 'ultrax' })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
  });

  it('sends the texts in the prompts, and only what is left when it is run again', async () => {
    const out = fresh();
    const file = corpus(ROWS);
    await annotate(file, { out, limit: 2 });
    expect(server.seen).toHaveLength(4);
    const again = await annotate(file, { out });
    expect(again.expert).toMatchObject({ requests: 6, cached: 4 });
    expect([...server.counts().values()]).toEqual(Array(10).fill(1));
    expect(
      server.seen.filter(({ user }) => user.includes('--------\nE3 F0\n--------')),
    ).toHaveLength(2);
    // Another rule pays for nothing new.
    const other = await annotate(file, { out, keepRule: 'edu:2' });
    expect(other).toMatchObject({ keep: 4, drop: 1, expert: { requests: 0, cached: 5 } });
    expect(other.formatScores).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('says why rows have no label, and asks nothing about texts that are none', async () => {
    const out = fresh();
    const file = corpus([
      { text: null },
      { text: ' \n\t ' },
      { text: 'F3' },
      { text: 'E9 F3' },
      { text: 'E3' },
      { text: 'E3 F3 BROKEN' },
      { text: 'E3 F3 \ud800' },
      { text: 'E4 F4' },
    ]);
    server.behave((request, response) =>
      request.user.includes('BROKEN') && request.user.includes('Extraction')
        ? reply(response, 'broken', { status: 500 })
        : scoring(request, response),
    );
    const statistics = await annotate(file, { out });
    expect(statistics).toMatchObject({
      ...{ rowsIn: 8, labelled: 1, failed: 7, keep: 1, drop: 0 },
      failures: {
        ...{ null_text: 1, empty_text: 1, edu_no_score: 1, edu_score_out_of_range: 1 },
        ...{ format_no_score: 1, format_expert_failed: 1, invalid_utf8: 1 },
      },
      eduScores: [0, 0, 0, 2, 1, 0],
    });
    const rows = await readRows(out, 'documents.parquet');
    expect(rows.map(({ id, label, reason }) => [id, label, reason])).toEqual([
      ['row:0', null, 'null_text'],
      ['row:1', null, 'empty_text'],
      ['row:2', null, 'edu_no_score'],
      ['row:3', null, 'edu_score_out_of_range'],
      ['row:4', null, 'format_no_score'],
      ['row:5', null, 'format_expert_failed'],
      ['row:6', null, 'invalid_utf8'],
      ['row:7', 'keep', null],
    ]);
    // What was said is kept, also of rows that failed.
    expect(rows[5]).toMatchObject({ edu_score: 3, format_score: null, format_justification: null });
    // A failure is asked for again, and nothing else.
    server.behave(scoring);
    const again = await annotate(file, { out });
    expect(again).toMatchObject({ labelled: 2, expert: { requests: 1, retries: 0 } });
  });

  it('cuts long texts for the prompt only', async () => {
    const out = fresh();
    const text = `E3 F3 ${'long '.repeat(100)}END`;
    const statistics = await annotate(corpus([{ text }]), { out, maxChars: 40 });
    expect(statistics.cut).toBe(1);
    expect(server.seen.every(({ user }) => !user.includes('END'))).toBe(true);
    expect((await readRows(out, 'documents.parquet'))[0]!['text']).toBe(text);
  });

  it('reads other columns and several files, and many rows at once in their order', async () => {
    const out = fresh();
    const rows = Array.from({ length: 700 }, (_, row) => ({
      url: `u${row}`,
      body: `E${row % 6} F${(row * 5) % 6} ${row}`,
      label: 'from before',
      text: 'not this',
    }));
    const files = [corpus(rows.slice(0, 300), 'p1.jsonl'), corpus(rows.slice(300), 'p2.jsonl')];
    server.behave(async (request, response) => {
      await new Promise((resolve) => setTimeout(resolve, (request.user.length * 7) % 5));
      scoring(request, response);
    });
    const statistics = await annotate(files, {
      ...{ out, textColumn: 'body', idColumn: 'url', limit: 650, replaceStatus: true },
      expertOptions: { concurrency: 32 },
    });
    expect(statistics).toMatchObject({ rowsIn: 650, labelled: 650 });
    const written = await readRows(out, 'documents.parquet');
    expect(written.map(({ id, text }) => [id, text])).toEqual(
      rows.slice(0, 650).map(({ url, body }) => [url, body]),
    );
    expect(written.every(({ label }) => label === 'keep' || label === 'drop')).toBe(true);
    expect(Object.keys(written[0]!)).not.toContain('body');
  });

  it('carries the columns of a Parquet corpus', async () => {
    const out = fresh();
    const file = join(root, 'typed.parquet');
    const texts = await writeTestCorpus(file, { nRows: 600, rowGroupRows: 150, seed: 3 });
    server.behave((_, r) =>
      reply(r, completion('Educational score: 3\nExtraction quality score: 3')),
    );
    await annotate(file, { out, expertOptions: { concurrency: 16 } });
    const rows = await readRows(out, 'documents.parquet');
    expect(rows.map(({ id, text, n }) => [id, text, n])).toEqual(
      texts.map((text, row) => [`doc-${row}`, text, row]),
    );
  });

  it('stops at the budget with what is finished, and goes on from there', async () => {
    const out = fresh();
    const rows = Array.from({ length: 30 }, (_, row) => ({ id: `${row}`, text: `E3 F3 ${row}` }));
    const file = corpus(rows);
    const options = { out, expertOptions: { concurrency: 4, maxRequests: 21 } };
    const first = await annotate(file, options);
    expect(first.stopped).toBe('budget');
    expect(first.labelled).toBe(10);
    expect(first.rowsIn).toBe(first.labelled + first.failed + first.unfinished);
    expect(first.rowsIn).toBeLessThanOrEqual(16);
    expect(server.seen).toHaveLength(21);
    expect((await readRows(out, 'documents.parquet')).map(({ id }) => id)).toEqual(
      rows.slice(0, 10).map(({ id }) => id),
    );
    const second = await annotate(file, options);
    expect(second).toMatchObject({ stopped: 'budget', labelled: 21 });
    const third = await annotate(file, options);
    expect(third).toMatchObject({ stopped: null, rowsIn: 30, labelled: 30, unfinished: 0 });
    expect([...server.counts().values()]).toEqual(Array(60).fill(1));
  });

  it('says what the server said of rows that failed, in the table, a file and the statistics', async () => {
    const out = fresh();
    server.behave((request, response) =>
      request.user.includes('PAGE')
        ? reply(response, '<!doctype html>')
        : request.user.includes('FLAGGED')
          ? reply(response, 'Input was flagged', { status: 403 })
          : scoring(request, response),
    );
    const file = corpus([
      { text: 'E3 PAGE' },
      { text: 'E3 FLAGGED' },
      { text: 'E3' },
      { text: '' },
    ]);
    const statistics = await annotate(file, { out, keepRule: 'edu:3' });
    expect(statistics).toMatchObject({ labelled: 1, failed: 3 });
    expect(statistics.causes).toContainEqual({ cause: 'no JSON: <!doctype html>', count: 1 });
    const failed = readFileSync(join(out, 'failed.jsonl'), 'utf8').trim().split('\n');
    expect(failed.map((line) => JSON.parse(line))).toMatchObject([
      { id: 'row:0', row: 0, reason: 'edu_expert_failed', cause: 'no JSON: <!doctype html>' },
      { id: 'row:1', row: 1, cause: 'status 403: Input was flagged' },
      { id: 'row:3', row: 3, reason: 'empty_text', cause: 'the text is empty' },
    ]);
  });

  it('publishes what is labelled when the quota of the endpoint is used up, and goes on later', async () => {
    const out = fresh();
    const rows = Array.from({ length: 6 }, (_, row) => ({ text: `E3 F3 ${row}` }));
    server.behave((request, response) =>
      server.seen.length > 4
        ? reply(response, 'come tomorrow', { status: 429, headers: { 'retry-after': '86400' } })
        : scoring(request, response),
    );
    const options = { out, keepRule: 'edu:3', expertOptions: { concurrency: 1 } };
    const first = await annotate(corpus(rows), options);
    expect(first).toMatchObject({ stopped: 'quota', labelled: 4 });
    expect(first.stoppedBy).toContain('come tomorrow');
    server.behave(scoring);
    expect(await annotate(corpus(rows), options)).toMatchObject({ stopped: null, labelled: 6 });
  });

  it('ends with a refusal or an expert that is down, and writes no result', async () => {
    for (const [status, code] of [
      [401, 'ANNOTATE_EXPERT_REFUSED'],
      [500, 'ANNOTATE_EXPERT_DOWN'],
    ] as const) {
      const out = fresh();
      server.behave((request, response) =>
        /E3 F3 [0-4]\n/.test(request.user)
          ? scoring(request, response)
          : reply(response, 'no', { status }),
      );
      const rows = Array.from({ length: 60 }, (_, row) => ({ text: `E3 F3 ${row}` }));
      const running = annotate(corpus(rows), { out, expertOptions: { maxFailures: 6 } });
      await expect(running).rejects.toMatchObject({ code });
      expect(readdirSync(out)).toEqual(['_annotate']);
      expect(readdirSync(join(out, '_annotate'))).toEqual(['answers', 'kind']);
    }
  });

  it('is interrupted without a result and without a request too many', async () => {
    const out = fresh();
    const rows = Array.from({ length: 40 }, (_, row) => ({ text: `E3 F3 ${row}` }));
    const file = corpus(rows);
    const controller = new AbortController();
    server.behave(async (request, response) => {
      if (server.seen.length === 17) controller.abort();
      await new Promise((resolve) => setTimeout(resolve, 10));
      scoring(request, response);
    });
    const running = annotate(file, { out, signal: controller.signal });
    await expect(running).rejects.toMatchObject({ code: 'ABORTED' });
    expect(existsSync(join(out, 'statistics.json'))).toBe(false);
    const nSent = server.seen.length;
    expect(nSent).toBeLessThan(25);
    const finished = await annotate(file, { out });
    expect(finished).toMatchObject({ labelled: 40, expert: { cached: nSent } });
    expect([...server.counts().values()]).toEqual(Array(80).fill(1));
  });

  it('takes the host of a page for its domain, and keeps a second run out meanwhile', async () => {
    const out = fresh();
    const url = 'https://www.pages.example/a?b=c';
    let second: Promise<unknown> | null = null;
    const file = corpus([{ url, id: '', text: 'E3 F3' }]);
    server.behave(async (request, response) => {
      second ??= annotate(file, { out }).catch((error: unknown) => error);
      await second;
      scoring(request, response);
    });
    await annotate(file, { out });
    expect(await second).toMatchObject({ code: 'RUN_OUTPUT_IN_USE' });
    const gold = [];
    for await (const row of readGoldDocuments(join(out, 'documents.jsonl.zst'))) gold.push(row);
    expect(gold).toMatchObject([{ id: 'row:0', text: 'E3 F3', domain: 'pages.example', label: 1 }]);
  });

  it('uses edited prompts, and refuses broken ones before anything is sent', async () => {
    const prompts = fresh();
    writeTemplates(prompts);
    const own = join(prompts, 'educational.txt');
    writeFileSync(own, 'My own.\n--------\n{text}\n--------\nEducational score: N');
    await annotate(corpus(ROWS), { prompts });
    const mine = server.seen.filter(({ user }) => user.startsWith('My own.'));
    expect([mine.length, mine[0]!.body.messages.length]).toEqual([5, 1]);
    const before = server.seen.length;
    writeFileSync(own, 'Broken {txt}');
    await expect(annotate(corpus(ROWS), { prompts })).rejects.toMatchObject({
      code: 'ANNOTATE_TEMPLATE_INVALID',
    });
    expect(server.seen).toHaveLength(before);
  });

  it('reports how far it is', async () => {
    const seen: (number | null)[][] = [];
    await annotate(corpus(ROWS), {
      onProgress: ({ rows, nRows, labelled }) => seen.push([rows, nRows, labelled]),
    });
    expect(seen.map(([rows]) => rows)).toEqual([1, 2, 3, 4, 5]);
    expect(seen.at(-1)).toEqual([5, 5, 5]);
  });

  it.each([
    [{ maxChars: 0 }, 'maxChars'],
    [{ answerTokens: 0 }, 'answerTokens'],
    [{ limit: -1 }, 'limit'],
    [{ keepRule: 'edu:9' }, 'keepRule'],
  ])('refuses %j', async (options, option) => {
    await expect(annotate(corpus(ROWS), options)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      details: { option },
    });
  });

  it('an empty corpus is an empty set', async () => {
    const out = fresh();
    const statistics = await annotate(corpus([]), { out });
    expect(statistics).toMatchObject({ rowsIn: 0, labelled: 0, stopped: null });
    expect(await readRows(out, 'documents.parquet')).toEqual([]);
  });
});

it('the scoring endpoint of these tests answers as experts do', () => {
  expect(scoredAnswer('--------\nE3 F4\n--------\nEducational score: N')).toContain(': 3');
});
