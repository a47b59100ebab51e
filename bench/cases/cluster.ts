/**
 * Case `cluster`: what it costs that many machines do a run, and how soon one is replaced.
 *
 *  1. Queue: a device that takes 10 s for a unit, one at a time, in the hands of a worker of the queue. What the device stands
 *     idle between two units, and the CPU of the process that feeds it, are the overhead. Aim: at most 1 % of the unit.
 *  2. Deaths: two `cluster work`, one killed with its units; the time until the other one has begun them. Aim: at most 35 s.
 *  3. Workers: three of a queue and three of a split beside one, by CPU and by bytes: the output has to be the same.
 *  4. A bucket beside the disk (cluster-storage.ts), and the Python package beside the command (cluster-shim.ts).
 *
 * Redis is one of the case's own, and so is the S3 server where AWS_ENDPOINT_URL_S3 names none. What is not installed is left out, and said.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringColumn } from '../../src/corpus/schema.ts';
import { openSink } from '../../src/corpus/sink.ts';
import { packageRoot } from '../../src/paths.ts';
import { Board, type BoardRun } from '../../src/work/queue/board.ts';
import { connectRedis } from '../../src/work/queue/redis.ts';
import { takeUnits, type WorkSession } from '../../src/work/queue/take.ts';
import { hasRedis, RedisServer } from '../../test/support/redis-server.ts';
import { installS3Server, S3Server } from '../../test/support/s3-server.ts';
import type { Bench, BenchContext, BenchTable } from '../types.ts';
import { shimCost } from './cluster-shim.ts';
import { storageTable } from './cluster-storage.ts';
import { median } from './median.ts';
import { costOf } from './process-cost.ts';
import { pages } from './web-pages.ts';

const MAIN = join(packageRoot, 'dist/cli/main.js');
const UNIT_SECONDS = 10;
const SIZES = {
  full: { queueUnits: 12, deaths: 3, bytes: 10e6 },
  quick: { queueUnits: 3, deaths: 1, bytes: 3e6 },
};
const N_UNITS = 24;
const N_WORKERS = 3;
const GIVEN_UP_MS = 120_000;
const FLAGS = ['--unit-rows', '1', '--threads', '1', '--workers', '1'];

export const bench: Bench = { name: 'cluster', run };

async function run(context: BenchContext): Promise<BenchTable[]> {
  const folder = mkdtempSync(join(tmpdir(), 'gristmill-bench-cluster-'));
  const tables: BenchTable[] = [];
  const part = async (work: () => Promise<BenchTable | null>): Promise<void> => {
    const load = loadavg()[0]!.toFixed(1);
    const table = await work();
    if (!table) return;
    tables.push({ ...table, notes: [...table.notes, `Load when it began: ${load}.`] });
    for (const row of table.rows) context.log(row.join(' | '));
  };
  const server = hasRedis ? await RedisServer.start() : null;
  try {
    if (server) {
      const corpus = join(folder, 'corpus.parquet');
      const size = SIZES[context.quick ? 'quick' : 'full'];
      await writeUnits(corpus, await pages(size.bytes, context));
      await part(() => queueTable(server.url, size.queueUnits, context));
      await part(() => deathTable(server.url, { folder, corpus, nDeaths: size.deaths }, context));
      await part(() => workersTable(server.url, { folder, corpus }, context));
    } else context.log('no redis-server: the queue is left out');
    await part(() => storage(context));
    await part(async () => {
      try {
        return await shimCost(context);
      } catch (error) {
        context.log(`the Python package is left out: ${(error as Error).message.slice(0, 200)}`);
        return null;
      }
    });
  } finally {
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
  return tables;
}

/** Row groups of about the same bytes, each a unit. */
async function writeUnits(path: string, texts: readonly string[]): Promise<void> {
  const rowGroupRows = Math.ceil(texts.length / N_UNITS);
  const columns = [stringColumn('text')];
  const sink = await openSink({
    ...{ format: 'parquet', path, columns, textColumn: 'text', extra: [], rowGroupRows },
  });
  const text = texts.map((each) => Buffer.from(each));
  await sink.write({ text, rows: null, carry: null, extra: {} });
  await sink.close();
}

/** See 1 in the file's header. */
async function queueTable(url: string, nUnits: number, context: BenchContext): Promise<BenchTable> {
  const board = new Board(await connectRedis(url));
  const id = `bench-${process.pid}`;
  const own: BoardRun = {
    ...{ id, out: '/bench', priority: 0, tries: 1, units: nUnits, submittedMs: Date.now() },
    ...{ traceparent: null, spec: null },
  };
  await board.put(own);
  await board.enqueue(own, Array(nUnits).keys());
  const busy: { begunMs: number; endedMs: number }[] = [];
  let device = Promise.resolve();
  const session: WorkSession = {
    ended: new AbortController().signal,
    end: async () => undefined,
    do(unit) {
      // One unit at a time, in the order in which they come, as a GPU has it.
      const done = device.then(async () => {
        const begunMs = performance.now();
        await sleep(UNIT_SECONDS * 1000);
        busy.push({ begunMs, endedMs: performance.now() });
        context.log(`queue: unit ${unit} of ${nUnits}`);
        return { isOurs: true, counts: { rowsIn: 1000 }, seconds: UNIT_SECONDS };
      });
      device = done.then(() => undefined);
      return done;
    },
  };
  const cpu = process.cpuUsage();
  const begunMs = performance.now();
  await takeUnits({
    ...{ board, worker: 'bench', device: 'none', untilDone: true, only: id },
    open: () => session,
  });
  const wallMs = performance.now() - begunMs;
  const { user, system } = process.cpuUsage(cpu);
  await board.forget(id);
  await board.close();
  const gaps = busy.slice(1).map((each, at) => each.begunMs - busy[at]!.endedMs);
  const idleMs = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const cpuMs = (user + system) / 1000 / nUnits;
  const edgesMs = wallMs - (busy.at(-1)!.endedMs - busy[0]!.begunMs);
  const share = (ms: number): string => `${((100 * ms) / (UNIT_SECONDS * 1000)).toFixed(3)} %`;
  return {
    title: `A queue with units of ${UNIT_SECONDS} s`,
    columns: ['of a unit', 'ms', 'share'],
    rows: [
      ['device idle between two units', idleMs, share(idleMs)],
      ['CPU of the process that feeds it', cpuMs, share(cpuMs)],
      ['both', idleMs + cpuMs, share(idleMs + cpuMs)],
      ['once: before the first and behind the last', edgesMs, '–'],
    ],
    notes: [
      `${nUnits} units, two in the hands of the worker at a time; Redis on the loopback. Aim: at most 1 %.`,
    ],
  };
}

interface Place {
  readonly folder: string;
  readonly corpus: string;
}

/** A `cluster work` whose log is read. */
class QueueWorker {
  /** Units that it has begun and not ended. */
  readonly active = new Set<number>();
  /** When it has begun each, as performance.now(). */
  readonly begunMs = new Map<number, number>();
  nDone = 0;
  readonly ended: Promise<void>;
  readonly #child: ReturnType<typeof spawn>;

  constructor(url: string, id: string) {
    const args = ['cluster', 'work', '--run', id, '--until-done', '--log', 'json', '--json'];
    this.#child = spawn(process.execPath, [MAIN, ...args], {
      env: { ...process.env, GRISTMILL_REDIS_URL: url },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.ended = new Promise((resolve) => this.#child.once('exit', () => resolve()));
    createInterface({ input: this.#child.stderr! }).on('line', (line) => {
      const { event, unit } = JSON.parse(line) as { event: string; unit: number };
      if (event === 'unit-begun') {
        this.active.add(unit);
        this.begunMs.set(unit, performance.now());
      } else if (event === 'unit-done' || event === 'unit-failed') {
        this.active.delete(unit);
        this.nDone++;
      }
    });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** See 2 in the file's header. */
async function deathTable(
  url: string,
  { folder, corpus, nDeaths }: Place & { readonly nDeaths: number },
  context: BenchContext,
): Promise<BenchTable> {
  const seconds: number[] = [];
  for (let death = 0; death < nDeaths; death++) {
    const id = await submit(url, corpus, join(folder, `death-${death}`));
    const first = new QueueWorker(url, id);
    await until(() => first.nDone >= 2 && first.active.size > 0);
    const held = [...first.active];
    first.kill();
    const killedMs = performance.now();
    const second = new QueueWorker(url, id);
    await until(() => held.every((unit) => second.begunMs.has(unit)));
    const last = Math.max(...held.map((unit) => second.begunMs.get(unit)!));
    seconds.push((last - killedMs) / 1000);
    context.log(
      `deaths: ${held.length} units under way again after ${seconds.at(-1)!.toFixed(1)} s`,
    );
    await second.ended;
  }
  return {
    title: 'A worker of the queue is killed',
    columns: ['until all its units are under way again', 's'],
    rows: [
      ['median', median(seconds)],
      ['longest', Math.max(...seconds)],
    ],
    notes: [
      `SIGKILL, ${nDeaths} times; the worker that takes over is started at that moment, models and all. Aim: at most 35 s.`,
    ],
  };
}

/** See 3 in the file's header. */
async function workersTable(
  url: string,
  { folder, corpus }: Place,
  context: BenchContext,
): Promise<BenchTable> {
  const env = { ...process.env, GRISTMILL_REDIS_URL: url };
  const command = (...args: string[]) =>
    costOf([process.execPath, MAIN, ...args, '--json'], { env });
  const workers = [...Array(N_WORKERS).keys()];
  const outs: Record<string, string> = {};
  const rows: (string | number)[][] = [];
  const contend = async (name: string, work: (out: string) => ReturnType<typeof command>[]) => {
    const out = join(folder, `workers-${rows.length}`);
    outs[name] = out;
    const begunMs = performance.now();
    const costs = await Promise.all(work(out));
    const wall = (performance.now() - begunMs) / 1000;
    if (rows.length > 0) await command('cluster', 'finish', out);
    const cpu = costs.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
    const same = digestOf(out) === digestOf(Object.values(outs)[0]!) ? 'yes' : 'NO';
    rows.push([name, wall, cpu, same]);
    context.log(`${name}: ${cpu.toFixed(2)} CPU s, ${wall.toFixed(1)} s, same bytes: ${same}`);
  };
  await contend('one', (out) => [command('refine', corpus, '--out', out, ...FLAGS)]);
  await contend(`${N_WORKERS} of a split`, (out) =>
    workers.map((worker) =>
      command('refine', corpus, '--out', out, ...FLAGS, '--worker', `${worker}/${N_WORKERS}`),
    ),
  );
  const queued = join(folder, `workers-${rows.length}`);
  const id = await submit(url, corpus, queued);
  await contend(`${N_WORKERS} of a queue`, () =>
    workers.map(() => command('cluster', 'work', '--run', id, '--until-done')),
  );
  return {
    title: 'Workers beside one',
    columns: ['workers', 'wall s', 'CPU s of all, starts included', 'the bytes of one'],
    rows,
    notes: [`${N_UNITS} units of Parquet, one thread each, default refiners; all on this machine.`],
  };
}

async function submit(url: string, corpus: string, out: string): Promise<string> {
  const env = { ...process.env, GRISTMILL_REDIS_URL: url };
  const args = ['cluster', 'submit', corpus, '--out', out, ...FLAGS, '--json'];
  const { stdout } = await costOf([process.execPath, MAIN, ...args], { env });
  return (JSON.parse(stdout) as { id: string }).id;
}

/** Of names and bytes of all files but the ledger's. */
function digestOf(out: string): string {
  const hash = createHash('sha256');
  const names = readdirSync(out, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(out.length))
    .filter((name) => !name.startsWith('/_gristmill'));
  for (const name of names.sort()) hash.update(`${name}\n`).update(readFileSync(join(out, name)));
  return hash.digest('hex');
}

/** See 4 in the file's header. */
async function storage(context: BenchContext): Promise<BenchTable | null> {
  if (process.env['AWS_ENDPOINT_URL_S3']) return storageTable(context);
  const why = installS3Server();
  if (why !== null) {
    context.log(`no S3 server: ${why}`);
    return null;
  }
  const server = new S3Server();
  await server.start();
  try {
    Object.assign(process.env, {
      AWS_ENDPOINT_URL_S3: server.direct,
      ...{ AWS_ACCESS_KEY_ID: 'bench', AWS_SECRET_ACCESS_KEY: 'bench', AWS_REGION: 'us-east-1' },
    });
    const table = await storageTable(context);
    const note =
      'The server is moto’s, in Python: what it sends in a second is part of the figure.';
    return table && { ...table, notes: [...table.notes, note] };
  } finally {
    await server.stop();
  }
}

async function until(isSo: () => boolean): Promise<void> {
  for (const begunMs = performance.now(); !isSo(); await sleep(20)) {
    if (performance.now() - begunMs > GIVEN_UP_MS) throw new Error('it never came to be');
  }
}
