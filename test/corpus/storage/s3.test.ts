/** Buckets, on a real server that is started here, with faults between. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SlabPool } from '../../../src/batch/slab-pool.ts';
import { planCorpus } from '../../../src/corpus/plan.ts';
import { readAhead } from '../../../src/corpus/storage/read-ahead.ts';
import { RETRY_DEFAULTS } from '../../../src/corpus/storage/retry.ts';
import { closeS3, openS3, s3Storage } from '../../../src/corpus/storage/s3.ts';
import { openFile } from '../../../src/corpus/storage/storages.ts';
import type { CorpusPlan } from '../../../src/corpus/types.ts';
import { openUnit, prepareUnit } from '../../../src/corpus/unit.ts';
import { writeTestCorpus } from '../../support/corpus.ts';
import { installS3Server, S3Server } from '../../support/s3-server.ts';

const missing = installS3Server();
if (missing !== null) console.warn(`SKIPPED: no S3 server can be run here: ${missing}`);

const folder = mkdtempSync(join(tmpdir(), 'gristmill-s3-'));
const parquet = join(folder, 'a.parquet');
const server = new S3Server();
const quick = { ...RETRY_DEFAULTS, attempts: 4, firstMs: 5, maxMs: 20, stallMs: 2000 };
const before = { ...process.env };

async function put(key: string, body: Uint8Array | string, bucket = 'corpus'): Promise<void> {
  const { sdk, client } = await openS3();
  await client.send(new sdk.PutObjectCommand({ Bucket: bucket, Key: key, Body: body }));
}

/** Every text of a plan, in order. */
async function textsOf(plan: CorpusPlan): Promise<string[]> {
  const pool = new SlabPool({ slabBytes: 2 ** 22, nSlabs: 6 });
  const decoder = new TextDecoder();
  const texts: string[] = [];
  for (const unit of plan.units) {
    for await (const { batch, carry } of openUnit(plan, unit, pool)) {
      const { offsets, data } = batch.text;
      for (let row = 0; row < batch.nDocs; row++) {
        texts.push(decoder.decode(data.slice(offsets[row], offsets[row + 1])));
      }
      batch.release();
      carry.release();
    }
  }
  return texts;
}

describe.skipIf(missing !== null)('s3://', () => {
  let texts: string[] = [];
  const lines = Array.from({ length: 5000 }, (_, row) =>
    JSON.stringify({ id: `d${row}`, text: `line ${row} ${'x'.repeat(row % 97)}` }),
  );
  const jsonl = `${lines.join('\n')}\n`;

  beforeAll(async () => {
    await server.start();
    Object.assign(process.env, server.environment);
    const { sdk, client } = await openS3();
    await client.send(new sdk.CreateBucketCommand({ Bucket: 'corpus' }));
    texts = await writeTestCorpus(parquet, { nRows: 3000, rowGroupRows: 500, seed: 3 });
    await put('docs/a.parquet', readFileSync(parquet));
    await put('docs/deep/b.jsonl', jsonl);
    await put('docs/deep/c.jsonl.gz', gzipSync(jsonl));
    await put('docs/_meta/x.jsonl', '{"text":"no"}\n');
    await put('docs/.hidden.jsonl', '{"text":"no"}\n');
    await put('docs/readme.md', 'no');
    await put('docs/old/_gristmill/run.json', '{"format": 1}');
    await put('docs/old/part-00000.jsonl', '{"text":"refined before"}\n');
    await put('odd/a b+c%20ü&=.jsonl', '{"text":"odd"}\n');
  });
  afterAll(async () => {
    await closeS3();
    await server.stop();
    process.env = before;
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(() => {
    server.seen.length = 0;
  });
  afterEach(() => {
    server.fault = () => null;
  });

  it('is read as a local folder is: folders, globs, names, bookkeeping, results', async () => {
    const plan = await planCorpus({ inputs: ['s3://corpus/docs'], failFast: true, unitRows: 900 });
    expect(plan.files.map(({ path }) => path)).toEqual([
      's3://corpus/docs/a.parquet',
      's3://corpus/docs/deep/b.jsonl',
      's3://corpus/docs/deep/c.jsonl.gz',
    ]);
    expect(plan.leftOut).toMatchObject({
      bookkeeping: 2,
      otherFormats: { '.md': 1 },
      results: [{ path: 's3://corpus/docs/old/', command: 'refine' }],
    });
    const all = lines.map((line) => (JSON.parse(line) as { text: string }).text);
    expect(await textsOf(plan)).toEqual([...texts, ...all, ...all]);
    for (const [input, names] of [
      ['s3://corpus/docs/*.parquet', ['docs/a.parquet']],
      ['s3://corpus/docs/**/*.jsonl*', ['docs/deep/b.jsonl', 'docs/deep/c.jsonl.gz']],
      ['s3://corpus/docs/d*', ['docs/deep/b.jsonl', 'docs/deep/c.jsonl.gz']],
      ['s3://corpus/docs/deep/', ['docs/deep/b.jsonl', 'docs/deep/c.jsonl.gz']],
      ['s3://corpus/docs/deep/b.jsonl', ['docs/deep/b.jsonl']],
      ['s3://corpus/docs/_meta/*.jsonl', ['docs/_meta/x.jsonl']],
      ['s3://corpus/odd', ['odd/a b+c%20ü&=.jsonl']],
    ] as const) {
      const { files } = await planCorpus({ inputs: [input], failFast: true });
      expect(
        files.map(({ path }) => path),
        input,
      ).toEqual(names.map((n) => `s3://corpus/${n}`));
    }
    const odd = await planCorpus({ inputs: ['s3://corpus/odd/a b+c%20ü&=.jsonl'] });
    expect(await textsOf(odd)).toEqual(['odd']);
  });

  it('has the same plan as a local file but for names and fingerprints, and asks few questions', async () => {
    const local = await planCorpus({ inputs: [parquet], unitRows: 900 });
    await put('again/a.parquet', Buffer.concat([readFileSync(parquet)]));
    server.seen.length = 0;
    const remote = await planCorpus({ inputs: ['s3://corpus/again/a.parquet'], unitRows: 900 });
    expect(remote.units).toEqual(local.units);
    expect(remote.columns).toEqual(local.columns);
    const etag = createHash('md5').update(readFileSync(parquet)).digest('hex');
    expect(remote.files[0]!.fingerprint).toBe(`${readFileSync(parquet).byteLength}-${etag}`);
    // Its size; its first bytes, and its last ones with the footer.
    expect(server.seen.map(({ method }) => method).sort()).toEqual(['GET', 'GET', 'HEAD']);
    const full = await planCorpus({ inputs: ['s3://corpus/docs/a.parquet'], fullHash: true });
    const sha = createHash('sha256').update(readFileSync(parquet)).digest('hex');
    expect(full.files[0]!.fingerprint).toBe(`sha256:${sha}`);
  });

  it('a unit that is prepared is fetched once, before it is opened', async () => {
    const plan = await planCorpus({ inputs: ['s3://corpus/docs/a.parquet'], unitRows: 500 });
    const gets = (): number => server.seen.filter(({ method }) => method === 'GET').length;
    server.seen.length = 0;
    for (const unit of plan.units.slice(0, 3)) await prepareUnit(plan, unit);
    await prepareUnit(plan, plan.units[0]!);
    while (gets() < 3) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(await textsOf(plan)).toEqual(texts);
    // Each has one range: its columns lie beside each other.
    expect(gets()).toBe(plan.units.length);
    // What fails ahead is asked again when the unit is opened.
    server.fault = () => ({ kind: 'status', status: 403, code: 'AccessDenied' });
    await prepareUnit(plan, plan.units[0]!);
    await new Promise((resolve) => setTimeout(resolve, 200));
    server.fault = () => null;
    expect(await textsOf({ ...plan, units: plan.units.slice(0, 1) })).toEqual(texts.slice(0, 500));
  });

  it('gets through 500, 503, 429, resets, cut and short bodies', async () => {
    const plan = await planCorpus({ inputs: ['s3://corpus/docs/a.parquet'], unitRows: 500 });
    const faults = [
      { kind: 'status', status: 500 },
      { kind: 'status', status: 503, code: 'SlowDown' },
      { kind: 'status', status: 429, code: 'TooManyRequests' },
      { kind: 'reset' },
      { kind: 'cut', bytes: 1000 },
      { kind: 'short', bytes: 700 },
      { kind: 'slow', ms: 50 },
    ] as const;
    let nFaults = 0;
    server.fault = (_, count) => (count % 2 === 0 ? faults[nFaults++ % faults.length]! : null);
    expect(await textsOf(plan)).toEqual(texts);
    expect(nFaults).toBeGreaterThan(faults.length);
  });

  it('goes on with a cut body where it ended, and gives up within its bounds', async () => {
    const storage = s3Storage(quick);
    const path = 's3://corpus/docs/deep/b.jsonl';
    const file = await storage.open((await storage.stat(path))!);
    server.seen.length = 0;
    // Each answer brings something, so that the count of attempts begins anew.
    server.fault = () => ({ kind: 'cut', bytes: 40_000 });
    const bytes = await file.read(100, 200_000);
    expect(Buffer.from(bytes).toString()).toBe(jsonl.slice(100, 200_100));
    expect(server.seen.map(({ range }) => range)[0]).toBe('bytes=100-200099');
    expect(server.seen.length).toBeGreaterThanOrEqual(5);
    server.seen.length = 0;
    server.fault = () => ({ kind: 'status', status: 503, code: 'SlowDown' });
    await expect(file.read(0, 10)).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: expect.stringMatching(/no answer after 4 attempts .*503/),
    });
    expect(server.seen).toHaveLength(4);
    const stalls = s3Storage({ ...quick, attempts: 2, stallMs: 200 });
    server.fault = () => ({ kind: 'slow', ms: 1500 });
    const slow = await stalls.open({ ...file });
    await expect(slow.read(0, 10)).rejects.toMatchObject({
      message: expect.stringMatching(/nothing came in 0.2 s/),
    });
  });

  it('reads ahead in parallel, whole and in order, and stops when told to', async () => {
    const file = await openFile('s3://corpus/docs/deep/b.jsonl');
    const hash = createHash('sha256');
    for await (const chunk of readAhead(file)) hash.update(chunk);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(jsonl).digest('hex'));
    const stop = new AbortController();
    server.fault = () => ({ kind: 'slow', ms: 3000 });
    const reading = file.read(0, 1000, stop.signal);
    setTimeout(() => stop.abort(), 50);
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED' });
  });

  it('a file that is replaced under a unit fails the unit by name', async () => {
    await put('moving/a.jsonl', jsonl);
    const plan = await planCorpus({ inputs: ['s3://corpus/moving/a.jsonl'], unitBytes: 50_000 });
    expect(plan.units.length).toBeGreaterThan(3);
    await put('moving/a.jsonl', jsonl.replace('line 7 ', 'LINE 7 '));
    await expect(textsOf(plan)).rejects.toMatchObject({ code: 'CORPUS_CHANGED' });
    await put('moving/a.parquet', readFileSync(parquet));
    const planned = await planCorpus({ inputs: ['s3://corpus/moving/a.parquet'], unitRows: 500 });
    const pool = new SlabPool({ slabBytes: 2 ** 22, nSlabs: 4 });
    const open = openUnit(planned, planned.units[0]!, pool);
    const first = (await open.next()).value!;
    const other = await writeTestCorpus(join(folder, 'b.parquet'), {
      nRows: 3000,
      rowGroupRows: 500,
      seed: 4,
    });
    expect(other).toHaveLength(3000);
    await put('moving/a.parquet', readFileSync(join(folder, 'b.parquet')));
    await expect(open.next()).rejects.toMatchObject({
      code: 'CORPUS_CHANGED',
      message: expect.stringContaining('s3://corpus/moving/a.parquet'),
    });
    first.batch.release();
    first.carry.release();
    // In the middle of a read: the answers of one range are of two versions.
    const file = await openFile('s3://corpus/docs/deep/b.jsonl');
    let count = 0;
    server.fault = () =>
      count++ === 0 ? { kind: 'cut', bytes: 10_000 } : { kind: 'etag', etag: '"another"' };
    await expect(file.read(0, 100_000)).rejects.toMatchObject({ code: 'CORPUS_CHANGED' });
  });

  it('names what is not there, not allowed, or not known, without secrets', async () => {
    const fails = (input: string) =>
      planCorpus({ inputs: [input], failFast: true }).catch(
        (error: Error & { code: string }) => error,
      );
    const secret = process.env['AWS_SECRET_ACCESS_KEY']!;
    const key = process.env['AWS_ACCESS_KEY_ID']!;
    const told: Error[] = [];
    const expectCode = async (input: string, code: string, message: RegExp) => {
      const error = (await fails(input)) as Error & { code: string };
      told.push(error);
      expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    };
    await expectCode('s3://no-such-bucket/x/', 'STORAGE_NOT_FOUND', /no such bucket/);
    await expectCode('s3://corpus/nothing', 'CORPUS_READ_FAILED', /neither a file nor a folder/);
    await expectCode('s3://', 'STORAGE_ADDRESS_INVALID', /s3:\/\/BUCKET\/KEY/);
    server.fault = () => ({ kind: 'status', status: 403, code: 'AccessDenied' });
    await expectCode('s3://corpus/docs/', 'STORAGE_DENIED', /AccessDenied/);
    server.fault = () => ({ kind: 'status', status: 403, code: 'InvalidAccessKeyId' });
    await expectCode('s3://corpus/docs/', 'STORAGE_NO_CREDENTIALS', /access key is not known/);
    server.fault = () => null;
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) delete process.env[name];
    process.env['AWS_SHARED_CREDENTIALS_FILE'] = join(folder, 'none');
    process.env['AWS_CONFIG_FILE'] = join(folder, 'none');
    await closeS3();
    await expectCode('s3://corpus/docs/', 'STORAGE_NO_CREDENTIALS', /AWS_ACCESS_KEY_ID/);
    Object.assign(process.env, server.environment);
    await closeS3();
    for (const error of told) {
      const said = `${error.message}${JSON.stringify(error)}${error.stack}`;
      expect(said).not.toContain(secret);
      expect(said).not.toContain(key);
    }
  });

  it('planning goes on past a file that cannot be read', async () => {
    await put('mixed/a.jsonl', '{"text":"fine"}\n');
    await put('mixed/b.parquet', 'PAR1 not really');
    const plan = await planCorpus({ inputs: ['s3://corpus/mixed'] });
    expect(plan.files).toHaveLength(1);
    expect(plan.failedFiles).toMatchObject([
      { path: 's3://corpus/mixed/b.parquet', code: 'CORPUS_FILE_INVALID' },
    ]);
    writeFileSync(join(folder, 'n.jsonl'), '{"text":"n"}\n');
    // Local files and addresses in one plan.
    const both = await planCorpus({
      inputs: [join(folder, 'n.jsonl'), 's3://corpus/mixed/a.jsonl'],
    });
    expect((await textsOf(both)).sort()).toEqual(['fine', 'n']);
  });
});
