/** Annotations whose sets, ledgers and answers lie in a bucket, on a real server, held against those of a folder. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { annotateChunks } from '../../../src/annotate/chunks/annotate-chunks.ts';
import type { AnnotateChunksOptions } from '../../../src/annotate/chunks/chunk-options.ts';
import { AnswerCache } from '../../../src/annotate/expert/answer-cache.ts';
import { annotateDocuments } from '../../../src/annotate/label/label-documents.ts';
import type { AnnotateDocumentsOptions } from '../../../src/annotate/label/label-types.ts';
import { askRange, openAsked, prepareAsking } from '../../../src/annotate/ranges/ask-ranges.ts';
import { finishAnnotation } from '../../../src/annotate/ranges/finish-annotation.ts';
import { openS3 } from '../../../src/corpus/storage/s3.ts';
import { S3Objects } from '../../../src/corpus/storage/s3-objects.ts';
import { start } from '../../cli/support.ts';
import {
  type Behaviour,
  completion,
  type ExpertServer,
  reply,
  startExpertServer,
} from '../../support/expert-server.ts';
import { putObject, useBucket } from '../../support/own-bucket.ts';
import { installS3Server, S3Server } from '../../support/s3-server.ts';
import { scoredAnswer } from '../support.ts';

const missing = installS3Server();
if (missing !== null) console.warn(`SKIPPED: no S3 server can be run here: ${missing}`);

const root = mkdtempSync(join(tmpdir(), 'gristmill-ranges-bucket-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const at = (name: string): string => join(root, name);
const inputs = at('in');
mkdirSync(inputs);
for (let file = 0; file < 4; file++) {
  const rows = Array.from({ length: 5 }, (_, row) => {
    const number = file * 5 + row;
    const lines = [
      `Document ${number} E${number % 6} F${number % 5}${number === 11 ? ' REFUSE' : ''}.`,
      `It tells of bees and of mill number ${number * 37}, ${number === 13 ? 'CUT' : 'whole'}.`,
      'Home | News | Contact',
    ];
    return { id: `d${number}`, text: lines.join('\n'), domain: `s${file}.example` };
  });
  const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  writeFileSync(join(inputs, `${file}.jsonl`), text);
}

const judging: Behaviour = ({ user }, response) => {
  if (user.includes('REFUSE')) {
    const refusal = JSON.stringify({ error: { message: 'this prompt is refused' } });
    reply(response, refusal, { status: 400 });
  } else if (user.includes('CUT')) {
    const choice = { index: 0, message: { role: 'assistant', content: 'Because' } };
    reply(response, completion('', { choices: [{ ...choice, finish_reason: 'length' }] }));
  } else reply(response, completion(scoredAnswer(user)));
};

const storage = new S3Server();
const objects = new S3Objects();
let server: ExpertServer;

const documents = (out: string, more: Partial<AnnotateDocumentsOptions> = {}) => ({
  ...{ inputs: [inputs], out, keepRule: 'prox' },
  expert: { url: server.url, model: 'judge', backOffMs: 1, maxRetries: 0 },
  ...more,
});

async function names(prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const path of objects.list(prefix)) found.push(path.slice(prefix.length));
  return found.sort();
}

const isSet = (name: string): boolean => !name.includes('/') && !name.startsWith('statistics.');

/** Every file of a set but the statistics, which have times. */
function near(out: string): Map<string, string> {
  const files = readdirSync(out).filter((name) => statSync(join(out, name)).isFile());
  const read = (name: string): string => readFileSync(join(out, name)).toString('base64');
  return new Map(files.filter(isSet).map((name) => [name, read(name)]));
}

async function far(out: string): Promise<Map<string, string>> {
  const { sdk, client } = await openS3();
  const files = new Map<string, string>();
  for (const name of (await names(`${out}/`)).filter(isSet)) {
    const Key = `${out.slice('s3://sets/'.length)}/${name}`;
    const { Body } = await client.send(new sdk.GetObjectCommand({ Bucket: 'sets', Key }));
    files.set(name, await Body!.transformToString('base64'));
  }
  return files;
}

describe.skipIf(missing !== null)('an annotation in a bucket', () => {
  useBucket(storage, 'sets');
  beforeEach(async () => {
    server = await startExpertServer(judging);
  });
  afterEach(() => server.close());

  it('of documents has the files of a folder, through faults, and asks nothing twice', async () => {
    await annotateDocuments(documents(at('alone')));
    const asked = server.seen.length;
    let count = 0;
    storage.fault = ({ method }) =>
      method === 'PUT' && count++ % 9 === 4
        ? { kind: 'status', status: 503, code: 'SlowDown' }
        : null;
    const statistics = await annotateDocuments(documents('s3://sets/alone/'));
    expect(statistics).toMatchObject({ out: 's3://sets/alone', rowsIn: 20, stopped: null });
    expect(server.seen.length).toBe(2 * asked);
    expect(await far('s3://sets/alone')).toEqual(near(at('alone')));
    const left = (await names('s3://sets/alone/_annotate/')).filter(
      (name) => !/^answers\//.test(name),
    );
    expect(left).toEqual(['kind']);
    const again = await annotateDocuments(documents('s3://sets/alone'));
    // Two documents are refused, and answers that are cut are not kept.
    expect(again.expert).toMatchObject({ requests: 4, cached: statistics.expert.requests - 4 });
    expect(await far('s3://sets/alone')).toEqual(near(at('alone')));
  });

  it('of chunks has the files of a folder, and neither takes the place of the other', async () => {
    server.behave(({ user }, response) => {
      const text = user.split('--------\n')[1] ?? user;
      const kept = text.split('\n').filter((line) => /^(Document|It tells)/.test(line));
      reply(response, completion(['<<<BEGIN>>>', ...kept, '<<<END>>>'].join('\n')));
    });
    const options = (out: string): AnnotateChunksOptions => {
      const { expert } = documents(out);
      return { inputs: [inputs], out, expert, way: 'rewrite', nearDuplicate: 0.9, minChars: 5 };
    };
    const alone = await annotateChunks(options(at('chunks')));
    expect(alone.parts.train.nExamples).toBeGreaterThan(0);
    await annotateChunks(options('s3://sets/chunks'));
    expect(await far('s3://sets/chunks')).toEqual(near(at('chunks')));
    await expect(annotateDocuments(documents('s3://sets/chunks'))).rejects.toMatchObject({
      code: 'ANNOTATE_OUTPUT_OTHER',
    });
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('gristmill-spool-'))).toEqual([]);
  });

  it('of two that ask about one range exactly one wins, and nothing is left of the other', async () => {
    const options = documents('s3://sets/race');
    const prepared = await prepareAsking({ kind: 'documents', options });
    const open = (name: string) =>
      openAsked('s3://sets/race', prepared.identity, { name, units: [] }, {});
    const ledgers = [await open('one'), await open('other')];
    try {
      const [unit] = prepared.asker.plan.units;
      const done = await Promise.all(
        ledgers.map((ledger) => askRange(prepared, ledger, unit!, undefined)),
      );
      expect(done.map(({ isOurs }) => isOurs).sort()).toEqual([false, true]);
    } finally {
      for (const ledger of ledgers) await ledger.close();
      await prepared.expert.dispose();
      prepared.asker.dispose();
    }
    expect(await finishAnnotation('s3://sets/race')).toMatchObject({ unitsDone: 1, orphans: 0 });
    const there = await names('s3://sets/race/_annotate/');
    expect(there.filter((name) => !name.startsWith('answers/'))).toEqual([
      ...['asked/part-00000.jsonl', 'kind', 'run.json', 'units/00000.json'],
    ]);
  });

  it('by commands, one killed in the middle and started again, inputs in the bucket too: the set of one machine', async () => {
    for (const name of readdirSync(inputs)) {
      await putObject('sets', `in/${name}`, readFileSync(join(inputs, name)));
    }
    server.behave(async (request, response) => {
      await sleep(20);
      await judging(request, response);
    });
    const command = (worker: string) =>
      start([
        ...['annotate', 'documents', 's3://sets/in/', '--out', 's3://sets/killed'],
        ...['--worker', worker, '--json', '--keep-rule', 'prox', '--concurrency', '1'],
        ...['--expert-url', server.url, '--expert-model', 'judge', '--max-retries', '0'],
      ]);
    const dying = command('0/2');
    const isBegun = async (): Promise<boolean> =>
      (await names('s3://sets/killed/_annotate/units/')).length > 0;
    while (dying.process.exitCode === null && !(await isBegun())) await sleep(20);
    dying.process.kill('SIGKILL');
    await dying.finished;
    const finish = () => start(['cluster', 'finish', 's3://sets/killed', '--json']).finished;
    const early = await finish();
    expect([early.code, JSON.parse(early.stdout.toString())]).toMatchObject([
      ...[3, { statistics: null }],
    ]);
    const others = await Promise.all([command('1/2').finished, command('0/2').finished]);
    for (const { code, stderr } of others) expect([code, stderr]).toEqual([0, expect.any(String)]);
    const ended = await finish();
    expect([ended.code, ended.stderr]).toEqual([0, expect.any(String)]);
    expect(await far('s3://sets/killed')).toEqual(near(at('alone')));
    const twice = [...server.counts()].filter(([user, nth]) => nth > 2 && !/REFUSE|CUT/.test(user));
    expect(twice).toEqual([]);
    const left = await names('s3://sets/killed/_annotate/');
    expect(left.filter((name) => /^(tmp|workers)\/|lock/.test(name))).toEqual([]);
  });
});

describe.skipIf(missing !== null)('answers in a bucket', () => {
  const own = new S3Server();
  useBucket(own, 'answers');
  const hash = (number: number): string => number.toString(16).padStart(64, '0');
  const answer = (number: number, text = `answer ${number} ü`) => ({
    ...{ text, finish: 'stop' as const, promptTokens: number, answerTokens: 1 },
  });

  it('are there once they were stored, whole, for everybody; objects are bounded', async () => {
    const cache = await AnswerCache.open('s3://answers/a');
    const large = 'x'.repeat(300_000);
    const numbers = Array.from({ length: 12 }, (_, number) => number);
    await Promise.all(numbers.map((number) => cache.put(hash(number), answer(number))));
    const reader = await AnswerCache.open('s3://answers/a/');
    expect(reader.size).toBe(12);
    for (const number of [20, 21, 22, 23, 24, 25])
      await cache.put(hash(number), answer(number, large));
    const sizes = await Promise.all(
      (await names('s3://answers/a/')).map((name) => objects.bytesOf(`s3://answers/a/${name}`)),
    );
    expect(sizes.length).toBeGreaterThan(1);
    expect(Math.max(...sizes.map(Number))).toBeLessThan(2 ** 20 + 1);
    // What a reader knows of is where it was, though the object has grown since.
    for (const number of numbers) expect(await reader.get(hash(number))).toEqual(answer(number));
    expect(await cache.get(hash(25))).toEqual(answer(25, large));
    // No close: as a process that is killed leaves it.
    const later = await AnswerCache.open('s3://answers/a');
    expect(later.size).toBe(18);
    expect(await later.get(hash(22))).toEqual(answer(22, large));
    await later.put(hash(99), answer(99));
    await cache.put(hash(98), answer(98));
    expect((await AnswerCache.open('s3://answers/a')).size).toBe(20);
  });

  it('a failure is told, and what comes next goes elsewhere', async () => {
    const cache = await AnswerCache.open('s3://answers/b');
    await cache.put(hash(1), answer(1));
    own.fault = ({ method }) => (method === 'PUT' ? { kind: 'status', status: 403 } : null);
    await expect(cache.put(hash(2), answer(2))).rejects.toMatchObject({
      code: expect.stringMatching(/^(STORAGE_DENIED|ANNOTATE_CACHE_FAILED)$/),
    });
    own.fault = () => null;
    await cache.put(hash(3), answer(3));
    const later = await AnswerCache.open('s3://answers/b');
    expect([1, 2, 3].map((number) => later.has(hash(number)))).toEqual([true, false, true]);
    await putObject('answers', 'b/answers-00077.jsonl', 'not ours\n');
    await expect(AnswerCache.open('s3://answers/b')).rejects.toMatchObject({
      code: 'ANNOTATE_CACHE_INVALID',
      details: { file: 's3://answers/b/answers-00077.jsonl' },
    });
  });
});
