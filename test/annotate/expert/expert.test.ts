/** The expert against an endpoint that misbehaves in every way we know of. Requests are counted exactly. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type EndpointOptions,
  type Expert,
  type ExpertRequest,
  openExpert,
} from '../../../src/annotate/expert/expert.ts';
import type { GristmillError } from '../../../src/errors.ts';
import {
  completion,
  type ExpertServer,
  reply,
  startExpertServer,
} from '../../support/expert-server.ts';

const root = mkdtempSync(join(tmpdir(), 'gristmill-expert-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const KEY_VARIABLE = 'GRISTMILL_TEST_EXPERT_KEY';
const KEY = 'sk-test-0123456789';

let server: ExpertServer;
let experts: Expert[] = [];
let nFolders = 0;
const folder = (): string => join(root, `cache-${nFolders++}`);

beforeEach(async () => {
  delete process.env['OPENAI_API_KEY'];
  server = await startExpertServer();
});
afterEach(async () => {
  for (const expert of experts) await expert.dispose();
  experts = [];
  await server.close();
  delete process.env[KEY_VARIABLE];
});

async function open(
  options: Partial<EndpointOptions> & {
    cacheDir?: string;
    maxRequests?: number;
    maxTokens?: number;
    maxFailures?: number;
  } = {},
): Promise<Expert> {
  const expert = await openExpert({ url: server.url, model: 'm', backOffMs: 1, ...options });
  experts.push(expert);
  return expert;
}

const ask = (user: string, changes: Partial<ExpertRequest> = {}): ExpertRequest => ({
  system: 'Be brief.',
  user,
  maxTokens: 10,
  ...changes,
});

const failure = (promise: Promise<unknown>): Promise<GristmillError> =>
  promise.then(
    () => Promise.reject(new Error('it succeeded')),
    (error: GristmillError) => error,
  );

describe('a request', () => {
  it('is a greedy chat completion with the key as a bearer token', async () => {
    process.env[KEY_VARIABLE] = KEY;
    const expert = await open({ apiKeyEnv: KEY_VARIABLE, headers: { 'x-team': 'mill' } });
    const answer = await expert.ask(ask('hello'));
    expect(answer).toEqual({
      text: 'echo hello',
      finish: 'stop',
      promptTokens: 7,
      answerTokens: 3,
      cached: false,
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    const [{ body, headers, path }] = server.seen as [(typeof server.seen)[0]];
    expect(path).toBe('/v1/chat/completions');
    expect(body).toEqual({
      model: 'm',
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'hello' },
      ],
      max_tokens: 10,
      temperature: 0,
    });
    expect([headers.authorization, headers['x-team']]).toEqual([`Bearer ${KEY}`, 'mill']);
  });

  it('has no system message and no key where there is none', async () => {
    const expert = await open();
    await expert.ask(ask('hello', { system: null }));
    expect(server.seen[0]!.body.messages).toEqual([{ role: 'user', content: 'hello' }]);
    expect(server.seen[0]!.headers.authorization).toBeUndefined();
  });

  it.each([
    [{ url: 'ftp://example.org' }, 'url'],
    [{ url: 'no address' }, 'url'],
    [{ url: 'http://user:secret@127.0.0.1' }, 'url'],
    [{ model: '' }, 'model'],
    [{ timeoutMs: 0 }, 'timeoutMs'],
    [{ timeoutMs: 300_001 }, 'timeoutMs'],
    [{ concurrency: 0 }, 'concurrency'],
    [{ maxRetries: -1 }, 'maxRetries'],
    [{ maxRequests: 1.5 }, 'maxRequests'],
    [{ apiKeyEnv: 'GRISTMILL_TEST_NOT_SET' }, 'apiKeyEnv'],
    [{ headers: { 'x y': 'secret' } }, 'headers'],
  ])('cannot be made with %j', async (options, option) => {
    const error = await failure(open(options));
    expect(error).toMatchObject({ code: 'OPTION_INVALID', details: { option } });
    expect(error.message).not.toContain('secret');
  });

  it('names the bound anew where the endpoint knows the newer name only', async () => {
    server.behave(({ body, user }, response) => {
      if ('max_tokens' in body && body.max_tokens !== undefined) {
        const message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.";
        return reply(response, JSON.stringify({ error: { message } }), { status: 400 });
      }
      return reply(response, completion(`echo ${user}`));
    });
    const { seen } = server;
    const before = seen.length;
    await using expert = await openExpert({ url: server.url, model: 'newer', backOffMs: 0 });
    for (const user of ['first', 'second']) {
      const answer = await expert.ask({ system: null, user, maxTokens: 9 });
      expect(answer.text).toBe(`echo ${user}`);
    }
    expect(seen.slice(before).map(({ body }) => Object.keys(body)[2])).toEqual([
      'max_tokens',
      'max_completion_tokens',
      'max_completion_tokens',
    ]);
  });

  it('never shows a key, not even a broken one or one that the server repeats', async () => {
    process.env[KEY_VARIABLE] = `${KEY}\u00e9`;
    const broken = await failure(open({ apiKeyEnv: KEY_VARIABLE }));
    expect([broken.code, broken.message.includes(KEY)]).toEqual(['OPTION_INVALID', false]);
    process.env[KEY_VARIABLE] = KEY;
    const cacheDir = folder();
    const expert = await open({ apiKeyEnv: KEY_VARIABLE, cacheDir });
    await expert.ask(ask('kept'));
    server.behave((_, response) => reply(response, `bad key ${KEY}\u001b[31m`, { status: 401 }));
    const refused = await failure(expert.ask(ask('x')));
    expect(refused.message).toContain('bad key ***\\u001b');
    expect(JSON.stringify(refused.details)).not.toContain(KEY);
    for (const name of readdirSync(cacheDir)) {
      const stored = readFileSync(join(cacheDir, name), 'utf8');
      expect([stored.includes(KEY), stored.includes('Be brief')]).toEqual([false, false]);
    }
  });

  it('has at most `concurrency` siblings under way', async () => {
    server.behave(async ({ user }, response) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      reply(response, completion(user));
    });
    const expert = await open({ concurrency: 3 });
    const signal = new AbortController().signal;
    const users = Array.from({ length: 40 }, (_, index) => `user ${index}`);
    const answers = await Promise.all(users.map((user) => expert.ask(ask(user), { signal })));
    expect(answers.map(({ text }) => text)).toEqual(users);
    expect(server.peak).toBe(3);
    expect(server.seen).toHaveLength(40);
  });
});

describe('an answer', () => {
  it.each([
    ['<think>long\nthoughts</think>\n\nyes', 'yes'],
    ['  <think></think>yes', 'yes'],
    ['<think>never ended', ''],
    ['a <think>not leading</think>', 'a <think>not leading</think>'],
  ])('%j reads %j', async (content, text) => {
    server.behave((_, response) => reply(response, completion(content)));
    expect((await (await open()).ask(ask('x'))).text).toBe(text);
  });

  it('may lack the usage, which is estimated then', async () => {
    server.behave((_, response) => reply(response, completion('12345678', { usage: null })));
    const expert = await open();
    const { promptTokens, answerTokens } = await expert.ask(ask('12345', { system: null }));
    expect([promptTokens, answerTokens]).toEqual([2, 2]);
    expect(expert.stats()).toMatchObject({ promptTokens: 2, answerTokens: 2, estimated: 1 });
  });

  it('may be cut, come in parts, or be all thought', async () => {
    const expert = await open();
    const choice = (message: object, finish_reason: string) => ({
      choices: [{ message, finish_reason }],
    });
    server.behave((_, r) => reply(r, completion('', choice({ content: 'cut o' }, 'length'))));
    expect(await expert.ask(ask('1'))).toMatchObject({ text: 'cut o', finish: 'length' });
    const parts = [
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
    ];
    server.behave((_, r) => reply(r, completion('', choice({ content: parts }, 'stop'))));
    expect(await expert.ask(ask('2'))).toMatchObject({ text: 'ab', finish: 'stop' });
    server.behave((_, r) => reply(r, completion('', choice({ content: null }, 'length'))));
    expect(await expert.ask(ask('3'))).toMatchObject({ text: '', finish: 'length' });
  });
});

/** Ways to fail that are worth another try; each is followed by a good answer. */
const PASSING: [string, (response: Parameters<typeof reply>[0]) => void][] = [
  ['500', (r) => reply(r, '{"error":"oops"}', { status: 500 })],
  ['503 without a body', (r) => reply(r, '', { status: 503 })],
  ['408', (r) => reply(r, '', { status: 408 })],
  ['409', (r) => reply(r, '', { status: 409 })],
  ['425', (r) => reply(r, '', { status: 425 })],
  ['429', (r) => reply(r, '{}', { status: 429 })],
  ['429 with retry-after', (r) => reply(r, '', { status: 429, headers: { 'retry-after': '0' } })],
  [
    '429 with retry-after-ms',
    (r) => reply(r, '', { status: 429, headers: { 'retry-after-ms': '20' } }),
  ],
  [
    '429 with x-ratelimit-reset',
    (r) => reply(r, '', { status: 429, headers: { 'x-ratelimit-reset-requests': '20ms' } }),
  ],
  ['malformed JSON', (r) => reply(r, '{"choices": [')],
  ['an HTML page', (r) => reply(r, '<html>busy</html>')],
  ['an empty body', (r) => reply(r, '')],
  ['null', (r) => reply(r, 'null')],
  ['deep nesting', (r) => reply(r, '['.repeat(200_000))],
  ['no choices', (r) => reply(r, '{"choices": []}')],
  ['a choice without text', (r) => reply(r, '{"choices": [{"message": {"content": 5}}]}')],
  ['an error with status 200', (r) => reply(r, '{"error": {"message": "overloaded"}}')],
  ['a destroyed connection', (r) => void r.destroy()],
  [
    'half an answer',
    (r) => {
      r.writeHead(200, { 'content-length': '1000' });
      r.write(completion('half').slice(0, 40), () => r.destroy());
    },
  ],
  [
    'half a chunked answer',
    (r) => {
      r.writeHead(200);
      r.write(completion('half').slice(0, 40), () => r.destroy());
    },
  ],
  ['an answer beyond the time-out', () => undefined],
  [
    'a body that drips beyond the time-out',
    (r) => {
      r.writeHead(200);
      const timer = setInterval(() => r.write(' '), 10);
      r.once('close', () => clearInterval(timer));
    },
  ],
  [
    'a body beyond all bounds',
    (r) => {
      r.writeHead(200);
      const block = Buffer.alloc(1 << 20, ' ');
      const more = (): void => {
        while (!r.destroyed && r.write(block));
        if (!r.destroyed) r.once('drain', more);
      };
      more();
    },
  ],
];

describe('a failure that may pass', () => {
  it.each(PASSING)('%s: the request is sent again, once', async (name, misbehave) => {
    server.behave(({ nth, user }, response) =>
      nth === 1 ? misbehave(response) : reply(response, completion(`good ${user}`)),
    );
    const timeoutMs = name.includes('time-out') ? 150 : 20_000;
    const expert = await open({ timeoutMs });
    expect((await expert.ask(ask('x'))).text).toBe('good x');
    expect(server.seen).toHaveLength(2);
    expect(expert.stats()).toMatchObject({ requests: 2, retries: 1, failed: 0, promptTokens: 7 });
  });

  it.each(PASSING.filter(([name]) => ['500', 'malformed JSON', 'half an answer'].includes(name)))(
    '%s without end: the request fails after its retries, is not stored, and others go on',
    async (_, misbehave) => {
      server.behave(({ user }, response) =>
        user === 'bad' ? misbehave(response) : reply(response, completion(user)),
      );
      const cacheDir = folder();
      const expert = await open({ maxRetries: 2, cacheDir });
      const error = await failure(expert.ask(ask('bad')));
      expect(error).toMatchObject({ code: 'ANNOTATE_EXPERT_FAILED', details: { attempts: 3 } });
      expect(server.counts().get('bad')).toBe(3);
      expect((await expert.ask(ask('good'))).text).toBe('good');
      await failure(expert.ask(ask('bad')));
      expect(server.counts().get('bad')).toBe(6);
      expect(expert.stats()).toMatchObject({ requests: 7, retries: 4, failed: 2 });
    },
  );

  it('bounds and escapes what it quotes', async () => {
    server.behave((_, r) => reply(r, `\u001b]0;${'x'.repeat(100_000)}`, { status: 500 }));
    const error = await failure((await open({ maxRetries: 0 })).ask(ask('x')));
    expect(error.message.length).toBeLessThan(400);
    expect(error.message).not.toContain('\u001b');
  });

  it('a server that is not there fails requests, then the run', async () => {
    const url = server.url;
    await server.close();
    const expert = await open({ url, maxRetries: 1, maxFailures: 3, concurrency: 1 });
    const asks = Array.from({ length: 6 }, (_, index) => failure(expert.ask(ask(`${index}`))));
    const codes = (await Promise.all(asks)).map(({ code }) => code);
    expect(codes).toEqual([
      ...Array.from({ length: 3 }, () => 'ANNOTATE_EXPERT_FAILED'),
      ...Array.from({ length: 3 }, () => 'ANNOTATE_EXPERT_DOWN'),
    ]);
    expect(expert.stats()).toMatchObject({ requests: 6, failed: 3 });
    server = await startExpertServer();
  });

  it('an answer in between starts the count of failures anew', async () => {
    server.behave(({ user }, r) =>
      user.startsWith('bad') ? reply(r, '', { status: 500 }) : reply(r, completion(user)),
    );
    const expert = await open({ maxRetries: 0, maxFailures: 2, concurrency: 1 });
    for (const user of ['bad 1', 'good 1', 'bad 2', 'good 2', 'bad 3']) {
      await expert.ask(ask(user)).catch(() => undefined);
    }
    expect(server.seen).toHaveLength(5);
    expect((await failure(expert.ask(ask('bad 4')))).code).toBe('ANNOTATE_EXPERT_FAILED');
    expect((await failure(expert.ask(ask('good 3')))).code).toBe('ANNOTATE_EXPERT_DOWN');
    expect(server.seen).toHaveLength(6);
  });

  it('a wait that the server asks for holds for everybody', async () => {
    let freeAt = 0;
    let early = 0;
    server.behave(({ user }, r) => {
      if (user === 'first' && freeAt === 0) {
        freeAt = performance.now() + 150;
        return reply(r, '', { status: 429, headers: { 'retry-after-ms': '150' } });
      }
      if (performance.now() < freeAt - 2) early++;
      return reply(r, completion(user));
    });
    const expert = await open({ concurrency: 1 });
    await Promise.all(['first', 'second', 'third'].map((user) => expert.ask(ask(user))));
    expect(early).toBe(0);
    expect(server.seen).toHaveLength(4);
  });

  it('a limit that an answer calls used up is waited for', async () => {
    let freeAt = 0;
    let early = 0;
    server.behave(({ user }, r) => {
      if (performance.now() < freeAt - 2) early++;
      freeAt = performance.now() + 100;
      const headers = {
        'x-ratelimit-remaining-requests': '0',
        'x-ratelimit-reset-requests': '100ms',
      };
      reply(r, completion(user), { headers });
    });
    const expert = await open({ concurrency: 1 });
    for (const user of ['1', '2', '3']) await expert.ask(ask(user));
    expect(early).toBe(0);
  });
});

describe('a refusal', () => {
  it.each([400, 401, 403, 404, 422, 301])('%i ends the run at once', async (status) => {
    const headers = status === 301 ? { location: `${server.url}/elsewhere` } : {};
    server.behave((_, r) => reply(r, '{"error":{"message":"no"}}', { status, headers }));
    const expert = await open({ concurrency: 2 });
    const asks = Array.from({ length: 8 }, (_, index) => failure(expert.ask(ask(`${index}`))));
    for (const error of await Promise.all(asks)) {
      expect(error).toMatchObject({ code: 'ANNOTATE_EXPERT_REFUSED', details: { status } });
    }
    expect(server.seen.length).toBeLessThanOrEqual(2);
  });

  it.each([
    [400, '{"error":{"code":"context_length_exceeded"}}'],
    [400, '{"error":{"type":"exceed_context_size_error"}}'],
    [400, "This model's maximum context length is 8192 tokens."],
    [413, 'too large'],
    [
      200,
      completion('', {
        choices: [{ message: { content: null }, finish_reason: 'content_filter' }],
      }),
    ],
  ])(
    '%i %s concerns one prompt: it fails alone, is sent once, and is no sign of an expert that is down',
    async (status, body) => {
      server.behave(({ user }, r) =>
        user.startsWith('long') ? reply(r, body, { status }) : reply(r, completion(user)),
      );
      const expert = await open({ maxFailures: 1 });
      for (const user of ['long 1', 'long 2']) {
        expect((await failure(expert.ask(ask(user)))).code).toBe('ANNOTATE_EXPERT_FAILED');
      }
      expect((await expert.ask(ask('short'))).text).toBe('short');
      expect(server.seen).toHaveLength(3);
    },
  );
});

describe('the cache', () => {
  it('answers again without a request, in this run and the next', async () => {
    const cacheDir = folder();
    const first = await open({ cacheDir });
    const asked = await first.ask(ask('x'));
    expect(await first.ask(ask('x'))).toEqual({ ...asked, cached: true });
    await first.dispose();
    const second = await open({ cacheDir, maxRequests: 0 });
    expect(await second.ask(ask('x'))).toEqual({ ...asked, cached: true });
    expect(server.seen).toHaveLength(1);
    expect(second.stats()).toMatchObject({ requests: 0, cached: 1, promptTokens: 0 });
  });

  it('knows everything that an answer depends on, but for the address', async () => {
    const cacheDir = folder();
    const expert = await open({ cacheDir });
    const other = await open({ cacheDir, model: 'n' });
    const hashes = new Set<string>();
    for (const change of [{}, { system: null }, { system: '' }, { maxTokens: 11 }, { user: 'y' }]) {
      hashes.add((await expert.ask(ask('x', change))).hash);
    }
    hashes.add((await other.ask(ask('x'))).hash);
    expect(hashes.size).toBe(6);
    expect(server.seen).toHaveLength(6);
    await expert.dispose();
    const mirror = await startExpertServer();
    try {
      const moved = await open({ url: mirror.url, cacheDir });
      expect((await moved.ask(ask('x'))).cached).toBe(true);
      expect(mirror.seen).toHaveLength(0);
    } finally {
      await mirror.close();
    }
  });

  it.each([true, false])(
    'the same request twice at once is sent once (on disk: %s)',
    async (disk) => {
      server.behave(async ({ user }, r) => {
        await new Promise((resolve) => setTimeout(resolve, 20));
        reply(r, completion(user));
      });
      const expert = await open(disk ? { cacheDir: folder() } : {});
      const answers = await Promise.all(Array.from({ length: 9 }, () => expert.ask(ask('x'))));
      expect(answers.map(({ cached }) => cached)).toEqual([false, ...Array(8).fill(true)]);
      expect(server.seen).toHaveLength(1);
      expect(expert.stats()).toMatchObject({ requests: 1, shared: 8 });
    },
  );
});

describe('the budget', () => {
  it('ends with the last request it allows; cached answers are free', async () => {
    const cacheDir = folder();
    const first = await open({ cacheDir, maxRequests: 3, concurrency: 2 });
    const users = ['1', '2', '3', '4', '5'];
    const settled = await Promise.allSettled(users.map((user) => first.ask(ask(user))));
    expect(settled.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'fulfilled',
      'rejected',
      'rejected',
    ]);
    expect((settled[4] as PromiseRejectedResult).reason).toMatchObject({
      code: 'ANNOTATE_BUDGET_SPENT',
      message: 'the budget of 3 requests is spent',
    });
    expect((await first.ask(ask('1'))).cached).toBe(true);
    await first.dispose();
    const second = await open({ cacheDir, maxRequests: 2 });
    expect((await Promise.all(users.map((user) => second.ask(ask(user))))).length).toBe(5);
    expect([...server.counts().values()]).toEqual([1, 1, 1, 1, 1]);
  });

  it('counts retries', async () => {
    server.behave((_, r) => reply(r, '', { status: 500 }));
    const expert = await open({ maxRequests: 2, maxRetries: 5 });
    expect((await failure(expert.ask(ask('x')))).code).toBe('ANNOTATE_BUDGET_SPENT');
    expect(server.seen).toHaveLength(2);
  });

  it('of tokens: a request that may exceed it waits for what others leave, then is turned away', async () => {
    // Each costs 10 in the end (7 + 3), and 1 + 10 at most (`x` and `maxTokens`), so a third fits only behind the others.
    const expert = await open({ maxTokens: 31, concurrency: 4 });
    const users = ['a', 'b', 'c', 'd'];
    const settled = await Promise.allSettled(
      users.map((user) => expert.ask(ask(user, { system: null }))),
    );
    expect(settled.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'fulfilled',
      'rejected',
    ]);
    expect(expert.stats()).toMatchObject({ requests: 3, promptTokens: 21, answerTokens: 9 });
    expect((await failure(expert.ask(ask('e')))).message).toContain('31 tokens');
  });
});

describe('an interrupt', () => {
  it('sends nothing new, and keeps the answers of what was sent', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    server.behave(async ({ user }, r) => {
      await held;
      reply(r, completion(user));
    });
    const cacheDir = folder();
    const expert = await open({ cacheDir, concurrency: 2 });
    const users = ['1', '2', '3', '4'];
    const asking = Promise.allSettled(users.map((user) => expert.ask(ask(user), { signal })));
    while (server.seen.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
    controller.abort();
    release();
    const codes = (await asking).map((outcome) =>
      outcome.status === 'fulfilled' ? 'answered' : outcome.reason.code,
    );
    expect(codes).toEqual(['answered', 'answered', 'ABORTED', 'ABORTED']);
    await expert.dispose();
    const again = await open({ cacheDir });
    await Promise.all(users.map((user) => again.ask(ask(user))));
    expect([...server.counts().values()]).toEqual([1, 1, 1, 1]);
  });

  it('ends a wait between attempts', async () => {
    const controller = new AbortController();
    server.behave((_, r) => {
      reply(r, '', { status: 429, headers: { 'retry-after': '500' } });
      setTimeout(() => controller.abort(), 20);
    });
    const expert = await open();
    const error = await failure(expert.ask(ask('x'), { signal: controller.signal }));
    expect(error.code).toBe('ABORTED');
    expect(server.seen).toHaveLength(1);
  });

  it('of one asker does not concern another who asks the same', async () => {
    const controller = new AbortController();
    server.behave((request, r) => {
      if (request.nth > 1) return reply(r, completion('late'));
      reply(r, '', { status: 503 });
      return void setTimeout(() => controller.abort(), 5);
    });
    const expert = await open({ backOffMs: 60_000, seed: 2 });
    const first = failure(expert.ask(ask('x'), { signal: controller.signal }));
    const second = expert.ask(ask('x'));
    expect((await first).code).toBe('ABORTED');
    expect((await second).text).toBe('late');
  });

  it('waits for the budget no longer', async () => {
    const controller = new AbortController();
    let release = (): void => undefined;
    server.behave((_, r) => {
      release = () => reply(r, completion('x'));
    });
    const expert = await open({ maxTokens: 15, concurrency: 2 });
    const first = expert.ask(ask('a', { system: null }));
    const second = failure(
      expert.ask(ask('b', { system: null, maxTokens: 12 }), { signal: controller.signal }),
    );
    while (server.seen.length < 1) await new Promise((resolve) => setTimeout(resolve, 5));
    controller.abort();
    expect((await second).code).toBe('ABORTED');
    release();
    await first;
  });
});

it('after dispose nothing is asked; dispose waits for what is under way', async () => {
  const cacheDir = folder();
  const expert = await open({ cacheDir });
  const asking = expert.ask(ask('x'));
  await Promise.all([expert.dispose(), expert.dispose()]);
  expect((await asking).text).toBe('echo x');
  expect((await failure(expert.ask(ask('x')))).code).toBe('DISPOSED');
});
