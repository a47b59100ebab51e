/**
 * Connections to Redis: by a URL with what it takes to get in, which is never shown. The client is loaded by the first one.
 *
 * Redis may go away and come back while work is under way: connections are made again for ever, with a growing wait. One that
 * is silent for {@link SILENCE_MS} with a question open is made anew too: behind a network that is cut nobody hangs up. Only the
 * first one fails, so that a wrong address is told at once.
 */
import { readFileSync } from 'node:fs';
import type { ConnectionOptions } from 'node:tls';
import type { Redis, RedisOptions } from 'ioredis';
import { GristmillError } from '../../errors.ts';

/** The variable that names a server where no flag does. */
export const REDIS_VARIABLE = 'GRISTMILL_REDIS_URL';
/** Variables that name PEM files for `rediss://`: who signs the server, and who we are. */
export const REDIS_TLS_VARIABLES = Object.freeze({
  ca: 'GRISTMILL_REDIS_CA',
  cert: 'GRISTMILL_REDIS_CERT',
  key: 'GRISTMILL_REDIS_KEY',
});

const CONNECT_MS = 5_000;
const MAX_WAIT_MS = 2_000;
/** Questions that block are answered after 10 s (BullMQ). */
const SILENCE_MS = 20_000;

/** An open connection, and how it is shown. */
export interface RedisLink {
  readonly redis: Redis;
  /** The address without user and password. */
  readonly shown: string;
  /** Another connection to the same server, for commands that block. */
  duplicate(): Redis;
  close(): Promise<void>;
}

/**
 * Connects to a server.
 *
 * @param url `redis://[[user]:password@]host[:port][/db]`, `rediss://` for TLS with the files of {@link REDIS_TLS_VARIABLES}
 * @param onNotice told, a line each, that the server is away and that it is back
 * @throws OPTION_INVALID, QUEUE_UNREACHABLE
 */
export async function connectRedis(
  url: string,
  onNotice?: (line: string) => void,
): Promise<RedisLink> {
  const { shown, secrets } = addressOf(url);
  const tls = shown.startsWith('rediss:') ? tlsFiles(process.env) : null;
  const { Redis: Client } = await import('ioredis');
  let isUp = false;
  const client = new Client(url, {
    lazyConnect: true,
    connectTimeout: CONNECT_MS,
    socketTimeout: SILENCE_MS,
    ...(tls && { tls }),
    maxRetriesPerRequest: null,
    retryStrategy: (attempt) =>
      isUp ? Math.min(MAX_WAIT_MS, 50 * 2 ** Math.min(attempt, 6)) : null,
  });
  const redis = thatLeaves(client);
  let last = 'it does not answer';
  const open: Redis[] = [redis];
  redis.on('error', (error: Error) => {
    last = error.message;
  });
  try {
    await redis.connect();
    await redis.ping();
    isUp = true;
    last = 'its connection is closed';
  } catch (error) {
    redis.disconnect();
    const said = (error as Error).message;
    const reason = hide(said === 'Connection is closed.' ? last : said, secrets);
    // The cause may quote the address.
    throw new GristmillError('QUEUE_UNREACHABLE', { url: shown, reason });
  }
  let isAway = false;
  redis.on('reconnecting', () => {
    if (!isAway) onNotice?.(`Redis at ${shown} is away (${hide(last, secrets)}): connecting again`);
    isAway = true;
  });
  redis.on('ready', () => {
    if (isAway) onNotice?.(`Redis at ${shown} is back`);
    isAway = false;
  });
  return {
    redis,
    shown,
    duplicate() {
      const other = redis.duplicate({ lazyConnect: false });
      other.on('error', () => undefined);
      open.push(other);
      return other;
    },
    async close() {
      for (const connection of open) connection.disconnect();
    },
  };
}

/**
 * Has a client that is told to leave while it waits to connect again leave, and those that are made of it (BullMQ makes one
 * for what blocks). ioredis takes its timer away, has no connection whose end would end it, and stays as it is for ever;
 * BullMQ waits for that end when a worker is closed.
 */
function thatLeaves(redis: Redis): Redis {
  const disconnect = redis.disconnect.bind(redis);
  const duplicate = redis.duplicate.bind(redis);
  redis.disconnect = (willReconnect = false) => {
    const isWaiting = redis.status === 'reconnecting' && !willReconnect;
    disconnect(willReconnect);
    if (!isWaiting) return;
    // Of one that never was connected it knows that there is nothing to wait for.
    redis.status = 'wait';
    disconnect();
  };
  redis.duplicate = ((more?: Partial<RedisOptions>) =>
    thatLeaves(duplicate(more))) as Redis['duplicate'];
  return redis;
}

/** @throws OPTION_INVALID, without the URL: it may hold a password */
function addressOf(url: string): { readonly shown: string; readonly secrets: readonly string[] } {
  let parsed: URL | null = null;
  try {
    parsed = new URL(url);
  } catch {
    // Told below.
  }
  if (!parsed || !['redis:', 'rediss:'].includes(parsed.protocol) || parsed.hostname === '') {
    const expected = 'redis://HOST or rediss://HOST, with :PASSWORD@ before and :PORT/DB behind';
    throw new GristmillError('OPTION_INVALID', {
      option: 'redis',
      expected,
      received: 'something else',
    });
  }
  const { protocol, host, pathname, username, password } = parsed;
  const secrets = [username, password, decodeURIComponent(password)].filter((part) => part !== '');
  return { shown: `${protocol}//${host}${pathname === '/' ? '' : pathname}`, secrets };
}

/** @throws OPTION_INVALID for files that cannot be read, and a certificate without its key */
function tlsFiles(env: NodeJS.ProcessEnv): ConnectionOptions {
  const files: { ca?: Buffer; cert?: Buffer; key?: Buffer } = {};
  for (const [name, variable] of Object.entries(REDIS_TLS_VARIABLES)) {
    const path = env[variable];
    if (!path) continue;
    try {
      files[name as keyof typeof files] = readFileSync(path);
    } catch (cause) {
      const received = (cause as Error).message;
      const details = { option: variable, expected: 'a PEM file', received };
      throw new GristmillError('OPTION_INVALID', details, { cause });
    }
  }
  const { cert, key } = REDIS_TLS_VARIABLES;
  if (Boolean(files.cert) !== Boolean(files.key)) {
    const [option, other] = files.cert ? [key, cert] : [cert, key];
    const expected = `a PEM file, as ${other} names one`;
    throw new GristmillError('OPTION_INVALID', { option, expected, received: 'nothing' });
  }
  return files;
}

function hide(text: string, secrets: readonly string[]): string {
  return secrets.reduce((shown, secret) => shown.replaceAll(secret, '***'), text);
}
