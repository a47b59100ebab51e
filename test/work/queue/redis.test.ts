/** Connections to real servers: passwords, TLS with a CA and a client's certificate, and a server that falls silent. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GristmillError } from '../../../src/errors.ts';
import { Board, type BoardRun } from '../../../src/work/queue/board.ts';
import { connectRedis, REDIS_TLS_VARIABLES } from '../../../src/work/queue/redis.ts';
import { takeUnits } from '../../../src/work/queue/take.ts';
import { run as runCommand } from '../../cli/support.ts';
import { until, within } from '../../support/bounded.ts';
import { hasOpenssl, makeCertificates } from '../../support/certificates.ts';
import { hasRedis, RedisServer } from '../../support/redis-server.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';

const PASSWORD = 'p@ss/word:% é';
const folder = mkdtempSync(join(tmpdir(), 'gristmill-tls-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function reasonOf(url: string): Promise<string> {
  const error = await connectRedis(url).then(
    () => null,
    (caught: unknown) => caught,
  );
  expect(error).toMatchObject({ name: 'GristmillError' });
  const { code, message } = error as GristmillError;
  return `${code}: ${message}`;
}

describe.skipIf(!hasRedis)('a server with a password', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start(PASSWORD);
  });
  afterAll(() => server?.stop());

  it('lets in who has it, whatever it is made of, and shows it to nobody', async () => {
    const link = await connectRedis(server.url);
    expect(await link.redis.ping()).toBe('PONG');
    expect(link.shown).toBe(`redis://127.0.0.1:${server.port}`);
    await link.redis.acl('SETUSER', 'mill', 'on', '>own:secret', '~*', '&*', '+@all');
    await link.close();
    const named = await connectRedis(`redis://mill:own%3Asecret@127.0.0.1:${server.port}`);
    expect(await named.redis.acl('WHOAMI')).toBe('mill');
    await named.close();
  });

  it('is no server for others, and says so without a word of what they gave', async () => {
    expect(await reasonOf(`redis://127.0.0.1:${server.port}`)).toContain('QUEUE_UNREACHABLE');
    const wrong = await reasonOf(`redis://user:wrongsecret@127.0.0.1:${server.port}`);
    expect(wrong).toContain('WRONGPASS');
    expect(wrong).not.toContain('wrongsecret');
  });
});

describe.skipIf(!hasRedis)('a server behind a network that is cut', () => {
  it('is asked anew over a connection of its own, once it can be', async () => {
    // A worker waited for the old connection until the system gave it up, after a quarter of an hour.
    const server = await RedisServer.start();
    const network = await TcpProxy.before(server.port);
    const notices: string[] = [];
    const address = `redis://127.0.0.1:${network.port}`;
    const link = await connectRedis(address, (line) => notices.push(line));
    try {
      await link.redis.set('key', 'value');
      network.cut();
      const answer = link.redis.get('key');
      await new Promise((resolve) => setTimeout(resolve, 300));
      network.mend();
      expect(await answer).toBe('value');
      expect(notices).toEqual([
        expect.stringMatching(`^Redis at ${address} is away .*20000ms.*: connecting again$`),
        `Redis at ${address} is back`,
      ]);
    } finally {
      await link.close();
      await network.close();
      await server.stop();
    }
  }, 60_000);
});

describe.skipIf(!hasRedis)('a connection that waits to be made again', () => {
  // It stayed as it was, without a timer: a worker that closed one never left.
  it.each(['refused', 'gone'] as const)(
    'is over when it is closed, with a server %s',
    async (how) => {
      const server = await RedisServer.start();
      const network = await TcpProxy.before(server.port);
      const link = await connectRedis(`redis://127.0.0.1:${network.port}`);
      const all = [link.redis, link.duplicate(), link.duplicate().duplicate()];
      const answers: Promise<string>[] = [];
      try {
        for (const redis of all) redis.on('error', () => undefined);
        await Promise.all(all.map((redis) => redis.ping()));
        const wordOf = (asked: Promise<unknown>): Promise<string> =>
          asked.then(String, (error: Error) => error.message);
        if (how === 'refused') network.refuse();
        else await network.close();
        for (const redis of all) {
          await until(20_000, 'it to wait', () => redis.status === 'reconnecting');
          const ended = new Promise((resolve) => redis.once('end', resolve));
          answers.push(wordOf(redis.get('key')));
          redis.disconnect();
          await within(2_000, 'its end', ended);
          expect(redis.status).toBe('end');
        }
        const words = await within(2_000, 'answers to what was asked', Promise.all(answers));
        expect(new Set(words)).toEqual(new Set(['Connection is closed.']));
      } finally {
        await link.close();
        if (how === 'refused') await network.close();
        await server.stop();
      }
    },
    60_000,
  );
});

describe.skipIf(!hasRedis || !hasOpenssl)('a server that speaks TLS', () => {
  let server: RedisServer;
  let files: ReturnType<typeof makeCertificates>;
  const { ca, cert, key } = REDIS_TLS_VARIABLES;
  const set = (own: Readonly<Record<string, string>>): void => {
    for (const name of [ca, cert, key]) delete process.env[name];
    Object.assign(process.env, own);
  };
  const whole = (): Record<string, string> => ({
    [ca]: files.ca.cert,
    [cert]: files.client.cert,
    [key]: files.client.key,
  });
  beforeAll(async () => {
    files = makeCertificates(folder);
    server = await RedisServer.start(PASSWORD, { ca: files.ca.cert, ...files.server });
  });
  afterEach(() => set({}));
  afterAll(() => server?.stop());

  it('hands out units over TLS, to every connection of a worker', async () => {
    set(whole());
    const board = new Board(await connectRedis(server.url));
    expect(board.link.shown).toBe(`rediss://127.0.0.1:${server.port}`);
    const run: BoardRun = {
      ...{ id: 'tls', out: '/out/tls', priority: 0, tries: 2, units: 20 },
      ...{ submittedMs: Date.now(), traceparent: null, spec: null },
    };
    await board.put(run);
    await board.enqueue(
      run,
      Array.from({ length: 20 }, (_, unit) => unit),
    );
    const given: number[] = [];
    const taken = await takeUnits({
      ...{ board, worker: 'w', device: 'cpu', untilDone: true, only: 'tls' },
      open: () => ({
        ended: new AbortController().signal,
        end: async () => undefined,
        async do(unit) {
          given.push(unit);
          return { isOurs: true, counts: {}, seconds: 0 };
        },
      }),
    });
    expect([taken.units, new Set(given).size]).toEqual([20, 20]);
    await board.close();
  }, 60_000);

  it('is known by its CA, and knows its clients by theirs', async () => {
    set({});
    expect(await reasonOf(server.url)).toMatch(/QUEUE_UNREACHABLE.*certificate/);
    set({ ...whole(), [ca]: files.otherCa.cert });
    expect(await reasonOf(server.url)).toMatch(/QUEUE_UNREACHABLE.*certificate/);
    set({ [ca]: files.ca.cert });
    expect(await reasonOf(server.url)).toContain('QUEUE_UNREACHABLE');
    set(whole());
    expect(await reasonOf(server.url.replace('rediss:', 'redis:'))).toContain('QUEUE_UNREACHABLE');
  }, 60_000);

  it('is asked with files that are there, and both of a pair', async () => {
    set({ ...whole(), [ca]: join(folder, 'none.pem') });
    expect(await reasonOf(server.url)).toMatch(/OPTION_INVALID.*GRISTMILL_REDIS_CA.*none\.pem/);
    set({ [ca]: files.ca.cert, [cert]: files.client.cert });
    expect(await reasonOf(server.url)).toMatch(/OPTION_INVALID.*GRISTMILL_REDIS_KEY/);
  });

  it('is asked by the command', async () => {
    const env = { ...whole(), GRISTMILL_REDIS_URL: server.url };
    const { code, stdout, stderr } = await runCommand(['cluster', 'status', '--json'], { env });
    expect([code, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout.toString())).toMatchObject({
      redis: `rediss://127.0.0.1:${server.port}`,
    });
  }, 60_000);
});
