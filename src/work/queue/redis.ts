/**
 * Connections to Redis: by a URL with what it takes to get in, which is never shown. The client is loaded by the first one.
 *
 * Redis may go away and come back while work is under way: connections are made again for ever, with a growing wait. Only the
 * first one fails, so that a wrong address is told at once.
 */
import type { Redis } from 'ioredis';
import { GristmillError } from '../../errors.ts';

/** The variable that names a server where no flag does. */
export const REDIS_VARIABLE = 'GRISTMILL_REDIS_URL';

const CONNECT_MS = 5_000;
const MAX_WAIT_MS = 2_000;

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
 * @param url `redis://[[user]:password@]host[:port][/db]`, `rediss://` for TLS (a CA of one's own: NODE_EXTRA_CA_CERTS)
 * @throws OPTION_INVALID, QUEUE_UNREACHABLE
 */
export async function connectRedis(url: string): Promise<RedisLink> {
  const { shown, secrets } = addressOf(url);
  const { Redis: Client } = await import('ioredis');
  let isUp = false;
  const redis = new Client(url, {
    lazyConnect: true,
    connectTimeout: CONNECT_MS,
    maxRetriesPerRequest: null,
    retryStrategy: (attempt) =>
      isUp ? Math.min(MAX_WAIT_MS, 50 * 2 ** Math.min(attempt, 6)) : null,
  });
  let last = 'it does not answer';
  const open: Redis[] = [redis];
  redis.on('error', (error: Error) => {
    last = error.message;
  });
  try {
    await redis.connect();
    await redis.ping();
    isUp = true;
  } catch (error) {
    redis.disconnect();
    const said = (error as Error).message;
    const reason = hide(said === 'Connection is closed.' ? last : said, secrets);
    // The cause may quote the address.
    throw new GristmillError('QUEUE_UNREACHABLE', { url: shown, reason });
  }
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

function hide(text: string, secrets: readonly string[]): string {
  return secrets.reduce((shown, secret) => shown.replaceAll(secret, '***'), text);
}
