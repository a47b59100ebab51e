/**
 * Hubs that never end. What the bugs were: a hub that cuts its answers and knows no ranges was asked for ever, four times a second;
 * empty pages that lead to a next one were followed 14,368 times in 45 s; an answer in JSON of 3 GB was kept.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { filesOf, type HubAccess, resolveCommit } from '../../src/model/hub-client.ts';
import { downloadFile } from '../../src/model/hub-download.ts';
import { HUB_LIMITS } from '../../src/model/hub-limits.ts';

const folder = mkdtempSync(join(tmpdir(), 'gristmill-hub-limits-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const COMMIT = 'a1'.repeat(20);
let server: Server;
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let nRequests = 0;
beforeEach(async () => {
  nRequests = 0;
  server = createServer((request, response) => {
    nRequests++;
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const few = { ...HUB_LIMITS, answerBytes: 100_000, pages: 20 };
const brief = { ...few, stallMs: 300, answerMs: 900 };
const endpoint = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const access = (limits = few): HubAccess => ({
  repo: 'a/b',
  endpoint: endpoint(),
  token: null,
  limits,
});
const failed = (reason: RegExp) => ({
  code: 'MODEL_HUB_FAILED',
  message: expect.stringMatching(reason),
});
const json = (response: ServerResponse, value: unknown, headers = {}) =>
  response
    .writeHead(200, { 'content-type': 'application/json', ...headers })
    .end(JSON.stringify(value));

describe('answers in JSON', () => {
  it('end after a bound of bytes', async () => {
    answer = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(2 ** 16, 'a')));
        response.once('drain', more);
      };
      more();
    };
    await expect(resolveCommit(access(), 'main')).rejects.toMatchObject(
      failed(/more than 100000 bytes/),
    );
  });

  it.each([
    ['never begin', () => {}],
    [
      'begin and stop',
      (_: IncomingMessage, response: ServerResponse) => void response.writeHead(200).write(' '),
    ],
  ])('that %s are given up', async (_, how) => {
    answer = how;
    await expect(resolveCommit(access(brief), 'main')).rejects.toMatchObject(
      failed(/nothing came in/),
    );
  });

  it('that come a byte at a time are given up', async () => {
    answer = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const timer = setInterval(() => response.write(' '), 50);
      response.on('close', () => clearInterval(timer));
    };
    await expect(resolveCommit(access(brief), 'main')).rejects.toMatchObject(
      failed(/(took more than|nothing came)/),
    );
  });

  it('that redirect in a loop are given up', async () => {
    answer = (request, response) => void response.writeHead(302, { location: request.url }).end();
    await expect(resolveCommit(access(), 'main')).rejects.toMatchObject(failed(/redirect/));
    expect(nRequests).toBeLessThan(30);
  });
});

describe('listings', () => {
  const next = (url: string) => ({ link: `<${endpoint()}${url}>; rel="next"` });

  it.each(['the same', 'another'])('whose pages lead to %s for ever are refused', async (kind) => {
    answer = (request, response) => {
      const url = request.url!.replace(/&cursor=.*/, '');
      json(
        response,
        [],
        next(kind === 'the same' ? `${url}&cursor=x` : `${url}&cursor=${nRequests}`),
      );
    };
    const reason = kind === 'the same' ? /a loop/ : /more than 20 pages/;
    await expect(filesOf(access(), COMMIT)).rejects.toMatchObject(failed(reason));
    expect(nRequests).toBeLessThanOrEqual(20);
  });

  it('of names and sizes that make no sense are passed over or refused', async () => {
    const oid = 'b'.repeat(40);
    const odd = ['../x', '..', 'a/../../x', '/etc/passwd', 'x\0', '.hidden', 3, null];
    answer = (_, response) =>
      json(
        response,
        [...odd, 'config.json'].map((path) => ({ type: 'file', path, size: 1, oid })),
      );
    expect((await filesOf(access(), COMMIT)).map(({ name }) => name)).toEqual(['config.json']);
    for (const size of [-1, 1.5, 1e300, '1', null]) {
      answer = (_, response) => json(response, [{ type: 'file', path: 'config.json', size, oid }]);
      await expect(filesOf(access(), COMMIT)).rejects.toMatchObject(failed(/makes no sense/));
    }
  });
});

describe('files', () => {
  const content = Buffer.from('the content of a file '.repeat(2000));
  const hex = createHash('sha256').update(content).digest('hex');
  const file = {
    name: 'config.json',
    bytes: content.length,
    digest: { kind: 'sha256', hex } as const,
  };
  let nFiles = 0;
  const download = (bytes = file.bytes, limits = few) => {
    const path = join(folder, `${nFiles++}.json`);
    return {
      path,
      done: downloadFile({
        access: access(limits),
        commit: COMMIT,
        file: { ...file, bytes },
        path,
      }),
    };
  };

  it('whose answers break off, from a hub that knows no ranges, are given up', async () => {
    answer = (_, response) => {
      response.writeHead(200, { 'content-length': content.length });
      response.write(content.subarray(0, 30_000), () => response.destroy());
    };
    await expect(download().done).rejects.toMatchObject(failed(/config.json/));
    expect(nRequests).toBeLessThan(12);
  });

  it('that grow by a byte an attempt are given up', async () => {
    answer = (_, response) => {
      response.writeHead(200, { 'content-length': content.length });
      response.write(content.subarray(0, 1000 + nRequests), () => response.destroy());
    };
    await expect(download().done).rejects.toMatchObject(failed(/config.json/));
    expect(nRequests).toBeLessThan(12);
  });

  it.each(['stop', 'drip'])('that %s are asked for again, five times', async (kind) => {
    answer = (_, response) => {
      response.writeHead(200, { 'content-length': content.length });
      response.write('t');
      if (kind === 'stop') return;
      const timer = setInterval(() => response.write('h'), 20);
      response.on('close', () => clearInterval(timer));
    };
    await expect(download(file.bytes, brief).done).rejects.toMatchObject(
      failed(/(nothing|only \d+ bytes) came/),
    );
    expect(nRequests).toBe(5);
  });

  it('that come from another place than asked for are not taken', async () => {
    answer = (_, response) => {
      const range = { 'content-range': `bytes 10-${content.length - 1}/${content.length}` };
      response.writeHead(206, range).end(content.subarray(10));
    };
    await expect(download().done).rejects.toMatchObject(failed(/unexpected status 206/));
  });

  it('that are longer than listed are refused', async () => {
    answer = (_, response) => void response.writeHead(200).end(Buffer.concat([content, content]));
    await expect(download().done).rejects.toMatchObject(failed(/longer than the/));
  });

  it('for which the disk has no room are not asked for', async () => {
    answer = (_, response) => void response.end();
    await expect(download(2 ** 52).done).rejects.toMatchObject({
      code: 'MODEL_WRITE_FAILED',
      message: expect.stringMatching(/are free on the disk/),
    });
    expect(nRequests).toBe(0);
  });

  it('are not written through a link that lies in their place', async () => {
    answer = (_, response) => void response.end(content);
    const victim = join(folder, 'victim');
    writeFileSync(victim, 'mine');
    symlinkSync(victim, join(folder, `${nFiles}.json.partial`));
    await expect(download().done).rejects.toMatchObject({ code: 'MODEL_WRITE_FAILED' });
    expect(readFileSync(victim, 'utf8')).toBe('mine');
  });

  it('that are whole arrive', async () => {
    answer = (_, response) => void response.end(content);
    const { path, done } = download();
    expect(await done).toBe(content.length);
    expect(readFileSync(path)).toEqual(content);
    expect(readdirSync(folder).filter((name) => name.startsWith(`${nFiles - 1}.`))).toHaveLength(1);
  });
});
