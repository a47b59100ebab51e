/**
 * Bodies of a bucket over undici: what the SDK signs is asked through it where ranges are read.
 *
 * Node's own client copies each piece of a body into memory of its own, and the collector marks the whole heap anew after
 * every few pieces: reading costs half as much without (bench/LOG.md).
 */
import { flatHeaders, type HttpClient, openHttpClient } from './http-client.ts';

/** A request as the SDK hands it over, signed. */
interface SignedRequest {
  readonly method: string;
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Readonly<Record<string, string>>;
}

/** A request handler of the SDK for requests without a body. @param connections to one host */
export function readingHandler(connections: number) {
  let opened: Promise<HttpClient> | null = null;
  return {
    metadata: { handlerProtocol: 'http/1.1' },
    async handle(asked: SignedRequest, { abortSignal }: { readonly abortSignal?: unknown } = {}) {
      opened ??= openHttpClient(connections);
      const { agent, request } = await opened;
      const host = asked.port === undefined ? asked.hostname : `${asked.hostname}:${asked.port}`;
      const answer = await request(`${asked.protocol}//${host}${asked.path}${queryOf(asked)}`, {
        method: asked.method as 'GET',
        headers: asked.headers,
        dispatcher: agent,
        signal: (abortSignal ?? null) as AbortSignal | null,
      });
      const headers = flatHeaders(answer.headers);
      return { response: { statusCode: answer.statusCode, headers, body: answer.body } };
    },
    async destroy(): Promise<void> {
      await (await opened)?.agent.destroy();
    },
    updateHttpClientConfig(): void {},
    httpHandlerConfigs: () => ({}),
  };
}

/** The query as it was signed. */
function queryOf({ query = {} }: SignedRequest): string {
  const parts = Object.entries(query)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, value]) =>
      [value].flat().map((each) => {
        return each === null || each === '' ? encoded(name) : `${encoded(name)}=${encoded(each!)}`;
      }),
    );
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

/** What RFC 3986 leaves, and nothing else, as signatures want it. */
function encoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
