/** The expert and its endpoint: requests, answers, cache, budget, interrupts. Requests are counted exactly. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openExpert } from '../../../src/annotate/expert/expert.ts';
import { completion, reply, startExpertServer } from '../../support/expert-server.ts';
import { ask, failure, folder, KEY, KEY_VARIABLE, open, server } from './support.ts';

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
    [{ timeoutMs: 86_400_001 }, 'timeoutMs'],
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
