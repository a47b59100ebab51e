/** Token stores behind addresses: fetched once, held against their hashes, bounded, never taken from under a reader. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeTokenStore, localTokenStore } from '../../src/tokens/store-cache.ts';
import { filesOf, openTokenStore, type StoreIndex } from '../../src/tokens/token-store.ts';
import { smallStore } from '../mixture/proxies/support.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-store-cache-'));
const before = process.env['XDG_CACHE_HOME'];
const root = join(folder, 'cache/gristmill/stores');
/** Requests for tokens, by path. */
let asked: string[] = [];
/** Changes what is answered. */
let twist: (path: string, bytes: Buffer) => Buffer = (_, bytes) => bytes;
let server: Server;
let store: string;

beforeAll(async () => {
  process.env['XDG_CACHE_HOME'] = join(folder, 'cache');
  store = await smallStore(folder);
  server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url!, 'http://h').pathname);
    const file = join(folder, 'served', path);
    if (!existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end();
      return;
    }
    const bytes = twist(path, readFileSync(file));
    const [, from, to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '') ?? [];
    if (path.endsWith('.tokens') && to !== '0') asked.push(path);
    const start = Number(from ?? 0);
    const end = to ? Math.min(Number(to), bytes.length - 1) : bytes.length - 1;
    const part = bytes.subarray(start, end + 1);
    response.writeHead(206, {
      'accept-ranges': 'bytes',
      'content-length': part.length,
      etag: '"fixed"',
      'content-range': `bytes ${start}-${end}/${bytes.length}`,
    });
    response.end(part);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  server.close();
  if (before === undefined) Reflect.deleteProperty(process.env, 'XDG_CACHE_HOME');
  else process.env['XDG_CACHE_HOME'] = before;
  rmSync(folder, { recursive: true, force: true });
});

/** Serves the store under a name, its index changed. */
function serve(name: string, change: (index: StoreIndex) => object = (index) => index): string {
  for (const path of readdirSync(store, { recursive: true, encoding: 'utf8' })) {
    if (!statSync(join(store, path)).isFile()) continue;
    const target = join(folder, 'served', name, path);
    mkdirSync(dirname(target), { recursive: true });
    const index = JSON.parse(readFileSync(join(store, 'store.json'), 'utf8'));
    const content =
      path === 'store.json' ? JSON.stringify(change(index)) : readFileSync(join(store, path));
    writeFileSync(target, content);
  }
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/${name}`;
}

/** The same store under an index of its own. */
const other = (name: string): string =>
  serve(name, (index) => ({ ...index, nSkipped: name.length + index.nSkipped, note: name }));

const keys = (): string[] => readdirSync(root).filter((name) => /^[0-9a-f]{32}$/.test(name));
const bytesOf = (): number =>
  filesOf(openTokenStore(store).index).reduce((sum, { bytes }) => sum + bytes, 0);

describe('localTokenStore', () => {
  it('leaves a folder what it is', async () => {
    await using local = await localTokenStore(store);
    expect(local.path).toBe(store);
    expect(existsSync(root)).toBe(false);
  });

  it('fetches a store once, and it is the store: the same tokens, the same identity', async () => {
    const address = serve('plain');
    asked = [];
    const told: number[] = [];
    const [one, two] = await Promise.all([
      localTokenStore(address, { onProgress: ({ done }) => told.push(done) }),
      localTokenStore(`${address}/`),
    ]);
    expect(one.path).toBe(two.path);
    expect(new Set(asked).size).toBe(6);
    expect(asked.length).toBe(6);
    if (told.length > 0) expect(told.at(-1)).toBe(bytesOf());
    using fetched = openTokenStore(one.path);
    using near = openTokenStore(store);
    expect(fetched.sha256).toBe(near.sha256);
    for (const { name } of filesOf(near.index)) {
      expect(readFileSync(join(one.path, name)).equals(readFileSync(join(store, name)))).toBe(true);
    }
    using described = await describeTokenStore(address);
    expect(described.sha256).toBe(near.sha256);
    await one.release();
    await two.release();
    asked = [];
    await using again = await localTokenStore(address);
    expect([again.path, asked]).toEqual([one.path, []]);
    const leases = readdirSync(join(again.path, 'users'));
    expect(leases.filter((name) => name.endsWith('.lock'))).toHaveLength(1);
  });

  it('takes nothing that is not what the index says, and goes on with the file that it was at', async () => {
    const address = other('damaged');
    const names = filesOf(openTokenStore(store).index).map(({ name }) => name);
    const bad = names[3]!;
    twist = (path, bytes) => {
      if (!path.endsWith(bad)) return bytes;
      const copy = Buffer.from(bytes);
      copy[1]! ^= 1;
      return copy;
    };
    await expect(localTokenStore(address)).rejects.toMatchObject({
      code: 'TRAIN_STORE_INVALID',
      details: { path: `${address}/${bad}`, reason: expect.stringContaining('SHA-256') },
    });
    twist = (path, bytes) => (path.endsWith(bad) ? bytes.subarray(2) : bytes);
    await expect(localTokenStore(address)).rejects.toMatchObject({
      code: 'TRAIN_STORE_INVALID',
      details: { reason: expect.stringContaining('bytes') },
    });
    twist = (_, bytes) => bytes;
    asked = [];
    await using local = await localTokenStore(address);
    expect(asked.map((path) => path.slice('/damaged/'.length))).toEqual(names.slice(3));
    const left = readdirSync(local.path, { recursive: true, encoding: 'utf8' });
    expect(left.filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('keeps to its bound: the longest unused store goes, one that is read does not', async () => {
    rmSync(root, { recursive: true, force: true });
    const maxBytes = Math.floor(bytesOf() * 2.5);
    const [a, b, c] = ['aa', 'bbb', 'cccc'].map(other) as [string, string, string];
    const first = await localTokenStore(a, { maxBytes });
    const second = await localTokenStore(b, { maxBytes });
    await expect(localTokenStore(c, { maxBytes })).rejects.toMatchObject({
      code: 'TRAIN_STORE_CACHE_FAILED',
      details: {
        path: c,
        folder: root,
        reason: expect.stringMatching(/others that are read take/),
      },
    });
    await first.release();
    await second.release();
    const long = new Date(Date.now() - 3_600_000);
    utimesSync(join(second.path, 'bytes'), long, long);
    await using third = await localTokenStore(c, { maxBytes });
    expect(keys().sort()).toEqual(
      [first.path, third.path].map((path) => path.slice(root.length + 1)).sort(),
    );
    await expect(localTokenStore(b, { maxBytes: 10 })).rejects.toMatchObject({
      details: { reason: expect.stringMatching(/at most 10 are kept/) },
    });
  });

  it.each([
    ['../../../out', 'no folder of the store'],
    ['/etc', 'no folder of the store'],
    ['a/../../b', 'no folder of the store'],
    ['', 'no folder of the store'],
    ['a\\b', 'no folder of the store'],
  ])('an index whose folder is %j is refused', async (place, reason) => {
    const address = serve(`evil-${Buffer.from(place).toString('hex')}`, (index) => ({
      ...index,
      domains: index.domains.map((domain) => ({ ...domain, folder: place })),
    }));
    await expect(localTokenStore(address)).rejects.toMatchObject({
      code: 'TRAIN_STORE_INVALID',
      details: { reason: expect.stringContaining(reason) },
    });
  });

  it('names what is no store, and shows nobody how to get in', async () => {
    const address = serve('plain');
    const inside = address.replace('http://', 'http://reader:secret-word@');
    const said: string[] = [];
    await using local = await localTokenStore(inside, { onNotice: (line) => said.push(line) });
    expect(existsSync(local.path)).toBe(true);
    expect(said.join()).toContain(address);
    expect(said.join()).not.toContain('secret-word');
    await expect(localTokenStore(`${address}-none`)).rejects.toMatchObject({
      code: 'TRAIN_STORE_INVALID',
    });
    await expect(localTokenStore(`${address}?a=b`)).rejects.toMatchObject({
      code: 'STORAGE_ADDRESS_INVALID',
    });
    await expect(localTokenStore('gs://b/store')).rejects.toMatchObject({ code: 'PATH_REMOTE' });
  });
});
