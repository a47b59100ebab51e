/**
 * A real S3-compatible server on the loopback, moto's from PyPI, with a proxy of ours before it that does what a test tells
 * it to: errors, delays, resets, cut bodies, other ETags.
 *
 * moto honours conditions of reads and writes, but looks and writes in two steps; S3 promises one. The proxy lets writes
 * through one by one, so that a race is one for the clients alone.
 *
 * With a folder the server has all that it had answered for when it is killed and started again (durable-moto.py).
 *
 * The package is installed once, into a cache folder; where there is no python3 with pip, or no registry, tests skip.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGES = ['moto[s3]==5.2.5', 'flask==3.1.3', 'flask-cors==6.0.5'];
const FOLDER = join(
  process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'),
  'gristmill-test',
  'moto-5.2.5',
);

/** What the proxy does to one request. */
export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly code?: string }
  | { readonly kind: 'reset' }
  /** The answer ends after so many bytes of its body: the connection breaks, or the length said less. */
  | { readonly kind: 'cut' | 'short'; readonly bytes: number }
  | { readonly kind: 'slow'; readonly ms: number }
  | { readonly kind: 'etag'; readonly etag: string }
  /** The request is done, its answer is lost. */
  | { readonly kind: 'lost answer' }
  /** Nothing is answered, and nobody hangs up. */
  | { readonly kind: 'silent' }
  /** Conditions are taken out of the request: a server that does not know them. */
  | { readonly kind: 'no conditions' };

/** A request that came in. */
export interface SeenS3Request {
  readonly method: string;
  readonly url: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** Installs the server where it is missing. @returns null, or why it cannot be run here */
export function installS3Server(): string | null {
  if (existsSync(FOLDER)) return null;
  const pending = `${FOLDER}.${process.pid}`;
  mkdirSync(pending, { recursive: true });
  try {
    const quick = ['--quiet', '--no-compile', '--disable-pip-version-check'];
    const args = ['-m', 'pip', 'install', ...quick, '--target', pending, ...PACKAGES];
    execFileSync('python3', args, { stdio: 'pipe', timeout: 250_000 });
    renameSync(pending, FOLDER);
    return null;
  } catch (error) {
    rmSync(pending, { recursive: true, force: true });
    // Another test file was first.
    if (existsSync(FOLDER)) return null;
    return String((error as Error).message)
      .split('\n')
      .slice(0, 2)
      .join(' ');
  }
}

/** See the file's header. */
export class S3Server {
  readonly seen: SeenS3Request[] = [];
  /** Asked for every request; null lets it pass. */
  fault: (request: SeenS3Request, count: number) => Fault | null = () => null;
  #child: ChildProcess | null = null;
  #port = 0;
  readonly #proxy: Server;
  #writes: Promise<unknown> = Promise.resolve();
  #count = 0;
  readonly #folder: string | null;

  /** @param folder in which it keeps what it holds over restarts; null: in memory */
  constructor(folder: string | null = null) {
    this.#folder = folder;
    this.#proxy = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
    this.#proxy.keepAliveTimeout = 60_000;
  }

  /** Address of the proxy. */
  get endpoint(): string {
    return `http://127.0.0.1:${(this.#proxy.address() as AddressInfo).port}`;
  }

  /** Address of the server behind it. */
  get direct(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    this.#port = await freePort();
    await this.startBehind();
    this.#proxy.listen(0, '127.0.0.1');
    await once(this.#proxy, 'listening');
  }

  /** Starts the server behind the proxy. */
  async startBehind(): Promise<void> {
    const args = this.#folder
      ? [fileURLToPath(new URL('durable-moto.py', import.meta.url)), `${this.#port}`, this.#folder]
      : ['-m', 'moto.server', '-H', '127.0.0.1', '-p', `${this.#port}`];
    const env = { ...process.env, PYTHONPATH: FOLDER };
    const child = spawn('python3', args, { stdio: 'ignore', env });
    this.#child = child;
    const until = Date.now() + 120_000;
    while (Date.now() < until) {
      const answer = await fetch(this.direct).catch(() => null);
      await answer?.arrayBuffer();
      if (answer) return;
      if (child.exitCode !== null) throw new Error('the S3 server ended');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error('the S3 server did not start');
  }

  async stop(): Promise<void> {
    this.#proxy.closeAllConnections();
    this.#proxy.close();
    await this.killBehind();
  }

  /** As a crash does: requests under way are reset. */
  async killBehind(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  /** What the SDK needs in the environment. */
  get environment(): Record<string, string> {
    return {
      AWS_ENDPOINT_URL_S3: this.endpoint,
      AWS_ACCESS_KEY_ID: 'AKIATESTACCESSKEYNR1',
      AWS_SECRET_ACCESS_KEY: 'very-secret-key-of-the-tests',
      AWS_REGION: 'us-east-1',
      AWS_EC2_METADATA_DISABLED: 'true',
    };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/' } = request;
    const { range, authorization } = request.headers;
    const seen = { method, url, range, authorization };
    this.seen.push(seen);
    const fault = this.fault(seen, this.#count++);
    if (fault?.kind === 'reset') {
      request.socket.destroy();
      return;
    }
    const body = await bodyOf(request);
    if (fault?.kind === 'silent') return;
    if (fault?.kind === 'status') {
      const code = fault.code ?? 'InternalError';
      response.writeHead(fault.status, { 'content-type': 'application/xml' });
      response.end(
        `<?xml version="1.0"?><Error><Code>${code}</Code><Message>told to</Message></Error>`,
      );
      return;
    }
    if (fault?.kind === 'slow') await new Promise((resolve) => setTimeout(resolve, fault.ms));
    const forward = (): Promise<void> => this.#forward(request, body, response, fault);
    if (method === 'GET' || method === 'HEAD') {
      await forward();
      return;
    }
    const done = this.#writes.then(forward);
    this.#writes = done.catch(() => undefined);
    await done;
  }

  async #forward(
    request: IncomingMessage,
    body: Buffer,
    response: ServerResponse,
    fault: Fault | null,
  ): Promise<void> {
    const headers = { ...request.headers };
    if (fault?.kind === 'no conditions') {
      delete headers['if-match'];
      delete headers['if-none-match'];
    }
    const asked = httpRequest(`${this.direct}${request.url}`, {
      method: request.method,
      headers,
      agent: false,
    });
    asked.end(body);
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    const whole = await bodyOf(answer);
    if (fault?.kind === 'lost answer') {
      response.destroy();
      return;
    }
    const given = { ...answer.headers };
    if (fault?.kind === 'etag' && given.etag) given.etag = fault.etag;
    if (request.method !== 'HEAD') {
      delete given['transfer-encoding'];
      given['content-length'] = String(whole.byteLength);
    }
    if (fault?.kind === 'short' && request.method === 'GET') {
      given['content-length'] = String(Math.min(fault.bytes, whole.byteLength));
      response.writeHead(answer.statusCode!, given);
      response.end(whole.subarray(0, fault.bytes));
      return;
    }
    response.writeHead(answer.statusCode!, given);
    if (fault?.kind === 'cut' && request.method === 'GET') {
      response.write(whole.subarray(0, fault.bytes), () => response.destroy());
      return;
    }
    response.end(whole);
  }
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of message) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

async function freePort(): Promise<number> {
  const server = createTcpServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
