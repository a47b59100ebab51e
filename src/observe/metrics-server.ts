/** `GET /metrics`, for a Prometheus server to scrape. There is nothing to be asked but that, and nothing secret in the answer. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { GristmillError } from '../errors.ts';

/** A server that answers. */
export interface MetricsServer extends AsyncDisposable {
  readonly url: string;
  /** Waits until somebody has scraped what is there now, or for so long. */
  scraped(timeoutMs: number, signal?: AbortSignal): Promise<void>;
}

const MAX_CONNECTIONS = 64;

/** @throws METRICS_PORT_FAILED */
export async function serveMetrics(
  registry: Registry,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<MetricsServer> {
  let onScraped = (): void => undefined;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const isOurs = request.url === '/metrics' || request.url?.startsWith('/metrics?') === true;
    if (!isOurs) return void response.writeHead(404).end('metrics are at /metrics\n');
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      return void response.writeHead(405, { allow: 'GET, HEAD' }).end();
    }
    // Who waits from here on is not told by what is gathered now.
    const told = onScraped;
    const body = await registry.metrics();
    response.writeHead(200, { 'content-type': registry.contentType, 'cache-control': 'no-store' });
    response.end(request.method === 'HEAD' ? undefined : body, told);
  };
  const server = createServer({ maxHeaderSize: 16_384 }, (request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.maxConnections = MAX_CONNECTIONS;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => resolve());
    });
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new GristmillError('METRICS_PORT_FAILED', { host, port, reason }, { cause });
  }
  server.on('error', () => undefined);
  const { port: chosen } = server.address() as AddressInfo;
  const shownHost = host.includes(':') ? `[${host}]` : host;
  return {
    url: `http://${shownHost}:${chosen}/metrics`,
    scraped: (timeoutMs, signal) =>
      new Promise<void>((resolve) => {
        const end = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', end);
          resolve();
        };
        const timer = setTimeout(end, timeoutMs);
        onScraped = end;
        signal?.addEventListener('abort', end);
        if (signal?.aborted) end();
      }),
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}
