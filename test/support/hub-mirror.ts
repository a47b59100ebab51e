/**
 * A hub of one repository on this machine: the endpoints that pulling uses, with faults on demand. Large files lie on a
 * second server, as on the real one.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A request that came in. */
export interface SeenRequest {
  readonly server: 'hub' | 'cdn';
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

export class HubMirror {
  readonly repo = 'mill/small-model';
  readonly commit = 'a1'.repeat(20);
  readonly seen: SeenRequest[] = [];
  files = new Map<string, Buffer>();
  /** Asked of every request to the hub. */
  token: string | null = null;
  /** Bytes after which the next answers of a file break off. */
  breaks: number[] = [];
  /** Bytes that are sent in place of a file's. */
  altered = new Map<string, Buffer>();
  ignoreRanges = false;
  /** Entries of the listing besides the files. */
  moreEntries: object[] = [];
  sha: unknown = this.commit;
  readonly #hub: Server;
  readonly #cdn: Server;

  constructor() {
    this.#hub = createServer((request, response) => this.#answer('hub', request, response));
    this.#cdn = createServer((request, response) => this.#answer('cdn', request, response));
  }

  async start(): Promise<void> {
    for (const server of [this.#hub, this.#cdn]) {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#cdn]) {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    }
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  #answer(server: 'hub' | 'cdn', request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent(request.url!.split('?')[0]!);
    const { range, authorization } = request.headers;
    this.seen.push({ server, path, range, authorization });
    if (server === 'cdn') {
      this.#send(path.slice(1), range, response);
      return;
    }
    const json = (status: number, value: unknown, headers: Record<string, string> = {}): void => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(JSON.stringify(value));
    };
    if (this.token !== null && authorization !== `Bearer ${this.token}`) {
      json(401, { error: 'Invalid credentials' });
    } else if (
      path === `/api/models/${this.repo}/revision/main` ||
      path === `/api/models/${this.repo}/revision/v1/x`
    ) {
      json(200, { _id: '1', id: this.repo, sha: this.sha, private: false });
    } else if (path === `/api/models/${this.repo}/tree/${this.commit}`) {
      this.#list(request, json);
    } else if (path.startsWith(`/${this.repo}/resolve/${this.commit}/`)) {
      const name = path.split('/').at(-1)!;
      if (!name.endsWith('.safetensors')) this.#send(name, range, response);
      else {
        const { port } = this.#cdn.address() as AddressInfo;
        response.writeHead(302, { location: `http://127.0.0.1:${port}/${name}` }).end();
      }
    } else json(404, { error: 'Repository not found' });
  }

  /** Two pages. */
  #list(
    request: IncomingMessage,
    json: (status: number, value: unknown, headers?: Record<string, string>) => void,
  ): void {
    const entries: object[] = [...this.files].map(([path, content]) => ({
      type: 'file',
      path,
      size: content.length,
      oid: createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex'),
      ...(path.endsWith('.safetensors') && {
        lfs: {
          oid: createHash('sha256').update(content).digest('hex'),
          size: content.length,
          pointerSize: 130,
        },
      }),
    }));
    entries.push(...this.moreEntries);
    if (request.url!.includes('cursor=2')) json(200, entries.slice(3));
    else {
      const next = `${this.endpoint}${request.url}&cursor=2`;
      json(200, entries.slice(0, 3), { link: `<${next}>; rel="next"` });
    }
  }

  #send(name: string, range: string | undefined, response: ServerResponse): void {
    const content = this.altered.get(name) ?? this.files.get(name);
    if (!content) {
      response.writeHead(404).end();
      return;
    }
    const start = this.ignoreRanges ? 0 : Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0);
    if (start >= content.length && start > 0) {
      response.writeHead(416).end();
      return;
    }
    const body = content.subarray(start);
    response.writeHead(start > 0 ? 206 : 200, {
      'content-length': body.length,
      etag: '"x"',
      ...(start > 0 && {
        'content-range': `bytes ${start}-${content.length - 1}/${content.length}`,
      }),
    });
    const cut = name.endsWith('.safetensors') ? this.breaks.shift() : undefined;
    if (cut === undefined) response.end(body);
    else response.write(body.subarray(0, cut), () => setTimeout(() => response.destroy(), 500));
  }
}
