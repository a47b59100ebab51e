/** Sweeps and annotations over a real queue, with everything in a bucket: one worker is killed, results are those of one machine. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotateDocuments } from '../../../src/annotate/label/label-documents.ts';
import { submitAnnotation } from '../../../src/annotate/ranges/asked-queue.ts';
import { S3Objects } from '../../../src/corpus/storage/s3-objects.ts';
import { proxySettings } from '../../../src/mixture/proxies/settings.ts';
import { trainProxies } from '../../../src/mixture/proxies/sweep.ts';
import { submitSweep } from '../../../src/mixture/proxies/sweep-queue.ts';
import { writeMixtures } from '../../../src/mixture/tables.ts';
import { Board } from '../../../src/work/queue/board.ts';
import { connectRedis } from '../../../src/work/queue/redis.ts';
import { scoring } from '../../annotate/support.ts';
import { run, start } from '../../cli/support.ts';
import { mixtureTable, smallStore } from '../../mixture/proxies/support.ts';
import { type ExpertServer, startExpertServer } from '../../support/expert-server.ts';
import { putObject, useBucket } from '../../support/own-bucket.ts';
import { hasRedis, RedisServer } from '../../support/redis-server.ts';
import { installS3Server, S3Server } from '../../support/s3-server.ts';

const missing = installS3Server();
if (missing !== null) console.warn(`SKIPPED: no S3 server can be run here: ${missing}`);

const folder = mkdtempSync(join(tmpdir(), 'gristmill-kinds-bucket-'));
const at = (name: string): string => join(folder, name);
const server = new S3Server();
const objects = new S3Objects();
const mixtures = mixtureTable(
  [1, 2, 3, 4].map((row) => [`m${row}`, [row / 10, 0.2, 0.8 - row / 10]] as const),
);
let redis: RedisServer;
let expert: ExpertServer;
let board: Board;
let env: Record<string, string>;

async function count(prefix: string): Promise<number> {
  let nObjects = 0;
  for await (const _ of objects.list(prefix)) nObjects++;
  return nObjects;
}

/** Kills a worker as soon as something is committed, and lets another end the run. */
async function workWithADeath(records: string): Promise<void> {
  const dying = start(['cluster', 'work', '--threads', '1'], { env });
  while (dying.process.exitCode === null && (await count(records)) === 0) await sleep(20);
  dying.process.kill('SIGKILL');
  await dying.finished;
  const { code, stderr } = await run(['cluster', 'work', '--until-done', '--threads', '1'], {
    env,
  });
  expect([code, stderr]).toEqual([0, expect.any(String)]);
}

describe.skipIf(missing !== null || !hasRedis)('kinds of work on a queue and a bucket', () => {
  useBucket(server, 'lab');
  beforeAll(async () => {
    redis = await RedisServer.start('s3cret');
    env = { GRISTMILL_REDIS_URL: redis.url, XDG_CACHE_HOME: at('cache') };
    board = new Board(await connectRedis(redis.url));
    expert = await startExpertServer(async (request, response) => {
      await sleep(15);
      await scoring(request, response);
    });
  }, 120_000);
  afterAll(async () => {
    await board?.close();
    await expert?.close();
    await redis?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('a sweep: tables and store are read there, and the submitter fetches no tokens', async () => {
    const store = await smallStore(folder);
    for (const name of readdirSync(store, { recursive: true, encoding: 'utf8' })) {
      const file = join(store, name);
      if (statSync(file).isFile()) await putObject('lab', `store/${name}`, readFileSync(file));
    }
    await writeMixtures(at('mixtures.csv'), mixtures);
    await putObject('lab', 'mixtures.csv', readFileSync(at('mixtures.csv')));
    const steps = { steps: 10, batch: 4, evalWindows: 4, evalEvery: 0 };
    await trainProxies({
      mixtures,
      store,
      settings: proxySettings('tiny', steps),
      out: at('alone'),
    });
    const flags = '--preset tiny --steps 10 --batch 4 --eval-windows 4 --eval-every 0'.split(' ');
    const seen = server.seen.length;
    const submitted = await run(
      [
        ...['cluster', 'submit-sweep', '--mixtures', 's3://lab/mixtures.csv', '--json', ...flags],
        ...['--store', 's3://lab/store', '--out', 's3://lab/sweep'],
      ],
      { env },
    );
    expect([submitted.code, submitted.stderr]).toEqual([0, expect.any(String)]);
    expect(JSON.parse(submitted.stdout.toString())).toMatchObject({
      ...{ kind: 'mix train', out: 's3://lab/sweep', enqueued: 4 },
    });
    const read = server.seen.slice(seen).filter(({ method }) => method === 'GET');
    expect(read.filter(({ url }) => url.includes('.tokens'))).toEqual([]);
    await workWithADeath('s3://lab/sweep/runs/');
    const ended = await run(['cluster', 'finish', 's3://lab/sweep', '--json'], { env });
    expect([ended.code, JSON.parse(ended.stdout.toString())]).toMatchObject([
      ...[0, { unitsDone: 4, missing: [], orphans: 0 }],
    ]);
    expect((await objects.read('s3://lab/sweep/losses.csv'))?.content).toBe(
      readFileSync(at('alone/losses.csv'), 'utf8'),
    );
    expect((await board.runs()).map(({ out }) => out)).not.toContain('s3://lab/sweep');
    const settings = proxySettings('tiny', steps);
    const hidden = {
      mixtures,
      store: 'https://me:tok3n@h/store',
      settings,
      out: 's3://lab/hidden',
    };
    await expect(submitSweep(board, hidden)).rejects.toMatchObject({
      ...{ code: 'OPTION_INVALID', message: expect.not.stringContaining('tok3n') },
    });
  }, 600_000);

  it('an annotation: the set, its ledger and its answers lie there', async () => {
    for (let file = 0; file < 4; file++) {
      const rows = [0, 1, 2, 3].map((row) => ({
        ...{ id: `${file}-${row}`, text: `Page ${file * 4 + row} E${(file + row) % 6} F${row}.` },
      }));
      const text = rows.map((row) => `${JSON.stringify(row)}\n`).join('');
      writeFileSync(at(`${file}.jsonl`), text);
      await putObject('lab', `in/${file}.jsonl`, text);
    }
    const inputs = [0, 1, 2, 3].map((file) => at(`${file}.jsonl`));
    const endpoint = { url: expert.url, model: 'judge', concurrency: 1 };
    await annotateDocuments({ inputs, out: at('one'), expert: endpoint });
    const options = { inputs: ['s3://lab/in/'], out: 's3://lab/asked', expert: endpoint };
    const { enqueued, run: queued } = await submitAnnotation(board, { kind: 'documents', options });
    expect([enqueued, queued.out]).toEqual([4, 's3://lab/asked']);
    await workWithADeath('s3://lab/asked/_annotate/units/');
    const nAsked = expert.seen.length;
    const ended = await run(['cluster', 'finish', 's3://lab/asked', '--json'], { env });
    expect([ended.code, ended.stderr]).toEqual([0, expect.any(String)]);
    expect(expert.seen.length).toBe(nAsked);
    for (const name of ['train.jsonl', 'validation.jsonl', 'failed.jsonl']) {
      expect((await objects.read(`s3://lab/asked/${name}`))?.content).toBe(
        readFileSync(at(`one/${name}`), 'utf8'),
      );
    }
  }, 600_000);
});
