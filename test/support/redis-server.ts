/** A real Redis server for tests, on a free port of the loopback. Where none is installed, tests that need it skip and say so. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Whether tests can start one. */
export const hasRedis = ((): boolean => {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    process.stderr.write(
      'SKIPPED: no redis-server on this machine (apt-get install redis-server)\n',
    );
    return false;
  }
})();

/** Files of a server that speaks TLS, and nothing else, to clients that show a certificate of its CA. */
export interface RedisTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** A server that keeps what it is told over restarts. */
export class RedisServer {
  readonly port: number;
  readonly url: string;
  readonly #folder: string;
  readonly #args: readonly string[];
  #process: ChildProcess | null = null;

  private constructor(port: number, password: string | null, tls: RedisTls | null) {
    this.port = port;
    const scheme = tls ? 'rediss' : 'redis';
    const login = password === null ? '' : `:${encodeURIComponent(password)}@`;
    this.url = `${scheme}://${login}127.0.0.1:${port}`;
    this.#folder = mkdtempSync(join(tmpdir(), 'gristmill-redis-'));
    this.#args = [
      ...(tls ? ['--port', '0', '--tls-port', String(port)] : ['--port', String(port)]),
      ...(tls ? ['--tls-cert-file', tls.cert, '--tls-key-file', tls.key] : []),
      ...(tls ? ['--tls-ca-cert-file', tls.ca, '--tls-auth-clients', 'yes'] : []),
      ...(password === null ? [] : ['--requirepass', password]),
    ];
  }

  static async start(
    password: string | null = null,
    tls: RedisTls | null = null,
  ): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), password, tls);
    await server.up();
    return server;
  }

  async up(): Promise<void> {
    const flags = ['--bind', '127.0.0.1', '--dir', this.#folder];
    // With `everysec` a write waits for a slow disk in memory, and a kill loses what was answered.
    const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
    this.#process = spawn('redis-server', [...flags, ...durable, ...this.#args], {
      stdio: 'ignore',
    });
    await untilOpen(this.port);
  }

  /** As a crash does. */
  async kill(): Promise<void> {
    const running = this.#process;
    this.#process = null;
    if (!running) return;
    const gone = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGKILL');
    await gone;
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

async function untilOpen(port: number): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`redis-server does not listen on ${port}`);
}
