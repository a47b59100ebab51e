/** Data sets of a hub, from a mirror of it on the loopback that speaks what @huggingface/hub asks. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SlabPool } from '../../../src/batch/slab-pool.ts';
import { planCorpus } from '../../../src/corpus/plan.ts';
import { hubStorage } from '../../../src/corpus/storage/hub.ts';
import { RETRY_DEFAULTS } from '../../../src/corpus/storage/retry.ts';
import type { CorpusPlan } from '../../../src/corpus/types.ts';
import { openUnit } from '../../../src/corpus/unit.ts';
import { writeTestCorpus } from '../../support/corpus.ts';

const COMMIT = 'ab'.repeat(20);
const folder = mkdtempSync(join(tmpdir(), 'gristmill-hub-'));
const files = new Map<string, Buffer>();
const before = { ...process.env };
let seen: { readonly path: string; readonly authorization: string | undefined }[] = [];
/** Signatures that the second server takes. */
let signature = 1;
let token: string | null = null;
let faults: number[] = [];

function sha(algorithm: string, content: Buffer): string {
  return createHash(algorithm).update(content).digest('hex');
}

/** Large files are LFS, as on the real hub; their bytes lie on a second server behind a signed address. */
function entryOf(path: string, content: Buffer): object {
  const lfs = { oid: sha('sha256', content), size: content.length, pointerSize: 130 };
  return {
    type: 'file',
    path,
    size: content.length,
    oid: sha('sha1', Buffer.concat([Buffer.from(`blob ${content.length}\0`), content])),
    ...(path.endsWith('.parquet') && { lfs }),
  };
}

function send(content: Buffer, request: IncomingMessage, response: ServerResponse): void {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  if (first === undefined) {
    response.writeHead(200).end(content);
    return;
  }
  const part = content.subarray(Number(first), Number(last) + 1);
  const range = `bytes ${first}-${Number(first) + part.length - 1}/${content.length}`;
  response.writeHead(206, { 'content-range': range, etag: '"of-its-own"' }).end(part);
}

const cdn = createServer((request, response) => {
  const url = new URL(request.url!, 'http://x');
  seen.push({ path: `cdn${url.pathname}`, authorization: request.headers.authorization });
  if (url.searchParams.get('Signature') !== String(signature)) response.writeHead(403).end();
  else send(files.get(decodeURIComponent(url.pathname.slice(1)))!, request, response);
});

const hub = createServer(async (request, response) => {
  const url = new URL(request.url!, 'http://x');
  const path = decodeURIComponent(url.pathname);
  seen.push({ path, authorization: request.headers.authorization });
  const json = (status: number, value: unknown, headers: Record<string, string> = {}): void => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(value));
  };
  const api = '/api/datasets/mill/pages';
  const fault = faults.shift();
  if (fault !== undefined) json(fault, { error: 'told to' });
  else if (token !== null && request.headers.authorization !== `Bearer ${token}`) {
    json(401, { error: 'Invalid credentials' });
  } else if (path === `${api}/revision/main` || path === `${api}/revision/v1`) {
    json(200, { _id: '1', id: 'mill/pages', sha: COMMIT, private: false });
  } else if (path === `${api}/paths-info/${COMMIT}`) {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const { paths } = JSON.parse(Buffer.concat(parts).toString()) as { paths: string[] };
    json(
      200,
      paths.flatMap((name) => (files.has(name) ? [entryOf(name, files.get(name)!)] : [])),
    );
  } else if (path.startsWith(`${api}/tree/${COMMIT}`)) {
    const below = path.slice(`${api}/tree/${COMMIT}`.length + 1);
    const all = [...files].filter(([name]) => below === '' || name.startsWith(`${below}/`));
    if (all.length === 0) return json(404, { error: 'no such path' });
    const entries = all.map(([name, content]) => entryOf(name, content));
    // Two pages.
    if (url.searchParams.has('cursor')) return json(200, entries.slice(2));
    const next = `${process.env['HF_ENDPOINT']}${request.url}&cursor=2`;
    json(200, entries.slice(0, 2), { link: `<${next}>; rel="next"` });
  } else if (path.startsWith(`/datasets/mill/pages/resolve/${COMMIT}/`)) {
    const name = path.split('/').slice(6).join('/');
    if (!files.has(name)) return json(404, { error: 'Entry not found' });
    if (!name.endsWith('.parquet')) return send(files.get(name)!, request, response);
    const { port } = cdn.address() as AddressInfo;
    const location = `http://127.0.0.1:${port}/${encodeURIComponent(name)}?Signature=${signature}`;
    response.writeHead(302, { location }).end();
  } else json(404, { error: 'Repository not found' });
});

async function textsOf(plan: CorpusPlan): Promise<string[]> {
  const pool = new SlabPool({ slabBytes: 2 ** 22, nSlabs: 6 });
  const decoder = new TextDecoder();
  const texts: string[] = [];
  for (const unit of plan.units) {
    for await (const { batch, carry } of openUnit(plan, unit, pool)) {
      const { offsets, data } = batch.text;
      for (let row = 0; row < batch.nDocs; row++) {
        texts.push(decoder.decode(data.slice(offsets[row], offsets[row + 1])));
      }
      batch.release();
      carry.release();
    }
  }
  return texts;
}

let texts: string[] = [];
beforeAll(async () => {
  for (const server of [hub, cdn]) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }
  process.env['HF_ENDPOINT'] = `http://127.0.0.1:${(hub.address() as AddressInfo).port}`;
  delete process.env['HF_TOKEN'];
  const path = join(folder, 'a.parquet');
  texts = await writeTestCorpus(path, { nRows: 2000, rowGroupRows: 500, seed: 5 });
  files.set('README.md', Buffer.from('# pages'));
  files.set('data/en/train-00000.parquet', readFileSync(path));
  files.set('data/de/a b#1.jsonl', Buffer.from('{"text":"eins"}\n{"text":"zwei"}\n'));
  files.set('data/de/_notes.jsonl', Buffer.from('{"text":"no"}\n'));
  files.set('test/x.jsonl', Buffer.from('{"text":"test"}\n'));
});
afterAll(() => {
  for (const server of [hub, cdn]) {
    server.closeAllConnections();
    server.close();
  }
  process.env = before;
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  seen = [];
  faults = [];
});

describe('hf://datasets', () => {
  it('is read by folders, globs and files, at a revision', async () => {
    const at = 'hf://datasets/mill/pages';
    for (const [input, names] of [
      [`${at}/data`, ['data/de/a b#1.jsonl', 'data/en/train-00000.parquet']],
      [at, ['data/de/a b#1.jsonl', 'data/en/train-00000.parquet', 'test/x.jsonl']],
      [`${at}/data/*/*.parquet`, ['data/en/train-00000.parquet']],
      [`${at}/**/*.jsonl`, ['data/de/a b#1.jsonl', 'test/x.jsonl']],
      [`${at}/test/x.jsonl`, ['test/x.jsonl']],
    ] as const) {
      const plan = await planCorpus({ inputs: [input], failFast: true });
      expect(
        plan.files.map(({ path }) => path),
        input,
      ).toEqual(names.map((n) => `${at}/${n}`));
    }
    for (const revision of ['', '@v1', `@${COMMIT}`]) {
      const input = `${at}${revision}/data`;
      const plan = await planCorpus({ inputs: [input], failFast: true, unitRows: 700 });
      expect(await textsOf(plan)).toEqual(['eins', 'zwei', ...texts]);
      // What the hub has of a large file is the hash of all of it.
      const content = files.get('data/en/train-00000.parquet')!;
      expect(plan.files.map(({ fingerprint }) => fingerprint)).toEqual([
        expect.stringMatching(/^32-[0-9a-f]{40}$/),
        `sha256:${sha('sha256', content)}`,
      ]);
    }
  });

  it('the token goes to the hub alone, and an address that has run out is asked for again', async () => {
    token = 'hf_secret_token';
    process.env['HF_TOKEN'] = token;
    const storage = hubStorage({ ...RETRY_DEFAULTS, firstMs: 5 });
    const path = 'hf://datasets/mill/pages/data/en/train-00000.parquet';
    const file = await storage.open((await storage.stat(path))!);
    const content = files.get('data/en/train-00000.parquet')!;
    for (const start of [0, 500, 1000]) {
      const bytes = Buffer.from(await file.read(start, 500));
      expect(bytes.equals(content.subarray(start, start + 500))).toBe(true);
    }
    expect(seen.filter((r) => r.path.includes('/resolve/'))).toHaveLength(1);
    signature++;
    expect((await file.read(5, 5)).byteLength).toBe(5);
    expect(seen.filter((r) => r.path.includes('/resolve/'))).toHaveLength(2);
    for (const { path: asked, authorization } of seen) {
      expect(authorization).toBe(asked.startsWith('cdn') ? undefined : `Bearer ${token}`);
    }
    process.env['HF_TOKEN'] = 'hf_wrong_token';
    const refused = hubStorage().stat('hf://datasets/mill/pages@v1/test/x.jsonl');
    const error = (await refused.catch((e: Error) => e)) as Error;
    expect(error).toMatchObject({ code: 'STORAGE_DENIED' });
    expect(`${error.message}${JSON.stringify(error)}${error.stack}`).not.toMatch(/hf_\w+_token/);
    delete process.env['HF_TOKEN'];
    await expect(hubStorage().stat(path)).rejects.toMatchObject({
      message: expect.stringContaining('set HF_TOKEN'),
    });
    token = null;
  });

  it('gets through faults that pass, and names what is not there', async () => {
    faults = [503, 500, 429];
    const storage = hubStorage({ ...RETRY_DEFAULTS, firstMs: 5 });
    expect(await storage.stat('hf://datasets/mill/pages/test/x.jsonl')).toMatchObject({
      bytes: 16,
    });
    expect(await storage.stat('hf://datasets/mill/pages/test/none.jsonl')).toBeNull();
    await expect(storage.stat('hf://datasets/mill/none/x.jsonl')).rejects.toMatchObject({
      code: 'STORAGE_NOT_FOUND',
    });
    await expect(planCorpus({ inputs: ['hf://mill/pages'], failFast: true })).rejects.toMatchObject(
      {
        code: 'STORAGE_ADDRESS_INVALID',
      },
    );
    // What is of another size than the hub lists is of another version.
    const file = await storage.open((await storage.stat('hf://datasets/mill/pages/test/x.jsonl'))!);
    const old = files.get('test/x.jsonl')!;
    files.set('test/x.jsonl', Buffer.concat([old, old]));
    await expect(file.read(0, 5)).rejects.toMatchObject({ code: 'CORPUS_CHANGED' });
    files.set('test/x.jsonl', old);
  });
});
