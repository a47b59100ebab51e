/** Sweeps on a bucket: tables, store and results behind addresses, on a real server; killed workers, resume, and races. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RETRY_DEFAULTS } from '../../../src/corpus/storage/retry.ts';
import { S3Objects } from '../../../src/corpus/storage/s3-objects.ts';
import { finishSweep } from '../../../src/mixture/proxies/finish-sweep.ts';
import { ProxyHost } from '../../../src/mixture/proxies/proxy-host.ts';
import { runUnit } from '../../../src/mixture/proxies/proxy-runner.ts';
import {
  prepareSweep,
  type TrainProxiesOptions,
  trainProxies,
} from '../../../src/mixture/proxies/sweep.ts';
import { SweepLedger } from '../../../src/mixture/proxies/sweep-ledger.ts';
import { readLosses, readMixtures, writeMixtures } from '../../../src/mixture/tables.ts';
import { start } from '../../cli/support.ts';
import { putObject, useBucket } from '../../support/own-bucket.ts';
import { installS3Server, S3Server } from '../../support/s3-server.ts';
import { mixtureTable, quick, smallStore } from './support.ts';

const missing = installS3Server();
if (missing !== null) console.warn(`SKIPPED: no S3 server can be run here: ${missing}`);

const folder = mkdtempSync(join(tmpdir(), 'gristmill-sweep-bucket-'));
const server = new S3Server();
const objects = new S3Objects({ ...RETRY_DEFAULTS, firstMs: 5, maxMs: 50 });
let store: string;

async function names(prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const path of objects.list(prefix)) found.push(path.slice(prefix.length));
  return found.sort();
}

async function text(path: string): Promise<string> {
  return (await objects.read(path))?.content ?? 'nothing';
}

const mixtures = mixtureTable([
  ['10', [1, 0, 0]],
  ['2', [0.2, 0.3, 0.5]],
  ['a/b', [0, 0.6, 0.4]],
]);
const options = (out: string, more: Partial<TrainProxiesOptions> = {}): TrainProxiesOptions => ({
  ...{ mixtures, store, settings: quick(), out, jobs: 1, nThreads: 1 },
  ...more,
});

describe.skipIf(missing !== null)('a sweep on a bucket', () => {
  useBucket(server, 'lab');
  beforeAll(async () => {
    process.env['XDG_CACHE_HOME'] = join(folder, 'cache');
    store = await smallStore(folder);
    const files = readdirSync(store, { recursive: true, withFileTypes: true });
    for (const file of files.filter((each) => each.isFile())) {
      const path = join(file.parentPath, file.name);
      await putObject('lab', `store${path.slice(store.length)}`, readFileSync(path));
    }
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('writes what a folder has, through faults, and the same call goes on from there', async () => {
    await trainProxies(options(join(folder, 'near')));
    let count = 0;
    server.fault = () =>
      count++ % 7 === 3 ? { kind: 'status', status: 503, code: 'SlowDown' } : null;
    const summary = await trainProxies(options('s3://lab/far/'));
    expect(summary).toMatchObject({
      ...{ out: 's3://lab/far', losses: 's3://lab/far/losses.csv' },
      ...{ nTrained: 3, nResumed: 0, failures: [] },
    });
    const near = (name: string): string => readFileSync(join(folder, 'near', name), 'utf8');
    expect(await text('s3://lab/far/losses.csv')).toBe(near('losses.csv'));
    const there = await names('s3://lab/far/');
    expect(there.filter((name) => !/^(runs|trajectories)\//.test(name))).toEqual([
      ...['losses.csv', 'plan.json', 'sweep.json'],
    ]);
    const trajectories = there.filter((name) => name.startsWith('trajectories/'));
    expect(trajectories).toEqual(
      readdirSync(join(folder, 'near/trajectories'))
        .map((name) => `trajectories/${name}`)
        .sort(),
    );
    for (const name of trajectories) expect(await text(`s3://lab/far/${name}`)).toBe(near(name));
    expect(await trainProxies(options('s3://lab/far'))).toMatchObject({ nResumed: 3, nTrained: 0 });
    await expect(
      trainProxies(options('s3://lab/far', { settings: quick({ steps: 7 }) })),
    ).rejects.toMatchObject({ code: 'MIXTURE_RUN_CHANGED' });
    expect(await readLosses('s3://lab/far/losses.csv')).toEqual(
      await readLosses(join(folder, 'near/losses.csv')),
    );
  });

  it('reads tables of both formats and the store behind addresses; what it leaves is the sweep of the same store', async () => {
    for (const format of ['csv', 'parquet']) {
      const table = join(folder, `mixtures.${format}`);
      await writeMixtures(table, mixtures);
      await putObject('lab', `mixtures.${format}`, readFileSync(table));
      expect(await readMixtures(`s3://lab/mixtures.${format}`)).toEqual(await readMixtures(table));
    }
    const said: string[] = [];
    const more = { store: 's3://lab/store', format: 'parquet' as const };
    const summary = await trainProxies(
      options('s3://lab/address', { ...more, onNotice: (line) => said.push(line) }),
    );
    expect(summary).toMatchObject({ nTrained: 3, losses: 's3://lab/address/losses.parquet' });
    expect(said.join('\n')).toMatch(
      /^token store s3:\/\/lab\/store: [\d,]+ bytes in 6 files, fetched in /,
    );
    expect((await readLosses('s3://lab/address/losses.parquet')).losses).toEqual(
      (await readLosses(join(folder, 'near/losses.csv'))).losses,
    );
    // The store is the same one, wherever it lies.
    expect(await trainProxies(options('s3://lab/address', { format: 'parquet' }))).toMatchObject({
      ...{ nResumed: 3, nTrained: 0 },
    });
  });

  it('of two that finish one proxy exactly one wins, and nothing is left of the other', async () => {
    const out = 's3://lab/race';
    const { identity, plan, rows } = prepareSweep(options(out), store);
    const open = (name: string) =>
      SweepLedger.open(out, identity, plan, { member: { name, units: [] } });
    const ledgers = [await open('one'), await open('other')];
    const hosts = ledgers.map(() => new ProxyHost());
    try {
      const done = await Promise.all(
        ledgers.map((ledger, at) =>
          runUnit(rows[1]!, {
            ...{ ledger, host: hosts[at]!, store, settings: quick(), device: 'cpu', nThreads: 1 },
          }),
        ),
      );
      expect(done.map(({ isOurs }) => isOurs).sort()).toEqual([false, true]);
    } finally {
      for (const host of hosts) host.stop();
      for (const ledger of ledgers) await ledger.close();
    }
    expect(await finishSweep(out)).toMatchObject({
      unitsDone: 1,
      orphans: 0,
      missing: ['10', 'a/b'],
    });
    expect(await names(`${out}/`)).toEqual([
      ...['losses.csv', 'plan.json', 'runs/2.json', 'sweep.json', 'trajectories/2.jsonl'],
    ]);
  });

  it('by commands of three workers, one killed in the middle and started again: the table of one machine', async () => {
    const rows = [1, 2, 3, 4, 5, 6, 7].map(
      (row) => [`${row}`, [row / 10, 0.2, 0.8 - row / 10]] as const,
    );
    const table = join(folder, 'seven.csv');
    await writeMixtures(table, mixtureTable(rows));
    await putObject('lab', 'seven.csv', readFileSync(table));
    const flags = '--preset tiny --steps 12 --batch 4 --eval-windows 4 --eval-every 0 --threads 1';
    const command = (out: string, ...more: string[]) =>
      start([
        ...['mix', 'train', '--mixtures', 's3://lab/seven.csv', '--store', 's3://lab/store'],
        ...['--out', out, '--jobs', '1', '--json', ...flags.split(' '), ...more],
      ]);
    const alone = await command(join(folder, 'seven')).finished;
    expect([alone.code, alone.stderr]).toEqual([0, expect.any(String)]);
    const dying = command('s3://lab/split', '--worker', '1/3');
    const isBegun = async (): Promise<boolean> =>
      (await names('s3://lab/split/runs/')).length > 0 || dying.process.exitCode !== null;
    while (!(await isBegun())) await sleep(20);
    dying.process.kill('SIGKILL');
    await dying.finished;
    const workers = ['0/3', '2/3', '1/3'].map(
      (worker) => command('s3://lab/split', '--worker', worker).finished,
    );
    for (const { code, stderr } of await Promise.all(workers)) {
      expect([code, stderr]).toEqual([0, expect.any(String)]);
    }
    const ended = await start(['cluster', 'finish', 's3://lab/split', '--json']).finished;
    expect([ended.code, JSON.parse(ended.stdout.toString())]).toMatchObject([
      ...[0, { out: 's3://lab/split', units: 7, unitsDone: 7, missing: [] }],
    ]);
    expect(await text('s3://lab/split/losses.csv')).toBe(
      readFileSync(join(folder, 'seven/losses.csv'), 'utf8'),
    );
    const left = (await names('s3://lab/split/')).filter((name) => !/^(runs|traj)/.test(name));
    expect(left).toEqual(['losses.csv', 'plan.json', 'sweep.json']);
  });

  it('refuses outputs that nobody writes, by name', async () => {
    await expect(trainProxies(options('https://h/out'))).rejects.toMatchObject({
      code: 'PATH_REMOTE',
    });
    const { code, stderr } = await start([
      ...['mix', 'train', '--mixtures', 'm.csv', '--store', 'gs://b/store', '--out', 'o'],
    ]).finished;
    expect([code, stderr]).toEqual([1, expect.stringMatching(/--store gs:\/\/b\/store/)]);
  });
});
