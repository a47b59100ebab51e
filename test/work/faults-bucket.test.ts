/**
 * Nothing is lost on a bucket either: corpus and output lie in one, three workers of a queue work on it, and besides the faults
 * of processes, clocks, networks and the queue (faults.test.ts) its server is killed and comes back, is silent, and answers
 * some of its questions by errors, late, short, cut, or not at all although they are done.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bucketOf, closeS3, openS3 } from '../../src/corpus/storage/s3.ts';
import { S3Objects } from '../../src/corpus/storage/s3-objects.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import { seededRandom } from '../../src/seeded.ts';
import { LEASE_MS } from '../../src/work/lease.ts';
import { Board } from '../../src/work/queue/board.ts';
import { connectRedis } from '../../src/work/queue/redis.ts';
import { LOCK_MS } from '../../src/work/queue/take.ts';
import { outputOf, run } from '../cli/support.ts';
import { sleep, within } from '../support/bounded.ts';
import {
  commonFaults,
  N_FAULTS as N_ALL,
  RUN_MS,
  runAmongFaults,
  SEED,
} from '../support/fault-run.ts';
import { Fleet, faketime } from '../support/fleet.ts';
import { hasRedis, RedisServer } from '../support/redis-server.ts';
import { type Fault, installS3Server, S3Server } from '../support/s3-server.ts';

const missing = installS3Server();
if (missing !== null) console.warn(`SKIPPED: no S3 server can be run here: ${missing}`);

/** A server in Python answers some hundred questions a second: the soak has a fifth of its faults here, CI fewer units. */
const isSoak = N_ALL >= 100;
const N_FAULTS = isSoak ? Math.ceil(N_ALL / 5) : N_ALL;
const N_UNITS = isSoak ? 200 : 48;
/** Of a hundred questions so many are answered badly. */
const NOISE = 4;
const COUNT_MS = 500;
const folder = mkdtempSync(join(tmpdir(), 'gristmill-faults-bucket-'));
for (const name of ['server', 'in']) mkdirSync(join(folder, name));
const s3 = new S3Server(join(folder, 'server'));
const before = { ...process.env };
const objects = new S3Objects();
const options = {
  ...{ documentModel: 'random:tiny', documentThreshold: 0.3, threads: 1, workers: 1, slots: 4 },
};
const inputs = 's3://corpus/in/';
let redis: RedisServer;
let fleet: Fleet;

/** Content of all objects below an address, by their names there. */
async function contentsOf(prefix: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const path of objects.list(prefix)) {
    const name = path.slice(prefix.length);
    if (name.startsWith('_gristmill/')) continue;
    const { sdk, client } = await openS3();
    const got = await client.send(new sdk.GetObjectCommand(bucketOf(path)));
    found.set(name, await got.Body!.transformToString('base64'));
  }
  return found;
}

async function namesIn(prefix: string): Promise<string[]> {
  const names: string[] = [];
  for await (const path of objects.list(prefix)) names.push(path.slice(prefix.length));
  return names.sort();
}

const command = (...args: string[]) =>
  within(
    900_000,
    `gristmill ${args.slice(0, 2).join(' ')}`,
    run(args, {
      env: { GRISTMILL_REDIS_URL: redis.url, AWS_ENDPOINT_URL_S3: s3.direct },
    }),
    () => fleet.describe(),
  );

describe.skipIf(!hasRedis || missing !== null)('three workers on a bucket under faults', () => {
  beforeAll(async () => {
    await s3.start();
    Object.assign(process.env, s3.environment, { AWS_ENDPOINT_URL_S3: s3.direct });
    redis = await RedisServer.start('pass');
    fleet = new Fleet({ redisUrl: redis.url, env: s3.environment });
    const { sdk, client } = await openS3();
    await client.send(new sdk.CreateBucketCommand({ Bucket: 'corpus' }));
    for (let file = 0; file < N_UNITS; file++) {
      const rows = [0, 1].map((row) =>
        JSON.stringify({ id: `${file}-${row}`, text: `Home\nPage ${file} ${row} of bees.\n` }),
      );
      const name = `${String(file).padStart(5, '0')}.jsonl`;
      const text = `${rows.join('\n')}\n`;
      await objects.put(`${inputs}${name}`, text);
      writeFileSync(join(folder, 'in', name), text);
    }
    await refineCorpus({ ...options, inputs: join(folder, 'in'), out: join(folder, 'whole') });
  }, RUN_MS);
  afterAll(async () => {
    fleet?.end();
    await closeS3();
    await redis?.stop();
    await s3.stop();
    process.env = before;
    rmSync(folder, { recursive: true, force: true });
  });

  it(`give what one machine gives, after ${N_FAULTS} faults and many bad answers`, {
    timeout: RUN_MS,
  }, async () => {
    const submitted = await command(
      ...['cluster', 'submit', inputs, '--out', 's3://corpus/out', '--tries', '50'],
      ...['--document-model', 'random:tiny', '--doc-threshold', '0.3', '--threads', '1'],
      ...['--workers', '1', '--slots', '4', '--json'],
    );
    expect([submitted.code, submitted.stderr]).toEqual([0, '']);
    const { id } = JSON.parse(submitted.stdout.toString()) as { id: string };
    const board = new Board(await connectRedis(redis.url));
    const random = seededRandom(SEED + 2);
    const bad: readonly Fault[] = [
      { kind: 'status', status: 500 },
      { kind: 'status', status: 503, code: 'SlowDown' },
      { kind: 'reset' },
      { kind: 'slow', ms: 300 },
      { kind: 'cut', bytes: 40 },
      { kind: 'short', bytes: 40 },
      { kind: 'lost answer' },
    ];
    let nBad = 0;
    let noise = NOISE;
    let isSilent = false;
    s3.fault = () => {
      if (isSilent) return { kind: 'silent' };
      if (random() * 100 >= noise) return null;
      nBad++;
      return bad[Math.floor(random() * bad.length)]!;
    };
    const times = { nUnits: N_UNITS, lockMs: LOCK_MS, leaseMs: LEASE_MS };
    const kinds = {
      ...commonFaults(fleet, redis, board, id, times),
      'S3 server killed': async () => {
        await s3.killBehind();
        await sleep(500);
        await s3.startBehind();
      },
      'S3 server full of errors': async () => {
        noise = 60;
        await sleep(3_000);
        noise = NOISE;
      },
      'S3 server silent': async () => {
        isSilent = true;
        await sleep(2_000);
        isSilent = false;
      },
    };
    if (faketime === null) delete (kinds as Record<string, unknown>)['clock moved'];
    let counted = { atMs: Number.NEGATIVE_INFINITY, units: 0 };
    const committed = async (): Promise<number> => {
      if (performance.now() - counted.atMs > COUNT_MS) {
        const names = await namesIn('s3://corpus/out/_gristmill/units/');
        counted = { atMs: performance.now(), units: names.length };
      }
      return counted.units;
    };
    const sizes = { nUnits: N_UNITS, nFaults: N_FAULTS };
    await runAmongFaults({ id, board, fleet, kinds, ...sizes, committed });
    s3.fault = () => null;
    const status = await board.status(id);
    await board.close();
    expect(status).toMatchObject({
      unitsDone: N_UNITS,
      jobs: { failed: 0, active: 0, waiting: 0 },
    });
    process.stderr.write(`bad answers: ${nBad} of ${s3.seen.length}\n`);
    expect(nBad).toBeGreaterThan(0);
    const ended = await command('cluster', 'finish', 's3://corpus/out', '--json');
    expect([ended.code, ended.stderr]).toEqual([0, '']);
    const finished = JSON.parse(ended.stdout.toString()) as Record<string, unknown>;
    expect(finished).toMatchObject({ unitsDone: N_UNITS, missing: [], rowsIn: 2 * N_UNITS });
    const whole = outputOf(join(folder, 'whole'));
    expect(whole.size).toBeGreaterThanOrEqual(N_UNITS);
    expect(await contentsOf('s3://corpus/out/')).toEqual(whole);
    const ledger = await namesIn('s3://corpus/out/_gristmill/');
    expect(ledger.filter((name) => !name.startsWith('units/'))).toEqual(['run.json']);
  });
});
