/** Files of web servers: ranges, redirects, user info, signed queries, what servers do wrong. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SlabPool } from '../../../src/batch/slab-pool.ts';
import { planCorpus } from '../../../src/corpus/plan.ts';
import { httpStorage } from '../../../src/corpus/storage/http.ts';
import { RETRY_DEFAULTS } from '../../../src/corpus/storage/retry.ts';
import { openUnit } from '../../../src/corpus/unit.ts';

const lines = Array.from({ length: 2000 }, (_, row) => JSON.stringify({ text: `page ${row}` }));
const body = Buffer.from(`${lines.join('\n')}\n`);
const storage = httpStorage({ ...RETRY_DEFAULTS, attempts: 3, firstMs: 5, stallMs: 1000 });
let seen: { url: string; authorization: string | undefined }[] = [];
let etag: string | null = '"v1"';
let faults: ((request: IncomingMessage, response: ServerResponse) => void)[] = [];

function serveRange(request: IncomingMessage, response: ServerResponse): void {
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  const condition = request.headers['if-match'];
  const headers: Record<string, string> = etag === null ? {} : { etag };
  if (condition !== undefined && condition !== etag) response.writeHead(412, headers).end();
  else if (!range) response.writeHead(200, headers).end(body);
  else {
    const [start, end] = [Number(range[1]), Math.min(Number(range[2]) + 1, body.length)];
    const part = body.subarray(start, end);
    headers['content-range'] = `bytes ${start}-${end - 1}/${body.length}`;
    response.writeHead(206, { ...headers, 'content-length': part.length }).end(part);
  }
}

const other = createServer((request, response) => {
  seen.push({ url: `other${request.url}`, authorization: request.headers.authorization });
  serveRange(request, response);
});
const server = createServer((request, response) => {
  const { url = '/', headers } = request;
  seen.push({ url, authorization: headers.authorization });
  const fault = faults.shift();
  if (fault) fault(request, response);
  else if (url.startsWith('/moved')) {
    const { port } = other.address() as AddressInfo;
    response.writeHead(302, { location: `http://127.0.0.1:${port}/signed?sig=s` }).end();
  } else if (url.startsWith('/loop')) response.writeHead(301, { location: '/loop' }).end();
  else if (url.startsWith('/file-scheme'))
    response.writeHead(301, { location: 'file:///etc/x' }).end();
  else if (url.startsWith('/whole')) response.writeHead(200).end(body);
  else if (url.startsWith('/empty'))
    response.writeHead(416, { 'content-range': 'bytes */0' }).end();
  else if (url.startsWith('/gone')) response.writeHead(404).end('no');
  else if (url.startsWith('/private') && headers.authorization !== 'Basic bWU6cMOkc3M=')
    response.writeHead(401).end();
  else if (url.startsWith('/signed') && !url.includes('X-Amz-Signature=abc'))
    response.writeHead(403).end();
  else serveRange(request, response);
});
const at = (path: string, user = ''): string =>
  `http://${user}127.0.0.1:${(server.address() as AddressInfo).port}${path}`;

async function nRows(inputs: string[]): Promise<number> {
  const plan = await planCorpus({ inputs, failFast: true, unitBytes: 10_000 });
  const pool = new SlabPool({ slabBytes: 2 ** 22, nSlabs: 6 });
  let n = 0;
  for (const unit of plan.units) {
    for await (const { batch, carry } of openUnit(plan, unit, pool)) {
      n += batch.nDocs;
      batch.release();
      carry.release();
    }
  }
  return n;
}

beforeAll(async () => {
  for (const each of [server, other]) {
    each.listen(0, '127.0.0.1');
    await once(each, 'listening');
  }
});
afterAll(() => {
  for (const each of [server, other]) {
    each.closeAllConnections();
    each.close();
  }
});
beforeEach(() => {
  seen = [];
  faults = [];
  etag = '"v1"';
});

describe('http://', () => {
  it('an address is one file, read in ranges, with what its name says behind a query too', async () => {
    expect(await nRows([at('/a.jsonl')])).toBe(2000);
    expect(await nRows([at('/b.jsonl?download=true')])).toBe(2000);
    await expect(planCorpus({ inputs: [at('/folder/')], failFast: true })).rejects.toMatchObject({
      code: 'CORPUS_FORMAT_UNKNOWN',
    });
  });

  it('sends user info and signatures, to their host alone, and shows neither', async () => {
    const secret = at('/private/a.jsonl', 'me:p%C3%A4ss@');
    const plan = await planCorpus({ inputs: [secret], failFast: true });
    expect(plan.files[0]!.path).toBe(at('/private/a.jsonl'));
    expect(await nRows([secret])).toBe(2000);
    const signed = at('/signed/a.jsonl?X-Amz-Signature=abc&X-Amz-Credential=me');
    expect((await planCorpus({ inputs: [signed], failFast: true })).files[0]!.path).toBe(
      at('/signed/a.jsonl'),
    );
    expect(await nRows([signed])).toBe(2000);
    seen = [];
    expect(await nRows([at('/moved/a.jsonl', 'me:secret@')])).toBe(2000);
    expect(seen.some(({ url }) => url.startsWith('other'))).toBe(true);
    for (const { url, authorization } of seen) {
      expect(authorization === undefined).toBe(url.startsWith('other'));
    }
    const wrong = at('/gone/a.jsonl?X-Amz-Signature=topsecret', 'me:secret@');
    const error = await planCorpus({ inputs: [wrong], failFast: true }).catch((e: Error) => e);
    expect(JSON.stringify(error) + String((error as Error).stack)).not.toMatch(/secret/);
    expect(error).toMatchObject({ code: 'CORPUS_READ_FAILED' });
  });

  it('names what a server does not do', async () => {
    for (const [path, code] of [
      ['/whole.jsonl', 'CORPUS_UNSUPPORTED'],
      ['/loop.jsonl', 'STORAGE_FAILED'],
      ['/file-scheme.jsonl', 'STORAGE_FAILED'],
      ['/private.jsonl', 'STORAGE_DENIED'],
    ]) {
      await expect(storage.stat(at(path!)), path).rejects.toMatchObject({ code });
    }
    expect(await storage.stat(at('/gone'))).toBeNull();
    expect(await storage.stat(at('/empty.jsonl'))).toMatchObject({ bytes: 0 });
  });

  it('gets through faults that pass, and knows another version', async () => {
    const file = await storage.open((await storage.stat(at('/a.jsonl')))!);
    expect(file).toMatchObject({ bytes: body.length, version: '"v1"' });
    faults = [
      (_, response) => response.writeHead(503, { 'retry-after': '0' }).end(),
      (request) => request.socket.destroy(),
    ];
    expect(Buffer.from(await file.read(5, 100)).equals(body.subarray(5, 105))).toBe(true);
    faults = [
      (_, response) => {
        response.writeHead(206, {
          etag: '"v1"',
          'content-range': `bytes 0-999/${body.length}`,
          'content-length': 1000,
        });
        response.write(body.subarray(0, 400), () => response.destroy());
      },
    ];
    expect(Buffer.from(await file.read(0, 1000)).equals(body.subarray(0, 1000))).toBe(true);
    etag = '"v2"';
    await expect(file.read(0, 10)).rejects.toMatchObject({ code: 'CORPUS_CHANGED' });
    // A weak version is no condition, and is compared all the same.
    etag = 'W/"w1"';
    const weak = await storage.open((await storage.stat(at('/a.jsonl')))!);
    await weak.read(0, 10);
    etag = 'W/"w2"';
    await expect(weak.read(0, 10)).rejects.toMatchObject({ code: 'CORPUS_CHANGED' });
    etag = null;
    const nameless = await storage.open((await storage.stat(at('/a.jsonl')))!);
    expect((await nameless.read(0, 10)).byteLength).toBe(10);
  });
});
