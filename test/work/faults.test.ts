/**
 * Nothing is lost: three workers of a queue on one output, and random faults among them. The output is then byte for byte
 * that of a single machine, and `cluster finish` leaves no file that belongs to nobody.
 *
 * `npm run soak` is the same with many more faults (GRISTMILL_FAULTS, GRISTMILL_SEED), here and on a bucket.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { refineCorpus } from '../../src/refine/run.ts';
import { LEASE_MS } from '../../src/work/lease.ts';
import { Board } from '../../src/work/queue/board.ts';
import { connectRedis } from '../../src/work/queue/redis.ts';
import { LOCK_MS, STALLED_LOOK_MS } from '../../src/work/queue/take.ts';
import { outputOf, run } from '../cli/support.ts';
import { sleep, until, within } from '../support/bounded.ts';
import {
  commonFaults,
  describeRun,
  N_FAULTS,
  N_UNITS,
  RUN_MS,
  runAmongFaults,
} from '../support/fault-run.ts';
import { Fleet, faketime } from '../support/fleet.ts';
import { networkOfItsOwn } from '../support/namespace.ts';
import { hasRedis, RedisServer } from '../support/redis-server.ts';
import { SmallDisk } from '../support/small-disk.ts';

if (faketime === null) {
  process.stderr.write('SKIPPED: clocks that are moved (apt-get install libfaketime)\n');
}
const folder = mkdtempSync(join(tmpdir(), 'gristmill-faults-'));
const at = (name: string): string => join(folder, name);
const ROOM_KB = 400_000;
let server: RedisServer;
let fleet: Fleet;
const disks: SmallDisk[] = [];

beforeAll(async () => {
  if (!hasRedis) return;
  mkdirSync(at('in'));
  for (let file = 0; file < N_UNITS; file++) {
    const rows = [0, 1].map((row) =>
      JSON.stringify({
        id: `${file}-${row}`,
        text: `Home | About\nPage ${file} ${row} of bees.\n`,
      }),
    );
    writeFileSync(at(`in/${String(file).padStart(5, '0')}.jsonl`), `${rows.join('\n')}\n`);
  }
  server = await RedisServer.start('pass');
  fleet = new Fleet({ redisUrl: server.url });
  await refineCorpus({
    ...{ inputs: at('in'), out: at('whole'), documentModel: 'random:tiny', documentThreshold: 0.3 },
    ...{ threads: 1, workers: 1, slots: 4 },
  });
}, RUN_MS);
afterAll(async () => {
  fleet?.end();
  await server?.stop();
  for (const disk of disks) disk.unmount();
  rmSync(folder, { recursive: true, force: true });
});

const flags = ['--document-model', 'random:tiny', '--doc-threshold', '0.3', '--threads', '1'];
const command = (...args: string[]) =>
  within(
    600_000,
    `gristmill ${args.slice(0, 2).join(' ')}`,
    run(args, { env: { GRISTMILL_REDIS_URL: server.url } }),
    () => fleet.describe(),
  );

async function submit(out: string, ...more: string[]): Promise<string> {
  const ended = await command(
    ...['cluster', 'submit', at('in'), '--out', at(out), ...flags],
    ...['--workers', '1', '--slots', '4', '--json', ...more],
  );
  expect([ended.code, ended.stderr]).toEqual([0, '']);
  const { id, enqueued } = JSON.parse(ended.stdout.toString()) as { id: string; enqueued: number };
  expect(enqueued).toBe(N_UNITS);
  return id;
}

const committed = (out: string): number =>
  readdirSync(at(`${out}/_gristmill/units`)).filter((name) => name.endsWith('.json')).length;

async function openBoard(): Promise<Board> {
  return new Board(await connectRedis(server.url));
}

function untilCommitted(out: string, units: number): Promise<void> {
  const done = (): number => committed(out);
  const what = `${units} of ${N_UNITS} units`;
  return until(
    240_000,
    what,
    () => done() >= units,
    () => fleet.describe(),
    done,
  );
}

/** Files of a ledger besides its records. */
const ledgerOf = (out: string): string[] =>
  readdirSync(at(`${out}/_gristmill`), { recursive: true, encoding: 'utf8' })
    .filter((name) => !name.startsWith('units/'))
    .sort();

async function finish(out: string): Promise<Record<string, unknown>> {
  const ended = await command('cluster', 'finish', at(out), '--json');
  expect([ended.code, ended.stderr]).toEqual([0, '']);
  return JSON.parse(ended.stdout.toString()) as Record<string, unknown>;
}

async function expectWhole(out: string): Promise<void> {
  const finished = await finish(out);
  expect(finished).toMatchObject({ unitsDone: N_UNITS, missing: [], rowsIn: 2 * N_UNITS });
  expect(outputOf(at(out))).toEqual(outputOf(at('whole')));
  expect(ledgerOf(out)).toEqual(['run.json', 'tmp', 'units', 'workers']);
}

describe.skipIf(!hasRedis)('three workers under faults', () => {
  it(`give what one machine gives, after ${N_FAULTS} faults`, { timeout: RUN_MS }, async () => {
    const disk = SmallDisk.mount(at('disk'), ROOM_KB);
    if (disk) disks.push(disk);
    const out = disk ? 'disk/out' : 'faulty';
    const id = await submit(out, '--tries', '50');
    const board = await openBoard();
    const times = { nUnits: N_UNITS, lockMs: LOCK_MS, leaseMs: LEASE_MS };
    const kinds = commonFaults(fleet, server, board, id, times);
    if (disk) {
      kinds['disk full'] = async () => {
        disk.fill();
        await sleep(2_000);
        disk.resize(ROOM_KB);
      };
    }
    if (faketime === null) delete kinds['clock moved'];
    const sizes = { nUnits: N_UNITS, nFaults: N_FAULTS };
    await runAmongFaults({ id, board, fleet, kinds, ...sizes, committed: () => committed(out) });
    const status = await board.status(id);
    await board.close();
    expect(status).toMatchObject({
      unitsDone: N_UNITS,
      jobs: { failed: 0, active: 0, waiting: 0 },
    });
    await expectWhole(out);
  });

  it('have a killed worker’s unit under way again in 35 s', async () => {
    const id = await submit('stalled');
    const board = await openBoard();
    const queue = await board.queueOf(id);
    const takers = async (): Promise<Map<number, string | undefined>> =>
      new Map(
        (await queue.getActive()).filter(Boolean).map((job) => [job.data.unit, job.processedBy]),
      );
    const first = await fleet.hire(id);
    await untilCommitted('stalled', 2);
    let firstName: string | undefined;
    await until(60_000, 'a unit under way', async () => {
      firstName = [...(await takers()).values()].find((name) => name !== undefined);
      return firstName !== undefined;
    });
    const second = await fleet.hire(id);
    await until(
      120_000,
      'a unit of the second worker',
      async () =>
        [...(await takers()).values()].some((name) => name !== undefined && name !== firstName),
      () => fleet.describe(),
    );
    expect(committed('stalled')).toBeLessThan(N_UNITS);
    // Asleep with units under way: between two there are none.
    let held: number[] = [];
    await until(60_000, 'units under way with the first worker', async () => {
      first.signal('SIGSTOP');
      held = [...(await takers())].filter(([, name]) => name === firstName).map(([unit]) => unit);
      if (held.length === 0) first.signal('SIGCONT');
      return held.length > 0;
    });
    first.signal('SIGKILL');
    const killedMs = performance.now();
    const isTaken = async (): Promise<boolean> => {
      const names = readdirSync(at('stalled/_gristmill/units'));
      const now = await takers();
      return held.every(
        (unit) =>
          (now.has(unit) && now.get(unit) !== firstName) ||
          names.includes(`${String(unit).padStart(5, '0')}.json`),
      );
    };
    await until(120_000, `units ${held} to be under way again`, isTaken, () => fleet.describe());
    const seconds = (performance.now() - killedMs) / 1000;
    process.stderr.write(
      `units ${held.join(', ')} of a killed worker were under way again after ${seconds.toFixed(1)} s\n`,
    );
    expect(seconds).toBeLessThan(35);
    await untilCommitted('stalled', N_UNITS);
    await within(120_000, 'the second worker to leave', second.finished, () => fleet.describe());
    await board.close();
    await expectWhole('stalled');
  }, 900_000);

  it('wake up beyond a lease that is over and swept after, and commit nothing of then', async () => {
    const id = await submit('swept');
    const board = await openBoard();
    const queue = await board.queueOf(id);
    const sleeper = await fleet.hire(id);
    await untilCommitted('swept', 5);
    await until(60_000, 'a unit under way', async () => {
      sleeper.signal('SIGSTOP');
      const isUnderWay = (await queue.getActive()).some(Boolean);
      if (!isUnderWay) sleeper.signal('SIGCONT');
      return isUnderWay;
    });
    const begunMs = performance.now();
    // It waits for a sign of life for as long as a lease lasts, and takes away what the sleeper had under way.
    const early = await command('cluster', 'finish', at('swept'), '--json');
    const seconds = (performance.now() - begunMs) / 1000;
    expect([early.code, seconds >= LEASE_MS / 1000]).toEqual([3, true]);
    expect(ledgerOf('swept')).toEqual(['run.json', 'tmp', 'units', 'workers']);
    sleeper.signal('SIGCONT');
    const other = await fleet.hire(id);
    await untilCommitted('swept', N_UNITS);
    const both = Promise.all([sleeper.finished, other.finished]);
    await within(120_000, 'both workers to leave', both, () => fleet.describe());
    await board.close();
    await expectWhole('swept');
  }, 900_000);

  it('go on without one whose network is down, and with it when it is up', async ({ skip }) => {
    const network = networkOfItsOwn();
    if (!network) {
      process.stderr.write('SKIPPED: a network that is cut, as no namespace can be made here\n');
      return skip();
    }
    try {
      const id = await submit('far');
      const board = await openBoard();
      const { inside, address } = network;
      const far = await fleet.hire(id, { inside, address });
      const near = await fleet.hire(id);
      const signs = async (): Promise<number> => (await board.status(id)).workers.length;
      await until(
        120_000,
        'both workers',
        async () => (await signs()) === 2,
        () => fleet.describe(),
      );
      await untilCommitted('far', 5);
      network.set('down');
      await sleep(LOCK_MS + 3 * STALLED_LOOK_MS);
      network.set('up');
      await untilCommitted('far', N_UNITS);
      const both = Promise.all([far.finished, near.finished]);
      const facts = { id, board, fleet, committed: () => committed('far') };
      await within(180_000, 'both workers to leave', both, () => describeRun(facts));
      await board.close();
      await expectWhole('far');
    } finally {
      network.remove();
    }
  }, 900_000);

  it('wait where the disk is full, and go on when there is room', async ({ skip }) => {
    const disk = SmallDisk.mount(at('small'), 1_500);
    if (!disk) return skip();
    disks.push(disk);
    const id = await submit('small/out', '--tries', '2');
    const worker = await fleet.hire(id);
    // Nothing is committed any more: the disk is full.
    let last = -1;
    let same = 0;
    await until(240_000, 'the disk to be full', () => {
      same = committed('small/out') === last ? same + 1 : 0;
      last = committed('small/out');
      return same === 60;
    });
    expect(last).toBeLessThan(N_UNITS);
    disk.resize(64_000);
    await Promise.race([worker.finished, sleep(20_000)]);
    const second = await fleet.hire(id);
    await untilCommitted('small/out', N_UNITS);
    const both = Promise.all([worker.finished, second.finished]);
    await within(120_000, 'both workers to leave', both, () => fleet.describe());
    await expectWhole('small/out');
  }, 900_000);
});
