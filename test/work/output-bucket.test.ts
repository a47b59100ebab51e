/** Outputs in a bucket, on a real server with faults between: conditions, leases, commits, whole runs. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { OutputFile } from '../../src/corpus/output-file.ts';
import { RETRY_DEFAULTS } from '../../src/corpus/storage/retry.ts';
import { openS3 } from '../../src/corpus/storage/s3.ts';
import { S3Objects } from '../../src/corpus/storage/s3-objects.ts';
import { takeStored } from '../../src/work/lease.ts';
import { outputBucket } from '../../src/work/output-bucket.ts';
import { REFINE_LAYOUT, recordName, unitName } from '../../src/work/output-folder.ts';
import { useBucket } from '../support/own-bucket.ts';
import { installS3Server, S3Server } from '../support/s3-server.ts';

const missing = installS3Server();
if (missing !== null) console.warn(`SKIPPED: no S3 server can be run here: ${missing}`);

const folder = mkdtempSync(join(tmpdir(), 'gristmill-bucket-'));
mkdirSync(join(folder, 'server'));
const server = new S3Server(join(folder, 'server'));
const objects = new S3Objects({ ...RETRY_DEFAULTS, firstMs: 5, maxMs: 50 });

async function bytesAt(path: string): Promise<Buffer> {
  const { sdk, client } = await openS3();
  const [, Bucket, Key] = /^s3:\/\/([^/]+)\/(.*)$/.exec(path)!;
  const { Body } = await client.send(new sdk.GetObjectCommand({ Bucket: Bucket!, Key: Key! }));
  return Buffer.from(await Body!.transformToByteArray());
}

async function names(prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const path of objects.list(prefix)) found.push(path.slice(prefix.length));
  return found.sort();
}

describe.skipIf(missing !== null)('an output in a bucket', () => {
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  useBucket(server, 'out');

  it('takes files in parts, with their length and hash, through faults; an abort leaves nothing', async () => {
    const part = Buffer.alloc(3_000_000);
    let count = 0;
    server.fault = ({ method }) =>
      method === 'PUT' && count++ % 3 === 1
        ? { kind: 'status', status: 503, code: 'SlowDown' }
        : null;
    const output = await OutputFile.create({ path: 's3://out/files/a.parquet' });
    const parts = Array.from({ length: 9 }, (_, at) => Buffer.from(part.fill(at)));
    for (const each of parts) await output.write(each);
    const { bytes, sha256 } = await output.close();
    expect(bytes).toBe(27_000_000);
    const whole = Buffer.concat(parts);
    expect((await bytesAt('s3://out/files/a.parquet')).equals(whole)).toBe(true);
    const local = await OutputFile.create({ path: join(folder, 'a') });
    await local.write(whole);
    expect((await local.close()).sha256).toBe(sha256);
    const small = await OutputFile.create({ path: 's3://out/files/b' });
    await small.write(Buffer.from('few'));
    await small.close();
    expect((await bytesAt('s3://out/files/b')).toString()).toBe('few');
    const dropped = await OutputFile.create({ path: 's3://out/files/c' });
    for (const each of parts) await dropped.write(each);
    await dropped.abort();
    expect(await names('s3://out/files/')).toEqual(['a.parquet', 'b']);
    const { sdk, client } = await openS3();
    const left = await client.send(new sdk.ListMultipartUploadsCommand({ Bucket: 'out' }));
    expect(left.Uploads ?? []).toEqual([]);
  });

  it('conditions hold, and an answer that is lost is no refusal', async () => {
    let lost = true;
    server.fault = ({ method }) => {
      const isFirst = method === 'PUT' && lost;
      if (isFirst) lost = false;
      return isFirst ? { kind: 'lost answer' } : null;
    };
    const path = 's3://out/conditions/x';
    const version = await objects.putIf(path, 'mine', { ifAbsent: true });
    expect(version).not.toBeNull();
    expect(await objects.putIf(path, 'yours', { ifAbsent: true })).toBeNull();
    lost = true;
    const next = await objects.putIf(path, 'mine again', { ifVersion: version! });
    expect(next).not.toBeNull();
    expect(await objects.putIf(path, 'late', { ifVersion: version! })).toBeNull();
    expect((await objects.read(path))?.content).toBe('mine again');
    const all = await Promise.all(
      Array.from({ length: 8 }, (_, at) =>
        objects.putIf('s3://out/conditions/race', `${at}`, { ifAbsent: true }),
      ),
    );
    expect(all.filter((won) => won !== null)).toHaveLength(1);
  });

  it('an object is removed of the version that was read, and no other', async () => {
    const path = 's3://out/conditions/removed';
    const one = await objects.put(path, 'one');
    const two = await objects.put(path, 'two');
    expect(await objects.removeIf(path, one)).toBe(false);
    expect((await objects.read(path))?.content).toBe('two');
    expect(await objects.removeIf(path, two)).toBe(true);
    expect(await objects.removeIf(path, two)).toBe(false);
    expect(await objects.read(path)).toBeNull();
  });

  it('a server that falls silent is asked again, on another connection', async () => {
    // It was waited for until the system gave the connection up, after a quarter of an hour.
    const hasty = new S3Objects({ ...RETRY_DEFAULTS, firstMs: 5, maxMs: 50, stallMs: 500 });
    const path = 's3://out/silent';
    let nAsked = 0;
    server.fault = () => (nAsked++ % 2 === 0 ? { kind: 'silent' } : null);
    const version = await hasty.putIf(path, 'content', { ifAbsent: true });
    expect(version).not.toBeNull();
    expect(await hasty.read(path)).toEqual({ content: 'content', version });
    expect(await hasty.bytesOf(path)).toBe(7);
    expect(await hasty.copy(path, `${path}-copy`, 7)).toBe(true);
    await hasty.remove(path);
    expect(nAsked).toBe(10);
    server.fault = () => ({ kind: 'silent' });
    const impatient = new S3Objects({ ...RETRY_DEFAULTS, firstMs: 5, stallMs: 100, attempts: 3 });
    await expect(impatient.read(path)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  });

  it('what was answered for is there when the server was killed and has come back', async () => {
    const path = 's3://out/restart é/a b';
    const version = await objects.put(path, 'kept');
    await objects.copy(path, `${path}-copy`, 4);
    await objects.remove(path);
    const state = await objects.put(`${path}-state`, 'open');
    await server.killBehind();
    const patient = new S3Objects({ ...RETRY_DEFAULTS, maxMs: 200, attempts: 1000 });
    const reading = patient.read(`${path}-copy`);
    await server.startBehind();
    expect(await reading).toEqual({ content: 'kept', version });
    expect(await objects.read(path)).toBeNull();
    const next = await objects.putIf(`${path}-state`, 'committing', { ifVersion: state });
    expect(next).not.toBeNull();
    expect(await objects.putIf(`${path}-state`, 'discarded', { ifVersion: state })).toBeNull();
  }, 60_000);

  it('an attempt that commits stays so when the question that began it is done late', async () => {
    // Its state was open again, and who discarded it then took the files of a committed unit.
    const store = outputBucket('s3://out/late-begin');
    await store.prepare();
    const attempt = { unit: '00004', name: 'first' };
    const state = 's3://out/late-begin/_gristmill/tmp/00004.first/state';
    const record = recordName(REFINE_LAYOUT, '00004');
    await store.begin(attempt);
    expect(await store.commit(attempt, record, '{"attempt":"first"}')).toBe(true);
    expect(await objects.putIf(state, 'open', { ifAbsent: true })).toBeNull();
    // Its own next try begins over what a commit left that did not come through.
    await store.begin(attempt);
    expect((await objects.read(state))?.content).toBe('open');
  });

  it('a server that does not keep conditions is refused', async () => {
    server.fault = () => ({ kind: 'no conditions' });
    await expect(outputBucket('s3://out/none').prepare()).rejects.toMatchObject({
      code: 'STORAGE_NO_CONDITIONS',
    });
    server.fault = ({ method }) =>
      method === 'PUT' ? { kind: 'status', status: 501, code: 'NotImplemented' } : null;
    await expect(outputBucket('s3://out/none').prepare()).rejects.toMatchObject({
      code: 'STORAGE_NO_CONDITIONS',
    });
    server.fault = () => null;
    expect(await names('s3://out/none/')).toEqual([]);
  });

  /** An attempt with one file. */
  async function begun(store: ReturnType<typeof outputBucket>, unit: number, name: string) {
    const attempt = { unit: unitName(unit), name };
    await store.begin(attempt);
    const output = await OutputFile.create({ path: store.pathOf(attempt, 'part-00001.parquet') });
    await output.write(Buffer.from(`of ${name}`));
    const { bytes } = await output.close();
    const record = JSON.stringify({ unit, attempt: name });
    return { attempt, record, files: [{ path: 'part-00001.parquet', bytes }] };
  }

  it('of those that finish one unit exactly one wins, and the others go', async () => {
    const stores = ['a', 'b', 'c'].map(() => outputBucket('s3://out/race'));
    const all = await Promise.all(stores.map((store, at) => begun(store, 1, `w${at}`)));
    const won = await Promise.all(
      stores.map((store, at) =>
        store.commit(all[at]!.attempt, recordName(REFINE_LAYOUT, '00001'), all[at]!.record),
      ),
    );
    expect(won.filter(Boolean)).toHaveLength(1);
    const winner = won.indexOf(true);
    const store = stores[(winner + 1) % 3]!;
    // Anybody may publish, and publish again.
    expect(await store.publish(all[winner]!.attempt, all[winner]!.files)).toBeNull();
    expect(await stores[winner]!.publish(all[winner]!.attempt, all[winner]!.files)).toBeNull();
    for (const attempt of await store.attempts()) await store.discard(attempt);
    expect(await names('s3://out/race/')).toEqual([
      '_gristmill/units/00001.json',
      'part-00001.parquet',
    ]);
    expect((await bytesAt('s3://out/race/part-00001.parquet')).toString()).toBe(`of w${winner}`);
    expect(await store.publish(null, [{ path: 'part-00001.parquet', bytes: 99 }])).toBe(
      'part-00001.parquet',
    );
    const found: string[] = [];
    for await (const path of store.publicFiles()) found.push(path);
    expect(found).toEqual(['part-00001.parquet']);
    expect(await store.hasPublicFiles()).toBe(true);
    expect(await store.list('units')).toEqual(['00001.json']);
  });

  it('discarding is a fence: an attempt that is discarded never commits, one that commits is kept', async () => {
    const store = outputBucket('s3://out/fence');
    const late = await begun(store, 1, 'late');
    await store.discard(late.attempt);
    await expect(
      store.commit(late.attempt, recordName(REFINE_LAYOUT, '00001'), late.record),
    ).rejects.toMatchObject({
      code: 'RUN_OUTPUT_FAILED',
    });
    expect(await store.read(recordName(REFINE_LAYOUT, '00001'))).toBeNull();
    // It stands right before its record is made: whoever discards it leaves it alone, and it counts.
    const between = await begun(store, 1, 'between');
    let stand: () => void = () => undefined;
    const standing = new Promise<void>((resolve) => {
      stand = resolve;
    });
    server.fault = ({ method, url }) => {
      if (method !== 'PUT' || !url.includes('units/')) return null;
      stand();
      return { kind: 'slow', ms: 700 };
    };
    const committing = store.commit(
      between.attempt,
      recordName(REFINE_LAYOUT, '00001'),
      between.record,
    );
    await standing;
    await outputBucket('s3://out/fence').discard(between.attempt);
    expect(await committing).toBe(true);
    expect(await store.publish(between.attempt, between.files)).toBeNull();
    // Races of both kinds: never a record without its files.
    server.fault = () => null;
    for (let round = 2; round < 8; round++) {
      const each = await begun(store, round, 'x');
      const [won] = await Promise.all([
        store
          .commit(each.attempt, recordName(REFINE_LAYOUT, unitName(round)), each.record)
          .catch(() => false),
        outputBucket('s3://out/fence').discard(each.attempt),
      ]);
      expect((await store.read(recordName(REFINE_LAYOUT, unitName(round)))) !== null).toBe(won);
      if (won) expect(await names(store.pathOf(each.attempt, ''))).toContain('part-00001.parquet');
    }
  });

  it('a lease has one holder at a time, is kept alive, taken over when silent, and given back', async () => {
    const store = outputBucket('s3://out/lease');
    const take = (leaseMs = 30_000) =>
      takeStored('s3://out/lease', 'lock', store.lease('lock'), { leaseMs });
    const tries = await Promise.allSettled([take(), take(), take()]);
    const held = tries.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    expect(held).toHaveLength(1);
    for (const each of tries) {
      if (each.status === 'rejected')
        expect(each.reason).toMatchObject({ code: 'RUN_OUTPUT_IN_USE' });
    }
    held[0]!.check();
    await held[0]!.release();
    expect(await store.read('lock')).toBeNull();
    // A holder on another machine that gives no sign: taken over after its time, and it finds out.
    const content = JSON.stringify({
      pid: 1,
      host: 'elsewhere',
      bootId: 'x',
      pidNamespace: 'y',
      token: 't',
    });
    const silent = store.lease('lock');
    expect(await silent.create(content)).toBe(true);
    const next = await take(3_000);
    next.check();
    const stop = silent.beat(1);
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    expect(silent.held()).toBeNull();
    stop();
    next.check();
    await next.release();
  });

  it('keeps secrets out of all that it writes', async () => {
    for (const path of await names('s3://out/')) {
      const bytes = await bytesAt(`s3://out/${path}`);
      expect(bytes.includes(process.env['AWS_SECRET_ACCESS_KEY']!)).toBe(false);
      expect(bytes.includes(process.env['AWS_ACCESS_KEY_ID']!)).toBe(false);
    }
    expect(readFileSync(join(folder, 'a')).byteLength).toBe(27_000_000);
  });
});
