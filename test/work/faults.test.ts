/**
 * Nothing is lost: three workers of a queue on one output, and random faults among them. The output is then byte for byte
 * that of a single machine, and `cluster finish` leaves no file that belongs to nobody.
 *
 * `npm run soak` is the same with many more faults (GRISTMILL_FAULTS).
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { distFile } from '../../src/paths.ts';
import { refineCorpus } from '../../src/refine/run.ts';
import { seededRandom } from '../../src/seeded.ts';
import { Board } from '../../src/work/queue/board.ts';
import { connectRedis } from '../../src/work/queue/redis.ts';
import { LOCK_MS, STALLED_LOOK_MS } from '../../src/work/queue/take.ts';
import { outputOf, run } from '../cli/support.ts';
import { hasRedis, RedisServer } from '../support/redis-server.ts';

const N_FAULTS = Number(process.env['GRISTMILL_FAULTS'] ?? 12);
const N_UNITS = Math.max(200, N_FAULTS);
const N_WORKERS = 3;
const SEED = Number(process.env['GRISTMILL_SEED'] ?? 11);

const folder = mkdtempSync(join(tmpdir(), 'gristmill-faults-'));
const at = (name: string): string => join(folder, name);
let server: RedisServer;
const workers = new Set<Worker>();

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
  await refineCorpus({
    ...{ inputs: at('in'), out: at('whole'), documentModel: 'random:tiny', documentThreshold: 0.3 },
    ...{ threads: 1, workers: 1, slots: 4 },
  });
}, 600_000);
afterAll(async () => {
  for (const worker of workers) worker.signal('SIGKILL');
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const flags = ['--document-model', 'random:tiny', '--doc-threshold', '0.3', '--threads', '1'];
const submit = (out: string, ...more: string[]) =>
  run(
    [
      ...['cluster', 'submit', at('in'), '--out', at(out), ...flags],
      ...['--workers', '1', '--slots', '4', '--json', ...more],
    ],
    { env: { GRISTMILL_REDIS_URL: server.url } },
  );

/** A worker with its children, as a group of its own. */
class Worker {
  readonly #child: ReturnType<typeof spawn>;
  readonly finished: Promise<number | null>;

  constructor(id: string) {
    this.#child = spawn(
      process.execPath,
      [distFile('cli/main.js'), 'cluster', 'work', '--run', id, '--until-done', '--json'],
      {
        detached: true,
        stdio: 'ignore',
        env: { ...process.env, GRISTMILL_REDIS_URL: server.url },
      },
    );
    workers.add(this);
    this.finished = new Promise((resolve) => {
      this.#child.once('exit', (code) => {
        workers.delete(this);
        resolve(code);
      });
    });
  }

  signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.#child.pid!, signal);
    } catch {
      // It has ended.
    }
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const committed = (out: string): number =>
  readdirSync(at(`${out}/_gristmill/units`)).filter((name) => name.endsWith('.json')).length;

async function untilCommitted(out: string, units: number): Promise<void> {
  for (const begunMs = performance.now(); committed(out) < units; await sleep(50)) {
    if (performance.now() - begunMs > 240_000)
      throw new Error(`${committed(out)} of ${units} units`);
  }
}

/** Files of a ledger besides its records. */
const ledgerOf = (out: string): string[] =>
  readdirSync(at(`${out}/_gristmill`), { recursive: true, encoding: 'utf8' })
    .filter((name) => !name.startsWith('units/'))
    .sort();

async function finish(out: string): Promise<Record<string, unknown>> {
  const ended = await run(['cluster', 'finish', at(out), '--json'], {
    env: { GRISTMILL_REDIS_URL: server.url },
  });
  expect([ended.code, ended.stderr]).toEqual([0, '']);
  return JSON.parse(ended.stdout.toString()) as Record<string, unknown>;
}

describe.skipIf(!hasRedis)('three workers under faults', () => {
  it(`give what one machine gives, after ${N_FAULTS} faults`, async () => {
    const submitted = await submit('faulty', '--tries', '50');
    expect([submitted.code, submitted.stderr]).toEqual([0, '']);
    const { id, enqueued } = JSON.parse(submitted.stdout.toString()) as {
      id: string;
      enqueued: number;
    };
    expect(enqueued).toBe(N_UNITS);
    const board = new Board(await connectRedis(server.url));
    const random = seededRandom(SEED);
    const stopped: Promise<void>[] = [];
    const alive = new Set<Worker>();
    const hire = (): void => {
      const worker = new Worker(id);
      alive.add(worker);
      void worker.finished.then(() => alive.delete(worker));
    };
    const faults: Record<string, (worker: Worker) => Promise<void> | void> = {
      SIGKILL: (worker) => worker.signal('SIGKILL'),
      SIGSTOP: (worker) => {
        worker.signal('SIGSTOP');
        alive.delete(worker);
        // Beyond its locks: others have its units when it wakes up.
        stopped.push(sleep(LOCK_MS + 2 * STALLED_LOOK_MS).then(() => worker.signal('SIGCONT')));
      },
      'server killed': async () => {
        await server.kill();
        await sleep(300);
        await server.up();
      },
      'unit twice': async () => {
        const unit = Math.floor(random() * N_UNITS);
        const jobId = `again-${unit}-${Math.floor(random() * 1e9)}`;
        await (await board.queueOf(id)).add('unit', { unit }, { jobId, removeOnComplete: true });
      },
    };
    const names = Object.keys(faults);
    for (let fault = 0; fault < N_FAULTS; fault++) {
      while (alive.size < N_WORKERS) hire();
      await untilCommitted('faulty', Math.floor((fault + 1) * ((N_UNITS - 20) / (N_FAULTS + 1))));
      const victim = [...alive][Math.floor(random() * alive.size)];
      // Each kind comes, and then any.
      const name = names[fault < names.length ? fault : Math.floor(random() * names.length)]!;
      if (victim) await faults[name]!(victim);
    }
    while (alive.size < N_WORKERS) hire();
    await untilCommitted('faulty', N_UNITS);
    await Promise.all(stopped);
    await Promise.all([...workers].map(({ finished }) => finished));
    const status = await board.status(id);
    await board.close();
    expect(status).toMatchObject({
      unitsDone: N_UNITS,
      jobs: { failed: 0, active: 0, waiting: 0 },
    });
    const finished = await finish('faulty');
    expect(finished).toMatchObject({ unitsDone: N_UNITS, missing: [], rowsIn: 2 * N_UNITS });
    expect(outputOf(at('faulty'))).toEqual(outputOf(at('whole')));
    expect(ledgerOf('faulty')).toEqual(['run.json', 'tmp', 'units', 'workers']);
  }, 3_600_000);

  it('have a killed worker’s unit under way again in 35 s', async () => {
    const { stdout } = await submit('stalled');
    const { id } = JSON.parse(stdout.toString()) as { id: string };
    const board = new Board(await connectRedis(server.url));
    const queue = await board.queueOf(id);
    const takers = async (): Promise<Map<number, string | undefined>> =>
      new Map(
        (await queue.getActive()).filter(Boolean).map((job) => [job.data.unit, job.processedBy]),
      );
    const first = new Worker(id);
    await untilCommitted('stalled', 2);
    const firstName = [...(await takers()).values()].find((name) => name !== undefined);
    expect(firstName).toBeDefined();
    const second = new Worker(id);
    while (
      ![...(await takers()).values()].some((name) => name !== undefined && name !== firstName)
    ) {
      expect(committed('stalled')).toBeLessThan(N_UNITS);
      await sleep(50);
    }
    first.signal('SIGSTOP');
    const held = [...(await takers())]
      .filter(([, name]) => name === firstName)
      .map(([unit]) => unit);
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
    while (!(await isTaken()) && performance.now() - killedMs < 120_000) await sleep(50);
    const seconds = (performance.now() - killedMs) / 1000;
    process.stderr.write(
      `units ${held.join(', ')} of a killed worker were under way again after ${seconds.toFixed(1)} s\n`,
    );
    expect(held.length).toBeGreaterThan(0);
    expect(seconds).toBeLessThan(35);
    await second.finished;
    await board.close();
    await finish('stalled');
    expect(outputOf(at('stalled'))).toEqual(outputOf(at('whole')));
  }, 600_000);

  it('wait where the disk is full, and go on when there is room', async ({ skip }) => {
    mkdirSync(at('small'));
    const size = (kilobytes: number): string => `size=${kilobytes}k,nr_inodes=4000`;
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', size(1_500), 'tmpfs', at('small')], {
        stdio: 'ignore',
      });
    } catch {
      process.stderr.write('SKIPPED: a full disk, as no small file system can be mounted here\n');
      return skip();
    }
    try {
      const { stdout, stderr } = await submit('small/out', '--tries', '2');
      expect(stderr).toBe('');
      const { id } = JSON.parse(stdout.toString()) as { id: string };
      const worker = new Worker(id);
      // Nothing is committed any more: the disk is full.
      let last = -1;
      for (let same = 0; same < 60; same = committed('small/out') === last ? same + 1 : 0) {
        last = committed('small/out');
        await sleep(50);
      }
      expect(last).toBeLessThan(N_UNITS);
      execFileSync('mount', ['-o', `remount,${size(64_000)}`, at('small')]);
      await Promise.race([worker.finished, sleep(20_000)]);
      const second = new Worker(id);
      await untilCommitted('small/out', N_UNITS);
      await Promise.all([worker.finished, second.finished]);
      await finish('small/out');
      expect(outputOf(at('small/out'))).toEqual(outputOf(at('whole')));
    } finally {
      for (const worker of workers) worker.signal('SIGKILL');
      execFileSync('umount', ['-l', at('small')]);
    }
  }, 600_000);
});
