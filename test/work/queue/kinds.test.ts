/** Sweeps and annotations over a real server: workers as commands, one killed in the middle, results of one machine. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotateDocuments } from '../../../src/annotate/label/label-documents.ts';
import { submitAnnotation } from '../../../src/annotate/ranges/asked-queue.ts';
import { finishSweep } from '../../../src/mixture/proxies/finish-sweep.ts';
import { proxySettings } from '../../../src/mixture/proxies/settings.ts';
import { trainProxies } from '../../../src/mixture/proxies/sweep.ts';
import { finishedProxies } from '../../../src/mixture/proxies/sweep-queue.ts';
import { readMixtures, writeMixtures } from '../../../src/mixture/tables.ts';
import { Board } from '../../../src/work/queue/board.ts';
import { connectRedis } from '../../../src/work/queue/redis.ts';
import { retryUnits } from '../../../src/work/queue/submit.ts';
import { scoring } from '../../annotate/support.ts';
import { run, start } from '../../cli/support.ts';
import { mixtureTable, smallStore } from '../../mixture/proxies/support.ts';
import { type ExpertServer, startExpertServer } from '../../support/expert-server.ts';
import { hasRedis, RedisServer } from '../../support/redis-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-kinds-'));
const at = (name: string): string => join(folder, name);
const text = (...path: string[]): string => readFileSync(at(join(...path)), 'utf8');

let redis: RedisServer;
let expert: ExpertServer;
let board: Board;
let env: Record<string, string>;

/** Runs a queue command and reads what it prints. */
async function cluster(...args: string[]) {
  const { code, stdout, stderr } = await run(['cluster', ...args], { env });
  return { code, stderr, said: stdout.toString() };
}

/** Kills a worker as soon as something is committed, and lets two others end the run. */
async function workWithADeath(records: string, isRecord: RegExp): Promise<void> {
  const nRecords = (): number =>
    existsSync(records) ? readdirSync(records).filter((name) => isRecord.test(name)).length : 0;
  const dying = start(['cluster', 'work', '--threads', '1'], { env });
  while (nRecords() === 0 && dying.process.exitCode === null) await sleep(5);
  dying.process.kill('SIGKILL');
  await dying.finished;
  const others = [0, 1].map(() =>
    run(['cluster', 'work', '--until-done', '--threads', '1'], { env }),
  );
  for (const { code, stderr } of await Promise.all(others)) {
    expect([code, stderr]).toEqual([0, expect.any(String)]);
  }
}

describe.skipIf(!hasRedis)('kinds of work on a queue', () => {
  let table: string;
  let store: string;
  const flags = '--preset tiny --steps 10 --batch 4 --eval-windows 4 --eval-every 0'.split(' ');
  const inputs = at('in');

  beforeAll(async () => {
    redis = await RedisServer.start('s3cret');
    env = { GRISTMILL_REDIS_URL: redis.url };
    board = new Board(await connectRedis(redis.url));
    expert = await startExpertServer(async (request, response) => {
      await sleep(15);
      await scoring(request, response);
    });
    store = await smallStore(folder);
    table = at('mixtures.csv');
    const rows = [1, 2, 3, 4, 5, 6].map(
      (row) => [`m${row}`, [row / 10, 0.2, 0.8 - row / 10]] as const,
    );
    await writeMixtures(table, mixtureTable(rows));
    mkdirSync(inputs);
    for (let file = 0; file < 6; file++) {
      const rows = [0, 1, 2, 3].map((row) => ({
        id: `${file}-${row}`,
        text: `Page ${file * 4 + row} E${(file + row) % 6} F${row}.`,
      }));
      writeFileSync(
        join(inputs, `${file}.jsonl`),
        rows.map((row) => JSON.stringify(row)).join('\n'),
      );
    }
  }, 120_000);
  afterAll(async () => {
    await board?.close();
    await expert?.close();
    await redis?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('a sweep: one of three workers is killed, and the table is that of one machine', async () => {
    const settings = proxySettings('tiny', { steps: 10, batch: 4, evalWindows: 4, evalEvery: 0 });
    const mixtures = await readMixtures(table);
    await trainProxies({ mixtures, store, settings, out: at('alone') });
    const submit = () =>
      cluster(
        'submit-sweep',
        '--mixtures',
        table,
        '--store',
        store,
        '--out',
        at('sweep'),
        '--json',
        ...flags,
      );
    const first = await submit();
    const { id, kind, enqueued } = JSON.parse(first.said);
    expect({ kind, enqueued }).toEqual({ kind: 'mix train', enqueued: 6 });
    await workWithADeath(at('sweep/runs'), /^m\d\.json$/);
    expect(text('sweep', 'losses.csv')).toBe(text('alone', 'losses.csv'));
    const found = await board.run(id);
    expect(await board.status(id)).toMatchObject({ unitsDone: 6, run: { kind: 'mix train' } });
    // Nothing is left. Without one of its records, retry finds the proxy, and cancel takes it off again.
    const retry = () => retryUnits(board, id, finishedProxies);
    expect(await retry()).toBe(0);
    rmSync(at('sweep/runs/m3.json'));
    expect([...(await finishedProxies(found))]).toEqual([0, 1, 3, 4, 5]);
    expect(await retry()).toBe(1);
    await board.cancel(id);
    expect(await board.jobs(id)).toMatchObject({ waiting: 0, active: 0 });
    expect((await finishSweep(at('sweep'))).missing).toEqual(['m3']);
    expect((await cluster('retry', id)).said).toBe(`run ${id}: 1 units enqueued\n`);
    expect((await cluster('work', '--until-done', '--threads', '1')).code).toBe(0);
    expect((await cluster('finish', at('sweep'))).code).toBe(0);
    expect(text('sweep', 'losses.csv')).toBe(text('alone', 'losses.csv'));
    // Finished, it is off the board.
    expect((await board.runs()).map((run) => run.id)).not.toContain(id);
  }, 900_000);

  it('a sweep of another version, and a kind that nobody knows, are refused by name', async () => {
    const submit = ['submit-sweep', '--mixtures', table, '--store', store, '--out', at('old')];
    const { id } = JSON.parse((await cluster(...submit, '--json', ...flags)).said);
    const sweep = JSON.parse(text('old', 'sweep.json'));
    const versions = { ...sweep.versions, gristmill: '0.0.1' };
    writeFileSync(at('old/sweep.json'), JSON.stringify({ ...sweep, versions }));
    const known = await board.run(id);
    await board.put({ ...known, id: 'unknown', kind: 'weave' });
    await board.enqueue({ ...known, id: 'unknown', kind: 'weave' }, [0]);
    const { code, stderr } = await cluster('work', '--until-done', '--threads', '1');
    expect(code).toBe(3);
    expect(stderr).toMatch(/versions\.gristmill: "0\.0\.1" -> /);
    expect(stderr).toMatch(/run unknown is refused: .*refine, mix train or annotate.*weave/);
    for (const each of [id, 'unknown']) await board.forget(each);
  }, 600_000);

  it('an annotation: one of three workers is killed, and the set is that of one machine', async () => {
    const endpoint = { url: expert.url, model: 'judge', concurrency: 1 };
    await annotateDocuments({ inputs: [inputs], out: at('one'), expert: endpoint });
    const submitted = await cluster(
      ...['submit-documents', inputs, '--out', at('asked'), '--json'],
      ...['--expert-url', expert.url, '--expert-model', 'judge', '--concurrency', '1'],
    );
    const { id, kind, enqueued } = JSON.parse(submitted.said);
    expect({ kind, enqueued }).toEqual({ kind: 'annotate', enqueued: 6 });
    // Nobody takes from a run that is paused.
    await board.pause(id);
    expect((await cluster('work', '--until-done')).code).toBe(0);
    expect((await board.status(id)).unitsDone).toBe(0);
    await board.resume(id);
    await workWithADeath(at('asked/_annotate/units'), /^\d+\.json$/);
    const nAsked = expert.seen.length;
    expect((await cluster('finish', at('asked'))).code).toBe(0);
    expect(expert.seen.length).toBe(nAsked);
    for (const name of ['documents.parquet', 'train.jsonl', 'validation.jsonl', 'failed.jsonl']) {
      expect(text('asked', name)).toBe(text('one', name));
    }
  }, 900_000);

  it('what others would see on the board is refused there: headers, users in addresses', async () => {
    const options = { inputs: [inputs], out: at('hidden') };
    const submit = (more: object) =>
      submitAnnotation(board, {
        kind: 'documents',
        options: { ...options, expert: { url: expert.url, model: 'm', ...more } },
      });
    await expect(submit({ headers: { authorization: 'Bearer tok3n' } })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.not.stringContaining('tok3n'),
    });
    const url = expert.url.replace('//', '//me:tok3n@');
    await expect(submit({ url })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.not.stringContaining('tok3n'),
    });
    expect(existsSync(at('hidden'))).toBe(false);
  });
});
