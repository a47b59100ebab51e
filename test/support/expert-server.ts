/** A chat endpoint on the loopback that does what a test tells it to, and remembers every request. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request as it came in. */
export interface SeenRequest {
  readonly body: {
    readonly model: string;
    readonly messages: readonly { readonly role: string; readonly content: string }[];
    readonly max_tokens: number;
    readonly temperature: number;
  };
  readonly headers: IncomingMessage['headers'];
  readonly path: string;
  /** The user message. */
  readonly user: string;
  /** How often this user message has come in, this time included. */
  readonly nth: number;
}

/** What the server does with a request. */
export type Behaviour = (request: SeenRequest, response: ServerResponse) => void | Promise<void>;

/** A running endpoint. */
export interface ExpertServer {
  /** Base address for an expert. */
  readonly url: string;
  readonly seen: readonly SeenRequest[];
  /** Requests by user message. */
  counts(): Map<string, number>;
  /** Most requests that were under way at once. */
  readonly peak: number;
  behave(behaviour: Behaviour): void;
  close(): Promise<void>;
}

/** A well-formed completion. */
export function completion(content: string, changes: object = {}): string {
  return JSON.stringify({
    object: 'chat.completion',
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 },
    ...changes,
  });
}

/** Sends a JSON body. */
export function reply(
  response: ServerResponse,
  body: string,
  { status = 200, headers = {} }: { status?: number; headers?: Record<string, string> } = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(body);
}

/** Starts an endpoint; it echoes until it is told otherwise. */
export async function startExpertServer(
  behaviour: Behaviour = ({ user }, response) => reply(response, completion(`echo ${user}`)),
): Promise<ExpertServer> {
  let current = behaviour;
  let underWay = 0;
  let peak = 0;
  const seen: SeenRequest[] = [];
  const counts = new Map<string, number>();
  const server = createServer(async (incoming, response) => {
    underWay++;
    peak = Math.max(peak, underWay);
    response.once('close', () => underWay--);
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as SeenRequest['body'];
    const user = body.messages.at(-1)!.content;
    const nth = (counts.get(user) ?? 0) + 1;
    counts.set(user, nth);
    const request = { body, headers: incoming.headers, path: incoming.url ?? '', user, nth };
    seen.push(request);
    await current(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    seen,
    counts: () => counts,
    get peak() {
      return peak;
    },
    behave(next) {
      current = next;
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
