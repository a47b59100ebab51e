/**
 * `openInspector`: the server of the inspector, on 127.0.0.1 and nowhere else. See guard.ts for who is answered, api.ts for what.
 *
 * Files that it sends are the three of the built page, by name; no path of a request ever reaches the file system.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { GristmillError, isGristmillError } from '../errors.ts';
import { localPath } from '../local-path.ts';
import { checkOptions, name, type OptionTable, whole } from '../options.ts';
import { distFile } from '../paths.ts';
import { FinishedRun } from '../refine/finished-run.ts';
import { InspectorApi } from './api.ts';
import { admit, HEADERS } from './guard.ts';
import { ApiFailure } from './replies.ts';

/** Options of {@link openInspector}. */
export interface InspectorOptions {
  /** Folder of a refine run, finished or under way, local or in a bucket. */
  readonly dir: string;
  /** Local folder of judgements. Default: `_judgements` in `dir`; those of a run in a bucket are refused without one. */
  readonly judgements?: string;
  /** Port; default 0, any that is free. */
  readonly port?: number;
}

/** An inspector that answers. */
export interface Inspector extends AsyncDisposable {
  /** The link to open; its token is of this start. */
  readonly url: string;
  readonly port: number;
  /** Stops answering; what was judged is on the disk. */
  close(): Promise<void>;
}

const OPTIONS: OptionTable<InspectorOptions> = {
  dir: name,
  judgements: name,
  port: whole(0),
};
/** Largest body of a request: labels that come back. */
const MAX_BODY_BYTES = 256 * 2 ** 20;

const ASSETS: Readonly<Record<string, readonly [file: string, type: string]>> = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/app.js': ['app.js', 'text/javascript; charset=utf-8'],
  '/app.css': ['app.css', 'text/css; charset=utf-8'],
};

/**
 * Opens the inspector of a refine run: a page on 127.0.0.1 that answers whoever has its link, until it is closed.
 *
 *     await using inspector = await openInspector({ dir: 'refined' });
 *     console.log(inspector.url);
 *
 * @throws RUN_NOT_FOUND, RUN_LEDGER_INVALID, OPTION_INVALID, PATH_REMOTE, INSPECT_PORT_FAILED, INSPECT_NOT_BUILT; STORAGE_* of
 *   buckets
 */
export async function openInspector(options: InspectorOptions): Promise<Inspector> {
  checkOptions<InspectorOptions>('openInspector', options, OPTIONS, ['dir']);
  if (options.judgements !== undefined) localPath(options.judgements, 'output', 'judgements');
  const run = await FinishedRun.open(options.dir);
  const assets = readAssets();
  const api = InspectorApi.open(run, options.judgements);
  const token = randomBytes(32).toString('base64url');
  const server = createServer({ maxHeaderSize: 16_384 });
  try {
    await listen(server, options.port ?? 0);
  } catch (cause) {
    await api.close();
    const reason = (cause as Error).message;
    throw new GristmillError('INSPECT_PORT_FAILED', { port: options.port ?? 0, reason }, { cause });
  }
  const { port } = server.address() as AddressInfo;
  server.on('request', (request, response) => {
    void answer({ request, response, port, token, assets, api });
  });
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
    await api.close();
  };
  return { url: `http://127.0.0.1:${port}/${token}/`, port, close, [Symbol.asyncDispose]: close };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
}

type Assets = ReadonlyMap<string, { readonly bytes: Buffer; readonly type: string }>;

function readAssets(): Assets {
  return new Map(
    Object.entries(ASSETS).map(([path, [file, type]]) => {
      const place = distFile(`inspect/page/${file}`);
      try {
        return [path, { bytes: readFileSync(place), type }];
      } catch (cause) {
        throw new GristmillError('INSPECT_NOT_BUILT', { file: place }, { cause });
      }
    }),
  );
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly port: number;
  readonly token: string;
  readonly assets: Assets;
  readonly api: InspectorApi;
}

async function answer({ request, response, port, token, assets, api }: Exchange): Promise<void> {
  response.on('error', () => undefined);
  const admitted = admit(request, port, token);
  if (!admitted) return send(response, 403, 'text/plain; charset=utf-8', 'refused\n');
  const { path, parameters } = admitted;
  try {
    if (request.method === 'GET') {
      const asset = assets.get(path);
      if (asset) return send(response, 200, asset.type, asset.bytes);
    }
    if (request.method !== 'GET' && request.method !== 'POST') throw new ApiFailure(405, 'method');
    const body = request.method === 'POST' ? await bodyOf(request) : null;
    const reply = await api.answer({ path, parameters, body });
    if (reply.download !== undefined) {
      const disposition = `attachment; filename="${reply.download}"`;
      response.setHeader('Content-Disposition', disposition);
    }
    send(response, 200, reply.type ?? 'application/json', reply.body);
  } catch (error) {
    const status = error instanceof ApiFailure ? error.status : isGristmillError(error) ? 422 : 500;
    const code = isGristmillError(error) ? error.code : 'FAILED';
    const message = (error as Error).message;
    send(response, status, 'application/json', JSON.stringify({ code, message }));
  }
}

function send(
  response: ServerResponse,
  status: number,
  type: string,
  body: string | Uint8Array,
): void {
  if (response.destroyed) return;
  response.writeHead(status, { ...HEADERS, 'Content-Type': type });
  response.end(body);
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request) {
    size += (part as Buffer).byteLength;
    if (size > MAX_BODY_BYTES) throw new ApiFailure(413, `more than ${MAX_BODY_BYTES} bytes`);
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts);
}
