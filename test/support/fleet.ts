/**
 * Workers of a queue for tests of faults: processes of `gristmill cluster work`, each with its children a group of its own, a
 * network of its own to Redis and, where libfaketime is there, a clock of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { distFile } from '../../src/paths.ts';
import { sleep } from './bounded.ts';
import { reportVariables, stateOfGroup } from './process-state.ts';
import { TcpProxy } from './tcp-proxy.ts';

const N_WORKERS = 3;
const BACK_MS = 4_000;
const KEPT_LINES = 20;
/** Of workers that have ended so many are still told of. */
const KEPT_ENDED = 3;
const SHARED_MEMORY = '/dev/shm';

/** libfaketime, by which a process's clock is moved; null where it is not installed. */
export const faketime = ((): string | null => {
  if (process.platform !== 'linux') return null;
  const places = readdirSync('/usr/lib').map((name) =>
    join('/usr/lib', name, 'faketime/libfaketimeMT.so.1'),
  );
  return places.find((place) => existsSync(place)) ?? null;
})();

/** What a fleet works on. */
export interface FleetOptions {
  /** Of Redis, as its workers would see it without a network between. */
  readonly redisUrl: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Words before the command: another namespace. */
  readonly inside?: readonly string[];
  /** Where the network to Redis can be reached from inside. Default: the loopback. */
  readonly address?: string;
}

/** One worker. */
export class FleetWorker {
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #clock: string | null;
  readonly #reports: string;
  /** Between it and Redis. */
  readonly network: TcpProxy;
  readonly finished: Promise<number | null>;
  #code: string | null = null;

  private constructor(
    child: ChildProcess,
    network: TcpProxy,
    { clock, reports }: { readonly clock: string | null; readonly reports: string },
  ) {
    this.#child = child;
    this.network = network;
    this.#clock = clock;
    this.#reports = reports;
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#lines.push(...text.split('\n').filter((line) => line !== ''));
      this.#lines.splice(0, this.#lines.length - KEPT_LINES);
    });
    this.finished = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#code = `${code ?? signal}`;
        void network.close();
        if (faketime !== null) removeShared(child.pid!);
        resolve(code);
      });
    });
  }

  static async start(id: string, folder: string, options: FleetOptions): Promise<FleetWorker> {
    const url = new URL(options.redisUrl);
    const network = await TcpProxy.before(Number(url.port), options.address);
    url.host = `${options.address ?? '127.0.0.1'}:${network.port}`;
    const reports = join(folder, 'reports');
    mkdirSync(reports, { recursive: true });
    const clock = faketime === null ? null : join(mkdtempSync(join(folder, 'clock-')), 'offset');
    const env: NodeJS.ProcessEnv = {
      ...process.env,
      ...options.env,
      ...reportVariables(reports),
      GRISTMILL_REDIS_URL: url.href,
    };
    if (clock !== null) {
      writeFileSync(clock, '+0\n');
      Object.assign(env, { LD_PRELOAD: faketime, FAKETIME_TIMESTAMP_FILE: clock });
      Object.assign(env, { FAKETIME_CACHE_DURATION: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' });
      Object.assign(env, { NO_FAKE_STAT: '1' });
    }
    const work = ['cluster', 'work', '--run', id, '--until-done'];
    const [command, ...args] = [
      ...(options.inside ?? []),
      process.execPath,
      distFile('cli/main.js'),
      ...work,
    ];
    const stdio = ['ignore', 'ignore', 'pipe'] as const;
    const child = spawn(command!, args, { detached: true, stdio: [...stdio], env });
    return new FleetWorker(child, network, { clock, reports });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** To it and all of its children. */
  signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, signal);
    } catch {
      // It has ended.
    }
  }

  /** Its clock, and that of its children, is so many seconds off within a second. */
  moveClock(seconds: number): void {
    if (this.#clock === null) return;
    writeFileSync(`${this.#clock}.next`, `${seconds < 0 ? '' : '+'}${seconds}\n`);
    renameSync(`${this.#clock}.next`, this.#clock);
  }

  /** What it said last, and what its processes are at. */
  async describe(): Promise<string> {
    const hasEnded = this.#code !== null;
    const state = hasEnded ? `ended (${this.#code})` : `runs behind port ${this.network.port}`;
    const lines = this.#lines.map((line) => `    ${line}\n`).join('');
    const processes = hasEnded ? '' : await stateOfGroup(this.pid, this.#reports);
    return `worker ${this.pid} ${state}:\n${lines}${processes}`;
  }
}

/** See the file's header. */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'gristmill-fleet-'));
  readonly #workers = new Set<FleetWorker>();
  readonly #ended: FleetWorker[] = [];
  /** Those that are given faults: neither ended nor asleep. */
  readonly awake = new Set<FleetWorker>();

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** All that have not ended. */
  get workers(): ReadonlySet<FleetWorker> {
    return this.#workers;
  }

  async hire(id: string, more: Partial<FleetOptions> = {}): Promise<FleetWorker> {
    const worker = await FleetWorker.start(id, this.#folder, { ...this.#options, ...more });
    this.#workers.add(worker);
    this.awake.add(worker);
    void worker.finished.then(() => {
      this.#workers.delete(worker);
      this.awake.delete(worker);
      this.#ended.push(worker);
      this.#ended.splice(0, this.#ended.length - KEPT_ENDED);
    });
    return worker;
  }

  /**
   * A worker is of no use for a while; others are hired in its place. When it is back it does what it was at, and is told to
   * leave when there are enough without it.
   */
  async without(worker: FleetWorker, ms: number, mend: () => void): Promise<void> {
    this.awake.delete(worker);
    await sleep(ms);
    mend();
    await sleep(BACK_MS);
    if (!this.#workers.has(worker)) return;
    if (this.awake.size < N_WORKERS) this.awake.add(worker);
    else worker.signal('SIGTERM');
  }

  /** Has workers in the place of those that have ended or are away. */
  async fill(id: string): Promise<void> {
    while (this.awake.size < N_WORKERS) await this.hire(id);
  }

  async describe(): Promise<string> {
    const all = [...this.#ended, ...this.#workers];
    return (await Promise.all(all.map((worker) => worker.describe()))).join('');
  }

  end(): void {
    for (const worker of this.#workers) worker.signal('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** What libfaketime leaves of a process that was killed. */
function removeShared(pid: number): void {
  for (const name of [`faketime_shm_${pid}`, `sem.faketime_sem_${pid}`]) {
    rmSync(join(SHARED_MEMORY, name), { force: true });
  }
}
