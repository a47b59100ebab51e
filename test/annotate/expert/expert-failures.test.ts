/** The expert against an endpoint that misbehaves in every way we know of. Requests are counted exactly. */
import { describe, expect, it } from 'vitest';
import { completion, reply } from '../../support/expert-server.ts';
import { ask, failure, folder, open, server, startAnew } from './support.ts';

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
  ...[
    ...[
      'abort',
      'error',
      'insufficient_system_resource',
      'tool_calls',
      'cancelled',
      'network_error',
    ],
  ].map((finish_reason): (typeof PASSING)[0] => [
    `the finish reason ${finish_reason}`,
    (r) =>
      reply(
        r,
        completion('', {
          choices: [{ message: { content: 'Half' }, finish_reason }],
          usage: null,
        }),
      ),
  ]),
  ['an empty answer', (r) => reply(r, completion(' \n', { usage: null }))],
  ['a thought without an end', (r) => reply(r, completion('<think>well', { usage: null }))],
  ['a stream that breaks off', (r) => reply(r, `data: ${completion('half')}`)],
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
    await startAnew();
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
  it.each([401, 404, 405, 301, 307])('%i ends the run at once', async (status) => {
    const headers = status < 400 ? { location: `${server.url}/elsewhere` } : {};
    server.behave((_, r) => reply(r, '{"error":{"message":"no"}}', { status, headers }));
    const expert = await open({ concurrency: 2 });
    const asks = Array.from({ length: 8 }, (_, index) => failure(expert.ask(ask(`${index}`))));
    for (const error of await Promise.all(asks)) {
      expect(error).toMatchObject({ code: 'ANNOTATE_EXPERT_REFUSED', details: { status } });
    }
    expect(server.seen.length).toBeLessThanOrEqual(2);
  });

  it.each([400, 403, 422])(
    '%i of unknown words fails one request after the other, and many in a row end the run',
    async (status) => {
      server.behave(({ user }, r) =>
        user.startsWith('bad') ? reply(r, 'no', { status }) : reply(r, completion(user)),
      );
      const expert = await open({ concurrency: 1, maxFailures: 3 });
      const codes: string[] = [];
      for (const user of ['bad 1', 'bad 2', 'good', 'bad 3', 'bad 4', 'bad 5', 'bad 6']) {
        const asked = expert.ask(ask(user));
        codes.push(user === 'good' ? (await asked).text : (await failure(asked)).code);
      }
      const failed = 'ANNOTATE_EXPERT_FAILED';
      const refused = 'ANNOTATE_EXPERT_REFUSED';
      expect(codes).toEqual([failed, failed, 'good', failed, failed, failed, refused]);
      expect(server.seen).toHaveLength(6);
      expect(expert.stats()).toMatchObject({ requests: 6, retries: 0, failed: 5 });
    },
  );

  it('of the key ends the run at once with 403 too', async () => {
    const body = '{"error":{"message":"Your API key has no access to this model"}}';
    server.behave((_, r) => reply(r, body, { status: 403 }));
    const expert = await open({ concurrency: 1 });
    expect((await failure(expert.ask(ask('1')))).code).toBe('ANNOTATE_EXPERT_REFUSED');
    expect((await failure(expert.ask(ask('2')))).code).toBe('ANNOTATE_EXPERT_REFUSED');
    expect(server.seen).toHaveLength(1);
  });

  it('that is a redirect names its target, one of the address what may be missing', async () => {
    server.behave((_, r) =>
      reply(r, '', {
        status: 307,
        headers: { location: 'https://api.example/v2/chat/completions?token=secret' },
      }),
    );
    const moved = await failure((await open()).ask(ask('x')));
    expect(moved.message).toContain('https://api.example/v2:');
    expect(moved.message).not.toContain('secret');
    server.behave(({ path, user }, r) =>
      path === '/v1/chat/completions'
        ? reply(r, completion(user))
        : reply(r, 'not found', { status: 404 }),
    );
    const lost = await failure((await open({ url: server.url.replace('/v1', '') })).ask(ask('x')));
    expect(lost.message).toContain('/v1');
    const whole = await open({ url: `${server.url}/chat/completions/` });
    expect((await whole.ask(ask('x'))).text).toBe('x');
  });

  it.each([
    [400, '{"error":{"code":"context_length_exceeded"}}'],
    [400, '{"error":{"type":"exceed_context_size_error"}}'],
    [400, "This model's maximum context length is 8192 tokens."],
    [413, 'too large'],
    [400, "The input (5000 tokens) is longer than the model's context length (4096 tokens)."],
    [
      422,
      '{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096."}',
    ],
    [400, '{"error":{"message":"prompt is too long: 5000 tokens > 4096 maximum"}}'],
    [400, '{"error":{"message":"Range of input length should be [1, 4096]"}}'],
    [403, '{"error":{"message":"Input was flagged","metadata":{"reasons":["violence"]}}}'],
    [451, ''],
    [200, '{"error":{"message":"Content Exists Risk"}}'],
    [200, completion('', { choices: [{ message: { content: null, refusal: 'I cannot.' } }] })],
    [
      200,
      completion('', { choices: [{ message: { content: [{ type: 'refusal', refusal: 'No' }] } }] }),
    ],
    ...['content_filter: PROHIBITED_CONTENT', 'SAFETY', 'refusal', 'sensitive'].map(
      (finish_reason): [number, string] => [
        200,
        completion('', { choices: [{ message: { content: 'half' }, finish_reason }] }),
      ],
    ),
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
